//! What a request presents: the header fields that decide about its session, and the session that it
//! selects.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header::UPGRADE};

use super::head::{RequestHead, SESSION_ID_HEADER};
use crate::engine::session::id::SessionId;

static NAMED: HeaderName = HeaderName::from_static(SESSION_ID_HEADER);
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The header fields that decide about a session. They are found in one pass, because every request is
/// searched for them.
#[derive(Clone, Copy, Default)]
pub(crate) struct PresentedFields<'r> {
    /// The first `Cookie` field.
    pub(crate) cookie: Option<&'r HeaderValue>,
    pub(crate) has_more_cookies: bool,
    pub(crate) has_authorization: bool,
    pub(crate) names_session: bool,
    pub(crate) has_upgrade: bool,
    pub(crate) fetch_mode: Option<FetchMode>,
}

/// The `Sec-Fetch-Mode` of a request, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FetchMode {
    /// The browser shows the response as a page.
    Navigate,
    Other,
}

impl FetchMode {
    /// Its values are tokens, which are case-sensitive (RFC 9651 §3.3.4).
    fn read(field: &HeaderValue) -> Self {
        if field.as_bytes() == b"navigate" { Self::Navigate } else { Self::Other }
    }

    pub(crate) fn find(headers: &HeaderMap) -> Option<Self> {
        headers.get(&SEC_FETCH_MODE).map(Self::read)
    }
}

impl<'r> PresentedFields<'r> {
    #[inline]
    pub(crate) fn new(headers: &'r HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, field) in headers {
            // Compared as text: a comparison of names costs twice as much.
            match name.as_str() {
                "cookie" => {
                    fields.has_more_cookies = fields.cookie.is_some();
                    fields.cookie = fields.cookie.or(Some(field));
                }
                "authorization" => fields.has_authorization = true,
                "upgrade" => fields.has_upgrade = true,
                "sec-fetch-mode" => fields.fetch_mode = Some(FetchMode::read(field)),
                SESSION_ID_HEADER => fields.names_session = true,
                _ => {}
            }
        }
        fields
    }

    /// Whether it opens a WebSocket: a GET that upgrades (RFC 6455 §4.1), or CONNECT, which reaches
    /// an application only with `:protocol` (RFC 8441 §4). Browsers let every site open one, with
    /// cookies, so it is treated like a POST although its method is safe.
    #[inline]
    pub(crate) fn is_websocket_handshake(&self, head: RequestHead<'_>) -> bool {
        head.method == Method::CONNECT || (self.has_upgrade && upgrades_to_websocket(head.headers))
    }
}

fn upgrades_to_websocket(headers: &HeaderMap) -> bool {
    headers.get_all(UPGRADE).iter().any(|field| {
        field.as_bytes().split(|byte| *byte == b',').any(|protocol| {
            let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
            name.trim_ascii().eq_ignore_ascii_case(b"websocket")
        })
    })
}

/// The session that a request names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RequestedSession {
    #[default]
    None,
    Id(SessionId),
    /// Not a session id, or two different ones.
    Invalid,
}

impl RequestedSession {
    pub(crate) fn from_head(head: RequestHead<'_>, parameter: Option<&str>) -> Self {
        let in_header = head.headers.get_all(&NAMED).iter().map(|value| value.to_str().ok());
        let in_query = parameter.into_iter().flat_map(|parameter| values_of(head.uri, parameter));
        let mut named = Self::None;
        for text in in_header.chain(in_query.map(Some)) {
            let found = text.and_then(|text| text.parse().ok()).map_or(Self::Invalid, Self::Id);
            named = if named == Self::None || named == found { found } else { Self::Invalid };
        }
        named
    }

    /// The session that the query parameter `parameter` names.
    pub(crate) fn from_query(uri: &Uri, parameter: &str) -> Self {
        let mut values = values_of(uri, parameter);
        match (values.next().and_then(|text| text.parse().ok()), values.next()) {
            (Some(id), None) => Self::Id(id),
            _ => Self::Invalid,
        }
    }

    pub(crate) const fn session(self) -> Option<SessionId> {
        if let Self::Id(id) = self { Some(id) } else { None }
    }
}

/// The raw values of a query parameter: a session id needs no escapes.
fn values_of<'u>(uri: &'u Uri, parameter: &str) -> impl Iterator<Item = &'u str> {
    let pairs = uri.query().unwrap_or_default().split('&');
    pairs.filter_map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name == parameter).then_some(value)
    })
}
