//! The span of a request, in which the application's own log lines appear too.

#[cfg(feature = "tracing")]
use tracing::level_filters::LevelFilter;

use crate::engine::session::identity::{SessionIdentity, SessionStatusKind};

/// The span of one request, if it is enabled. Hashes are computed only then.
#[derive(Debug)]
pub(crate) struct RequestSpan {
    /// Boxed, because futures are moved and spans are rarely enabled.
    #[cfg(feature = "tracing")]
    span: Option<Box<tracing::Span>>,
}

#[cfg(feature = "tracing")]
impl RequestSpan {
    #[inline]
    pub(crate) fn new() -> Self {
        // The macro alone costs 150 instructions more where another crate enables the feature `log` of
        // tracing.
        if LevelFilter::current() < LevelFilter::DEBUG {
            return Self::none();
        }
        let span = tracing::debug_span!(
            target: super::TARGET,
            "session_request",
            status = tracing::field::Empty,
            session = tracing::field::Empty,
            subject = tracing::field::Empty,
            outcome = tracing::field::Empty,
        );
        Self { span: if span.is_disabled() { None } else { Some(Box::new(span)) } }
    }

    /// No span.
    #[inline]
    pub(crate) const fn none() -> Self {
        Self { span: None }
    }

    /// Enters the span until the result is dropped.
    #[inline]
    pub(crate) fn enter(&self) -> Option<tracing::span::Entered<'_>> {
        self.span.as_ref().map(|span| span.enter())
    }

    /// Records the status and the session of the request, as it came in.
    #[inline]
    pub(crate) fn record_request(
        &self,
        status: SessionStatusKind,
        session: Option<&SessionIdentity>,
        log_subject: bool,
    ) {
        let Some(span) = &self.span else { return };
        span.record("status", name_of(status));
        if let Some(session) = session {
            span.record("session", super::imp::hash(session.id()));
            if log_subject {
                span.record("subject", super::imp::hash(session.subject()));
            }
        }
    }

    /// Records the status when the response is ready.
    #[inline]
    pub(crate) fn record_outcome(&self, status: impl FnOnce() -> SessionStatusKind) {
        if let Some(span) = &self.span {
            span.record("outcome", name_of(status()));
        }
    }
}

#[cfg(feature = "tracing")]
const fn name_of(status: SessionStatusKind) -> &'static str {
    match status {
        SessionStatusKind::SignedIn => "signed_in",
        SessionStatusKind::SignedOut => "signed_out",
        SessionStatusKind::AccountSelectionRequired => "account_selection_required",
        SessionStatusKind::Pending => "pending",
        SessionStatusKind::SessionMismatch => "session_mismatch",
        SessionStatusKind::Unavailable => "unavailable",
        SessionStatusKind::Unproven => "unproven",
        SessionStatusKind::NotDeviceBound => "not_device_bound",
        SessionStatusKind::CrossOrigin(_) => "cross_origin",
        SessionStatusKind::Ambiguous => "ambiguous",
    }
}

/// There are no spans without the feature.
#[cfg(not(feature = "tracing"))]
pub(crate) struct NotEntered;

#[cfg(not(feature = "tracing"))]
impl RequestSpan {
    pub(crate) const fn new() -> Self {
        Self {}
    }

    pub(crate) const fn none() -> Self {
        Self {}
    }

    pub(crate) const fn enter(&self) -> NotEntered {
        NotEntered
    }

    pub(crate) const fn record_request(
        &self,
        _: SessionStatusKind,
        _: Option<&SessionIdentity>,
        _: bool,
    ) {
    }

    pub(crate) fn record_outcome(&self, _: impl FnOnce() -> SessionStatusKind) {}
}
