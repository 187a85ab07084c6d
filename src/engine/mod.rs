//! The pure engine: no I/O, no clock, no randomness but what is handed in.

mod id;

pub use id::{InvalidId, InvalidSubject, SessionId, Subject};
