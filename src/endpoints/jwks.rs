//! `GET /.well-known/jwks.json`: the public keys, for services that verify the tokens.
//!
//! 1. Only the public members of asymmetric keys. If the ring has none, the endpoint does not exist, and
//!    the path is left to the application.
//! 2. A key is listed from the moment it is published, before it signs, until it is retired.
//! 3. Caches may keep the response for `max-age`, the time that a rotation waits between publishing a
//!    key and signing with it, but not beyond the next planned retirement. While this service does not
//!    answer they may use it an hour longer, because then no token is signed either (RFC 5861 §4).
//! 4. The response is the same for all clients: no cookie is read or set for it. Its ETag is a hash of
//!    the keys, so that all nodes of a fleet send the same one (RFC 9110 §8.8.3).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};

use crate::{
    engine::keys::{backend::sha256, public_jwks::PublicKeys},
    pages::NOSNIFF,
    time::Timestamp,
};

/// How long a cached response may be used while this service does not answer.
const STALE_IF_ERROR: Duration = Duration::from_secs(3600);

/// The published keys, as a response.
#[derive(Debug)]
pub(super) struct JwksResponse {
    json: String,
    etag: HeaderValue,
    caching: HeaderValue,
    is_known: bool,
}

impl JwksResponse {
    /// `None` without a cryptographic back end, which the ETag needs; an engine does not exist either.
    pub(super) fn new(
        keys: PublicKeys,
        max_age: Duration,
        asked: &HeaderMap,
        now: Timestamp,
    ) -> Option<Self> {
        let hash = URL_SAFE_NO_PAD.encode(sha256(keys.json.as_bytes())?);
        let etag = HeaderValue::try_from(format!("\"{hash}\"")).ok()?;
        let left = keys.retires_at.map_or(Duration::MAX, |at| at.saturating_since(now));
        let max_age = max_age.min(left);
        let stale = STALE_IF_ERROR.min(left.saturating_sub(max_age));
        let (max_age, stale) = (max_age.as_secs(), stale.as_secs());
        let caching = format!("public, max-age={max_age}, stale-if-error={stale}");
        let caching = HeaderValue::try_from(caching).ok()?;
        let is_known = etag_matches(asked, &etag);
        Some(Self { json: keys.json, etag, caching, is_known })
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        let mut response = if self.is_known {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            let mut response = Response::new(Bytes::from(self.json.clone()));
            // RFC 7517 §8.5.2.
            let media_type = HeaderValue::from_static("application/jwk-set+json");
            response.headers_mut().insert(CONTENT_TYPE, media_type);
            response.headers_mut().insert(NOSNIFF.0, NOSNIFF.1);
            response
        };
        response.headers_mut().insert(ETAG, self.etag.clone());
        response.headers_mut().insert(CACHE_CONTROL, self.caching.clone());
        response
    }
}

/// Whether the client has this response already (RFC 9110 §13.1.2, weak comparison).
fn etag_matches(asked: &HeaderMap, etag: &HeaderValue) -> bool {
    asked.get_all(IF_NONE_MATCH).iter().any(|field| {
        field.as_bytes().split(|byte| *byte == b',').any(|tag| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes()
        })
    })
}
