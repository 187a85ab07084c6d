//! Device-bound sessions: challenges, proofs, and the sessions that a request may not act as without one.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::{
    cookie::{parse::CookieValues, set_cookie::CookieSlot},
    device_bound::{
        browser_proof::BrowserProof,
        challenge::{Challenge, ChallengePurpose},
        headers,
        instructions::Instructions,
        proof::ProofClaims,
    },
    event::SessionEvent,
    keys::key_set::TrustedKey,
    request::routes::Endpoint,
    session::{
        device_key::{BoundDevice, DeviceBinding, DeviceKey, DeviceProofError, ProofTimes},
        id::SessionId,
        identity::{SessionIdentity, SessionStatusKind},
    },
    session_engine::SessionEngine,
};
use crate::{config::DeviceBound, time::Timestamp};

/// A verified proof cookie.
pub(super) struct VerifiedProof {
    pub(super) times: ProofTimes,
    pub(super) token: Box<[u8]>,
    pub(super) key: Arc<TrustedKey>,
}

impl<C> SessionEngine<C> {
    /// The endpoint `endpoint` as browsers address it.
    fn device_path(&self, endpoint: Endpoint) -> Option<String> {
        self.paths().of(endpoint).map(|path| self.redirects().public_path(path))
    }

    /// The URL of `endpoint` that a browser states in what it signs.
    fn device_url(&self, endpoint: Endpoint) -> String {
        let origin = self.0.origins.own.as_ref().map_or("", |own| own.as_str());
        format!("{origin}{}", self.device_path(endpoint).unwrap_or_default())
    }

    fn challenge(&self, id: SessionId, purpose: ChallengePurpose, now: Timestamp) -> Challenge {
        Challenge::new(&self.0.cookie.base_name, id, purpose, now)
    }

    /// Whether sessions are bound from now on.
    pub(crate) fn binds_devices(&self) -> bool {
        self.0.device_bound.binds()
    }

    /// The offer to bind the session `id`; `None` if sessions are not bound.
    pub(super) fn offer(&self, id: SessionId, now: Timestamp) -> Option<HeaderValue> {
        if !self.0.device_bound.binds() {
            return None;
        }
        let path = self.device_path(Endpoint::DeviceRegistration)?;
        let challenge = self.challenge(id, ChallengePurpose::Register, now).issue(&self.0.keys)?;
        headers::registration(&format!("{path}?session_id={id}"), &challenge)
    }

    /// The challenge that renews the proof of the session `id`.
    pub(crate) fn refresh_challenge(&self, id: SessionId, now: Timestamp) -> Option<HeaderValue> {
        let challenge = self.challenge(id, ChallengePurpose::Refresh, now).issue(&self.0.keys)?;
        headers::challenge(id, &challenge)
    }

    /// The key that a browser registers for the session `id`, if it signed this service's challenge.
    pub(crate) fn registered_key(
        &self,
        id: SessionId,
        signed: &str,
        now: Timestamp,
    ) -> Result<DeviceKey, DeviceProofError> {
        let url = self.device_url(Endpoint::DeviceRegistration);
        let proof = BrowserProof::read(signed, &url)?;
        let (key, challenge) = proof.with_own_key()?;
        self.challenge(id, ChallengePurpose::Register, now).verify(
            &self.0.keys,
            challenge,
            self.clock_skew(),
        )?;
        Ok(key)
    }

    /// Checks that the device with `key` signed a challenge for the session `id`.
    pub(crate) fn check_refresh(
        &self,
        id: SessionId,
        key: &DeviceKey,
        signed: &str,
        now: Timestamp,
    ) -> Result<(), DeviceProofError> {
        let url = self.device_url(Endpoint::DeviceRefresh);
        let proof = BrowserProof::read(signed, &url)?;
        let challenge = proof.with_key(key)?;
        self.challenge(id, ChallengePurpose::Refresh, now).verify(
            &self.0.keys,
            challenge,
            self.clock_skew(),
        )
    }

    /// The proof cookie of `session`, whose device has just signed.
    pub(super) fn proof_cookie(
        &self,
        session: &SessionIdentity,
        key: DeviceKey,
        now: Timestamp,
    ) -> Option<HeaderValue> {
        let exp = now.saturating_add(self.0.device_bound.bound_for);
        let proof = ProofClaims {
            azp: self.0.cookie.base_name.clone(),
            sid: session.id(),
            jkt: key.thumbprint().into(),
            iat: now,
            exp,
        };
        let token = proof.issue(&self.0.keys)?;
        self.0.bound_sessions.prove(session.id(), exp);
        // Always with Max-Age: the browser renews the cookie when it expires.
        let lifetime = self.0.device_bound.cookie_lifetime();
        self.0.cookie.set(CookieSlot::Proof(session.id()), &token, lifetime, true)
    }

    /// The instructions by which the browser renews the proof of the session `id`, as JSON.
    pub(crate) fn device_instructions(&self, id: SessionId) -> Option<Vec<u8>> {
        let refresh = self.device_path(Endpoint::DeviceRefresh)?;
        let origin = self.0.origins.own.as_ref()?;
        let public = self.redirects().public_path("/.well-known");
        let name = self.0.cookie.name_of(CookieSlot::Proof(id));
        let cookie = (&*name, self.0.cookie.attributes());
        let instructions = Instructions::new(id, &refresh, origin.as_str(), &public, cookie);
        serde_json::to_vec(&instructions).ok()
    }

