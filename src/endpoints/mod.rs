//! What the layer answers itself.
//!
//! They answer where the layer wraps the whole application: under `route_layer`, a method router or a
//! nested router Axum shows no unmatched paths.

pub(crate) mod chooser;
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
