//! [`LatestTokens`]: the newest token of each session that this process issued, so that a slow response
//! neither replaces it with an older one, nor its claims with older claims, nor removes it.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{bounded_map::BoundedMap, filter::FilterKey};
use crate::{
    engine::session::{id::SessionId, identity::SessionIdentity},
    time::Timestamp,
};

/// The newest token by session. Bounded: the session whose token was issued longest ago is dropped
/// first, and loses only this protection.
#[derive(Debug)]
pub(crate) struct LatestTokens {
    newest: Mutex<BoundedMap<SessionId, LatestToken>>,
    /// When a change of claims was last sent, in seconds since 1970, for each of [`GROUPS`] groups of
    /// sessions, so that requests take no lock while no change of their group is in flight. Allocated
    /// with the first change.
    last_changes: OnceLock<Box<[AtomicU64]>>,
}

#[derive(Debug, Clone, Copy)]
struct LatestToken {
    issued_at: Timestamp,
    expires_at: Timestamp,
    last_active_at: Timestamp,
    /// How often the application changed its claims.
    claims: u64,
    /// The last change of its claims.
    change: Option<ClaimsChange>,
    /// Its cookie carries another session's token.
    superseded: bool,
}

/// A change of claims, and which tokens include it.
#[derive(Debug, Clone, Copy)]
struct ClaimsChange {
    /// Tokens issued later include the change, earlier ones do not.
    at: Timestamp,
    /// When the token with the change was sent: after a slow handler, long after it was issued.
    sent_at: Timestamp,
    /// The tokens of the same second that include it.
    tokens: [Option<u64>; 4],
}

/// Groups of sessions by id.
const GROUPS: usize = 4096;

/// For how long after a change of claims a token without it is assumed to have been in flight. After
/// that, the response with the change was lost, and old claims are better than no session.
const IN_FLIGHT_WINDOW: Duration = Duration::from_secs(60);

/// Which changes of its session's claims a token includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClaimsVersion {
    /// This many.
    Changes(u64),
    /// All that were in flight before this instant.
    SettledAt(Timestamp),
}

impl ClaimsVersion {
    /// Of a new session.
    pub(crate) const UNCHANGED: Self = Self::Changes(0);
}

/// Why a token is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenWrite {
    /// A renewal with the claims of the request, of this [version](LatestTokens::claims_version).
    Renewal { claims: Option<ClaimsVersion> },
    /// The application changed the claims: newer than those of any other token.
    Claims,
}

impl LatestTokens {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { newest: Mutex::new(BoundedMap::new(capacity)), last_changes: OnceLock::new() }
    }

    /// Records `token` of `session`, which is about to be sent at `now`; `false` if this process has issued a newer
    /// one, or newer claims.
    pub(crate) fn record(
        &self,
        session: &SessionIdentity,
        write: TokenWrite,
        token: &str,
        now: Timestamp,
    ) -> bool {
        let mut entries = self.lock();
        let known = entries.get(&session.id()).copied();
        let issued_at = session.issued_at();
        let mut newest = known.unwrap_or(LatestToken::NONE);
        match write {
            TokenWrite::Claims => {
                let new = || std::iter::repeat_with(AtomicU64::default).take(GROUPS).collect();
                let groups = self.last_changes.get_or_init(new);
                if let Some(last) = groups.get(group_of(session.id())) {
                    last.fetch_max(now.as_unix_seconds(), Ordering::AcqRel);
                }
                newest.claims += 1;
                let tokens = [Some(digest(token.as_bytes())), None, None, None];
                newest.change = Some(ClaimsChange { at: issued_at, sent_at: now, tokens });
            }
            TokenWrite::Renewal { claims } => {
                if !newest.is_included_in(claims) || newest.issued_at > issued_at {
                    return false;
                }
                if let Some(change) = &mut newest.change
                    && change.at == issued_at
                    && let Some(free) = change.tokens.iter_mut().find(|token| token.is_none())
                {
                    *free = Some(digest(token.as_bytes()));
                }
            }
        }
        newest.issued_at = issued_at;
        newest.expires_at = session.expires_at();
        newest.last_active_at = session.last_active_at();
        newest.superseded = false;
        entries.put(session.id(), newest);
        true
    }

    /// The version of the claims of `id` in a token; `None` if it lacks a change that is in flight to
    /// the browser.
    pub(crate) fn claims_version(
        &self,
        id: SessionId,
        issued_at: Timestamp,
        token: &[u8],
        now: Timestamp,
    ) -> Option<ClaimsVersion> {
        let last = self.last_changes.get().and_then(|groups| groups.get(group_of(id)));
        let last = last.map_or(0, |last| last.load(Ordering::Acquire));
        if !is_in_flight(Timestamp::from_unix_seconds(last), now) {
            return Some(ClaimsVersion::SettledAt(now));
        }
        let newest = self.lock().get(&id).copied().unwrap_or(LatestToken::NONE);
        let includes_change = newest.change.is_none_or(|change| {
            issued_at > change.at
                || (issued_at == change.at && change.tokens.contains(&Some(digest(token))))
                || !is_in_flight(change.sent_at, now)
        });
        includes_change.then_some(ClaimsVersion::Changes(newest.claims))
    }

    /// The cookie of `id` now holds another session's token, which expires at `expires_at`: a response to
    /// the old cookie must not remove it.
    pub(crate) fn supersede(&self, id: SessionId, expires_at: Timestamp) {
        let mut entries = self.lock();
        let known = entries.get(&id).copied().unwrap_or(LatestToken::NONE);
        entries.put(id, LatestToken { expires_at, superseded: true, ..known });
    }

    /// Whether a cookie that held a token of `id` may hold an unexpired one at `now`.
    pub(crate) fn has_unexpired(&self, id: SessionId, now: Timestamp) -> bool {
        self.lock().get(&id).is_some_and(|newest| now < newest.expires_at)
    }

    /// Whether a cookie that held a token of `id` may hold another session's at `now`.
    pub(crate) fn is_superseded(&self, id: SessionId, now: Timestamp) -> bool {
        let newest = self.lock().get(&id).copied();
        newest.is_some_and(|newest| newest.superseded && now < newest.expires_at)
    }

    /// When the newest token of `id` expires.
    pub(crate) fn end(&self, id: SessionId) -> Option<Timestamp> {
        self.lock().get(&id).filter(|newest| !newest.superseded).map(|newest| newest.expires_at)
    }

    /// When the newest token of `id` was issued, and the activity that it records.
    pub(crate) fn dates(&self, id: SessionId) -> Option<(Timestamp, Timestamp)> {
        self.lock().get(&id).map(|newest| (newest.issued_at, newest.last_active_at))
    }

    fn lock(&self) -> MutexGuard<'_, BoundedMap<SessionId, LatestToken>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LatestToken {
    const NONE: Self = Self {
        issued_at: Timestamp::EPOCH,
        expires_at: Timestamp::EPOCH,
        last_active_at: Timestamp::EPOCH,
        claims: 0,
        change: None,
        superseded: false,
    };

    /// Whether claims of this version include every change.
    fn is_included_in(&self, claims: Option<ClaimsVersion>) -> bool {
        match claims {
            Some(ClaimsVersion::Changes(count)) => count == self.claims,
            Some(ClaimsVersion::SettledAt(at)) => {
                self.change.is_none_or(|change| !is_in_flight(change.sent_at, at))
            }
            None => false,
        }
    }
}

