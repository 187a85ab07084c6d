//! Validates the claims of another issuer's token after its signature has been verified.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Issuer;
use crate::{
    engine::{
        keys::backend as crypto,
        session::{
            attributes::SessionAttributes,
            expiry::SessionTimes,
            factor::{Factor, FactorTimes},
            id::SessionId,
            identity::{ExternalSession, SessionIdentity},
        },
        token::claims::bearer::BearerClaims,
    },
    error::TokenError,
    time::Timestamp,
};

/// Maximum length of `sid` in bytes.
const MAX_SID: usize = 255;

impl Issuer {
    /// The session of a token with `claims`, if they are valid at `now`.
    pub(crate) fn validate_claims(
        &self,
        claims: BearerClaims,
        clock_skew: Duration,
        now: Timestamp,
    ) -> Result<SessionIdentity, TokenError> {
        let rules = &self.rules;
        if claims.iss.as_deref() != Some(&*self.name) {
            return Err(TokenError::WrongRecipient);
        }
        let is_recipient = match &claims.aud {
            Some(aud) => rules.audiences.iter().any(|audience| aud.contains(audience)),
            None => rules.audiences.is_empty(),
        };
        let is_authorized_party = rules.authorized_parties.is_empty()
            || match claims.azp.as_deref() {
                Some(azp) => rules.authorized_parties.iter().any(|party| party == azp),
                None => rules.allow_absent_azp,
            };
        if !is_recipient || !is_authorized_party {
            return Err(TokenError::WrongRecipient);
        }
        if rules
            .rejected_subject_prefixes
            .iter()
            .any(|prefix| claims.sub.as_str().starts_with(prefix))
        {
            return Err(TokenError::InvalidClaim("sub"));
        }
        let is_pending = match claims.sts.as_deref() {
            None | Some("active") => false,
            Some("pending") => true,
            Some(_) => return Err(TokenError::InvalidClaim("sts")),
        };
        let latest = now.saturating_add(clock_skew);
        if claims.iat > latest || claims.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(TokenError::NotYetValid);
        }
        // RFC 7519 §4.1.4: "on or after", with leeway for another host's clock.
        if claims.exp.saturating_add(clock_skew) <= now {
            return Err(TokenError::Expired);
        }
        self.identity(claims, is_pending)
    }

    fn identity(
        &self,
        claims: BearerClaims,
        is_pending: bool,
    ) -> Result<SessionIdentity, TokenError> {
        let factors = factors_at(&claims);
        let sid = claims.sid;
        if sid.is_empty() || sid.len() > MAX_SID || sid.chars().any(char::is_control) {
            return Err(TokenError::InvalidClaim("sid"));
        }
        let signed_in_at = claims.auth_time.or_else(|| factors.get(Factor::First));
        // If the issuer does not state it, 1970, so that no freshness requirement is met.
        let signed_in_at = signed_in_at.unwrap_or(Timestamp::EPOCH);
        let times = SessionTimes {
            signed_in_at,
            issued_at: claims.iat,
            // The issuer states no activity, and the user was active when the token was issued.
            last_active_at: claims.iat,
            expires_at: claims.exp,
        };
        let id = self.session_id_for(&sid).ok_or(TokenError::InvalidClaim("sid"))?;
        let external = ExternalSession::new(Arc::clone(&self.name), sid);
        // Which tasks are left is known to the issuer only.
        let tasks = is_pending.then(Box::default);
        let attributes =
            SessionAttributes { tasks, actor: claims.act, factors, ..SessionAttributes::default() };
        let identity = SessionIdentity::from_issuer(id, claims.sub, times, external);
        Ok(identity.with_attributes(attributes.shared()))
    }

    /// `sid` itself if the issuer shares this service's store, where the session has this id. Otherwise an
    /// id that is derived from issuer and `sid`, so that no issuer can choose the id of another issuer's
    /// session.
    fn session_id_for(&self, sid: &str) -> Option<SessionId> {
        if self.rules.shares_store
            && let Ok(id) = sid.parse()
        {
            return Some(id);
        }
        let digest = crypto::sha256(&[self.name.as_bytes(), &[0], sid.as_bytes()].concat())?;
        URL_SAFE_NO_PAD.encode(digest.get(..16)?).parse().ok()
    }
}

/// When each factor was verified: to the second if the issuer states it, otherwise derived from its
/// age, which is in minutes and rounded down.
fn factors_at(claims: &BearerClaims) -> FactorTimes {
    let mut factors = claims.factors_at;
    let ages = claims.fva.filter(|_| claims.auth_time.is_none()).unwrap_or([-1, -1]);
    for (factor, minutes) in [Factor::First, Factor::Second].into_iter().zip(ages) {
        if let (None, Ok(minutes)) = (factors.get(factor), u64::try_from(minutes)) {
            let age = Duration::from_secs(minutes.saturating_add(1).saturating_mul(60));
            factors.set(factor, claims.iat.saturating_sub(age));
        }
    }
    factors
}
