//! [`Instructions`]: the JSON by which a browser learns which cookie it must renew, and where.

use serde::Serialize;

use crate::engine::session::id::SessionId;

/// The instructions for a bound session.
#[derive(Debug, Serialize)]
pub(crate) struct Instructions<'a> {
    session_identifier: SessionId,
    refresh_url: &'a str,
    scope: Scope<'a>,
    credentials: [Credential<'a>; 1],
}

#[derive(Debug, Serialize)]
struct Scope<'a> {
    origin: &'a str,
    include_site: bool,
    scope_specification: [ScopeRule<'a>; 1],
}

/// Requests that do not wait for a proof.
#[derive(Debug, Serialize)]
struct ScopeRule<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    domain: &'static str,
    path: &'a str,
}

#[derive(Debug, Serialize)]
struct Credential<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    /// Browsers compare them with those of the cookie.
    attributes: &'a str,
}

impl<'a> Instructions<'a> {
    /// The browser renews the cookie `name` of `session` at `refresh_url` before each request to
    /// `origin`, but for those below `public`, which need no session.
    pub(crate) const fn new(
        session: SessionId,
        refresh_url: &'a str,
        origin: &'a str,
        public: &'a str,
        (name, attributes): (&'a str, &'a str),
    ) -> Self {
        let rule = ScopeRule { kind: "exclude", domain: "*", path: public };
        Self {
            session_identifier: session,
            refresh_url,
            scope: Scope { origin, include_site: false, scope_specification: [rule] },
            credentials: [Credential { kind: "cookie", name, attributes }],
        }
    }
}

/// The answer that declines to bind the session.
#[derive(Debug, Serialize)]
pub(crate) struct Declined {
    #[serde(rename = "continue")]
    goes_on: bool,
}

impl Declined {
    pub(crate) const ANSWER: Self = Self { goes_on: false };
}
