//! Keys from outside the process: generated, from a watched file, or fetched as a JWKS over HTTPS.
//! Imports the engine. Open `file.rs` for key files, `generate.rs` for new keys, `jwks.rs` for the
//! fetcher trait and `jwks_http.rs` for its HTTPS client.

pub(crate) mod file;
pub(crate) mod generate;
pub(crate) mod jwks;
#[cfg(feature = "jwks-http")]
pub(crate) mod jwks_http;
