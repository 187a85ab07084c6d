//! Issuing bearer tokens.

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
    /// Issues a bearer token from `session`, for callers without a layer. Under a layer, use
    /// [`Session::bearer_token`].
    ///
    /// # Errors
    ///
    /// When the options exceed what [`BearerTokens`](crate::engine::bearer::BearerTokens) allows,
    /// the session has expired, was revoked or came by a bearer token itself, or the token cannot
    /// be encoded or signed.
    pub fn bearer_token(
        &self,
        session: &Session<C>,
        options: &BearerTokenOptions,
        now: impl Into<ClockReading>,
    ) -> Result<BearerToken, BearerTokenError> {
        if session.credential() == CredentialKind::BearerToken {
            return Err(BearerTokenError::NotACookieSession);
        }
        self.issue_bearer(session.identity(), session.claims(), options, now.into().timestamp())
    }

    /// Issues a bearer token from a session that came by its cookie.
    pub(crate) fn issue_bearer(
        &self,
        session: &SessionIdentity,
        claims: &C,
        options: &BearerTokenOptions,
        now: Timestamp,
    ) -> Result<BearerToken, BearerTokenError> {
        // Another issuer's session: this engine has not authenticated its subject.
        if session.external().is_some() {
            return Err(BearerTokenError::NotACookieSession);
        }
        let policy = &self.0.bearer;
        let lifetime = options.lifetime.unwrap_or(policy.lifetime);
        if lifetime < Duration::from_secs(1) || lifetime > policy.max_lifetime {
            return Err(BearerTokenError::Lifetime { max_lifetime: policy.max_lifetime });
        }
        let own_audience = self.0.audience.as_deref();
        let audience = match options.audience.as_deref() {
            None => own_audience,
            Some(requested) if own_audience == Some(requested) => own_audience,
            Some(requested) => {
                let allowed = policy.audiences.iter().find(|audience| ***audience == *requested);
                Some(&**allowed.ok_or(BearerTokenError::Audience)?)
            }
        };
        if session.is_pending() {
            return Err(BearerTokenError::Pending);
        }
        let is_unproven = match session.device() {
            Some(device) => device.valid_proof().is_none_or(|proof| now >= proof.expires_at),
            None => false,
        };
        if self.is_revoked(session) || now >= session.expires_at() || is_unproven {
            return Err(BearerTokenError::SessionEnded);
        }
        // The same number of random bits as a session id.
        let jti = SessionId::generate(&*self.0.random).map_err(|_| BearerTokenError::Random)?;
        // If the clock went backwards, the token must not be older than its session.
        let iat = now.max(session.signed_in_at());
        let exp = iat.saturating_add(lifetime).min(session.expires_at());
        let exp = session.device_proof().map_or(exp, |proof| exp.min(proof.expires_at));
        let attributes = session.standing();
        let registered = BearerClaims {
            iss: policy.issuer.clone(),
            aud: audience.map(|audience| Audience::One(audience.into())),
            azp: policy.authorized_party.clone(),
            sub: session.subject().clone(),
            sid: session.id().as_str().into(),
            auth_time: Some(session.signed_in_at()),
            iat,
            // Leeway for a verifier whose clock is behind.
            nbf: Some(iat.saturating_sub(self.clock_skew())),
            exp,
            jti: Some(format!("{}.{jti}", self.0.cookie.base_name).into()),
            sts: Some("active".into()),
            fva: Some(session.factor_ages(iat).in_minutes()),
            factors_at: attributes.map(|attributes| attributes.factors).unwrap_or_default(),
            act: session.actor().cloned(),
            v: BearerClaims::VERSION,
        };
        let payload = (self.0.codec.encode_bearer)(&registered, claims)?;
        let keys = self.0.keys.current();
        let key = keys.signing().ok_or(BearerTokenError::Signing)?;
        let token = jws::sign(key, BEARER_TYPE, &payload).map_err(|_| BearerTokenError::Signing)?;
        if token.len() > MAX_BEARER_LENGTH {
            return Err(BearerTokenError::TooLarge);
        }
        self.emit(&SessionEvent::BearerTokenIssued { session: session.clone(), expires_at: exp });
        Ok(BearerToken::new(token, exp))
    }

    /// Maximum lifetime of an accepted bearer token.
    pub(crate) fn max_bearer_lifetime(&self) -> Duration {
        self.0.issuers.iter().map(|issuer| issuer.max_lifetime()).max().unwrap_or_default()
    }
}
