//! [`SessionData`]: a session as one token states it, with the application's claims.

use std::sync::Arc;

use super::identity::SessionIdentity;

/// A session as one token states it: one allocation, shared from the verified-token cache to the
/// extensions of the request.
pub(crate) struct SessionData<C>(Arc<(SessionIdentity, Arc<C>)>);

impl<C> SessionData<C> {
    pub(crate) fn new(identity: SessionIdentity, claims: Arc<C>) -> Self {
        Self(Arc::new((identity, claims)))
    }

    pub(crate) fn identity(&self) -> &SessionIdentity {
        &self.0.0
    }

    pub(crate) fn claims(&self) -> &Arc<C> {
        &self.0.1
    }

    /// The same claims with another identity: other times, tasks or factors of the session.
    pub(crate) fn with_identity(&self, identity: SessionIdentity) -> Self {
        Self::new(identity, Arc::clone(self.claims()))
    }
}

impl<C> Clone for SessionData<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The session of a verified token.
pub(crate) enum TokenSession<C> {
    Decoded(SessionData<C>),
    /// The application's claims do not decode.
    Undecoded(SessionIdentity),
}

impl<C> TokenSession<C> {
    pub(crate) fn new(identity: SessionIdentity, claims: Option<Arc<C>>) -> Self {
        match claims {
            Some(claims) => Self::Decoded(SessionData::new(identity, claims)),
            None => Self::Undecoded(identity),
        }
    }

    pub(crate) fn identity(&self) -> &SessionIdentity {
        match self {
            Self::Decoded(session) => session.identity(),
            Self::Undecoded(identity) => identity,
        }
    }

    /// The same claims with another identity.
    pub(crate) fn with_identity(&self, identity: SessionIdentity) -> Self {
        match self {
            Self::Decoded(session) => Self::Decoded(session.with_identity(identity)),
            Self::Undecoded(_) => Self::Undecoded(identity),
        }
    }

    pub(crate) fn into_identity(self) -> SessionIdentity {
        match self {
            Self::Decoded(session) => session.identity().clone(),
            Self::Undecoded(identity) => identity,
        }
    }

    pub(crate) fn into_decoded(self) -> Option<SessionData<C>> {
        match self {
            Self::Decoded(session) => Some(session),
            Self::Undecoded(_) => None,
        }
    }

    pub(crate) fn decoded(&self) -> Option<&SessionData<C>> {
        match self {
            Self::Decoded(session) => Some(session),
            Self::Undecoded(_) => None,
        }
    }
}

impl<C> Clone for TokenSession<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Decoded(session) => Self::Decoded(session.clone()),
            Self::Undecoded(identity) => Self::Undecoded(identity.clone()),
        }
    }
}
