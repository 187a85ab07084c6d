//! [`Actor`]: who really acts in a session that is another's.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::id::Subject;

/// Who acts in a session whose subject is somebody else: the claim `act` (RFC 8693 §4.1). It is in the
/// token, so whoever holds that can read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    #[serde(rename = "sub")]
    subject: Subject,
    #[serde(rename = "iss", skip_serializing_if = "Option::is_none")]
    issuer: Option<Box<str>>,
    #[serde(rename = "sid", skip_serializing_if = "Option::is_none")]
    session_id: Option<Box<str>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<Box<str>>,
    #[serde(rename = "act", skip_serializing_if = "Option::is_none")]
    acted_by: Option<Box<Self>>,
}

impl Actor {
    /// `subject` acts.
    #[must_use]
    pub const fn new(subject: Subject) -> Self {
        Self { subject, issuer: None, session_id: None, kind: None, acted_by: None }
    }

    /// Who vouches for the actor (`iss`), where that is not who vouches for the session.
    #[must_use]
    pub fn issued_by(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The actor's own session (`sid`), from which they went over into this one.
    #[must_use]
    pub fn with_session_id(mut self, session_id: &str) -> Self {
        self.session_id = Some(session_id.into());
        self
    }

    /// What kind of actor it is (`type`), if not a person: `agent`.
    #[must_use]
    pub fn with_kind(mut self, kind: &str) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Who acts in the actor's own session: the one before in a chain (`act` inside `act`).
    #[must_use]
    pub fn with_prior(mut self, actor: Self) -> Self {
        self.acted_by = Some(Box::new(actor));
        self
    }

    /// Who acts.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Who vouches for the actor, where that is not who vouches for the session.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The actor's own session.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// What kind of actor it is, if not a person.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// Who acts in the actor's own session.
    #[must_use]
    pub fn prior(&self) -> Option<&Self> {
        self.acted_by.as_deref()
    }
}

impl<'de> Deserialize<'de> for Actor {
    /// An object and nothing else; members beside those that are known here are passed over.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct ActClaim {
            sub: Subject,
            iss: Option<Box<str>>,
            sid: Option<Box<str>>,
            r#type: Option<Box<str>>,
            act: Option<Box<Actor>>,
        }
        let members = Map::deserialize(deserializer)?;
        let ActClaim { sub, iss, sid, r#type, act } =
            ActClaim::deserialize(Value::Object(members)).map_err(serde::de::Error::custom)?;
        Ok(Self { subject: sub, issuer: iss, session_id: sid, kind: r#type, acted_by: act })
    }
}
