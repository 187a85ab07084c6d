//! Signed-in sessions for Tower services.

pub mod engine;
mod error;
mod random;
mod time;
