//! Signed-in sessions for Tower services.

pub mod engine;
mod error;
mod keygen;
mod random;
mod time;
