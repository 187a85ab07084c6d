//! What the layer answers itself.
//!
//! They answer where the layer wraps the whole application: under `route_layer`, a method router or a
//! nested router Axum shows no unmatched paths.

pub(crate) mod answer;
mod asked;
pub(crate) mod call;
mod chooser;
mod jwks;
mod params;
pub(crate) mod read_body;
mod reply;
mod sessions;
mod sign_out;
mod switch;
mod token;
