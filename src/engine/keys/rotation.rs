//! Changing the keys of a ring while requests are served.
//!
//! 1. A change is validated as a whole before it takes effect, and changes are serialised.
//! 2. A request uses the keys before or after a change, never a mixture.
//! 3. A name belongs to one key permanently: a retired key keeps its name, so that no other key can
//!    take it.
//! 4. A retired key stays retired, unless the whole ring is replaced.

use std::sync::Arc;

use super::{
    key::{SigningKey, VerifyingKey},
    key_ring::{KeyRing, sign_self_test, verify_self_test},
    key_set::{KeySet, TrustedKey},
};
use crate::{
    error::{ConfigError, ConfigProblem},
    time::Timestamp,
};

impl KeyRing {
    /// Trusts `key` from now on: the first step of a rotation, on every node and for all readers of
    /// the published keys, before [`promote`](Self::promote) makes it the signing key on any node.
    ///
    /// # Errors
    ///
    /// When another key of the ring has its `kid`, or it fails its self-test.
    pub fn publish(&self, key: VerifyingKey) -> Result<(), ConfigError> {
        let failed = verify_self_test(&key);
        let _changing = self.problems_so_far();
        let current = self.current();
        let taken = current.get(key.kid().as_bytes()).map(|_| {
            ConfigProblem::new(
                "kid",
                key.kid(),
                "two keys of the ring have this name: name each key differently",
            )
        });
        ConfigError::check(taken.into_iter().chain(failed).collect())?;
        self.swap(KeySet::clone(&current).with_key(key));
        Ok(())
    }

    /// Signs with `key` from now on, and keeps trusting the previous signing key.
    ///
    /// Sessions are signed with the new key at their next renewal. Renewing all of them at once
    /// would query the store for every session.
    ///
    /// A key that is not in the ring is also trusted from now on. [`publish`](Self::publish) it
    /// first if other processes verify tokens: a node that receives a token before it has the key
    /// serves that request as signed out. It removes no cookie, but the user sees the page as
    /// signed out.
    ///
    /// # Errors
    ///
    /// When another key of the ring has its `kid`, it is retired or has a retirement date, it fails
    /// its self-test, or the ring only verifies.
    pub fn promote(&self, key: SigningKey) -> Result<(), ConfigError> {
        let failed = sign_self_test(&key).or_else(|| verify_self_test(key.verifying()));
        ConfigError::check(failed.into_iter().collect())?;
        let _changing = self.problems_so_far();
        let current = self.current();
        let refuse = |remedy| Err(ConfigError::one("kid", key.kid(), remedy));
        if current.signing().is_none() {
            return refuse("this ring only verifies: create one that signs with KeyRing::new");
        }
        if let Some(existing) = current.get(key.kid().as_bytes()) {
            if !key.is_verified_by(existing.key()) {
                return refuse("another key of the ring has this name: name each key differently");
            }
            if existing.retires_at().is_some() {
                return refuse("this key is retired: generate a new one");
            }
        }
        self.swap(KeySet::clone(&current).with_signing_key(key));
        Ok(())
    }

    /// Rejects every token of the key `kid` from `at` on, by the time of the request and including
    /// cached tokens. Once that time has come, the key stays retired in this process, also when the
    /// wall clock is set back. Their cookies are kept, as for any unknown key, and the key is no longer
    /// published. An earlier instant that was set before is kept.
    ///
    /// In a rotation, retire the old key when all its tokens have expired: the maximum lifetime
    /// after the last node stopped signing with it. Retire a stolen key at once; this signs out
    /// users whose session was not renewed since the new key signs.
    ///
    /// # Errors
    ///
    /// When no key has this name, or it is the signing key: [`promote`](Self::promote) another one
    /// first.
    pub fn retire(&self, kid: &str, at: Timestamp) -> Result<(), ConfigError> {
        let _changing = self.problems_so_far();
        let current = self.current();
        let Some(key) = current.get(kid.as_bytes()) else {
            // The argument may be anything, including a secret, so it is not shown.
            let remedy = format!("name a key of the ring: {}", self.kids().join(", "));
            return Err(ConfigError::one("kid", "unknown", remedy));
        };
        if current.signing().is_some_and(|signing| signing.kid() == kid) {
            return Err(ConfigError::one(
                "kid",
                kid,
                "this is the signing key: promote another one first",
            ));
        }
        key.retire(at);
        if let Some(now) = self.last_observed() {
            key.observe(now);
        }
        Ok(())
    }

