//! What the claims of another issuer's token come to, once its signature has verified.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Issuer;
use crate::{
    engine::{
        claims::BearerClaims,
        crypto,
        id::SessionId,
        identity::{ExternalSession, SessionIdentity},
        limits::Dates,
    },
    error::TokenError,
    time::Timestamp,
};

/// The longest `sid` in bytes.
const MAX_SID: usize = 255;

/// Whose session a token says that it is.
pub(crate) struct Said {
    pub(crate) identity: SessionIdentity,
    /// A task such as a second factor is left to do.
    pub(crate) is_pending: bool,
}

impl Issuer {
    /// The session of a token with `claims`, at `now`.
    pub(crate) fn judge(
        &self,
        claims: BearerClaims,
        clock_skew: Duration,
        now: Timestamp,
    ) -> Result<Said, TokenError> {
        let rules = &self.rules;
        if claims.iss.as_deref() != Some(&*self.name) {
            return Err(TokenError::Audience);
        }
        let for_us = match &claims.aud {
            Some(aud) => rules.audiences.iter().any(|audience| aud.contains(audience)),
            None => rules.audiences.is_empty(),
        };
        let party_may = rules.parties.is_empty()
            || match claims.azp.as_deref() {
                Some(azp) => rules.parties.iter().any(|party| party == azp),
                None => rules.absent_party,
            };
        if !for_us || !party_may {
            return Err(TokenError::Audience);
        }
        if rules.refused_subjects.iter().any(|prefix| claims.sub.as_str().starts_with(prefix)) {
            return Err(TokenError::Claim("sub"));
        }
        let is_pending = match claims.sts.as_deref() {
            None | Some("active") => false,
            Some("pending") => true,
            Some(_) => return Err(TokenError::Claim("sts")),
        };
        let latest = now.saturating_add(clock_skew);
        if claims.iat > latest || claims.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(TokenError::Future);
        }
        // RFC 7519 §4.1.4: "on or after", with some leeway for a clock that is not ours.
        if claims.exp.saturating_add(clock_skew) <= now {
            return Err(TokenError::Expired);
        }
        let identity = self.identity(claims)?;
        Ok(Said { identity, is_pending })
    }

    fn identity(&self, claims: BearerClaims) -> Result<SessionIdentity, TokenError> {
        let sid = claims.sid;
        if sid.is_empty() || sid.len() > MAX_SID || sid.chars().any(char::is_control) {
            return Err(TokenError::Claim("sid"));
        }
        let signed_in_at = signed_in_at(claims.auth_time, claims.fva, claims.iat);
        let dates = Dates {
            signed_in_at,
            issued_at: claims.iat,
            // Whoever got the token now was there then, as far as its issuer says.
            last_active_at: claims.iat,
            expires_at: claims.exp,
        };
        let id = self.id_of(&sid).ok_or(TokenError::Claim("sid"))?;
        let external = ExternalSession::new(Arc::clone(&self.name), sid);
        Ok(SessionIdentity::of_issuer(id, claims.sub, dates, external))
    }

    /// `sid` itself where it is an id of this crate, so that what is told of such a session by its
    /// issuer's store is understood here; else one that follows from issuer and `sid`.
    fn id_of(&self, sid: &str) -> Option<SessionId> {
        if let Ok(id) = sid.parse() {
            return Some(id);
        }
        let digest = crypto::sha256(&[self.name.as_bytes(), &[0], sid.as_bytes()].concat())?;
        URL_SAFE_NO_PAD.encode(digest.get(..16)?).parse().ok()
    }
}

/// When the subject signed in: as the issuer says, else by the age of the first factor, which is in
/// full minutes, rounded down. Where nobody says, a very long time ago: no guard may take it for fresh.
fn signed_in_at(auth_time: Option<Timestamp>, fva: Option<[i64; 2]>, iat: Timestamp) -> Timestamp {
    let by_factor = || {
        let minutes = u64::try_from(fva?[0]).ok()?;
        let age = Duration::from_secs(minutes.saturating_add(1).saturating_mul(60));
        Some(iat.saturating_sub(age))
    };
    auth_time.or_else(by_factor).unwrap_or(Timestamp::EPOCH)
}
