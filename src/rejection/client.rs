//! [`Client`]: the program that sent a request, and the form of response that it understands.
//!
//! The guide to clients has the table of what each one is recognised by and gets. HTMX gets `HX-Redirect`
//! because it would put the page behind a 303 into a part of the current one; Turbo cannot follow a
//! redirect to another origin.
//!
//! Guards, endpoints, extractors and errors decide by this type alone.

use http::{
    HeaderMap, HeaderName, Method,
    header::{ACCEPT, CONTENT_TYPE, REFERER},
};

use crate::engine::{
    redirect::{settings::ResolvedRedirects, target::RedirectTarget},
    request::{head::RequestHead, presented::FetchMode},
};

/// The program that sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// A browser that shows the response as a page: after a link, an address or a form.
    Navigation,
    /// HTMX, which puts the response into a part of the page.
    Htmx,
    /// Turbo, which shows the response as a page, or in a frame of the page.
    Turbo {
        in_frame: bool,
    },
    Grpc(Grpc),
    Script,
}

/// The dialects of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grpc {
    Http2,
    Web,
}

impl Grpc {
    /// The dialect of a request, by its content type. Every call of gRPC is a POST.
    fn from_head(head: RequestHead<'_>) -> Option<Self> {
        if head.method != Method::POST {
            return None;
        }
        let kind = head.headers.get(CONTENT_TYPE)?.as_bytes();
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

impl Client {
    pub(crate) fn from_head(head: RequestHead<'_>) -> Self {
        let headers = head.headers;
        if let Some(grpc) = Grpc::from_head(head) {
            Self::Grpc(grpc)
        } else if is_set(headers, &HX_REQUEST) {
            // HTMX restores a page of its history from the server and replaces the whole page with it.
            match is_set(headers, &HX_HISTORY_RESTORE_REQUEST) {
                true => Self::Navigation,
                false => Self::Htmx,
            }
        } else if headers.contains_key(&TURBO_FRAME) {
            Self::Turbo { in_frame: true }
        } else if headers.contains_key(&X_TURBO_REQUEST_ID)
            || accepts(headers, "text/vnd.turbo-stream.html")
        {
            Self::Turbo { in_frame: false }
        } else if is_navigation(head, FetchMode::find(headers)) {
            Self::Navigation
        } else {
            Self::Script
        }
    }

    /// The client as far as it decides about a response that replaces the application's. For requests
    /// that usually change nothing this costs nothing but `mode`: HTMX and scripts are treated alike, and
    /// Turbo loads a page again as a navigation if it gets no HTML.
    #[inline]
    pub(crate) fn for_replacement(head: RequestHead<'_>, mode: Option<FetchMode>) -> Self {
        match is_read(head.method) {
            true if is_navigation(head, mode) => Self::Navigation,
            true => Self::Script,
            false => Self::from_head(head),
        }
    }

    /// Whether the user sees the response, so that it must be a page.
    pub(crate) const fn shows_pages(self) -> bool {
        matches!(self, Self::Navigation | Self::Turbo { .. })
    }

    /// Whether an HTTP redirect to `target` brings the user there.
    pub(crate) fn follows(self, target: &RedirectTarget, redirects: &ResolvedRedirects) -> bool {
        match self {
            Self::Navigation => true,
            // The page behind a redirect has no such frame, and other origins are closed to scripts.
            Self::Turbo { in_frame } => !in_frame && !redirects.is_foreign(target),
            Self::Htmx | Self::Grpc(_) | Self::Script => false,
        }
    }

    /// Whether HTMX requests a page in place of a navigation, so that the browser can request it again.
    pub(super) fn is_boosted_link(self, head: RequestHead<'_>) -> bool {
        self == Self::Htmx && is_read(head.method) && is_set(head.headers, &HX_BOOSTED)
    }

    /// The page to return to after signing in: the requested one if it can be requested again, else
    /// the page that caused the request. `requested` is the URI before a router changed it.
    pub(super) fn way_back(
        self,
        head: RequestHead<'_>,
        requested: Option<&str>,
        redirects: &ResolvedRedirects,
    ) -> Option<RedirectTarget> {
        let is_page = match self {
            Self::Navigation | Self::Turbo { in_frame: false } => is_read(head.method),
            Self::Htmx => self.is_boosted_link(head),
            Self::Turbo { in_frame: true } => false,
            Self::Grpc(_) | Self::Script => return None,
        };
        if is_page {
            return redirects.requested_page(requested?);
        }
        let origin_page = if self == Self::Htmx { &HX_CURRENT_URL } else { &REFERER };
        redirects.named_page(origin_page, head.uri, head.headers)
    }
}

static HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
static HX_BOOSTED: HeaderName = HeaderName::from_static("hx-boosted");
static HX_CURRENT_URL: HeaderName = HeaderName::from_static("hx-current-url");
static HX_HISTORY_RESTORE_REQUEST: HeaderName =
    HeaderName::from_static("hx-history-restore-request");
static TURBO_FRAME: HeaderName = HeaderName::from_static("turbo-frame");
static X_TURBO_REQUEST_ID: HeaderName = HeaderName::from_static("x-turbo-request-id");

static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Whether a request changes nothing and can be repeated.
pub(super) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn is_set(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Whether a browser shows the response as a page. Fetch Metadata is exact where a browser sends it: an
/// image is not a navigation although it accepts anything.
#[inline]
fn is_navigation(head: RequestHead<'_>, mode: Option<FetchMode>) -> bool {
    let RequestHead { method, headers, .. } = head;
    (is_read(method) || *method == Method::POST)
        && match mode {
            Some(mode) => mode == FetchMode::Navigate,
            None => match headers.get(&SEC_FETCH_DEST) {
                Some(destination) => destination.as_bytes() == b"document",
                None => accepts(headers, "text/html"),
            },
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
