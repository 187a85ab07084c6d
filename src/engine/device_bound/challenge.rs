//! [`Challenge`]: what a browser has to sign. Stateless, so that any node can check it.
//!
//! A challenge is bound to its purpose, its session and the time. It can be used more than once until it
//! expires: browsers cache their signatures, and two responses may cross. A copied signature gives an
//! attacker one proof, as a copied proof cookie does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::signed_claims;
use crate::{
    engine::{
        keys::key_ring::KeyRing,
        session::{device_key::DeviceProofError, id::SessionId},
    },
    time::Timestamp,
};

/// JOSE `typ` of challenges.
const CHALLENGE_TYPE: &str = "session-challenge+jwt";

/// How old a challenge may be when its signature arrives.
const MAX_AGE: Duration = Duration::from_secs(300);

/// What the signature of a challenge permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChallengePurpose {
    /// Binding the session to the key.
    Register,
    /// Renewing the proof of a bound session.
    Refresh,
}

/// The claims of a challenge.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Challenge {
    /// The engine, by the base name of its cookie.
    azp: Box<str>,
    sid: SessionId,
    purpose: ChallengePurpose,
    iat: Timestamp,
}

impl Challenge {
    pub(crate) fn new(
        engine: &str,
        sid: SessionId,
        purpose: ChallengePurpose,
        iat: Timestamp,
    ) -> Self {
        Self { azp: engine.into(), sid, purpose, iat }
    }

    /// The text that the browser signs: ASCII without quotes.
    pub(crate) fn issue(&self, ring: &KeyRing) -> Option<String> {
        signed_claims::sign(ring, CHALLENGE_TYPE, self)
    }

    /// Checks that `text` is this challenge, issued up to [`MAX_AGE`] before.
    pub(crate) fn verify(
        &self,
        ring: &KeyRing,
        text: &str,
        clock_skew: Duration,
    ) -> Result<(), DeviceProofError> {
        let now = self.iat;
        let verified = signed_claims::verify::<Self>(ring, CHALLENGE_TYPE, text.as_bytes(), now);
        let (signed, _) = verified.map_err(|_| DeviceProofError::UnknownChallenge)?;
        let is_meant =
            (&signed.azp, signed.sid, signed.purpose) == (&self.azp, self.sid, self.purpose);
        // Otherwise the clock of the process that issued it is ahead.
        let is_past = signed.iat <= now.saturating_add(clock_skew);
        if !is_meant || !is_past {
            return Err(DeviceProofError::UnknownChallenge);
        }
        let is_young = now.saturating_since(signed.iat) <= MAX_AGE.saturating_add(clock_skew);
        if is_young { Ok(()) } else { Err(DeviceProofError::StaleChallenge) }
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests {
    use super::{ChallengePurpose::*, DeviceProofError as E};
    use crate::engine::device_bound::challenge::*;
    use crate::engine::keys::{algorithm::Algorithm, key::SigningKey};

    const SKEW: Duration = Duration::from_secs(5);

    fn ring() -> KeyRing {
        KeyRing::new(SigningKey::generate("k", Algorithm::Hs256).unwrap())
    }

    fn challenge(sid: char, purpose: ChallengePurpose, at: u64) -> Challenge {
        let sid = sid.to_string().repeat(SessionId::LENGTH - 1) + "A";
        Challenge::new("session", sid.parse().unwrap(), purpose, Timestamp::from_unix_seconds(at))
    }

    #[test]
    fn challenge_is_bound_to_purpose_session_engine_and_time() {
        let ring = ring();
        let text = challenge('A', Refresh, 1_000).issue(&ring).unwrap();
        let other_engine = Challenge { azp: "admin".into(), ..challenge('A', Refresh, 1_000) };
        for (expected, result) in [
            (challenge('A', Refresh, 1_000), Ok(())),
            (challenge('A', Refresh, 995), Ok(())),
            (challenge('A', Refresh, 994), Err(E::UnknownChallenge)),
            (challenge('A', Refresh, 1_305), Ok(())),
            (challenge('A', Refresh, 1_306), Err(E::StaleChallenge)),
            (challenge('A', Register, 1_000), Err(E::UnknownChallenge)),
            (challenge('B', Refresh, 1_000), Err(E::UnknownChallenge)),
            (other_engine, Err(E::UnknownChallenge)),
        ] {
            assert_eq!(expected.verify(&ring, &text, SKEW), result, "{expected:?}");
        }
    }

    #[test]
    fn challenge_of_another_issuer_is_unknown() {
        let (ring, forged) = (ring(), ring());
        let expected = challenge('A', Refresh, 1_000);
        let text = expected.issue(&forged).unwrap();
        assert_eq!(expected.verify(&ring, &text, SKEW), Err(E::UnknownChallenge));
        let renamed = KeyRing::new(SigningKey::generate("old", Algorithm::Hs256).unwrap());
        let text = expected.issue(&renamed).unwrap();
        assert_eq!(expected.verify(&ring, &text, SKEW), Err(E::UnknownChallenge));
        let text = expected.issue(&ring).unwrap();
        for text in ["", "c", &format!("{text}A"), &text.to_uppercase()] {
            assert_eq!(expected.verify(&ring, text, SKEW), Err(E::UnknownChallenge), "{text}");
        }
    }

    /// The text is sent as a structured field's string, without escapes.
    #[test]
    fn challenge_needs_no_escapes() {
        let text = challenge('A', Register, 1_000).issue(&ring()).unwrap();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        assert!(text.bytes().all(is_plain) && text.len() < 300, "{text}");
    }
}
