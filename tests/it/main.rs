//! Integration tests: the layer in front of services, the frameworks, and the source tree itself.
//! They are one binary so that they are linked once.
#![cfg(all(feature = "test-util", any(feature = "aws-lc-rs", feature = "rust-crypto")))]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod architecture;
mod support;

#[cfg(feature = "axum")]
mod authorization;
#[cfg(feature = "axum")]
mod axum;
mod bearer;
mod claims_source;
mod clients;
mod clocks;
mod concurrent_changes;
mod cookies;
mod device_bound;
mod documents;
mod endpoints;
#[cfg(feature = "axum")]
mod error_responses;
#[cfg(all(feature = "axum", feature = "memory"))]
mod extractors;
mod flows;
mod guard;
#[cfg(feature = "axum")]
mod guides;
mod held_jars;
mod hyper;
mod interleavings;
mod keys;
mod lifetime;
mod model;
mod multi_session;
#[cfg(feature = "axum")]
mod readme;
mod request_spans;
mod secrets;
mod security_regressions;
mod service;
mod service_bounds;
mod session_attributes;
mod settings;
mod sign_out;
mod sizing;
#[cfg(all(feature = "axum", feature = "memory"))]
mod store;
mod tokens;
mod tonic;
mod tower_http_layers;
mod verify_only;
mod warnings;
mod wire_compatibility;
