//! Issuing session tokens: encoding, checking and signing the claims.

use std::time::Duration;

use super::{
    cookie::set_cookie::SessionCookie,
    session::{
        expiry::{LifetimeOverride, SessionTimes},
        identity::{SessionFlags, SessionIdentity},
    },
    session_engine::SessionEngine,
    sign_in::SignInError,
    token::{
        claims::{Audience, ClaimsError, Registered},
        jws,
    },
};

/// JOSE `typ` of session tokens: a token issued for another purpose is not accepted as one (RFC
/// 8725 §3.11).
pub(crate) const TOKEN_TYPE: &str = "session+jwt";

impl SessionFlags {
    /// The flags as the claims of a token state them.
    pub(crate) fn from_claims(registered: &Registered) -> Self {
        Self {
            lifetime: LifetimeOverride {
                inactivity_timeout: registered.inactivity_timeout.map(Duration::from_secs),
                maximum_lifetime: registered.maximum_lifetime.map(Duration::from_secs),
            },
            persistent: registered.persistent,
            pending: registered.attributes.as_ref().is_some_and(|it| it.tasks.is_some()),
            impersonated: registered.attributes.as_ref().is_some_and(|it| it.actor.is_some()),
            bound_to_engine: registered.azp.is_some(),
        }
    }
}

impl SessionTimes {
    /// The times as the claims of a token state them.
    pub(crate) const fn from_claims(registered: &Registered) -> Self {
        Self {
            signed_in_at: registered.auth_time,
            issued_at: registered.iat,
            last_active_at: registered.last_active_at,
            expires_at: registered.exp,
        }
    }
}

/// Why no token was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IssueError {
    Claims(ClaimsError),
    TooLarge { size: usize, limit: usize, claims: usize },
    Signing,
}

impl From<IssueError> for SignInError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Claims(error) => Self::Claims(error),
            IssueError::TooLarge { size, limit, claims } => Self::TooLarge { size, limit, claims },
            IssueError::Signing => Self::Signing,
        }
    }
}

impl<C> SessionEngine<C> {
    /// Issues a token with new claims, after checking that they decode to the same claims.
    pub(crate) fn issue(
        &self,
        identity: &SessionIdentity,
        claims: &C,
    ) -> Result<String, IssueError> {
        let payload = self.encode(identity, claims, true)?;
        (self.0.codec.check)(&payload).map_err(IssueError::Claims)?;
        let multi_session = self.multi_session().is_some();
        // A renewal without activity adds `last_active_at`. With one account, a token that fills
        // its cookie completely is then not renewed. With several, it could be moved to a cookie
        // with a longer name, so the space is reserved here.
        let is_grown = identity.last_active_at() != identity.issued_at();
        let growth = if multi_session && !is_grown { SessionCookie::MAX_RENEWAL_GROWTH } else { 0 };
        self.sign(&payload, self.0.cookie.max_value_length(multi_session).saturating_sub(growth))
    }

    /// Issues a token with claims that were decoded from another token.
    pub(crate) fn reissue(
        &self,
        identity: &SessionIdentity,
        claims: &C,
    ) -> Result<String, IssueError> {
        // A token that fills the cookie of a browser with one account stays in that cookie.
        let limit = self.0.cookie.max_value_length(false);
        let sign = |identity: &SessionIdentity, bind| {
            self.encode(identity, claims, bind).and_then(|payload| self.sign(&payload, limit))
        };
        // A token of an older version may leave no space for its id, nor for the name of the engine.
        match sign(identity, true) {
            Err(IssueError::TooLarge { .. }) if identity.lineage().is_some() => {
                let identity = identity.clone().with_lineage(None);
                match sign(&identity, true) {
                    Err(IssueError::TooLarge { .. }) if !identity.terms().bound_to_engine => {
                        sign(&identity, false)
                    }
                    issued => issued,
                }
            }
            Err(IssueError::TooLarge { .. }) if !identity.terms().bound_to_engine => {
                sign(identity, false)
            }
            issued => issued,
        }
    }

    fn encode(
        &self,
        identity: &SessionIdentity,
        claims: &C,
        bind: bool,
    ) -> Result<Vec<u8>, IssueError> {
        let flags = identity.terms();
        let registered = Registered {
            iss: self.0.issuer.clone(),
            aud: self.0.audience.clone().map(Audience::One),
            azp: bind.then(|| self.0.cookie.base_name.clone()),
            sub: identity.subject().clone(),
            sid: identity.id(),
            auth_time: identity.signed_in_at(),
            iat: identity.issued_at(),
            exp: identity.expires_at(),
            last_active_at: identity.last_active_at(),
            nbf: None,
            inactivity_timeout: flags.lifetime.inactivity_timeout.map(|timeout| timeout.as_secs()),
            maximum_lifetime: flags.lifetime.maximum_lifetime.map(|lifetime| lifetime.as_secs()),
            persistent: flags.persistent,
            jti: identity.lineage(),
            attributes: identity.standing().cloned(),
        };
        (self.0.codec.encode)(&registered, claims).map_err(IssueError::Claims)
    }

    fn sign(&self, payload: &[u8], limit: usize) -> Result<String, IssueError> {
        let keys = self.0.keys.current();
        let key = keys.signing().ok_or(IssueError::Signing)?;
        let token = jws::sign(key, TOKEN_TYPE, payload).map_err(|_| IssueError::Signing)?;
        if token.len() > limit {
            return Err(IssueError::TooLarge { size: token.len(), limit, claims: payload.len() });
        }
        Ok(token)
    }
}
