//! What this process knows of the newest token of a session, so that a slow response neither
//! replaces it with an older one, nor its claims with older claims, nor removes it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{id::SessionId, session::SessionIdentity};
use crate::time::Timestamp;

/// The newest token by session. Bounded: the session whose token was written longest ago is
/// forgotten first, which costs it this protection and nothing else.
#[derive(Debug)]
pub(crate) struct RenewedMap {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    newest: HashMap<SessionId, Newest>,
    order: BTreeMap<u64, SessionId>,
    written: u64,
}

#[derive(Debug, Clone, Copy)]
struct Newest {
    issued_at: Timestamp,
    expires_at: Timestamp,
    /// How often its claims were changed by the application.
    claims: u64,
    /// Its cookie carries another session's token.
    superseded: bool,
    written: u64,
}

/// Why a token is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// The claims are those that the request found, when they had been changed this often.
    Renewal { claims: u64 },
    /// The application changed the claims: never less new than any token there is.
    Claims,
}

impl RenewedMap {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, entries: Mutex::default() }
    }

    /// Records a token of `session` that is about to be written; `false` when this process has
    /// written a newer one, or newer claims.
    pub(crate) fn record(&self, session: &SessionIdentity, write: Write) -> bool {
        let mut entries = self.lock();
        let known = entries.newest.get(&session.id()).copied();
        let claims = match (write, known) {
            (Write::Claims, known) => known.map_or(0, |newest| newest.claims) + 1,
            (Write::Renewal { claims }, Some(newest))
                if newest.issued_at > session.issued_at() || newest.claims != claims =>
            {
                return false;
            }
            (Write::Renewal { claims }, _) => claims,
        };
        entries.put(session.id(), session.issued_at(), session.expires_at(), claims, false);
        entries.trim(self.capacity);
        true
    }

    /// The cookie that `id` had carries another session's token, which lives until `expires_at`:
    /// whoever still presents the old one must not remove it.
    pub(crate) fn supersede(&self, id: SessionId, expires_at: Timestamp) {
        let mut entries = self.lock();
        let known = entries.newest.get(&id).copied();
        let issued_at = known.map_or(Timestamp::EPOCH, |newest| newest.issued_at);
        entries.put(id, issued_at, expires_at, known.map_or(0, |newest| newest.claims), true);
        entries.trim(self.capacity);
    }

    /// Whether a cookie that carried a token of `id` may hold one that is alive at `now`.
    pub(crate) fn may_live(&self, id: SessionId, now: Timestamp) -> bool {
        self.lock().newest.get(&id).is_some_and(|newest| now < newest.expires_at)
    }

    /// Whether a cookie that carried a token of `id` may hold another session's at `now`.
    pub(crate) fn is_superseded(&self, id: SessionId, now: Timestamp) -> bool {
        let newest = self.lock().newest.get(&id).copied();
        newest.is_some_and(|newest| newest.superseded && now < newest.expires_at)
    }

    /// How often the claims of `id` were changed.
    pub(crate) fn claims(&self, id: SessionId) -> u64 {
        self.lock().newest.get(&id).map_or(0, |newest| newest.claims)
    }

    /// When the newest token of `id` was issued.
    pub(crate) fn issued_at(&self, id: SessionId) -> Option<Timestamp> {
        self.lock().newest.get(&id).map(|newest| newest.issued_at)
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn put(
        &mut self,
        id: SessionId,
        issued_at: Timestamp,
        expires_at: Timestamp,
        claims: u64,
        superseded: bool,
    ) {
        self.written += 1;
        let written = self.written;
        let newest = Newest { issued_at, expires_at, claims, superseded, written };
        if let Some(old) = self.newest.insert(id, newest) {
            self.order.remove(&old.written);
        }
        self.order.insert(written, id);
    }

    fn trim(&mut self, capacity: usize) {
        while self.newest.len() > capacity
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.newest.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{
            id::Subject,
            limits::{Dates, LifetimeOverride},
            session::Terms,
        },
        random::SeededRandom,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn session(id: SessionId, issued: u64) -> SessionIdentity {
        let dates = Dates {
            signed_in_at: at(0),
            issued_at: at(issued),
            last_active_at: at(issued),
            expires_at: at(issued + 100),
        };
        let terms = Terms { lifetime: LifetimeOverride::new(), persistent: true };
        SessionIdentity::new(id, Subject::new("ada").unwrap(), dates, terms)
    }

    fn ids<const N: usize>() -> [SessionId; N] {
        let random = SeededRandom::new(3);
        std::array::from_fn(|_| SessionId::generate(&random).unwrap())
    }

    const PLAIN: Write = Write::Renewal { claims: 0 };

    #[test]
    fn an_older_token_never_replaces_a_newer_one() {
        let [a, b, c] = ids();
        let renewed = RenewedMap::new(2);
        assert!(renewed.record(&session(a, 10), PLAIN));
        assert!(!renewed.record(&session(a, 9), PLAIN));
        assert!(renewed.record(&session(a, 10), PLAIN));
        assert!(renewed.record(&session(b, 1), PLAIN) && renewed.record(&session(a, 11), PLAIN));
        assert!(renewed.record(&session(c, 1), PLAIN));
        assert_eq!(renewed.issued_at(b), None, "written longest ago");
        assert_eq!(renewed.issued_at(a), Some(at(11)));
    }

    #[test]
    fn a_renewal_never_brings_older_claims_back() {
        let [a] = ids();
        let renewed = RenewedMap::new(2);
        let before = Write::Renewal { claims: renewed.claims(a) };
        assert!(renewed.record(&session(a, 10), Write::Claims));
        assert!(!renewed.record(&session(a, 12), before));
        assert!(renewed.record(&session(a, 12), Write::Renewal { claims: renewed.claims(a) }));
        assert!(renewed.record(&session(a, 11), Write::Claims), "an explicit change always counts");
    }

    #[test]
    fn a_cookie_that_may_hold_a_living_token_is_known() {
        let [a, b] = ids();
        let renewed = RenewedMap::new(9);
        assert!(!renewed.may_live(a, at(0)));
        renewed.record(&session(a, 10), PLAIN);
        assert!(renewed.may_live(a, at(109)) && !renewed.may_live(a, at(110)));
        renewed.supersede(b, at(50));
        assert!(renewed.may_live(b, at(49)) && !renewed.may_live(b, at(50)));
        assert!(renewed.is_superseded(b, at(49)) && !renewed.is_superseded(b, at(50)));
        assert!(!renewed.is_superseded(a, at(20)));
    }
}
