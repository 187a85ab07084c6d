//! Responses of ours.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header::CONTENT_TYPE};
use serde::Serialize;

/// An answer for a script.
pub(super) fn json(value: &impl Serialize) -> Response<Bytes> {
    let mut response = Response::new(serde_json::to_vec(value).unwrap_or_default().into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let (name, value) = NOSNIFF;
    headers.insert(name, value);
    response
}

/// No browser guesses what an answer is (ASVS 3.4.4).
pub(super) const NOSNIFF: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
