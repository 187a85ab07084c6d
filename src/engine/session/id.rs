//! [`SessionId`] and [`Subject`]: validated when they are created.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    engine::encoding::base64_text::Base64Text,
    random::{RandomError, RandomSource},
};

/// The id of one sign-in of one subject from one browser: 128 random bits (ASVS 7.2.3), written as
/// 22 characters of canonical base64url.
///
/// It identifies a session and is not a credential: it is useless without the signed token. Each
/// sign-in creates a new one, and it is never taken from a client (ASVS 7.2.4).
///
/// ```
/// use tower_auth_session::{SessionId, engine::OsRandom};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let id = SessionId::generate(&OsRandom::default())?;
/// assert_eq!(id.as_str().len(), 22);
/// assert_eq!(id.as_str().parse::<SessionId>()?, id);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Base64Text<{ Self::LENGTH }>);

impl SessionId {
    /// Length of the text form in bytes.
    pub const LENGTH: usize = 22;

    const BYTES: usize = 16;

    /// A new id.
    ///
    /// # Errors
    ///
    /// If the random source fails.
    pub fn generate(random: &dyn RandomSource) -> Result<Self, RandomError> {
        let mut bits = [0; Self::BYTES];
        random.fill(&mut bits)?;
        Base64Text::encode(&bits).map(Self).ok_or_else(RandomError::new)
    }

    /// The canonical text form, as bytes.
    pub(crate) fn try_from_bytes(text: &[u8; Self::LENGTH]) -> Result<Self, InvalidId> {
        Base64Text::from_text::<{ Self::BYTES }>(text).map(Self).ok_or(InvalidId(()))
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        self.0.as_bytes()
    }

    /// The 22 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for SessionId {
    type Err = InvalidId;

    /// Accepts the canonical text form only.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::try_from_bytes(text.as_bytes().try_into().map_err(|_| InvalidId(()))?)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

impl Serialize for SessionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SessionIdVisitor;
        impl serde::de::Visitor<'_> for SessionIdVisitor {
            type Value = SessionId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a session id")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SessionId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(SessionIdVisitor)
    }
}

/// The text is not a session id.
///
/// ```
/// use axum::http::StatusCode;
/// use tower_auth_session::{SessionId, error::InvalidId};
///
/// /// An id that is malformed is as unknown as one that does not exist.
/// fn id_of(form_field: &str) -> Result<SessionId, StatusCode> {
///     form_field.parse().map_err(|_: InvalidId| StatusCode::NOT_FOUND)
/// }
/// assert!(id_of("me").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a session id: 22 characters of canonical base64url")]
pub struct InvalidId(());

/// The signed-in user: the application's stable identifier of an account (the `sub` of RFC 7519
/// §4.1.2), 1 to 255 bytes without control characters.
///
/// Clones share the text.
///
/// ```
/// use tower_auth_session::Subject;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let row_id = 1815_i64;
/// assert_eq!(Subject::new(row_id.to_string())?.as_str(), "1815");
/// assert!(Subject::new("").is_err());
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The maximum length in bytes (OpenID Connect Core §2 allows 255 characters).
    pub const MAX_LENGTH: usize = 255;

    /// A subject.
    ///
    /// # Errors
    ///
    /// If `text` is empty, longer than [`Subject::MAX_LENGTH`] bytes or contains a control
    /// character.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidSubject> {
        let text = text.as_ref();
        if text.is_empty() || text.len() > Self::MAX_LENGTH || text.chars().any(char::is_control) {
            return Err(InvalidSubject(()));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({:?})", &self.0)
    }
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Subject {
    type Error = InvalidSubject;

    fn try_from(text: &str) -> Result<Self, InvalidSubject> {
        Self::new(text)
    }
}

impl TryFrom<String> for Subject {
    type Error = InvalidSubject;

    fn try_from(text: String) -> Result<Self, InvalidSubject> {
        Self::new(text)
    }
}

impl Serialize for Subject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SubjectVisitor;
        impl serde::de::Visitor<'_> for SubjectVisitor {
            type Value = Subject;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a subject")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Subject, E> {
                Subject::new(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(SubjectVisitor)
    }
}

/// The text is not a valid subject.
///
/// ```
/// use tower_auth_session::{Subject, error::InvalidSubject};
///
/// let error: InvalidSubject = Subject::new("").unwrap_err();
/// assert_eq!(error.to_string(), "not a subject: 1 to 255 bytes without control characters");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a subject: 1 to 255 bytes without control characters")]
pub struct InvalidSubject(());

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use crate::engine::session::id::*;
    use crate::random::{OsRandom, SeededRandom};

    #[test]
    fn generated_session_ids_are_canonical_distinct_and_balanced() {
        let mut ones = 0_u32;
        let mut seen = HashSet::new();
        for _ in 0..100_000 {
            let id = SessionId::generate(&OsRandom).unwrap();
            assert_eq!(id.as_str().parse(), Ok(id));
            let bits: [u8; 16] = URL_SAFE_NO_PAD.decode(id.as_str()).unwrap().try_into().unwrap();
            ones += bits.iter().map(|byte| byte.count_ones()).sum::<u32>();
            assert!(seen.insert(id));
        }
        // 12.8 million fair bits: six standard deviations are 10,733.
        assert!(ones.abs_diff(6_400_000) < 10_800, "{ones}");
    }

    #[test]
    fn session_id_from_failing_random_source_is_an_error() {
        #[derive(Debug)]
        struct Broken;
        impl RandomSource for Broken {
            fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
                Err(RandomError::new())
            }
        }
        assert!(SessionId::generate(&Broken).is_err());
    }

    #[test]
    fn session_id_parses_only_from_canonical_text() {
        let id = SessionId::generate(&SeededRandom::new(1)).unwrap();
        let text = id.to_string();
        for bad in [
            String::new(),
            text[..21].to_owned(),
            format!("{text}A"),
            format!("{text}="),
            format!("{}+", &text[..21]),
            format!("{}B", &text[..21]),
            "..%2f..%2fetc%2fpasswd".to_owned(),
            "' OR 1=1 --aaaaaaaaaaa".to_owned(),
            "äöüäöüäöüäö".to_owned(),
        ] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad}");
        }
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<SessionId>(&format!("\"{text}\"")).unwrap(), id);
    }

    #[test]
    fn subject_with_wrong_length_or_control_characters_is_rejected() {
        assert!(Subject::new("ada").is_ok());
        assert!(Subject::new("ä".repeat(127)).is_ok());
        assert!(Subject::new("x".repeat(255)).is_ok());
        for bad in ["", "a\0b", "a\r\nb", "\u{9b}x", &"x".repeat(256)] {
            assert!(Subject::new(bad).is_err(), "{bad:?}");
        }
    }
}
