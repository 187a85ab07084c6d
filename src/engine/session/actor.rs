//! [`Actor`]: the user who acts in an impersonated session.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::id::Subject;

/// The user who acts in a session of another subject: the claim `act` (RFC 8693 §4.1). It is part
/// of the token, so the holder of the token can read it.
///
/// ```
/// use tower_auth_session::{Subject, engine::Actor};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // An agent acts for an employee, who acts for the user:
/// let employee = Actor::new(Subject::new("support-7")?).with_session_id("sid-of-the-employee");
/// let agent = Actor::new(Subject::new("agent-1")?)
///     .with_kind("agent")
///     .issued_by("https://agents.example.com")
///     .with_prior(employee);
/// assert_eq!((agent.subject().as_str(), agent.kind()), ("agent-1", Some("agent")));
/// assert_eq!(agent.issuer(), Some("https://agents.example.com"));
/// let prior = agent.prior().expect("the employee");
/// assert_eq!(prior.session_id(), Some("sid-of-the-employee"));
/// # Ok(()) }
/// ```
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
    /// An actor with this subject.
    #[must_use]
    pub const fn new(subject: Subject) -> Self {
        Self { subject, issuer: None, session_id: None, kind: None, acted_by: None }
    }

    /// Sets the actor's issuer (`iss`), if it differs from the session's. A subject of this service that
    /// has the same name is then another user, whose revocations do not end the session.
    #[must_use]
    pub fn issued_by(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Sets the actor's own session (`sid`), from which the impersonation started.
    #[must_use]
    pub fn with_session_id(mut self, session_id: &str) -> Self {
        self.session_id = Some(session_id.into());
        self
    }

    /// Sets the kind of actor (`type`), if it is not a person: `agent`.
    #[must_use]
    pub fn with_kind(mut self, kind: &str) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Sets the prior actor of a chain (`act` inside `act`).
    #[must_use]
    pub fn with_prior(mut self, actor: Self) -> Self {
        self.acted_by = Some(Box::new(actor));
        self
    }

    /// The actor's subject.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The actor's issuer, if it differs from the session's.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The actor's own session.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// The kind of actor, if it is not a person.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// The prior actor of a chain.
    #[must_use]
    pub fn prior(&self) -> Option<&Self> {
        self.acted_by.as_deref()
    }
}

impl<'de> Deserialize<'de> for Actor {
    /// Accepts an object only; unknown members are ignored.
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
