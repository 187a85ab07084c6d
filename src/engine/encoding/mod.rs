//! Wire formats without any meaning of their own: DER, JSON objects without duplicate members, and
//! percent-encoding. Imports only the errors. Open `json.rs` for how JSON is read strictly,
//! `percent.rs` for URLs and form bodies, `der.rs` for key files.

pub(crate) mod der;
pub(crate) mod json;
pub(crate) mod percent;
