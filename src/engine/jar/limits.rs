//! Brings a browser back within its limits: one session for each account, the number of sessions,
//! and the bytes of their cookies.
//!
//! A sign-in applies the limits to the cookies that its request has. Later requests apply them to the rest:
//! sessions that a sign-in did not see because its request had no cookies, sessions beyond a limit that
//! was lowered, and tokens that grew at a renewal.
//!
//! 1. Requests of other sites and prefetches change nothing.
//! 2. The order is by `auth_time`, then by the id: every node and every concurrent request decides alike.
//!    Of one account the newest session stays. Beyond the number or the bytes, the account that signed in
//!    first is evicted; with [`AccountLimitPolicy::Refuse`] the one that signed in last.
//! 3. A session is revoked, in the store first, before its cookie is removed.
//! 4. A cookie that this process cannot verify may be valid on another node, which has a newer key. It is
//!    removed when its own `exp` has passed. If the cookies exceed the bytes, it is also removed once it is
//!    so old that its key has reached every node; the oldest is removed first.
//! 5. One response removes few cookies, so that its head fits the buffers of proxies.

use std::{collections::HashSet, time::Duration};

use super::{
    SessionJar,
    state::{JarState, SessionAndCookie, SetActive},
};
use crate::{
    engine::{
        cookie::{
            parse::{ActiveCookie, HeldCookie, SessionCookies},
            set_cookie::CookieSlot,
        },
        event::SessionEvent,
        multi_session::{AccountLimitPolicy, MultiSession},
        session::{id::SessionId, identity::SessionIdentity},
        session_engine::SessionEngine,
        token::unverified::UnverifiedClaims,
    },
    time::{ClockReading, Timestamp},
};

/// The maximum number of cookies that a response removes without a sign-in or a sign-out: about
/// 2 KiB of its head, of which nginx reads 4 KiB by default.
pub(crate) const MAX_REMOVALS: usize = 16;

/// The maximum number of cookies that are verified to apply the limits: those with the earliest
/// `iat`.
const MAX_VERIFIED: usize = 32;

/// The minimum time in which a new key is assumed to reach all nodes.
const MIN_KEY_PROPAGATION: Duration = Duration::from_secs(600);

/// A session to revoke, and the event that reports it.
pub(crate) struct SessionBeyondLimits {
    pub(crate) session: SessionAndCookie,
    pub(crate) reason: LimitReason,
    /// The session that stays.
    pub(crate) by: SessionId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitReason {
    /// The account has a newer session.
    SameAccount,
    /// There are too many accounts, or too many bytes.
    Evicted,
}

impl<C> JarState<C> {
    /// Whether the browser exceeds its limits, and this request may change that. A sign-in applies the
    /// limits itself, and a sign-out of all leaves no session.
    pub(super) const fn is_beyond_limits(&self) -> bool {
        self.beyond_limits.is_some()
            && !self.closed
            && self.staged.is_none()
            && !self.clear_all_cookies
    }
}

impl<C> SessionJar<C> {
    /// The sessions to revoke so that the browser is within its limits, at most as many as one response
    /// removes. The caller revokes them in the store, if there is one, and then calls
    /// [`evict`](Self::evict).
    pub(crate) fn sessions_beyond_limits(&self) -> Vec<SessionBeyondLimits> {
        if self.is_untouched() || !self.state().is_beyond_limits() {
            return Vec::new();
        }
        self.verify_for_limits();
        let engine = self.engine();
        // With one account, only cookies that cannot be verified are removed.
        let Some(several) = engine.multi_session() else { return Vec::new() };
        let state = self.state();
        let Some(fields) = &state.beyond_limits else { return Vec::new() };
        let held = SessionCookies::unverified(fields, engine.session_cookie());
        let bytes_at =
            |place| held.iter().find(|it| Some(it.slot) == place).map_or(0, |it| it.bytes);
        // Sessions that ended while the request was handled do not count towards the limits.
        let (now, live) = (self.now().timestamp(), state.live().into_iter());
        let live = live.filter(|SessionAndCookie { identity, .. }| {
            now < identity.expires_at() && !engine.is_revoked(identity)
        });
        let live = live.map(|session| (bytes_at(session.place), session)).collect();
        let mut beyond = several.beyond_limits(live, engine.active_cookie_size());
        beyond.truncate(MAX_REMOVALS.saturating_sub(state.findings.removable.len()));
        beyond
    }

