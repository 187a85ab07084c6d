//! [`RenewalDecision`]: what a store's response means for a session, from the query to the jar.

use std::time::Duration;

use super::lineage::{Lineage, LineageId, LineageVerdict};
use crate::time::Timestamp;

/// The store's decision about a session whose token is due for renewal.
///
/// ```
/// use tower_auth_session::{
///     engine::{ConfirmedSession, RenewalDecision},
///     store::RenewOutcome,
///     time::Timestamp,
/// };
///
/// /// For a framework that drives the engine without the layer.
/// fn decide(outcome: RenewOutcome, asked_at: Timestamp) -> RenewalDecision {
///     match outcome {
///         RenewOutcome::Active(record) => {
///             RenewalDecision::Active(ConfirmedSession::new(asked_at, record.last_active_at))
///         }
///         _ => RenewalDecision::Revoked,
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenewalDecision {
    /// The session is active.
    Active(ConfirmedSession),
    /// The session is revoked or unknown to the store. Both are treated alike: nothing restores a
    /// session.
    Revoked,
    /// The session is bound to a device, and the token does not name its key: it is from before the
    /// binding, and refused unless it was in flight. Nothing is revoked or removed because of it.
    KeyMismatch {
        /// When the session was bound.
        bound_at: Timestamp,
    },
    /// The store cannot be queried. A token younger than its renewal age plus `grace` is still
    /// accepted, unless this process may have missed revocations since it was issued; it is not
    /// renewed.
    Unavailable {
        /// The additional time.
        grace: Duration,
    },
}

/// An active session, as a store confirmed it: see [`RenewalDecision::Active`].
///
/// The new token's `iat` is the time of the query, so that a slow handler does not produce a token that
/// is fresh long after the check.
///
/// ```
/// use tower_auth_session::{SessionJar, engine::{ConfirmedSession, RenewalDecision}, time::Timestamp};
///
/// /// Renews the session of a request with the activity that a store has recorded.
/// fn renew(jar: &SessionJar, asked_at: Timestamp, last_active_at: Timestamp) {
///     if let Some(session) = jar.driver().renewal_request() {
///         let confirmed = ConfirmedSession::new(asked_at, last_active_at);
///         jar.driver().handle_renewal(session.id(), RenewalDecision::Active(confirmed));
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmedSession {
    pub(crate) asked_at: Timestamp,
    pub(crate) last_active_at: Timestamp,
    /// The lineage of its tokens, if the store records it.
    pub(crate) lineage: Option<Lineage>,
    /// The token that was compared with the lineage.
    pub(crate) compared: Option<ComparedToken>,
}

impl ConfirmedSession {
    /// A session that was active when the store was queried at `asked_at`, with the last activity that
    /// the store has recorded.
    #[must_use]
    pub const fn new(asked_at: Timestamp, last_active_at: Timestamp) -> Self {
        Self { asked_at, last_active_at, lineage: None, compared: None }
    }

    /// The session after a comparison of the token with the id `id`.
    pub(crate) const fn with_verdict(self, id: Option<LineageId>, verdict: LineageVerdict) -> Self {
        Self { compared: Some(ComparedToken { id, verdict }), ..self }
    }
}

/// A token that was compared with its session's lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ComparedToken {
    pub(crate) id: Option<LineageId>,
    pub(crate) verdict: LineageVerdict,
}
