//! The pure engine: no I/O, no clock, no randomness but what is handed in.

mod claims;
mod id;

pub use claims::{ClaimsError, RESERVED_CLAIMS};
pub use id::{InvalidId, InvalidSubject, SessionId, Subject};
