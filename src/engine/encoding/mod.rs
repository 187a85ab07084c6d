//! Wire formats without application meaning: DER, JSON objects without duplicate members,
//! percent-encoding, and base64url text of a fixed length. Imports only the errors. Open `json.rs` for
//! strict JSON reading, `percent.rs` for URLs and form bodies, `der.rs` for key files, `base64_text.rs`
//! for ids.

pub(crate) mod base64_text;
pub(crate) mod der;
pub(crate) mod json;
pub(crate) mod percent;
