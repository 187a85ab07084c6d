//! What a process knows of sessions beside their tokens: what ended elsewhere, and how far tokens are
//! believed.

use std::time::Duration;

use super::{
    event::SessionEvent,
    revocation::waiters::WaiterRegistry,
    session::{
        expiry::{Liveness, SessionTimes},
        id::{SessionId, Subject},
        identity::{ExternalSession, SessionIdentity},
        lifetime::SessionLifetime,
    },
    session_engine::SessionEngine,
};
use crate::time::{ClockReading, Timestamp};

impl<C> SessionEngine<C> {
    /// Whether a token with such an answer of a store would not be due at `now`, by its age.
    pub(crate) fn is_fresh_at(
        &self,
        session: &SessionIdentity,
        asked_at: Timestamp,
        last_active_at: Timestamp,
        activity: bool,
        now: Timestamp,
    ) -> bool {
        let dates = SessionTimes { issued_at: asked_at, last_active_at, ..session.dates() };
        let limits = self.limits(session.terms());
        limits.liveness(dates, activity, now) == Liveness::Fresh
    }

    /// Ends, in this process, the sessions of `subject` that signed in before `instant`: every token of
    /// theirs, bearer tokens too, however young, is refused from now on. Bells ring for those who
    /// [wait](crate::Session::ended).
    ///
    /// What counts is when a session signed in, its `auth_time`: a renewal makes no session younger. Sessions
    /// end in which the subject acts as somebody else, too. An engine that
    /// [verifies only](Self::verify_only) ends the sessions of whoever is called so, whichever of its
    /// issuers calls them so: where two of them are trusted, end the session itself instead
    /// ([`revoke_session`](Self::revoke_session)).
    ///
    /// Where there is a store, [`SessionManager::revoke_before`](crate::SessionManager::revoke_before) does it on every
    /// node; without one it holds until this process ends.
    pub fn revoke_subject_before(
        &self,
        subject: Subject,
        instant: Timestamp,
        now: impl Into<ClockReading>,
    ) {
        let now = now.into();
        let until = now.timestamp().saturating_add(SessionLifetime::MAX_OVERRIDE);
        self.apply_subject_revocation(subject, instant, None, until, now);
    }

    /// Ends, in this process, the sessions of everybody who signed in before `instant` (ASVS 7.4.5): as
    /// [`revoke_subject_before`](Self::revoke_subject_before). What is to hold on every node and after a restart is
    /// [`not_before`](crate::engine::SessionEngineBuilder::revoke_signed_in_before), and where there is a store
    /// [`SessionManager::revoke_everyone_before`](crate::SessionManager::revoke_everyone_before).
    pub fn revoke_all_before(&self, instant: Timestamp) {
        self.apply_revocation_of_all(instant);
    }

    /// The longest that a token is believed without asking, on any node, after its session has ended
    /// on another one: a node that has not heard of it lets a request in for so long, which may make a
    /// bearer token for so long again.
    pub(crate) fn max_staleness(&self) -> Duration {
        let (cookie, bearer) = (self.0.limits.renew_after, self.max_bearer_lifetime());
        let longest =
            if bearer.is_zero() { cookie } else { cookie.saturating_mul(2).saturating_add(bearer) };
        longest.saturating_add(self.clock_skew() * 2)
    }

    /// When the last impersonated session that there may be `now` is over: no store knows who acts in one,
    /// and this process alone ends it with the actor's own.
    pub(crate) fn latest_impersonation_expiry(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.0.limits.impersonation.saturating_add(self.clock_skew() * 2))
    }

    /// How long after its request came in a session is worth a bearer token without asking again.
    pub(crate) fn bearer_issue_window(&self) -> Duration {
        self.0.limits.renew_after
    }

    /// Notes that another node ended the session `id`.
    pub(crate) fn apply_revocation(&self, id: SessionId, until: Timestamp, now: ClockReading) {
        if let Some(session_id) = self.0.revocations.insert(id, until, now) {
            self.emit(&SessionEvent::RevocationListFull { session_id });
        }
        self.0.waiters.wake(id);
    }

    /// Notes that the sessions of `subject` that signed in before an instant are over, but one.
    pub(crate) fn apply_subject_revocation(
        &self,
        subject: Subject,
        signed_in_before: Timestamp,
        except: Option<SessionId>,
        until: Timestamp,
        now: ClockReading,
    ) {
        self.0.revocations.insert_subject(subject, signed_in_before, except, until, now);
        self.0.waiters.wake_all();
    }

    /// Notes that whoever signed in before an instant is signed out.
    pub(crate) fn apply_revocation_of_all(&self, signed_in_before: Timestamp) {
        self.0.revocations.revoke_all_before(signed_in_before);
        self.0.waiters.wake_all();
    }

    pub(crate) fn waiters(&self) -> &WaiterRegistry {
        &self.0.waiters
    }

    /// Whether this process knows that `session` is over.
    pub(crate) fn is_revoked(&self, session: &SessionIdentity) -> bool {
        self.0.revocations.is_revoked(session)
    }

    /// The end of the newest token of `id` that this process wrote.
    pub(crate) fn latest_token_expiry(&self, id: SessionId) -> Option<Timestamp> {
        self.0.latest_tokens.end(id)
    }

    /// The end of `session` if it was last active at that moment.
    pub(crate) fn expiry_if_active_at(
        &self,
        session: &SessionIdentity,
        last_active_at: Timestamp,
    ) -> Timestamp {
        let limits = self.limits(session.terms());
        let dates = SessionTimes { last_active_at, ..session.dates() };
        limits.renew(dates, false, last_active_at).expires_at
    }

    /// Believes no token issued before `instant` without asking a store: something was missed.
    pub(crate) fn require_store_before(&self, instant: Timestamp) {
        self.0.feed_state.require_store_before(instant);
    }

    /// Whether no token is believed without asking a store, because it is not known yet what ended
    /// elsewhere.
    pub(crate) fn set_catching_up(&self, is_under_way: bool) {
        self.0.feed_state.catch_up(is_under_way);
    }

    /// What ended elsewhere until `now` is known.
    pub(crate) fn mark_feed_read(&self, now: ClockReading) {
        self.0.feed_state.mark_read(now);
    }

    /// Whether a store, where there is one, must be asked about `session`, whose token nobody renews
    /// here: what ended since that was made may be unknown. Who hears what ends asks about none; who does
    /// not asks as often as about a cookie.
    pub(crate) fn needs_store_check(&self, session: &SessionIdentity, now: ClockReading) -> bool {
        may_be_in_store(session)
            && (!self.trusts(session.issued_at())
                || (!self.0.feed_state.is_feed_current(now)
                    && !self.is_fresh(session.issued_at(), now.timestamp())))
    }

    /// Whether what was known `since` is believed at `now` without asking.
    pub(crate) fn is_fresh(&self, since: Timestamp, now: Timestamp) -> bool {
        now.saturating_since(since) < self.0.limits.renew_after
    }

    /// Whether a token of that age may be believed without asking a store again.
    pub(crate) fn trusts(&self, issued_at: Timestamp) -> bool {
        self.0.feed_state.covers(issued_at)
    }
}

/// Whether a store of this crate may have `session`: not of an issuer who names sessions otherwise.
pub(crate) fn may_be_in_store(session: &SessionIdentity) -> bool {
    let is_foreign = |it: &ExternalSession| it.id() != session.id().as_str();
    !session.external().is_some_and(is_foreign)
}
