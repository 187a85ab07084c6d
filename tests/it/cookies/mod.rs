//! Parsing of `Cookie` headers, whatever they contain, and the `Set-Cookie` headers of responses.

mod application_cookies;
mod cache_headers;
mod fast_path;
mod parsing;
mod removal;
mod vectors;

use tower_auth_session::event::{CredentialError, SessionEvent};

/// The most severe event of a request's cookies, in the terms of the test vectors, or `-`.
fn worst_event(events: &[SessionEvent]) -> &'static str {
    let rank = |event: &SessionEvent| match event {
        SessionEvent::CredentialRejected { reason, .. } => match reason {
            CredentialError::CookieHeaderTooLarge => (0, "limit"),
            CredentialError::TooManyCookieValues => (1, "too_many"),
            CredentialError::ConflictingCookies => (2, "conflict"),
            CredentialError::Revoked => (4, "ended"),
            CredentialError::Token(_) => (6, "invalid"),
            CredentialError::Malformed => (7, "malformed"),
            other => panic!("{other:?}"),
        },
        SessionEvent::DuplicateCookie => (3, "duplicate"),
        SessionEvent::Expired { .. } => (5, "expired"),
        other => panic!("{other:?}"),
    };
    events.iter().map(rank).min().map_or("-", |(_, name)| name)
}