    /// Verifies the proof cookies of a bound session.
    pub(super) fn verify_proof(
        &self,
        session: &SessionIdentity,
        device: &BoundDevice,
        cookies: Option<&CookieValues<'_>>,
        now: Timestamp,
    ) -> Result<VerifiedProof, DeviceProofError> {
        let cookies = cookies.ok_or(DeviceProofError::Missing)?;
        let jkt = device.key.thumbprint();
        let mut error = DeviceProofError::InvalidCookie;
        for token in cookies.values() {
            let Some((proof, key)) = ProofClaims::verify(&self.0.keys, token, now) else {
                continue;
            };
            let is_of_session = proof.sid == session.id() && *proof.jkt == *jkt;
            if !is_of_session || *proof.azp != *self.0.cookie.base_name {
                continue;
            }
            if proof.iat > now.saturating_add(self.clock_skew()) {
                continue;
            }
            if now >= proof.exp {
                error = DeviceProofError::Expired;
                continue;
            }
            let times = ProofTimes { proven_at: proof.iat, expires_at: proof.exp };
            return Ok(VerifiedProof { times, token: Box::from(*token), key });
        }
        Err(error)
    }

    /// The device that `session` is bound to, if its token is from before the binding.
    pub(super) fn missing_device(&self, session: &SessionIdentity) -> Option<BoundDevice> {
        if session.device().is_some() {
            return None;
        }
        self.0.bound_sessions.get(session.id()).map(|binding| BoundDevice::new(binding.key))
    }

    /// Whether an unbound token of `session` is from before it was bound, and not in flight any more.
    pub(super) fn is_unbound_copy(&self, session: &SessionIdentity, now: Timestamp) -> bool {
        let binding = self.0.bound_sessions.get(session.id());
        binding.is_some_and(|binding| !self.is_in_flight(binding.bound_at, now))
    }

    /// Whether unbound tokens of a session that was bound at `bound_at` are still accepted.
    pub(crate) fn is_in_flight(&self, bound_at: Timestamp, now: Timestamp) -> bool {
        now.saturating_since(bound_at) <= self.0.device_bound.tolerance
    }

    /// When the latest proof of the device of `session` that this process has received expires; `None` for a
    /// session that is not bound.
    pub(crate) fn proof_end(&self, session: &SessionIdentity) -> Option<Timestamp> {
        let proof = session.device_proof()?;
        let later = self.0.bound_sessions.proven_until(session.id());
        Some(later.map_or(proof.expires_at, |later| later.max(proof.expires_at)))
    }

    /// Why a request may not act as `session`, which is valid. Sessions with open tasks are bound when
    /// they are activated.
    pub(super) fn device_refusal(
        &self,
        session: &SessionIdentity,
        now: Timestamp,
    ) -> Option<SessionStatusKind> {
        match session.device() {
            Some(device) if device.proof.is_err() => Some(SessionStatusKind::Unproven),
            Some(_) => None,
            None if self.requires_device(session) => {
                let may_be_bound_now = self.is_in_flight(session.signed_in_at(), now);
                (!may_be_bound_now).then_some(SessionStatusKind::NotDeviceBound)
            }
            None => None,
        }
    }

    /// Whether `session` must be bound and is not.
    pub(super) fn requires_device(&self, session: &SessionIdentity) -> bool {
        self.0.device_bound.mode == DeviceBound::Required
            && session.device().is_none()
            && !session.is_pending()
    }

    /// The bytes of the cookie budget that `session` needs besides its token, if it must be bound: without
    /// them its registration would be declined, and the user locked out.
    pub(crate) fn required_binding_size(&self, session: &SessionIdentity) -> usize {
        /// The claim `cnf` with a key of P-256, in base64.
        const CNF: usize = 200;
        if self.requires_device(session) { self.proof_size(session.id()) + CNF } else { 0 }
    }

    /// Reports why a request does not act as `session`.
    pub(super) fn report_unproven(&self, session: &SessionIdentity, headers: &HeaderMap) {
        let session_id = session.id();
        let Some(reason) = session.device().and_then(|device| device.proof.err()) else { return };
        self.emit(&SessionEvent::DeviceProofRefused { session_id, reason });
        if let Some(reason) = headers::skip_reason(headers, session_id) {
            self.emit(&SessionEvent::DeviceProofSkipped { session_id, reason });
        }
    }

    /// Binds the session `id` in this process; its tokens from before are refused from now on, except in
    /// requests in flight. Returns whether it is bound to `key`: the first key wins.
    pub(crate) fn bind_session(&self, id: SessionId, key: DeviceKey, bound_at: Timestamp) -> bool {
        let (binding, is_new) = self.0.bound_sessions.bind(id, DeviceBinding::new(key, bound_at));
        if is_new {
            self.0.verified_tokens.remove_where(|kept| kept.verified.session.identity().id() == id);
        }
        binding.key == key
    }
}
