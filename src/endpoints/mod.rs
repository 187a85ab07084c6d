//! The requests that the layer answers itself. Imports the engine, rejections and stores. Open
//! `dispatch.rs` for how a request is matched and checked, `request.rs`, `params.rs` and `response.rs`
//! for what endpoints share; each endpoint has a file of its own.
//!
//! The endpoints work where the layer wraps the whole application: under `route_layer`, on a method
//! router or in a nested router Axum does not pass unmatched paths to the layer.

pub(crate) mod chooser;
pub(crate) mod device;
pub(crate) mod dispatch;
pub(crate) mod jwks;
pub(crate) mod params;
pub(crate) mod read_body;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod sessions;
pub(crate) mod sign_out;
pub(crate) mod switch;
pub(crate) mod token;
