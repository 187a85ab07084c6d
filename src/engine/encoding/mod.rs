//! Wire formats without application meaning: DER, JSON objects without duplicate members, and
//! percent-encoding. Imports only the errors. Open `json.rs` for strict JSON reading, `percent.rs`
//! for URLs and form bodies, `der.rs` for key files.

pub(crate) mod der;
pub(crate) mod json;
pub(crate) mod percent;
