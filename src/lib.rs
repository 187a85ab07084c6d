//! Signed-in sessions for Tower services.

mod endpoints;
pub mod engine;
mod error;
mod limit;
mod options;
mod random;
mod time;

pub use limit::{InvalidLimit, Limit};
pub use options::{EnvOptions, EnvWarning, SessionOptions};