    /// Replaces all keys by those of `with`, including their retirements: for keys that are managed
    /// elsewhere as a whole. Tokens of a key that is not in `with` are rejected at once. Later
    /// changes of `with` have no effect on this ring.
    ///
    /// # Errors
    ///
    /// When `with` is invalid, or only one of the two rings signs.
    pub fn replace(&self, with: &Self) -> Result<(), ConfigError> {
        ConfigError::check(with.key_problems())?;
        let new = with.current();
        let mut changing = self.problems_so_far();
        let old = self.current();
        if old.signing().is_some() != new.signing().is_some() {
            let signs = if old.signing().is_some() { "no key signs" } else { "a key that signs" };
            let remedy = "a ring that signs always signs, and one that only verifies never does";
            return Err(ConfigError::one("keys", signs, remedy));
        }
        let keys: Vec<_> = new
            .keys()
            .iter()
            .map(|key| {
                let known = old.keys().iter().find(|known| known.key().is(key.key()));
                known.map_or_else(
                    || Arc::new(key.detached()),
                    |known| {
                        known.sync_with(key);
                        known.key().learn_sealing_key(key.key());
                        Arc::clone(known)
                    },
                )
            })
            .collect();
        let gone = |key: &&Arc<TrustedKey>| !keys.iter().any(|kept| Arc::ptr_eq(kept, key));
        let gone: Vec<_> = old.keys().iter().filter(gone).cloned().collect();
        self.swap(KeySet::new(new.signing().cloned(), keys).with_flow_keys_of(&new));
        changing.clear();
        for key in gone {
            key.retire(Timestamp::EPOCH);
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests {
    use std::time::Duration;

    use crate::{
        engine::keys::{algorithm::Algorithm, rotation::*},
        time::ClockReading,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000 + seconds)
    }

    fn key(kid: &str) -> SigningKey {
        SigningKey::generate(kid, Algorithm::EdDsa).unwrap()
    }

    fn signs(ring: &KeyRing) -> String {
        ring.current().signing().unwrap().kid().to_owned()
    }

    fn trusts(ring: &KeyRing, kid: &str, now: Timestamp) -> bool {
        ring.current().verifying(kid.as_bytes(), now).is_some()
    }

    #[test]
    fn key_rotation_publishes_signs_and_retires() {
        let (old, new) = (key("old"), key("new"));
        let ring = KeyRing::new(old);
        let engines = ring.clone();
        ring.publish(new.verifying_key()).unwrap();
        assert_eq!(
            (signs(&engines), engines.kids()),
            ("old".into(), vec!["old".into(), "new".into()])
        );
        ring.promote(new).unwrap();
        assert_eq!(
            (signs(&engines), engines.kids()),
            ("new".into(), vec!["new".into(), "old".into()])
        );

        let memory = Arc::clone(engines.current().verifying(b"old", at(0)).unwrap());
        ring.retire("old", at(100)).unwrap();
        assert!(trusts(&engines, "old", at(99)) && memory.is_trusted(at(99)));
        assert!(!trusts(&engines, "old", at(100)) && !memory.is_trusted(at(100)));
        // A later schedule does not bring a stolen key back.
        ring.retire("old", at(10)).unwrap();
        ring.retire("old", at(1000)).unwrap();
        assert!(!trusts(&engines, "old", at(10)) && !memory.is_trusted(at(10)));
        assert!(trusts(&engines, "new", at(1000)));
    }

    #[test]
    fn retirement_that_has_come_stays_when_the_clock_goes_back() {
        let clocks = |wall, monotonic| ClockReading::new(at(wall), Duration::from_secs(monotonic));
        let ring = || {
            let ring = KeyRing::new(key("new")).with_key(key("stolen").verifying_key());
            ring.observe(clocks(100, 0));
            ring
        };
        let is_trusted = |ring: &KeyRing, now| trusts(ring, "stolen", at(now));

        let stolen = ring();
        stolen.retire("stolen", at(100)).unwrap();
        assert!(!is_trusted(&stolen, 100) && !is_trusted(&stolen, 89) && !is_trusted(&stolen, 0));
        // Of a time that no request has seen yet: the next one shows that it has come.
        let stolen = ring();
        stolen.retire("stolen", at(103)).unwrap();
        stolen.observe(clocks(103, 3));
        // It was still ahead then, and both clocks have passed it since.
        assert!(!is_trusted(&stolen, 103) && !is_trusted(&stolen, 50));

        // A planned retirement is not brought forward by a clock that is ahead for a moment.
        let planned = ring();
        planned.retire("stolen", at(1_000)).unwrap();
        planned.observe(clocks(100, 1));
        planned.observe(clocks(90_000, 2));
        assert!(!is_trusted(&planned, 90_000) && is_trusted(&planned, 102));
        // A clock that is behind delays it until it is right again.
        planned.observe(clocks(10, 2_000));
        assert!(is_trusted(&planned, 10));
        planned.observe(clocks(1_000, 2_000));
        assert!(!is_trusted(&planned, 1_000) && !is_trusted(&planned, 10));

        // The first reading may be ahead already. From a minute on, both clocks confirm it.
        let started_ahead = KeyRing::new(key("new")).with_key(key("stolen").verifying_key());
        started_ahead.retire("stolen", at(1_000)).unwrap();
        started_ahead.observe(clocks(90_000, 1));
        started_ahead.observe(clocks(90_059, 60));
        assert!(!is_trusted(&started_ahead, 90_059) && is_trusted(&started_ahead, 160));
        started_ahead.observe(clocks(90_060, 61));
        assert!(!is_trusted(&started_ahead, 160));

        // A file that states the same retirement again changes nothing; one without it does.
        let same = KeyRing::new(key("new"))
            .with_key(planned.current().get(b"stolen").unwrap().key().clone());
        same.retire("stolen", at(1_000)).unwrap();
        planned.replace(&same).unwrap();
        assert!(!is_trusted(&planned, 10));
        let none = KeyRing::new(key("new"))
            .with_key(planned.current().get(b"stolen").unwrap().key().clone());
        planned.replace(&none).unwrap();
        assert!(is_trusted(&planned, 1_000));
    }

    #[test]
    fn rejected_rotation_leaves_the_ring_unchanged() {
        let (old, new) = (key("old"), key("new"));
        let ring = KeyRing::new(new.clone()).with_key(old.verifying_key());
        ring.retire("old", at(100)).unwrap();
        let reader = KeyRing::verify_only().with_key(old.verifying_key());
        let before = format!("{ring:?}");
        let refused = [
            ring.publish(key("new").verifying_key()),
            ring.publish(old.verifying_key()),
            ring.promote(key("new")),
            ring.promote(SigningKey::generate("new", Algorithm::Es256).unwrap()),
            ring.promote(old),
            ring.retire("new", at(0)),
            ring.retire("other", at(0)),
            ring.replace(&KeyRing::verify_only()),
            ring.replace(&reader),
            ring.replace(&KeyRing::new(key("a")).with_key(key("a").verifying_key())),
        ];
        for (index, refused) in refused.into_iter().enumerate() {
            let error = refused.expect_err(&index.to_string());
            assert!(error.problems().iter().all(|one| !one.remedy().is_empty()), "{error}");
        }
        assert!(reader.promote(new).is_err() && reader.kids() == ["old"]);
        assert_eq!(format!("{ring:?}"), before);
        assert!(ring.problems().is_empty(), "the ring can still be put to use");
    }

    #[test]
    fn replaced_ring_keeps_keys_present_in_both() {
        let (one, two) = (key("one"), key("two"));
        let ring = KeyRing::new(one.clone()).with_key(two.verifying_key());
        let keep = |kid: &str| Arc::clone(ring.current().verifying(kid.as_bytes(), at(0)).unwrap());
        let (of_one, of_two) = (keep("one"), keep("two"));
        // The same key, read again from elsewhere, and another key with a known name.
        let again = VerifyingKey::assemble(
            "one".into(),
            Algorithm::EdDsa,
            one.verifying().public().unwrap(),
        );
        let with = KeyRing::new(key("two")).with_key(again);
        with.retire("one", at(50)).unwrap();
        ring.replace(&with).unwrap();
        assert!(of_one.is_trusted(at(49)) && !of_one.is_trusted(at(50)));
        assert!(!of_two.is_trusted(at(0)), "the key is gone, though its name is not");
        assert!(trusts(&ring, "two", at(0)) && signs(&ring) == "two");
        // The other ring is independent.
        with.retire("one", at(0)).unwrap();
        assert!(of_one.is_trusted(at(49)));
        // A whole ring may bring a key back: an operator's file takes precedence.
        ring.replace(&KeyRing::new(one)).unwrap();
        assert!(of_one.is_trusted(at(50)) && ring.kids() == ["one"]);
        ring.replace(&ring.clone()).unwrap();
        assert_eq!(ring.kids(), ["one"]);
    }
}
