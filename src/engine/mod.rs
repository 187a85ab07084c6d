//! The pure engine: no I/O, no clock, no randomness but what is handed in.

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
