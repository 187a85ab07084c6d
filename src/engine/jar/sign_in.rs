//! Signing in: complete, with open tasks, or as an impersonated user.

use std::sync::Arc;

use super::{SessionJar, displacement::plan_displacement, state::StagedSignIn};
use crate::engine::{
    event::SessionEvent,
    request::session::Session,
    session::{
        actor::Actor,
        attributes::SessionAttributes,
        data::SessionData,
        device::Device,
        id::SessionId,
        identity::{SessionFlags, SessionIdentity},
    },
    sign_in::{SignIn, SignInError, SignInOutcome},
};

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// Signs a user in: creates a new session with a new id, whatever the request presented (ASVS
    /// 7.2.4). It becomes the active session.
    ///
    /// With several accounts it is added to the others and replaces an older session of the same
    /// account; with one account it replaces the previous session. Replaced and evicted sessions
    /// are revoked when the response is written.
    ///
    /// # Errors
    ///
    /// If the claims cannot be encoded or do not fit in a cookie, the browser holds the maximum
    /// number of accounts, the request comes from another site or uses a bearer token, the current
    /// session is impersonated and the sign-in would nest impersonation, or no key or randomness is
    /// available. Nothing has changed then.
    pub fn sign_in(&self, sign_in: SignIn<C>) -> Result<SignInOutcome, SignInError> {
        let engine = self.engine();
        self.ensure_same_site(sign_in.allow_cross_origin)?;
        self.ensure_cookie_session()?;
        if !sign_in.lifetime.is_sound() {
            return Err(SignInError::Lifetime);
        }
        let actor = sign_in.actor.map(|actor| self.with_prior_actor(actor)).transpose()?;
        let id = engine.new_id()?;
        let now = self.0.opened;
        let terms = SessionFlags {
            lifetime: sign_in.lifetime,
            persistent: sign_in.persistent,
            pending: sign_in.tasks.is_some(),
            impersonated: actor.is_some(),
            bound_to_engine: true,
        };
        let standing =
            SessionAttributes { tasks: sign_in.tasks, actor, ..SessionAttributes::default() };
        let verified = sign_in.verified.into_iter().flatten();
        let standing = verified.fold(standing, |standing, factor| standing.verified(factor, now));
        let dates = engine.limits(terms).sign_in(now);
        let identity = SessionIdentity::new(id, sign_in.subject, dates, terms, standing.shared())
            .with_lineage(engine.first_lineage_id());
        self.stage_sign_in(identity, sign_in.claims.map(Arc::new), sign_in.device, None)
    }

    /// Prevents login CSRF: a page of another site must not sign its visitor in.
    pub(super) fn ensure_same_site(&self, allowed: bool) -> Result<(), SignInError> {
        let Some(reason) = self.0.facts.cross_origin.filter(|_| !allowed) else { return Ok(()) };
        // The request finished a flow, so this browser started the sign-in.
        if self.has_finished_flow() {
            return Ok(());
        }
        if let Some(warning) = self.page_warning() {
            self.engine().log_page_warning(warning);
        }
        self.engine().emit(&SessionEvent::CrossOriginRefused { reason });
        Err(SignInError::CrossOrigin(reason))
    }

    /// Cookies are never written for bearer tokens or for other issuers' sessions.
    pub(super) fn ensure_cookie_session(&self) -> Result<(), SignInError> {
        if self.engine().verifies_only() {
            return Err(SignInError::VerifiesOnly);
        }
        if self.is_by_bearer() { Err(SignInError::BearerToken) } else { Ok(()) }
    }

    /// `actor`, extended by the actor of the session that this request acts as.
    fn with_prior_actor(&self, actor: Actor) -> Result<Actor, SignInError> {
        let acting = self.state().acting();
        let Some(before) = acting.as_ref().and_then(|acting| acting.identity.actor()) else {
            return Ok(actor);
        };
        if !self.engine().0.nested_impersonation {
            return Err(SignInError::NestedImpersonation);
        }
        let is_said = actor.prior().is_some();
        Ok(if is_said { actor } else { actor.with_prior(before.clone()) })
    }

    /// Stages a session that is written with the response.
    pub(super) fn stage_sign_in(
        &self,
        identity: SessionIdentity,
        claims: Option<Arc<C>>,
        device: Option<Device>,
        activates: Option<SessionId>,
    ) -> Result<SignInOutcome, SignInError> {
        let engine = self.engine();
        let ready = match claims {
            Some(claims) => {
                let token = engine.issue(&identity, &claims)?;
                let record = self.updated_for(&identity);
                Some((Session::new(SessionData::new(identity.clone(), claims), record), token))
            }
            None => None,
        };
        self.verify_other_cookies();
        let mut state = self.state();
        if state.closed {
            return Err(SignInError::Closed);
        }
        let size = ready.as_ref().map_or(0, |(_, token)| token.len());
        let displacement = plan_displacement(engine, &state, &identity, size)?;
        let outcome = SignInOutcome {
            session_id: identity.id(),
            replaced: displacement.replaces.first().map(|session| session.identity.id()),
            evicted: displacement.evicted.iter().map(|session| session.identity.id()).collect(),
        };
        state.withdraw_staged();
        state.staged =
            Some(Box::new(StagedSignIn { identity, ready, displacement, device, activates }));
        Ok(outcome)
    }
}
