//! Cookies as they come in, from friends and foes, and as they go out.

mod application_cookies;
mod cache_headers;
mod fast_path;
mod parsing;
mod removal;
mod vectors;

use tower_auth_session::{SessionEvent, engine::RejectReason};

/// What a request's cookies came to, in the words of the vectors: the worst that was told, or `-`.
fn verdict(events: &[SessionEvent]) -> &'static str {
    let rank = |event: &SessionEvent| match event {
        SessionEvent::Rejected { reason, .. } => match reason {
            RejectReason::TooManyBytes => (0, "limit"),
            RejectReason::TooManyCandidates => (1, "too_many"),
            RejectReason::Conflict => (2, "conflict"),
            RejectReason::Ended => (4, "ended"),
            RejectReason::Token(_) => (6, "invalid"),
            RejectReason::Malformed => (7, "malformed"),
            other => panic!("{other:?}"),
        },
        SessionEvent::DuplicateCookie => (3, "duplicate"),
        SessionEvent::Expired { .. } => (5, "expired"),
        other => panic!("{other:?}"),
    };
    events.iter().map(rank).min().map_or("-", |(_, word)| word)
}
