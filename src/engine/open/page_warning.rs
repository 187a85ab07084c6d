//! What the origin of the page that made a request reveals about the settings: the only evidence of
//! its scheme, because a proxy may end TLS in front of this service.

use http::header::{ORIGIN, REFERER, USER_AGENT};

use crate::engine::{
    logging::warnings::{self, PageWarning, PageWarningKind},
    redirect::{
        csrf::is_target,
        origin::{Origin, host_of, split_origin},
    },
    request::head::RequestHead,
    session_engine::SessionEngine,
};

impl<C> SessionEngine<C> {
    /// The warning that a sign-in by this request logs, refused or not.
    pub(super) fn page_warning(
        &self,
        head: RequestHead<'_>,
        is_refused: bool,
    ) -> Option<Box<PageWarning>> {
        let origin = page_origin(head).filter(|_| warnings::is_enabled())?;
        let is_http = origin.starts_with("http://");
        let is_secure = self.0.cookie.is_secure();
        if !is_refused && is_http != is_secure {
            return None;
        }
        // Only canonical origins are logged: they contain no text that a log could be confused by.
        let host = host_of(origin)?;
        let kind = if is_refused {
            PageWarningKind::OtherOrigin
        } else if !is_target(origin, head.uri, head.headers) {
            return None;
        } else if is_http {
            if Origin::is_loopback_host(host) && !is_webkit(head) {
                return None;
            }
            PageWarningKind::SecureCookieOverHttp
        } else {
            PageWarningKind::InsecureCookieOverHttps
        };
        Some(Box::new(PageWarning { origin: origin.into(), kind }))
    }

    /// Whether pages of this service may come over http, as far as its settings tell.
    pub(super) fn may_be_visited_over_http(&self) -> bool {
        self.0.origins.own.as_ref().is_none_or(|own| own.as_str().starts_with("http://"))
    }

    /// Logs that a request was refused as cross-site, with the origins that were compared.
    pub(crate) fn report_refused_origin(&self, head: RequestHead<'_>) {
        if let Some(warning) = self.page_warning(head, true) {
            self.log_page_warning(&warning);
        }
    }
}

/// The origin of the page that made the request, as its browser states it.
fn page_origin(head: RequestHead<'_>) -> Option<&str> {
    if let Some(origin) = head.headers.get(ORIGIN) {
        return origin.to_str().ok();
    }
    let referer = head.headers.get(REFERER)?.to_str().ok()?;
    split_origin(referer).map(|(origin, _)| origin)
}

/// Whether the browser drops Secure cookies of `http://localhost`, as Safari does.
fn is_webkit(head: RequestHead<'_>) -> bool {
    head.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).is_some_and(|agent| {
        agent.contains("AppleWebKit/")
            && !["Chrome/", "Chromium/"].iter().any(|it| agent.contains(it))
    })
}
