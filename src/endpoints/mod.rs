//! What the layer answers itself.
//!
//! They answer where the layer wraps the whole application: under `route_layer`, a method router or a
//! nested router Axum shows no unmatched paths.

mod params;
pub(crate) mod read_body;
pub(crate) mod sign_out;
