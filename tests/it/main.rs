//! Everything that needs more than one module: the layer in front of services, the frameworks, the
//! source tree itself. One binary, so that it is linked once.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "`pub` is for the other modules, and what panics fails its test"
)]

mod support;

#[cfg(feature = "axum")]
mod axum;
mod bounds;
mod hyper;
mod service;
