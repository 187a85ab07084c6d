//! Everything that needs more than one module: the layer in front of services, the frameworks, the
//! source tree itself. One binary, so that it is linked once.
#![cfg(all(feature = "test-util", any(feature = "aws-lc-rs", feature = "rust-crypto")))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

mod claims_source;
mod cookies;
mod guard;
mod lifetime;
mod secrets;
mod service;
mod sign_out;
mod tokens;
