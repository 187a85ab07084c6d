//! The pure engine: what a session is and what becomes of it, from request headers to `Set-Cookie`.
//!
//! No I/O, no `async`, no tower, no clock and no randomness but what is handed in: a framework author
//! calls [`SessionEngine::open`] and [`SessionEngine::close`] with nothing but `http` types, and
//! every rule can be tested as a function of its inputs.
//!
//! ```text
//! request + now ──open──► SessionJar ──► handler (reads sessions, calls the jar's verbs)
//!                                               │
//! response ◄── Set-Cookie ◄──close(jar, now)────┘
//! ```

mod algorithm;
mod crypto;
mod der;
mod id;
mod json;
mod jwk;
mod jws;
mod keys;
mod material;
mod pem;
pub(crate) mod pkcs;
mod ring;
mod weak;
#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod wycheproof;

pub use algorithm::Algorithm;
pub(crate) use algorithm::Family;
pub use id::{InvalidId, InvalidSubject, SessionId, Subject};
pub use keys::{SigningKey, VerifyingKey};
pub(crate) use material::{PrivatePart, Secret};
pub use ring::KeyRing;
