//! Everything that needs more than one module: the layer in front of services, the frameworks, the
//! source tree itself. One binary, so that it is linked once.

#![allow(unreachable_pub, reason = "a binary has no public items")]

mod support;

mod cookies;
mod secrets;
mod service;
mod tokens;