    /// Revokes a session of [`sessions_beyond_limits`](Self::sessions_beyond_limits) in this process,
    /// and removes its cookie with the response.
    pub(crate) fn evict(&self, beyond: SessionBeyondLimits, now: ClockReading) {
        let SessionBeyondLimits { session, reason, by } = beyond;
        let id = session.identity.id();
        let mut state = self.state();
        if state.acting().is_some_and(|acting| acting.identity.id() == id) {
            self.record().mark_revoked();
            state.updated_state.iter().for_each(|updated| updated.mark_revoked());
        }
        state.forget(id);
        if state.was_active(|active| active == id) {
            // No other account becomes active.
            state.set_active = Some(match reason {
                LimitReason::SameAccount => SetActive::Session(by),
                LimitReason::Evicted => SetActive::None,
            });
        }
        state.ended.push(session.clone());
        drop(state);
        let session = session.identity;
        self.engine().end(&session, now);
        self.engine().emit(&match reason {
            LimitReason::SameAccount => SessionEvent::Replaced { session, by },
            LimitReason::Evicted => SessionEvent::Evicted { session, by },
        });
    }

    /// Verifies the cookies that may hold sessions, the earliest `iat` first.
    fn verify_for_limits(&self) {
        let cookie = self.engine().session_cookie();
        let mut unread = {
            let mut state = self.state();
            state.read_beyond_bounds(cookie);
            let Some(fields) = &state.beyond_limits else { return };
            let held = SessionCookies::unverified(fields, cookie);
            let issued_at = |place| {
                let held = held.iter().find(|it| it.slot == place)?;
                held.claims.as_ref().map(UnverifiedClaims::issued_at)
            };
            let unread = state.others.unread.iter();
            let unread = unread.filter_map(|it| Some((issued_at(it.place)?, it.clone())));
            unread.collect::<Vec<_>>()
        };
        unread.sort_by_key(|(issued_at, _)| *issued_at);
        self.verify(unread.into_iter().take(MAX_VERIFIED).map(|(_, unread)| unread));
    }
}

impl MultiSession {
    /// The sessions of one browser, each with the bytes of its cookie, that exceed the limits, next to
    /// `other_bytes` of other cookies.
    fn beyond_limits(
        &self,
        mut sessions: Vec<(usize, SessionAndCookie)>,
        other_bytes: usize,
    ) -> Vec<SessionBeyondLimits> {
        let order = |session: &SessionIdentity| (session.signed_in_at(), session.id());
        sessions.sort_by_key(|(_, session)| std::cmp::Reverse(order(&session.identity)));
        let mut beyond = Vec::new();
        let mut accounts: Vec<(usize, SessionAndCookie)> = Vec::new();
        for (bytes, session) in sessions {
            let is_same = |kept: &&(usize, SessionAndCookie)| {
                kept.1.identity.is_same_account(&session.identity)
            };
            match accounts.iter().find(is_same) {
                Some((_, kept)) => {
                    let (reason, by) = (LimitReason::SameAccount, kept.identity.id());
                    beyond.push(SessionBeyondLimits { session, reason, by });
                }
                None => accounts.push((bytes, session)),
            }
        }
        if self.policy == AccountLimitPolicy::Refuse {
            accounts.reverse();
        }
        let Some(by) = accounts.first().map(|(_, session)| session.identity.id()) else {
            return beyond;
        };
        let mut total = other_bytes;
        for (index, (bytes, session)) in accounts.into_iter().enumerate() {
            total += bytes;
            // A single cookie always fits.
            if index > 0 && (index >= self.max || total > self.cookie_budget) {
                let reason = LimitReason::Evicted;
                beyond.push(SessionBeyondLimits { session, reason, by });
            }
        }
        beyond
    }
}

impl<C> SessionEngine<C> {
    /// Whether this many session cookies of this length exceed the limits of a browser.
    pub(crate) fn exceeds_limits(&self, count: usize, bytes: usize) -> bool {
        let max = self.multi_session().map_or(2 * MultiSession::DEFAULT_MAX, |several| several.max);
        count > max || bytes > self.cookie_budget()
    }

