//! Signed-in sessions for Tower services.

mod endpoints;
pub mod engine;
mod error;
mod random;
mod time;
