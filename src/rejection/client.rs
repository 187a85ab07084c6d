//! [`Client`]: what kind of program sent a request, by what it says of itself.

use http::{
    HeaderMap, Method,
    header::{ACCEPT, CONTENT_TYPE},
};

use crate::engine::request::head::RequestHead;

/// What kind of program sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Navigation,
    Htmx,
    Grpc(Grpc),
    Other,
}

/// The dialects of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grpc {
    Http2,
    Web,
}

impl Grpc {
    /// The dialect of a request, by its content type.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let kind = headers.get(CONTENT_TYPE)?.as_bytes();
        let is = |prefix: &str| {
            kind.get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        match (is(Self::Http2.content_type()), is(Self::Web.content_type())) {
            (_, true) => Some(Self::Web),
            (true, false) => Some(Self::Http2),
            (false, false) => None,
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Http2 => "application/grpc",
            Self::Web => "application/grpc-web",
        }
    }
}

/// What must be known of a request to answer it after it has been handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResponseFormat {
    pub(crate) to_head: bool,
    pub(super) grpc: Option<Grpc>,
}

impl ResponseFormat {
    pub(crate) fn from_head(head: RequestHead<'_>) -> Self {
        // Every call of gRPC is a POST.
        let grpc =
            if head.method == Method::POST { Grpc::from_headers(head.headers) } else { None };
        Self { to_head: head.method == Method::HEAD, grpc }
    }
}

impl Client {
    pub(super) fn from_head(head: RequestHead<'_>) -> Self {
        let RequestHead { method, headers, .. } = head;
        let is = |name: &str, value: &[u8]| {
            headers.get(name).is_some_and(|found| found.as_bytes().eq_ignore_ascii_case(value))
        };
        if let Some(grpc) = Grpc::from_headers(headers) {
            Self::Grpc(grpc)
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