    /// Whether two cookies state that they hold different sessions of one user.
    pub(crate) fn may_repeat_account(&self, cookies: &SessionCookies<'_>) -> bool {
        if self.multi_session().is_none() || cookies.slots().nth(1).is_none() {
            return false;
        }
        let mut seen: Vec<UnverifiedClaims> = Vec::new();
        let values = cookies.read_slots().flat_map(|(_, values)| values.values());
        values.filter_map(|token| UnverifiedClaims::read(token)).any(|claims| {
            let is_repeated = seen.iter().any(|other| claims.repeats_account_of(other));
            seen.push(claims);
            is_repeated
        })
    }

    pub(crate) fn cookie_budget(&self) -> usize {
        self.multi_session().map_or(MultiSession::DEFAULT_COOKIE_BUDGET, |it| it.cookie_budget)
    }

    /// The time in which a new key reaches all nodes: readers of the published keys may use an old copy
    /// for `jwks_max_age` and then read them again at an interval of their own.
    fn key_propagation(&self) -> Duration {
        self.paths().jwks_max_age.saturating_mul(2).max(MIN_KEY_PROPAGATION)
    }

    /// The cookies to remove that this process cannot verify.
    pub(crate) fn unverifiable_cookies(
        &self,
        state: &JarState<C>,
        now: Timestamp,
    ) -> Vec<CookieSlot> {
        let Some(fields) = &state.beyond_limits else { return Vec::new() };
        let mut held = SessionCookies::unverified(fields, self.session_cookie());
        let mut bytes = held.iter().map(|it| it.bytes).sum::<usize>();
        if state.presented.pointer != ActiveCookie::Absent {
            bytes += self.active_cookie_size();
        }
        let rejected: HashSet<CookieSlot> = state.findings.unverifiable.iter().copied().collect();
        held.retain(|it| it.claims.is_none() || rejected.contains(&it.slot));
        held.sort_by_key(|it| it.claims.as_ref().map(UnverifiedClaims::issued_at));
        let has_expired = |claims: &UnverifiedClaims| {
            claims.expires_at().saturating_add(self.clock_skew()) <= now
        };
        let (mut removed, others): (Vec<HeldCookie>, Vec<HeldCookie>) =
            held.into_iter().partition(|it| it.claims.as_ref().is_some_and(has_expired));
        bytes -= removed.iter().map(|it| it.bytes).sum::<usize>();
        // If other cookies go with this response, the next request shows whether that was enough.
        if state.ended.is_empty() && state.findings.removable.is_empty() {
            let is_known_everywhere = |claims: &UnverifiedClaims| {
                claims.issued_at().saturating_add(self.key_propagation()) <= now
            };
            let old = others
                .into_iter()
                .take_while(|it| it.claims.as_ref().is_none_or(is_known_everywhere))
                .take_while(|it| {
                    let is_beyond = bytes > self.cookie_budget();
                    bytes = bytes.saturating_sub(it.bytes);
                    is_beyond
                });
            removed.extend(old);
        }
        removed.iter().map(|it| it.slot).take(MAX_REMOVALS).collect()
    }
}
