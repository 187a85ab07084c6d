//! Revocations in this process, and which tokens the store must confirm.

use std::time::Duration;

use super::{
    event::SessionEvent,
    logging::warnings,
    revocation::{
        feed_state::FeedState,
        list::{Memory, RetainUntil, SubjectScope},
        waiters::WaiterRegistry,
    },
    session::{
        expiry::{Liveness, SessionTimes},
        id::{SessionId, Subject},
        identity::SessionIdentity,
        lifetime::SessionLifetime,
    },
    session_engine::SessionEngine,
};
use crate::time::{ClockReading, Timestamp};

impl<C> SessionEngine<C> {
    /// Whether a token that the store confirmed at `asked_at` would be fresh at `now`, by its age.
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
        // A confirmation from before the wall clock was set back does not count longer for it.
        asked_at <= now.saturating_add(self.clock_skew())
            && limits.liveness(dates, activity, now) == Liveness::Fresh
    }

    /// Revokes, in this process, the sessions of `subject` that signed in before `instant`: from now
    /// on all their tokens are rejected, bearer tokens included, however young. Streams that
    /// [wait](crate::Session::ended) for the end of such a session are woken.
    ///
    /// The comparison uses the time of the sign-in (`auth_time`), so a renewal does not exempt a
    /// session. Sessions in which the subject acts as another user are revoked too. An engine that
    /// [verifies only](Self::verify_only) revokes the sessions of every subject of this name,
    /// whichever issuer issued them: if it trusts several issuers, revoke the session itself instead
    /// ([`revoke_session`](Self::revoke_session)).
    ///
    /// With a store, [`SessionManager::revoke_before`](crate::SessionManager::revoke_before) does
    /// this on every node; without one, the revocation lasts until this process ends.
    #[expect(clippy::needless_pass_by_value, reason = "callers own the subject that they parsed")]
    pub fn revoke_subject_before(
        &self,
        subject: Subject,
        instant: Timestamp,
        now: impl Into<ClockReading>,
    ) {
        let retention = SessionLifetime::MAX_OVERRIDE;
        let scope = SubjectScope { subject: &subject, of_every_issuer: true };
        self.apply_subject_revocation(scope, instant, None, retention, now.into());
    }

    /// Revokes, in this process, all sessions that signed in before `instant` (ASVS 7.4.5), as
    /// [`revoke_subject_before`](Self::revoke_subject_before) does for one subject. To revoke them on
    /// every node and after a restart, use
    /// [`revoke_signed_in_before`](crate::engine::SessionEngineBuilder::revoke_signed_in_before), and
    /// with a store
    /// [`SessionManager::revoke_everyone_before`](crate::SessionManager::revoke_everyone_before).
    pub fn revoke_all_before(&self, instant: Timestamp) {
        self.0.revocations.revoke_all_before(instant);
        self.0.waiters.wake_all();
    }

    /// The longest time for which any node accepts a token without the store after its session was
    /// revoked on another node. A node that has not received the revocation accepts a request for
    /// `renew_after`; the request may issue a bearer token for as long again, and that token is
    /// accepted for its lifetime. A process that only verifies accepts a cookie issued by such a node
    /// for `renew_after` once more.
    pub(crate) fn max_staleness(&self) -> Duration {
        let (cookie, bearer) = (self.0.limits.renew_after, self.max_bearer_lifetime());
        let is_reissued = !bearer.is_zero() || self.verifies_only();
        let longest =
            if is_reissued { cookie.saturating_mul(2).saturating_add(bearer) } else { cookie };
        longest.saturating_add(self.clock_skew() * 2)
    }

    /// The longest remaining lifetime of an impersonated session. No store knows its actor, so each
    /// process must retain the revocation of the actor's sessions for that long.
    pub(crate) fn max_impersonation_remaining(&self) -> Duration {
        self.0.limits.impersonation.saturating_add(self.clock_skew() * 2)
    }

    /// How long after its arrival a request may issue bearer tokens without another check.
    pub(crate) fn bearer_issue_window(&self) -> Duration {
        self.0.limits.renew_after
    }

    /// Applies a revocation of the session `id` that the store knows, for `retention`.
    pub(crate) fn apply_revocation(&self, id: SessionId, retention: Duration, now: ClockReading) {
        self.retain(id, Memory::Received, RetainUntil::after(retention, now), now);
    }

    /// Revokes the session `id`, of which nothing else is known.
    pub(crate) fn revoke_id(&self, id: SessionId, now: ClockReading) {
        let until = RetainUntil::after(SessionLifetime::MAX_OVERRIDE, now);
        self.retain(id, Memory::Own, until, now);
    }

    /// Revokes `session` in this process, until none of its tokens can be accepted. Must not be called
    /// while a jar is locked, because it may emit an event.
    pub(crate) fn end(&self, session: &SessionIdentity, now: ClockReading) {
        let until = self.alive_until(session, now);
        // Counted from the issue of the token, not from `now`: the wall clock may be ahead.
        let duration = until.saturating_since(session.issued_at());
        self.retain(session.id(), Memory::Own, RetainUntil::new(until, duration, now), now);
    }

    fn retain(&self, id: SessionId, memory: Memory, until: RetainUntil, now: ClockReading) {
        if let Some(dropped) = self.0.revocations.insert(id, memory, until, now) {
            self.rely_on_store(now);
            self.emit(&SessionEvent::RevocationListFull { session_id: dropped });
        }
        self.0.waiters.wake(id);
    }

    /// A store has acknowledged the revocation of `id`: every other process knows it within
    /// `retention`, and from then on the store decides. `may_lose_writes`: a failover of the store
    /// may lose what it has acknowledged.
    pub(crate) fn acknowledge_revocation(
        &self,
        id: SessionId,
        retention: Duration,
        may_lose_writes: bool,
        now: ClockReading,
    ) {
        // The store does not decide about tokens that are only verified here.
        if self.verifies_only() {
            return;
        }
        let until = RetainUntil::after(retention, now);
        let dropped = self.0.revocations.acknowledge(id, until, may_lose_writes, now);
        let [received, acknowledged] = dropped;
        if received.is_some() {
            self.rely_on_store(now);
        }
        for session_id in received.into_iter().chain(acknowledged) {
            self.emit(&SessionEvent::RevocationListFull { session_id });
        }
    }

    /// Applies the revocation of the sessions of a subject that signed in before an instant, but one,
    /// for `retention`.
    pub(crate) fn apply_subject_revocation(
        &self,
        scope: SubjectScope<'_>,
        signed_in_before: Timestamp,
        except: Option<SessionId>,
        retention: Duration,
        now: ClockReading,
    ) {
        let until = RetainUntil::after(retention, now);
        let list = &self.0.revocations;
        let dropped = list.insert_subject(scope, signed_in_before, except, until, now);
        if let Some(subject) = dropped {
            self.rely_on_store(now);
            self.emit(&SessionEvent::SubjectRevocationDropped { subject });
        }
        self.0.waiters.wake_subject(scope.subject);
    }

    /// A store has acknowledged the revocation of `subject`, and knows its sessions.
    pub(crate) fn acknowledge_subject_revocation(
        &self,
        subject: &Subject,
        signed_in_before: Timestamp,
        retention: Duration,
        now: ClockReading,
    ) {
        if !self.verifies_only() {
            let until = RetainUntil::after(retention, now);
            self.0.revocations.acknowledge_subject(subject, signed_in_before, until);
        }
    }

    /// Which tokens the store must confirm, because this process may not know of their revocation.
    pub(crate) fn feed_state(&self) -> &FeedState {
        &self.0.feed_state
    }

    pub(crate) fn waiters(&self) -> &WaiterRegistry {
        &self.0.waiters
    }

    /// Whether this process knows that `session` is revoked.
    pub(crate) fn is_revoked(&self, session: &SessionIdentity) -> bool {
        self.0.revocations.is_revoked(session)
    }

    /// The expiry of the newest token of `id` that this process issued.
    pub(crate) fn latest_token_expiry(&self, id: SessionId) -> Option<Timestamp> {
        self.0.latest_tokens.end(id)
    }

    /// The expiry of `session` if it was last active at that moment.
    pub(crate) fn expiry_if_active_at(
        &self,
        session: &SessionIdentity,
        last_active_at: Timestamp,
    ) -> Timestamp {
        let limits = self.limits(session.terms());
        let dates = SessionTimes { last_active_at, ..session.dates() };
        limits.renew(dates, false, last_active_at).expires_at
    }

    /// This process has lost knowledge of revocations: until `now`, and whichever node's clock dated
    /// a token, no token is accepted without the store. Without a store nothing changes.
    pub(crate) fn rely_on_store(&self, now: ClockReading) {
        if self.0.feed_state.has_store() {
            let ahead = self.clock_skew().saturating_add(Duration::from_secs(1));
            self.0.feed_state.require_store_before(now.timestamp().saturating_add(ahead));
        }
    }

    /// Logs if the store is used and no background task has started.
    pub(crate) fn check_background(&self) {
        if !self.0.feed_state.is_followed() {
            warnings::no_background(&self.0.logged);
        }
    }

    /// The instant before which every sign-in is revoked by a setting.
    pub(crate) fn revokes_signed_in_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// Whether the store, if there is one, must confirm `session`, whose token is not renewed here. A
    /// process that receives the feed needs no confirmation for as long as it retains every
    /// revocation that may concern the token; another one, as often as for a cookie.
    pub(crate) fn needs_store_check(&self, session: &SessionIdentity, now: ClockReading) -> bool {
        let (issued_at, wall) = (session.issued_at(), now.timestamp());
        let is_retained = wall.saturating_since(issued_at) <= self.max_bearer_lifetime();
        session.may_be_in_store()
            && (!self.trusts(issued_at)
                || !(self.is_fresh(issued_at, wall)
                    || (is_retained && self.0.feed_state.is_feed_current(now))))
    }

    /// Whether a confirmation at `since` is still accepted at `now` without the store.
    pub(crate) fn is_fresh(&self, since: Timestamp, now: Timestamp) -> bool {
        now.saturating_since(since) < self.0.limits.renew_after
    }

    /// Whether a token issued then may be accepted without the store, as far as missed revocations
    /// are concerned.
    pub(crate) fn trusts(&self, issued_at: Timestamp) -> bool {
        self.0.feed_state.covers(issued_at)
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests {
    use crate::{
        bearer::BearerTokens,
        engine::{
            keys::{algorithm::Algorithm, key::SigningKey, key_ring::KeyRing},
            revoke::*,
        },
        random::OsRandom,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn engine(lifetime: SessionLifetime, bearer: Option<BearerTokens>) -> SessionEngine<()> {
        let key = SigningKey::generate("a", Algorithm::Hs256).unwrap();
        let builder = SessionEngine::builder(KeyRing::new(key))
            .origin("https://app.example.com")
            .lifetime(lifetime);
        match bearer {
            Some(bearer) => builder.bearer_tokens(bearer).build().unwrap(),
            None => builder.build().unwrap(),
        }
    }

    #[test]
    fn retention_covers_each_token_that_another_node_may_still_issue() {
        let lifetime = SessionLifetime::new()
            .renew_after(SECOND * 90)
            .clock_skew(SECOND * 7)
            .impersonation_lifetime(SECOND * 600);
        let bearer = || BearerTokens::new().lifetime(SECOND * 40);
        for (bearer, expected) in [
            (None, 90 + 2 * 7),
            (Some(bearer()), 90 + 2 * 7),
            (Some(bearer().accept(true)), 90 + 90 + 40 + 2 * 7),
        ] {
            let engine = engine(lifetime.clone(), bearer);
            assert_eq!(engine.max_staleness().as_secs(), expected);
            assert_eq!(engine.max_impersonation_remaining().as_secs(), 600 + 2 * 7);
        }
    }

    #[test]
    fn acknowledged_revocations_are_retained_as_long_as_the_store_needs() {
        let engine = engine(SessionLifetime::new(), None);
        let at = |second: u64| {
            let wall = Timestamp::from_unix_seconds(1_000 + second);
            ClockReading::new(wall, Duration::from_secs(second))
        };
        let id = || SessionId::generate(&OsRandom).unwrap();
        let [acknowledged, other] = [id(), id()];
        let [ada, bob] = ["ada", "bob"].map(|name| Subject::new(name).unwrap());
        for (id, subject) in [(acknowledged, &ada), (other, &bob)] {
            engine.revoke_id(id, at(0));
            engine.revoke_subject_before(subject.clone(), at(0).timestamp(), at(0));
        }
        engine.acknowledge_revocation(acknowledged, SECOND * 60, false, at(0));
        engine.acknowledge_subject_revocation(&ada, at(0).timestamp(), SECOND * 60, at(0));
        let revokes = |subject: &Subject| {
            let dates = SessionTimes {
                signed_in_at: at(0).timestamp().saturating_sub(SECOND),
                issued_at: at(61).timestamp(),
                last_active_at: at(61).timestamp(),
                expires_at: at(900).timestamp(),
            };
            let flags = crate::engine::session::identity::SessionFlags {
                lifetime: crate::engine::session::expiry::LifetimeOverride::new(),
                persistent: true,
                pending: false,
                impersonated: false,
                bound_to_engine: true,
            };
            engine.is_revoked(&SessionIdentity::new(id(), subject.clone(), dates, flags, None))
        };
        assert!(revokes(&ada) && revokes(&bob));
        // Another revocation drops what has expired.
        engine.revoke_id(id(), at(61));
        let is_retained = |id| engine.0.revocations.contains(id);
        assert!(!is_retained(acknowledged) && is_retained(other));
        assert!(!revokes(&ada) && revokes(&bob));
    }
}