fn group_of(id: SessionId) -> usize {
    FilterKey::from(id).bucket(GROUPS)
}

/// Whether a response with a change of claims, sent at `sent_at`, may still be on its way at `now`.
fn is_in_flight(sent_at: Timestamp, now: Timestamp) -> bool {
    now.saturating_since(sent_at) <= IN_FLIGHT_WINDOW
}

/// Distinguishes tokens of one session and second. No other party can issue any.
fn digest(token: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use crate::engine::revocation::latest_tokens::*;
    use crate::{
        engine::session::{
            expiry::{LifetimeOverride, SessionTimes},
            id::Subject,
            identity::SessionFlags,
        },
        random::SeededRandom,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn session(id: SessionId, issued: u64) -> SessionIdentity {
        let dates = SessionTimes {
            signed_in_at: at(0),
            issued_at: at(issued),
            last_active_at: at(issued),
            expires_at: at(issued + 100),
        };
        let terms = SessionFlags {
            lifetime: LifetimeOverride::new(),
            persistent: true,
            pending: false,
            impersonated: false,
            bound_to_engine: true,
        };
        SessionIdentity::new(id, Subject::new("ada").unwrap(), dates, terms, None)
    }

    fn ids<const N: usize>() -> [SessionId; N] {
        let random = SeededRandom::new(3);
        std::array::from_fn(|_| SessionId::generate(&random).unwrap())
    }

    const PLAIN: TokenWrite = TokenWrite::Renewal { claims: Some(ClaimsVersion::Changes(0)) };

    #[test]
    fn older_token_never_replaces_a_newer_one() {
        let [a, b, c] = ids();
        let renewed = LatestTokens::new(2);
        assert!(renewed.record(&session(a, 10), PLAIN, "t", at(10)));
        assert!(!renewed.record(&session(a, 9), PLAIN, "t", at(9)));
        assert!(renewed.record(&session(a, 10), PLAIN, "t", at(10)));
        assert!(
            renewed.record(&session(b, 1), PLAIN, "t", at(1))
                && renewed.record(&session(a, 11), PLAIN, "t", at(11))
        );
        assert!(renewed.record(&session(c, 1), PLAIN, "t", at(1)));
        assert_eq!(renewed.dates(b), None, "written longest ago");
        assert_eq!(renewed.dates(a), Some((at(11), at(11))));
    }

    #[test]
    fn renewal_with_older_claims_is_not_recorded() {
        let [a] = ids();
        let renewed = LatestTokens::new(2);
        let version = |issued, token: &str, now| {
            renewed.claims_version(a, at(issued), token.as_bytes(), at(now))
        };
        let before = TokenWrite::Renewal { claims: version(5, "old", 9) };
        assert!(renewed.record(&session(a, 10), TokenWrite::Claims, "new", at(10)));
        assert!(!renewed.record(&session(a, 12), before, "late", at(12)));
        for (issued, token, now, expected) in [
            (9, "old", 10, None),
            (10, "old", 10, None),
            (10, "new", 10, Some(ClaimsVersion::Changes(1))),
            (11, "later", 11, Some(ClaimsVersion::Changes(1))),
            (9, "old", 70, None),
            (9, "old", 71, Some(ClaimsVersion::SettledAt(at(71)))),
        ] {
            assert_eq!(version(issued, token, now), expected, "{issued} {token} {now}");
        }
        let current = TokenWrite::Renewal { claims: version(10, "new", 12) };
        assert!(renewed.record(&session(a, 12), current, "newer", at(12)));
        assert!(
            renewed.record(&session(a, 11), TokenWrite::Claims, "x", at(11)),
            "a change always counts"
        );
    }

    #[test]
    fn renewal_in_the_second_of_a_change_includes_it() {
        let [a] = ids();
        let renewed = LatestTokens::new(2);
        let version = |token: &str| renewed.claims_version(a, at(10), token.as_bytes(), at(12));
        assert!(renewed.record(&session(a, 10), TokenWrite::Claims, "new", at(10)));
        let current = TokenWrite::Renewal { claims: version("new") };
        assert!(renewed.record(&session(a, 10), current, "renewed", at(10)));
        assert_eq!(version("renewed"), Some(ClaimsVersion::Changes(1)));
        assert_eq!(version("other"), None);
    }

    #[test]
    fn expiry_of_the_latest_token_is_known_unless_its_cookie_holds_another_session() {
        let [a, b] = ids();
        let renewed = LatestTokens::new(2);
        renewed.record(&session(a, 10), PLAIN, "t", at(10));
        assert_eq!((renewed.end(a), renewed.end(b)), (Some(at(110)), None));
        renewed.supersede(a, at(200));
        assert_eq!(renewed.end(a), None);
    }

    #[test]
    fn claims_read_after_the_window_include_earlier_changes_only() {
        let [a] = ids();
        let renewed = LatestTokens::new(2);
        let read =
            |now| TokenWrite::Renewal { claims: renewed.claims_version(a, at(9), b"old", at(now)) };
        assert!(renewed.record(&session(a, 10), TokenWrite::Claims, "new", at(10)));
        let (settled, later) = (read(80), read(90));
        assert!(renewed.record(&session(a, 81), settled, "renewed", at(81)), "the change was lost");
        assert!(renewed.record(&session(a, 85), TokenWrite::Claims, "newer", at(85)));
        assert!(!renewed.record(&session(a, 91), settled, "late", at(91)));
        assert!(!renewed.record(&session(a, 91), later, "also late", at(91)));
        assert!(renewed.record(&session(a, 147), read(146), "lost again", at(147)));
    }

    #[test]
    fn change_of_claims_is_in_flight_from_the_time_it_is_sent() {
        let [a] = ids();
        let renewed = LatestTokens::new(2);
        let read =
            |now| TokenWrite::Renewal { claims: renewed.claims_version(a, at(9), b"old", at(now)) };
        // A request of second 10 changes the claims after 70 seconds; another one was opened meanwhile.
        let before = read(75);
        assert!(renewed.record(&session(a, 10), TokenWrite::Claims, "new", at(80)));
        assert!(!renewed.record(&session(a, 75), before, "late", at(85)));
        assert!(!renewed.record(&session(a, 90), read(90), "without the change", at(90)));
        assert!(renewed.record(&session(a, 141), read(141), "lost", at(141)));
    }

    #[test]
    fn claims_version_takes_no_lock_while_no_change_is_in_flight() {
        let [a, b] = ids();
        let renewed = LatestTokens::new(2);
        renewed.record(&session(a, 1_000), TokenWrite::Claims, "new", at(1_000));
        let held = renewed.lock();
        // A second lock would not return.
        assert!(renewed.claims_version(a, at(1_000), b"new", at(1_061)).is_some());
        assert!(renewed.claims_version(b, at(1_000), b"other", at(1_000)).is_some());
        drop(held);
    }

    #[test]
    fn unexpired_and_superseded_tokens_are_known_until_expiry() {
        let [a, b] = ids();
        let renewed = LatestTokens::new(9);
        assert!(!renewed.has_unexpired(a, at(0)));
        renewed.record(&session(a, 10), PLAIN, "t", at(10));
        assert!(renewed.has_unexpired(a, at(109)) && !renewed.has_unexpired(a, at(110)));
        renewed.supersede(b, at(50));
        assert!(renewed.has_unexpired(b, at(49)) && !renewed.has_unexpired(b, at(50)));
        assert!(renewed.is_superseded(b, at(49)) && !renewed.is_superseded(b, at(50)));
        assert!(!renewed.is_superseded(a, at(20)));
    }
}
