//! [`SessionJar`]: the sessions of the browser that sent a request, and the changes made to them.
//!
//! The verbs record what is wanted; [`SessionEngine::close`](super::SessionEngine::close) turns it
//! into cookies when the response is ready. What can be known at once is told at once.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    SessionEngine,
    claims::ClaimsError,
    cross_origin::CrossOrigin,
    event::SessionEvent,
    id::SessionId,
    mint::{MintError, Terms},
    session::{RequestRecord, Session, SessionIdentity, SessionStatus, SessionStatusKind},
    sign_in::{CommitError, SignIn, SignInError, SignInOutcome},
};
use crate::time::Now;

/// A handle to the sessions of one request's browser. Clones share it.
///
/// Nothing is written before the response: a request that fails with an error of the service,
/// panics or is dropped changes nothing, save that a signed-out session is dead at once.
pub struct SessionJar<C = ()>(Arc<Inner<C>>);

struct Inner<C> {
    engine: SessionEngine<C>,
    opened: Now,
    activity: bool,
    cross_origin: Option<CrossOrigin>,
    effects: Option<Arc<dyn Effects<C>>>,
    state: Mutex<State<C>>,
}

/// What a jar needs of the world outside the engine: the time, and work that waits.
pub(crate) trait Effects<C>: Send + Sync {
    fn now(&self) -> Now;
    fn commit(
        self: Arc<Self>,
        jar: SessionJar<C>,
    ) -> Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send>>;
}

/// What opening a request's cookies found out.
pub(crate) struct Opened<C> {
    pub(crate) engine: SessionEngine<C>,
    pub(crate) now: Now,
    pub(crate) activity: bool,
    pub(crate) cross_origin: Option<CrossOrigin>,
    pub(crate) state: State<C>,
}

pub(crate) struct State<C> {
    pub(crate) record: Arc<RequestRecord>,
    /// A cookie of our name was on the request.
    pub(crate) presented: bool,
    /// Every token that was presented is of a session that is over: the cookie can go.
    pub(crate) removable: bool,
    /// The session that this request acts as.
    pub(crate) held: Option<Held<C>>,
    /// A session that lives, but whose claims do not decode.
    pub(crate) undecoded: Option<Verified>,
    /// Sessions that live and were presented, but are not served because there were several.
    pub(crate) others: Vec<Verified>,
    pub(crate) change: Change<C>,
    pub(crate) claims_asked: bool,
    pub(crate) closed: bool,
}

/// A session whose token verified, without the application's claims.
#[derive(Clone)]
pub(crate) struct Verified {
    pub(crate) identity: SessionIdentity,
    pub(crate) terms: Terms,
    pub(crate) renew: bool,
}

pub(crate) struct Held<C> {
    pub(crate) session: Session<C>,
    pub(crate) terms: Terms,
    /// A new token goes out with the response.
    pub(crate) renew: bool,
}

pub(crate) enum Change<C> {
    None,
    SignIn(Box<Pending<C>>),
    /// With the sessions that were ended, to be ended once more when the response is ready.
    SignOut(Vec<Verified>),
}

/// A sign-in that waits for the response.
pub(crate) struct Pending<C> {
    pub(crate) identity: SessionIdentity,
    pub(crate) terms: Terms,
    /// The session and its token, once there are claims.
    pub(crate) ready: Option<(Session<C>, String)>,
    /// Sessions of this browser that it replaces.
    pub(crate) replaces: Vec<Verified>,
}

impl<C> SessionJar<C> {
    pub(crate) fn new(opened: Opened<C>) -> Self {
        Self(Arc::new(Inner {
            engine: opened.engine,
            opened: opened.now,
            activity: opened.activity,
            cross_origin: opened.cross_origin,
            effects: None,
            state: Mutex::new(opened.state),
        }))
    }

