//! Signed-in sessions for Tower services.

pub mod engine;
mod error;
mod limit;
mod random;
mod time;

pub use limit::{InvalidLimit, Limit};
