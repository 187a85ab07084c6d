//! Everything that needs more than one module: the layer in front of services, the frameworks, the
//! source tree itself. One binary, so that it is linked once.

mod support;

#[cfg(feature = "axum")]
mod axum;
mod bounds;
mod service;