    /// The jar with access to the world outside, before anybody else holds it.
    pub(crate) fn with_effects(mut self, effects: Arc<dyn Effects<C>>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.effects = Some(effects);
        }
        self
    }

    /// The session this request acts as, with the changes made so far: a new one after signing in,
    /// none after signing out.
    #[must_use]
    pub fn session(&self) -> Option<Session<C>> {
        let state = self.state();
        state.record.consult();
        match &state.change {
            Change::None => state.held.as_ref().map(|held| held.session.clone()),
            Change::SignIn(pending) => pending.ready.as_ref().map(|(session, _)| session.clone()),
            Change::SignOut(_) => None,
        }
    }

    /// What goes into the extensions of the request, without counting as consulted.
    pub(crate) fn snapshot(&self) -> (SessionStatus, Option<Session<C>>) {
        let state = self.state();
        let session = state.held.as_ref().map(|held| held.session.clone());
        (SessionStatus::new(Arc::clone(&state.record)), session)
    }

    /// What was found out about the request when it came in.
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        SessionStatus::new(Arc::clone(&self.state().record))
    }

    /// Signs somebody in: a new session under a new id, whatever the request presented (ASVS 7.2.4).
    /// The session that was there is replaced, and ends when the response goes out.
    ///
    /// # Errors
    ///
    /// When the claims cannot stand in a token or do not fit a cookie, the request was forged by
    /// another site, or there is no key or no randomness to make a session of. Nothing has changed
    /// then.
    pub fn sign_in(&self, sign_in: SignIn<C>) -> Result<SignInOutcome, SignInError> {
        let engine = &self.0.engine;
        if let Some(reason) = self.0.cross_origin
            && !sign_in.allow_cross_origin
        {
            engine.tell(&SessionEvent::CrossOriginRefused { reason });
            return Err(SignInError::CrossOrigin(reason));
        }
        if !sign_in.lifetime.is_sound() {
            return Err(SignInError::Lifetime);
        }
        let id = engine.new_id()?;
        let terms = Terms { lifetime: sign_in.lifetime, persistent: sign_in.persistent };
        let dates = engine.limits(&terms).sign_in(self.0.opened.timestamp());
        let identity = SessionIdentity::new(id, sign_in.subject, dates);

        let mut state = self.state();
        if state.closed {
            return Err(SignInError::Closed);
        }
        let ready = match sign_in.claims {
            Some(claims) => {
                let token = engine.mint_first(&identity, &terms, &claims)?;
                let record = Arc::clone(&state.record);
                Some((Session::new(identity.clone(), Arc::new(claims), record), token))
            }
            None => None,
        };
        let replaces = state.live();
        let replaced = replaces.first().map(|verified| verified.identity.id());
        state.change = Change::SignIn(Box::new(Pending { identity, terms, ready, replaces }));
        state.claims_asked = false;
        Ok(SignInOutcome { session_id: id, replaced })
    }

    /// Signs out the session that this request acts as, if any, and takes its cookie from the
    /// browser. It is dead in this process at once.
    pub fn sign_out(&self) -> Option<SessionIdentity> {
        self.sign_out_all().into_iter().next()
    }

    /// Signs out the session `id` if it is signed in here; else nothing happens.
    pub fn sign_out_session(&self, id: SessionId) -> Option<SessionIdentity> {
        let is_here = {
            let state = self.state();
            match &state.change {
                Change::SignIn(pending) => pending.identity.id() == id,
                _ => state.live().iter().any(|verified| verified.identity.id() == id),
            }
        };
        if is_here { self.sign_out() } else { None }
    }

    /// Signs out every session of this browser. The session cookie goes, whether or not there was a
    /// session in it.
    ///
    /// After the response has been sent, over a WebSocket for one, the sessions still end; the
    /// cookie then goes when it is next presented.
    pub fn sign_out_all(&self) -> Vec<SessionIdentity> {
        let now = self.now();
        let mut state = self.state();
        let ended = match std::mem::replace(&mut state.change, Change::None) {
            // Never sent to anybody, so there is nothing to end but what it would have replaced.
            Change::SignIn(pending) => pending.replaces,
            Change::SignOut(before) => {
                state.change = Change::SignOut(before);
                Vec::new()
            }
            Change::None => state.live(),
        };
        state.held = None;
        state.undecoded = None;
        state.others.clear();
        if !state.closed && !matches!(state.change, Change::SignOut(_)) {
            state.change = Change::SignOut(ended.clone());
        }
        drop(state);
        let mut identities = Vec::with_capacity(ended.len());
        for verified in ended {
            self.0.engine.end(&verified, now);
            let session = verified.identity;
            self.0.engine.tell(&SessionEvent::SignedOut { session: session.clone() });
            identities.push(session);
        }
        identities
    }

    /// Puts other claims into the session's token; they go out with the response.
    ///
    /// # Errors
    ///
    /// When nobody is signed in, or the claims cannot stand in a token or do not fit a cookie. The
    /// old claims stay then.
    pub fn update_claims(&self, claims: C) -> Result<(), UpdateClaimsError> {
        let mut state = self.state();
        if state.closed {
            return Err(UpdateClaimsError::Closed);
        }
        self.replace_claims(&mut state, claims)
    }

    /// Renews the session's token with this response, however young it is. Without a session nothing
    /// happens.
    pub fn renew_now(&self) {
        let mut state = self.state();
        let (now, activity) = (self.0.opened.timestamp(), self.0.activity);
        let State { held, record, .. } = &mut *state;
        if let Some(held) = held
            && !held.renew
        {
            let verified = self.0.engine.renewed(
                &Verified { identity: held.session.peek().clone(), terms: held.terms, renew: true },
                activity,
                now,
            );
            let claims = held.session.shared_claims();
            held.session = Session::new(verified.identity, claims, Arc::clone(record));
            held.renew = true;
        }
    }

    /// Does now what waits, such as asking the claims source, so that the handler can answer its
    /// failure itself. A sign-in that fails here is withdrawn.
    ///
    /// Without this the layer does it after the handler, and a failure replaces the response.
    ///
    /// # Errors
    ///
    /// When the claims source fails or its claims do not fit.
    pub fn commit(&self) -> impl Future<Output = Result<(), CommitError>> + Send + 'static + use<C>
    where
        C: Send + Sync + 'static,
    {
        let jar = self.clone();
        async move {
            let Some(effects) = jar.0.effects.clone() else { return Ok(()) };
            let result = effects.commit(jar.clone()).await;
            if result.is_err() {
                jar.withdraw_sign_in();
            }
            result
        }
    }

    /// Whose claims a claims source should be asked for now: of a session that signs in or whose
    /// token is renewed, or whose claims do not decode. `None` once they have been provided.
    #[must_use]
    pub fn claims_wanted(&self) -> Option<SessionIdentity> {
        let state = self.state();
        if state.claims_asked || state.closed {
            return None;
        }
        match &state.change {
            Change::SignIn(pending) => Some(pending.identity.clone()),
            Change::SignOut(_) => None,
            Change::None => match (&state.held, &state.undecoded) {
                (Some(held), _) if held.renew => Some(held.session.peek().clone()),
                (None, Some(verified)) => Some(verified.identity.clone()),
                _ => None,
            },
        }
    }

    /// Answers [`claims_wanted`](Self::claims_wanted).
    ///
    /// # Errors
    ///
    /// When the claims cannot stand in a token or do not fit a cookie. The old claims stay then,
    /// where there are any.
    pub fn provide_claims(&self, claims: C) -> Result<(), UpdateClaimsError> {
        let mut state = self.state();
        if state.closed {
            return Err(UpdateClaimsError::Closed);
        }
        state.claims_asked = true;
        self.replace_claims(&mut state, claims)
    }

    fn replace_claims(&self, state: &mut State<C>, claims: C) -> Result<(), UpdateClaimsError> {
        let engine = &self.0.engine;
        let (now, activity) = (self.0.opened.timestamp(), self.0.activity);
        let State { record, held, undecoded, change, .. } = state;
        match change {
            Change::SignOut(_) => Err(UpdateClaimsError::SignedOut),
            Change::SignIn(pending) => {
                let token = engine.mint_first(&pending.identity, &pending.terms, &claims)?;
                let session =
                    Session::new(pending.identity.clone(), Arc::new(claims), Arc::clone(record));
                pending.ready = Some((session, token));
                Ok(())
            }
            Change::None => {
                let verified = match (&*held, &*undecoded) {
                    (Some(held), _) => Verified {
                        identity: held.session.peek().clone(),
                        terms: held.terms,
                        renew: held.renew,
                    },
                    (None, Some(verified)) => verified.clone(),
                    (None, None) => return Err(UpdateClaimsError::SignedOut),
                };
                let verified = if verified.renew {
                    verified
                } else {
                    engine.renewed(&verified, activity, now)
                };
                engine.mint_first(&verified.identity, &verified.terms, &claims)?;
                if undecoded.take().is_some() {
                    *record = Arc::new(RequestRecord::new(
                        SessionStatusKind::SignedIn,
                        Some(verified.identity.clone()),
                        record.uri.clone(),
                        record.now,
                        Arc::clone(&record.redirects),
                    ));
                }
                *held = Some(Held {
                    session: Session::new(verified.identity, Arc::new(claims), Arc::clone(record)),
                    terms: verified.terms,
                    renew: true,
                });
                Ok(())
            }
        }
    }

    /// Nobody could say what the claims are: whoever can do without goes on.
    pub(crate) fn claims_failed(&self) {
        self.state().claims_asked = true;
    }

    /// Whether somebody signs in with this request whose claims have not been asked for.
    pub(crate) fn signs_in_unasked(&self) -> bool {
        let state = self.state();
        matches!(state.change, Change::SignIn(_)) && !state.claims_asked
    }

    /// Whether a cookie of ours came with the request.
    pub(crate) fn was_presented(&self) -> bool {
        self.state().presented
    }

    /// Whether a sign-in has no claims to sign.
    pub(crate) fn lacks_claims(&self) -> bool {
        matches!(&self.state().change, Change::SignIn(pending) if pending.ready.is_none())
    }

    fn withdraw_sign_in(&self) {
        let mut state = self.state();
        if matches!(state.change, Change::SignIn(_)) {
            state.change = Change::None;
        }
    }

    pub(crate) fn engine(&self) -> &SessionEngine<C> {
        &self.0.engine
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State<C>> {
        // A panic while the lock is held would be ours, and the state is replaced whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        self.0.effects.as_ref().map_or(self.0.opened, |effects| effects.now())
    }
}

impl<C> State<C> {
    /// Every session of this browser that lives.
    fn live(&self) -> Vec<Verified> {
        let held = self.held.iter().map(|held| Verified {
            identity: held.session.peek().clone(),
            terms: held.terms,
            renew: held.renew,
        });
        held.chain(self.undecoded.iter().cloned()).chain(self.others.iter().cloned()).collect()
    }
}

impl<C> Clone for SessionJar<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for SessionJar<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("SessionJar").field("kind", &state.record.kind).finish_non_exhaustive()
    }
}

/// Why claims were not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateClaimsError {
    /// Nobody is signed in.
    #[error("nobody is signed in")]
    SignedOut,
    /// The claims do not fit.
    #[error(transparent)]
    Refused(SignInError),
    /// The response is already on its way.
    #[error("the response has been sent: change claims while the request is handled")]
    Closed,
}

impl From<MintError> for UpdateClaimsError {
    fn from(error: MintError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<ClaimsError> for UpdateClaimsError {
    fn from(error: ClaimsError) -> Self {
        Self::Refused(error.into())
    }
}
