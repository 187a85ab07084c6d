//! Making bearer tokens.

use std::time::Duration;

use super::{
    bearer::{
        BEARER_TYPE, CredentialKind, MAX_BEARER_LENGTH,
        token::{BearerToken, BearerTokenError, BearerTokenOptions},
    },
    event::SessionEvent,
    request::session::Session,
    session::{id::SessionId, identity::SessionIdentity},
    session_engine::SessionEngine,
    token::{
        claims::{Audience, bearer::BearerClaims},
        jws,
    },
};
use crate::time::{ClockReading, Timestamp};

impl<C> SessionEngine<C> {
    /// A bearer token of `session`, for callers without a layer: under one,
    /// [`Session::bearer_token`] knows the time.
    ///
    /// # Errors
    ///
    /// When more is asked than [`BearerTokens`](crate::engine::bearer::BearerTokens) allows, the session is over or
    /// came by a bearer token itself, or the token cannot be made.
    pub fn bearer_token(
        &self,
        session: &Session<C>,
        options: &BearerTokenOptions,
        now: impl Into<ClockReading>,
    ) -> Result<BearerToken, BearerTokenError> {
        if session.credential() == CredentialKind::BearerToken {
            return Err(BearerTokenError::NotACookieSession);
        }
        self.mint_bearer(session.identity(), session.claims(), options, now.into().timestamp())
    }

    /// A bearer token of a session that was opened by its cookie.
    pub(crate) fn mint_bearer(
        &self,
        session: &SessionIdentity,
        claims: &C,
        options: &BearerTokenOptions,
        now: Timestamp,
    ) -> Result<BearerToken, BearerTokenError> {
        // Whoever that issuer signs for is nobody that this one has seen.
        if session.external().is_some() {
            return Err(BearerTokenError::NotACookieSession);
        }
        let terms = &self.0.bearer;
        let lifetime = options.lifetime.unwrap_or(terms.lifetime);
        if lifetime < Duration::from_secs(1) || lifetime > terms.longest {
            return Err(BearerTokenError::Lifetime { longest: terms.longest });
        }
        let own = self.0.audience.as_deref();
        let audience = match options.audience.as_deref() {
            None => own,
            Some(asked) if own == Some(asked) => own,
            Some(asked) => {
                let allowed = terms.audiences.iter().find(|audience| ***audience == *asked);
                Some(&**allowed.ok_or(BearerTokenError::Audience)?)
            }
        };
        if session.is_pending() {
            return Err(BearerTokenError::Pending);
        }
        if self.is_revoked(session) || now >= session.expires_at() {
            return Err(BearerTokenError::SessionEnded);
        }
        // As many random bits as a session's id has.
        let jti = SessionId::generate(&*self.0.random).map_err(|_| BearerTokenError::Random)?;
        // A clock that went back must not date a token before its session.
        let iat = now.max(session.signed_in_at());
        let exp = iat.saturating_add(lifetime).min(session.expires_at());
        let standing = session.standing();
        let claims_of_ours = BearerClaims {
            iss: terms.issuer.clone(),
            aud: audience.map(|audience| Audience::One(audience.into())),
            azp: terms.party.clone(),
            sub: session.subject().clone(),
            sid: session.id().as_str().into(),
            auth_time: Some(session.signed_in_at()),
            iat,
            // For a reader whose clock is behind by as much as clocks may be.
            nbf: Some(iat.saturating_sub(self.clock_skew())),
            exp,
            jti: Some(jti.as_str().into()),
            sts: Some("active".into()),
            fva: Some(session.factor_ages(iat).in_minutes()),
            factors_at: standing.map(|standing| standing.factors).unwrap_or_default(),
            act: session.actor().cloned(),
            v: BearerClaims::VERSION,
        };
        let payload = (self.0.codec.encode_bearer)(&claims_of_ours, claims)?;
        let keys = self.0.keys.current();
        let key = keys.signing().ok_or(BearerTokenError::Signing)?;
        let token = jws::sign(key, BEARER_TYPE, &payload).map_err(|_| BearerTokenError::Signing)?;
        if token.len() > MAX_BEARER_LENGTH {
            return Err(BearerTokenError::TooLarge);
        }
        self.emit(&SessionEvent::BearerTokenIssued { session: session.clone(), expires_at: exp });
        Ok(BearerToken::new(token, exp))
    }

    /// The longest that a bearer token is believed here.
    pub(crate) fn max_bearer_lifetime(&self) -> Duration {
        self.0.issuers.iter().map(|issuer| issuer.longest()).max().unwrap_or_default()
    }
}
