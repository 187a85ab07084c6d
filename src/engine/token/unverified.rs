//! [`UnverifiedClaims`]: what a token states, without a check of its signature.
//!
//! No session follows from it. It only decides in which order a browser's cookies are verified, and
//! which cookies of unknown keys are removed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::time::Timestamp;

/// The members of a session token that order the cookies of a browser.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct UnverifiedClaims {
    sid: Box<str>,
    sub: Box<str>,
    act: Option<UnverifiedActor>,
    iat: u64,
    exp: u64,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct UnverifiedActor {
    sub: Box<str>,
}

impl UnverifiedClaims {
    /// The claims of `token`; `None` if no node can have issued it.
    pub(crate) fn read(token: &[u8]) -> Option<Self> {
        let payload = token.split(|byte| *byte == b'.').nth(1)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    /// Whether the two state different sessions of one account.
    pub(crate) fn repeats_account_of(&self, other: &Self) -> bool {
        self.sid != other.sid && self.sub == other.sub && self.act == other.act
    }

    pub(crate) const fn issued_at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.iat)
    }

    pub(crate) const fn expires_at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.exp)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::token::unverified::*;

    fn token(payload: &str) -> Vec<u8> {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload)).into_bytes()
    }

    #[test]
    fn claims_are_read_whatever_else_a_token_states() {
        let payload = r#"{"sid":"s","sub":"ada","iat":1,"exp":9,"azp":"session","other":[{}]}"#;
        let claims = UnverifiedClaims::read(&token(payload)).unwrap();
        assert_eq!((&*claims.sid, &*claims.sub), ("s", "ada"));
        assert_eq!(claims.issued_at(), Timestamp::from_unix_seconds(1));
        assert_eq!(claims.expires_at(), Timestamp::from_unix_seconds(9));
    }

    #[test]
    fn account_is_a_subject_and_its_actor() {
        let claims = |sid: &str, sub: &str, act: &str| {
            let payload = format!(r#"{{"sid":"{sid}","sub":"{sub}","iat":1,"exp":9{act}}}"#);
            UnverifiedClaims::read(&token(&payload)).unwrap()
        };
        let ada = claims("1", "ada", "");
        let by_bob = r#","act":{"sub":"bob","sid":"3"}"#;
        for (other, is_repeated) in [
            (claims("2", "ada", ""), true),
            (claims("1", "ada", ""), false),
            (claims("2", "bob", ""), false),
            (claims("2", "ada", by_bob), false),
        ] {
            assert_eq!(ada.repeats_account_of(&other), is_repeated, "{other:?}");
        }
        let by_bob = [claims("3", "ada", by_bob), claims("4", "ada", by_bob)];
        assert!(by_bob[0].repeats_account_of(&by_bob[1]));
    }

    #[test]
    fn text_that_is_not_a_session_token_has_no_claims() {
        for payload in [
            "",
            "{}",
            "[]",
            r#"{"sid":"s","sub":"ada","iat":-1,"exp":9}"#,
            r#"{"sid":"s","sub":"ada","iat":"1","exp":9}"#,
            r#"{"sid":"s","sub":"ada","iat":1}"#,
            r#"{"sid":"s","sub":"ada","iat":1,"iat":2,"exp":9}"#,
        ] {
            assert_eq!(UnverifiedClaims::read(&token(payload)), None, "{payload}");
        }
        for text in ["", ".", "a.b.c", "a.!.c", "e30"] {
            assert_eq!(UnverifiedClaims::read(text.as_bytes()), None, "{text}");
        }
    }
}
