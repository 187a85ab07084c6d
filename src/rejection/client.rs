//! [`Client`]: what kind of program sent a request, by what it says of itself.

use http::{
    HeaderMap, Method,
    header::{ACCEPT, CONTENT_TYPE},
};

use crate::engine::RequestHead;

/// What kind of program sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Navigation,
    Htmx,
    Grpc,
    Other,
}

impl Client {
    pub(super) fn of(head: RequestHead<'_>) -> Self {
        let RequestHead { method, headers, .. } = head;
        let is = |name: &str, value: &[u8]| {
            headers.get(name).is_some_and(|found| found.as_bytes().eq_ignore_ascii_case(value))
        };
        let is_grpc = headers.get(CONTENT_TYPE).is_some_and(|found| {
            let prefix = b"application/grpc";
            found.as_bytes().get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(prefix))
        });
        if is_grpc {
            Self::Grpc
        } else if is("hx-request", b"true") {
            Self::Htmx
        } else if !matches!(*method, Method::GET | Method::HEAD) {
            Self::Other
        } else if headers.contains_key("sec-fetch-mode") || headers.contains_key("sec-fetch-dest") {
            // Fetch Metadata is exact where a browser sends it: an image is no navigation although
            // it accepts anything.
            if is("sec-fetch-mode", b"navigate") || is("sec-fetch-dest", b"document") {
                Self::Navigation
            } else {
                Self::Other
            }
        } else if accepts(headers, "text/html") {
            Self::Navigation
        } else {
            Self::Other
        }
    }
}

/// Whether `Accept` names `media_type` itself: `*/*` is what scripts send.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers.get_all(ACCEPT).iter().any(|field| {
        field.as_bytes().split(|byte| *byte == b',').any(|range| {
            let name = range.split(|byte| *byte == b';').next().unwrap_or_default();
            name.trim_ascii().eq_ignore_ascii_case(media_type.as_bytes())
        })
    })
}
