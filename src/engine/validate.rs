//! Validates the tokens under one cookie name: which session they belong to, and whether it is
//! still valid.

use std::sync::Arc;

use super::{
    cookie::{parse::CookieValues, set_cookie::CookieSlot},
    event::{CredentialError, SessionEvent},
    keys::key_set::TrustedKey,
    revocation::latest_tokens::ClaimsVersion,
    session::{
        data::TokenSession,
        device_key::{BoundDevice, DeviceProofError},
        expiry::{ExpiryReason, Liveness},
        id::SessionId,
        identity::SessionIdentity,
    },
    session_engine::SessionEngine,
    token::cache::{BoundToken, CachedToken, VerifiedToken},
};
use crate::{error::TokenError, time::Timestamp};

/// A valid session as stated by its cookie.
pub(crate) struct ValidSession<C> {
    pub(crate) session: TokenSession<C>,
    pub(crate) place: CookieSlot,
    /// Length of the token in bytes.
    pub(crate) size: usize,
    /// The version of the claims, unless they are known to be outdated.
    pub(crate) version: Option<ClaimsVersion>,
}

impl<C> ValidSession<C> {
    pub(crate) fn identity(&self) -> &SessionIdentity {
        self.session.identity()
    }
}

/// The result of validating the tokens under one cookie name.
pub(crate) struct CookieValidation<C> {
    /// The only valid session.
    pub(crate) account: Option<ValidSession<C>>,
    /// Several valid sessions under one name: none is served, and a sign-out revokes all of them.
    pub(crate) conflicting: Vec<SessionIdentity>,
    /// Sessions whose presented token is not served, but that may have a newer valid token: a
    /// sign-out revokes them too.
    pub(crate) superseded: Vec<SessionIdentity>,
    /// The sessions of all tokens if all of them are expired or revoked: the cookie can be removed.
    pub(crate) removable: Vec<SessionId>,
    /// Those of them that are bound to a device and revoked: their proofs prove nothing.
    pub(crate) removable_proofs: Vec<SessionId>,
    /// Whether this process can verify none of the tokens. Another node may know their key.
    pub(crate) is_unverifiable: bool,
}

/// A token of a valid session.
struct LiveToken<'h, C> {
    account: ValidSession<C>,
    /// When the token was issued, and the token as a tie-breaker for two in one second.
    presented: (Timestamp, &'h [u8]),
}

/// The state of a verified token, now and in this cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenState {
    Fresh,
    /// Valid, and due for renewal.
    RenewalDue,
    /// Copied under another session's cookie name: not accepted for either.
    WrongCookie,
    NotYetValid,
    Revoked,
    Expired(ExpiryReason),
}

/// The result of validating one token.
enum TokenCheck<'h, C> {
    Live(LiveToken<'h, C>),
    /// Expired or revoked.
    Removable(SessionIdentity),
    /// Not valid yet, or superseded by a newer token: the cookie stays.
    Superseded(SessionIdentity),
    /// Not verified by any key.
    Unverifiable,
    /// Verified, and valid neither here nor in this cookie.
    Rejected,
}

impl<C> SessionEngine<C> {
    /// Reports malformed or too many values.
    pub(super) fn emit_malformed(&self, candidates: &CookieValues<'_>) {
        if candidates.excess {
            self.reject(CredentialError::TooManyCookieValues);
        }
        if candidates.malformed {
            self.reject(CredentialError::Malformed);
        }
    }

