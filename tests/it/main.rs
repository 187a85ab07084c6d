//! Everything that needs more than one module: the layer in front of services, the frameworks, the
//! source tree itself. One binary, so that it is linked once.

mod support;

mod claims_source;
mod guard;
mod lifetime;
mod service;
mod sign_out;