    /// Verifies the distinct `tokens` of the cookie at `place`.
    pub(crate) fn validate_cookie(
        &self,
        place: CookieSlot,
        tokens: &[&[u8]],
        proofs: &[(SessionId, CookieValues<'_>)],
        now: Timestamp,
    ) -> CookieValidation<C> {
        let (mut live, mut others): (Option<LiveToken<'_, C>>, Vec<LiveToken<'_, C>>) =
            (None, Vec::new());
        let (mut superseded, mut removable, mut removable_proofs) =
            (Vec::new(), Vec::new(), Vec::new());
        let mut is_unverifiable = !tokens.is_empty();
        for token in tokens {
            let check = self.validate_token(place, token, proofs, now);
            is_unverifiable &= matches!(check, TokenCheck::Unverifiable);
            match check {
                TokenCheck::Unverifiable | TokenCheck::Rejected => {}
                TokenCheck::Removable(session) => {
                    removable.push(session.id());
                    // An expired token may be an old one of a session that is active in another cookie.
                    if session.device().is_some() && self.is_revoked(&session) {
                        removable_proofs.push(session.id());
                    }
                    superseded.push(session);
                }
                TokenCheck::Superseded(session) => superseded.push(session),
                TokenCheck::Live(found) => {
                    let id = found.account.identity().id();
                    let is_same =
                        |other: &&mut LiveToken<'_, C>| other.account.identity().id() == id;
                    let is_first = live.is_none();
                    let same = live.iter_mut().chain(&mut others).find(is_same);
                    match same {
                        // RFC 6265bis §4.2.2: the order of cookies means nothing, so the newest
                        // token counts.
                        Some(other) if other.presented < found.presented => *other = found,
                        Some(_) => {}
                        None if is_first => live = Some(found),
                        None => others.push(found),
                    }
                }
            }
        }
        // A removal affects every cookie of the name: another node may know the key, or have the
        // better clock, for a token that this node rejects.
        if removable.len() != tokens.len() {
            removable.clear();
            removable_proofs.clear();
        }
        let (account, conflicting) = if others.is_empty() {
            if live.is_some() && tokens.len() > 1 {
                self.emit(&SessionEvent::DuplicateCookie);
            }
            (live.map(|live| live.account), Vec::new())
        } else {
            self.reject(CredentialError::ConflictingCookies);
            let all = live.into_iter().chain(others);
            (None, all.map(|it| it.account.session.into_identity()).collect())
        };
        CookieValidation {
            account,
            conflicting,
            superseded,
            removable,
            removable_proofs,
            is_unverifiable,
        }
    }

    fn validate_token<'h>(
        &self,
        place: CookieSlot,
        token: &'h [u8],
        proofs: &[(SessionId, CookieValues<'_>)],
        now: Timestamp,
    ) -> TokenCheck<'h, C> {
        let known = self.0.verified_tokens.get(token, |kept| kept.if_trusted(now));
        let (verified, new_key) = match known {
            Some(verified) => (verified, None),
            None => match self.verify(token, now) {
                Ok(CachedToken { verified, trusted_key }) => (verified, Some(trusted_key)),
                Err(error) => {
                    self.reject(CredentialError::Token(error));
                    return TokenCheck::Unverifiable;
                }
            },
        };
        let verdict = self.verdict(&verified, place, false, now);
        if new_key.is_none() && matches!(verdict, TokenState::Revoked | TokenState::Expired(_)) {
            self.0.verified_tokens.remove(token);
        }
        let is_valid = matches!(verdict, TokenState::Fresh | TokenState::RenewalDue);
        let device = verified.session.identity().device().filter(|_| is_valid).copied();
        let verified = match device {
            Some(device) => self.prove(token, &verified, device, new_key, proofs, now),
            None => {
                if let Some(key) = new_key.filter(|_| is_valid) {
                    self.cache_unbound(token, &verified, key, now);
                }
                verified
            }
        };
        let session = verified.session;
        let identity = session.identity();
        // An unbound token of a bound session has no effect, whatever its times are. Otherwise a thief
        // could sign the session out with it.
        let is_unbound = self.missing_device(identity).is_some();
        let is_refused = is_unbound
            && match verdict {
                TokenState::Fresh | TokenState::RenewalDue => {
                    self.refuse_unbound(token, identity, now)
                }
                TokenState::Revoked => false,
                _ => true,
            };
        if is_refused {
            return TokenCheck::Rejected;
        }
        // A newer token, or a later sign-in, may be in the cookie by now: a concurrent removal
        // could delete it.
        let may_live = || self.may_hold_live_token(identity.id(), now);
        match verdict {
            TokenState::WrongCookie => {
                self.reject(CredentialError::Token(TokenError::InvalidClaim("sid")));
                TokenCheck::Rejected
            }
            TokenState::NotYetValid => {
                self.reject(CredentialError::Token(TokenError::NotYetValid));
                TokenCheck::Superseded(session.into_identity())
            }
            TokenState::Revoked => {
                self.reject(CredentialError::Revoked);
                match may_live() {
                    true => TokenCheck::Rejected,
                    false => TokenCheck::Removable(session.into_identity()),
                }
            }
            TokenState::Expired(by) => {
                self.emit(&SessionEvent::Expired { session: identity.clone(), by });
                match may_live() {
                    true => TokenCheck::Superseded(session.into_identity()),
                    false => TokenCheck::Removable(session.into_identity()),
                }
            }
            TokenState::Fresh | TokenState::RenewalDue => {
                let presented = (identity.issued_at(), token);
                let version =
                    self.0.latest_tokens.claims_version(identity.id(), presented.0, token, now);
                let account = ValidSession { session, place, size: token.len(), version };
                TokenCheck::Live(LiveToken { account, presented })
            }
        }
    }

    /// Caches the verified token of a session that is not bound to a device.
    fn cache_unbound(
        &self,
        token: &[u8],
        verified: &VerifiedToken<C>,
        trusted_key: Arc<TrustedKey>,
        now: Timestamp,
    ) {
        let session = &verified.session;
        if session.decoded().is_some() && !self.requires_device(session.identity()) {
            let expires_at = session.identity().expires_at();
            let cached = CachedToken { verified: verified.clone(), trusted_key };
            self.0.verified_tokens.insert(token, cached, expires_at, now);
        }
    }

    /// Drops a valid token of `session` from before its binding. Returns whether it is refused: not while
    /// it may be in flight. Called after the token was cached: whichever comes first, this or the
    /// binding, no such token stays in the cache.
    fn refuse_unbound(&self, token: &[u8], session: &SessionIdentity, now: Timestamp) -> bool {
        self.0.verified_tokens.remove(token);
        let is_refused = self.is_unbound_copy(session, now);
        if is_refused {
            let (session_id, reason) = (session.id(), DeviceProofError::UnboundToken);
            self.emit(&SessionEvent::DeviceProofRefused { session_id, reason });
        }
        is_refused
    }

    /// Adds the proof to the verified token of a session that is bound to `device`, and caches both.
    fn prove(
        &self,
        token: &[u8],
        verified: &VerifiedToken<C>,
        device: BoundDevice,
        new_key: Option<Arc<TrustedKey>>,
        proofs: &[(SessionId, CookieValues<'_>)],
        now: Timestamp,
    ) -> VerifiedToken<C> {
        let session = verified.session.identity();
        let cookies = proofs.iter().find(|(id, _)| *id == session.id()).map(|(_, values)| values);
        let proof = self.verify_proof(session, &device, cookies, now);
        let times = proof.as_ref().map(|proof| proof.times).map_err(|error| *error);
        let identity = session.with_device(Some(BoundDevice { proof: times, ..device }));
        let session = verified.session.with_identity(identity);
        let id = session.identity().id();
        let verified = VerifiedToken { session, window: verified.window };
        if let Ok(times) = times {
            // Another process may have bound the session.
            self.bind_session(id, device.key, now);
            self.0.bound_sessions.prove(id, times.expires_at);
        }
        if let (Ok(proof), Some(trusted_key)) = (proof, new_key)
            && verified.session.decoded().is_some()
        {
            let proof_expires_at = proof.times.expires_at;
            let expires_at = verified.session.identity().expires_at().min(proof_expires_at);
            let bound = BoundToken {
                session: CachedToken { verified: verified.clone(), trusted_key },
                proof: proof.token,
                proof_expires_at,
                proof_key: proof.key,
            };
            self.0.bound_tokens.insert(token, bound, expires_at, now);
        }
        verified
    }

    /// The state of `verified` at `now` in the cookie at `place`. It is computed for every
    /// request and not cached.
    pub(super) fn verdict(
        &self,
        verified: &VerifiedToken<C>,
        place: CookieSlot,
        activity: bool,
        now: Timestamp,
    ) -> TokenState {
        let (identity, window) = (verified.session.identity(), verified.window);
        if matches!(place, CookieSlot::Account(id) if id != identity.id()) {
            return TokenState::WrongCookie;
        }
        if !window.has_begun(now) {
            return TokenState::NotYetValid;
        }
        if self.0.revocations.is_revoked(identity) {
            return TokenState::Revoked;
        }
        if window.is_fresh(activity, now) && self.trusts(identity.issued_at()) {
            return TokenState::Fresh;
        }
        match self.limits(identity.terms()).liveness(identity.dates(), activity, now) {
            Liveness::Expired(by) => TokenState::Expired(by),
            Liveness::Fresh | Liveness::Renew => TokenState::RenewalDue,
        }
    }

    /// Whether a request at `now` has to renew a valid session's token.
    pub(super) fn is_due(
        &self,
        identity: &SessionIdentity,
        activity: bool,
        now: Timestamp,
    ) -> bool {
        let limits = self.limits(identity.terms());
        limits.liveness(identity.dates(), activity, now) != Liveness::Fresh
            || !self.trusts(identity.issued_at())
    }
}
