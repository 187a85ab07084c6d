//! [`SessionJar`]: the sessions of the browser that sent a request, and the changes made to them.
//!
//! Its methods record changes; [`SessionEngine::close`](crate::SessionEngine::close) writes
//! them as cookies when the response is ready. Errors that can be detected at once are returned at
//! once.

pub(crate) mod accounts;
pub(crate) mod budget;
pub(crate) mod claims;
pub(crate) mod copied_cookies;
pub(crate) mod current;
pub(crate) mod device;
pub(crate) mod displacement;
pub mod driver;
pub(crate) mod flows;
pub(crate) mod limits;
pub(crate) mod next_query;
pub(crate) mod sign_in;
pub(crate) mod sign_out;
pub(crate) mod state;
pub(crate) mod step_up;
pub(crate) mod store_sync;
pub(crate) mod tasks;

use std::{
    any::Any,
    fmt,
    future::Future,
    ops::Deref,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{Ordering, fence},
    },
};

use http::{HeaderMap, HeaderValue};

use self::{
    next_query::QuerySources,
    state::{InitialSession, JarPhase, JarState, UnparsedCookies},
};
use super::{
    cookie::{
        parse::{MAX_CANDIDATES, SessionCookies},
        scan::{CookieName, CookieScan},
        set_cookie::CookieSlot,
    },
    logging::warnings::{LoggedWarnings, PageWarning},
    redirect::{csrf::CrossOriginReason, settings::ResolvedRedirects},
    request::{
        presented::{FetchMode, RequestedSession},
        routes::Paths,
        session::{Session, SessionStatus},
        state::{RequestContext, RequestState, SessionHandle},
    },
    session::{
        data::SessionData,
        id::{SessionId, Subject},
        identity::{SessionIdentity, SessionStatusKind},
    },
    session_engine::SessionEngine,
    sign_in::CommitError,
};
use crate::{
    config::page_theme::PageDesign,
    time::{ClockReading, Timestamp},
};

/// A handle to the sessions of one request's browser. Clones share it.
///
/// The changes are written with the response. A request that panics, is dropped or fails with an error of
/// the service changes nothing, with one exception: a session that it signed out is revoked at once.
///
/// ```
/// use tower_auth_session::{SessionJar, SignIn, Subject, error::SignInError};
/// # use serde::{Deserialize, Serialize};
///
/// # #[derive(Clone, Serialize, Deserialize)]
/// struct User { name: String }
///
/// fn sign_in(jar: &SessionJar<User>, subject: Subject) -> Result<(), SignInError> {
///     let outcome = jar.sign_in(SignIn::new(subject, User { name: "Ada".to_owned() }))?;
///     println!("{} replaces {:?}", outcome.session_id, outcome.replaced);
///     Ok(())
/// }
///
/// fn rename(jar: &SessionJar<User>, name: &str) -> Result<(), Box<dyn std::error::Error>> {
///     let session = jar.session().ok_or("signed out")?;
///     let mut user = session.claims().clone();
///     user.name = name.to_owned();
///     jar.update_claims(user)?; // in the token of this response
///     jar.renew_now(); // or only a new token, with claims of the claims source
///     Ok(())
/// }
///
/// fn sign_out(jar: &SessionJar<User>) {
///     jar.sign_out(); // the active account
///     jar.sign_out_all(); // every account of this browser
/// }
/// # use tower_auth_session::{*, time::Timestamp};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = KeyRing::new(SigningKey::generate("k1", Algorithm::Hs256)?);
/// # let engine = SessionEngine::<User>::builder(keys).multi_session(true).build()?;
/// # let jar = engine.open(&http::Request::new(()), Timestamp::from_unix_seconds(1_800_000_000));
/// # sign_in(&jar, Subject::new("ada")?)?;
/// # rename(&jar, "Augusta")?;
/// # assert_eq!(jar.session().unwrap().claims().name, "Augusta");
/// # sign_out(&jar);
/// # assert!(jar.session().is_none());
/// # Ok(()) }
/// ```
///
/// Accounts of the browser, steps of a sign-in, and re-verification:
///
/// ```
/// use tower_auth_session::{
///     SessionId, SessionJar,
///     engine::{Factor, SessionStatusKind, SessionTask, TaskOutcome},
/// };
///
/// fn menu(jar: &SessionJar) -> Vec<String> {
///     if jar.status().kind() == SessionStatusKind::AccountSelectionRequired {
///         return vec!["Choose an account".to_owned()];
///     }
///     jar.accounts().into_iter().map(|account| account.label).collect()
/// }
///
/// fn choose(jar: &SessionJar, id: SessionId) -> Result<(), Box<dyn std::error::Error>> {
///     jar.switch_to(id)?; // the active account from now on
///     jar.sign_out_session(id); // one account, whichever is active
///     Ok(())
/// }
///
/// fn code_is_right(jar: &SessionJar) -> Result<(), Box<dyn std::error::Error>> {
///     if jar.pending().is_some() {
///         match jar.complete_task(&SessionTask::SECOND_FACTOR)? {
///             TaskOutcome::Activated(outcome) => println!("{} is signed in", outcome.session_id),
///             TaskOutcome::Remaining(tasks) => println!("next: {tasks:?}"),
///             _ => {}
///         }
///     } else {
///         jar.mark_verified(Factor::Second)?; // for guards that require a recent factor
///     }
///     Ok(())
/// }
///
/// /// All sessions of the user in all browsers. It needs a store.
/// fn everywhere(jar: &SessionJar) -> bool {
///     jar.sign_out_everywhere(None).is_ok()
/// }
/// # use tower_auth_session::{*, time::Timestamp};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = KeyRing::new(SigningKey::generate("k1", Algorithm::Hs256)?);
/// # let engine = SessionEngine::<()>::builder(keys).build()?;
/// # let now = Timestamp::from_unix_seconds(1_800_000_000);
/// # let jar = engine.open(&http::Request::new(()), now);
/// # let ada = Subject::new("ada")?;
/// # jar.sign_in(SignIn::new(ada, ()).with_tasks([SessionTask::SECOND_FACTOR]))?;
/// # let mut response = http::Response::new(());
/// # engine.close(&jar, &mut response, now)?;
/// # let cookie = response.headers()["set-cookie"].to_str()?.split(';').next().unwrap();
/// # let request = http::Request::get("/").header("cookie", cookie).body(())?;
/// # let jar = engine.open(&request, now);
/// # code_is_right(&jar)?;
/// # assert_eq!(menu(&jar), ["ada"]);
/// # assert!(!everywhere(&jar), "no store");
/// # Ok(()) }
/// ```
pub struct SessionJar<C = ()>(SharedJar<C>);

/// The jar and the initial state of its request, in one allocation.
struct SharedJar<C>(Arc<RequestState<JarInner<C>>>);

/// What was determined when the request was opened, and the changes since.
pub(crate) struct JarInner<C> {
    pub(crate) host: JarHost<C>,
    pub(crate) opened: Timestamp,
    pub(crate) facts: RequestFacts,
    pub(crate) phase: JarPhase,
    /// The sessions as determined when the request came in.
    pub(crate) first: InitialSession<C>,
    /// Created on first use: most requests only read their session and need no other state.
    pub(crate) state: OnceLock<Box<Mutex<JarState<C>>>>,
}

/// What a jar keeps of its request.
#[derive(Default)]
pub(crate) struct RequestFacts {
    /// Whether the request counts as activity. `false` also if the last activity is so recent that the
    /// filter was not called.
    pub(crate) activity: bool,
    pub(crate) named: RequestedSession,
    pub(crate) fetch_mode: Option<FetchMode>,
    /// Whether the request binds a session to a device, or renews its proof.
    pub(crate) is_for_device: bool,
    /// Both clocks when the request came in, if its credential needs them: bearer tokens, and tokens of
    /// other issuers.
    pub(crate) clocks: Option<ClockReading>,
    /// Why the request counts as made by another site.
    pub(crate) cross_origin: Option<CrossOriginReason>,
    /// What a sign-in by this request logs about its page.
    pub(crate) page_warning: Option<Box<PageWarning>>,
    /// The `User-Agent`, kept only for device labels and reports of copied cookies.
    pub(crate) user_agent: Option<HeaderValue>,
    /// The `Cookie` fields, if they contain flows.
    pub(crate) flow_cookies: Option<Box<HeaderValue>>,
}

/// What a jar belongs to. The layer shares one reference for its engine and itself.
pub(crate) enum JarHost<C> {
    /// The caller of the engine passed the current time.
    Engine(SessionEngine<C>, ClockReading),
    Layer(Arc<dyn Effects<C>>),
}

impl<C> JarHost<C> {
    pub(crate) fn has_store(&self) -> bool {
        self.sources().store
    }

    /// What can be queried for the request.
    pub(crate) fn sources(&self) -> QuerySources {
        match self {
            Self::Engine(..) => QuerySources::default(),
            Self::Layer(layer) => layer.sources(),
        }
    }

    pub(crate) fn now(&self) -> ClockReading {
        match self {
            Self::Engine(_, opened) => *opened,
            Self::Layer(layer) => layer.now(),
        }
    }
}

impl<C> JarInner<C> {
    pub(crate) fn engine(&self) -> &SessionEngine<C> {
        match &self.host {
            JarHost::Engine(engine, _) => engine,
            JarHost::Layer(layer) => layer.engine(),
        }
    }

    pub(crate) const fn effects(&self) -> Option<&Arc<dyn Effects<C>>> {
        match &self.host {
            JarHost::Engine(..) => None,
            JarHost::Layer(layer) => Some(layer),
        }
    }
}

pub(crate) type CommitFuture = Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send>>;

/// What a jar needs from its layer: the engine, the time, and asynchronous work.
pub(crate) trait Effects<C>: Send + Sync {
    fn engine(&self) -> &SessionEngine<C>;
    fn now(&self) -> ClockReading;
    /// Queues the revocation of `session` for the store, because this process revoked it. The store must
    /// record it even if the request fails or is dropped.
    fn ended(&self, session: &SessionIdentity, now: ClockReading);
    /// Completes the sign-in of `jar`; withdraws it on failure.
    fn commit(self: Arc<Self>, jar: SessionJar<C>) -> CommitFuture;
    /// As [`commit`](Self::commit), then revokes the sessions that the sign-in replaces.
    fn finish(self: Arc<Self>, jar: SessionJar<C>) -> CommitFuture;
    /// Access to the session after its request: waiting for its end, touching it, issuing bearer
    /// tokens.
    fn watch(self: Arc<Self>) -> Arc<dyn SessionHandle>;
    /// The layer, for parts of the crate that know its type.
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    /// What can be queried.
    fn sources(&self) -> QuerySources;
    /// The layer's name, for look-ups where several layers wrap a service.
    fn layer_name(&self) -> Option<&'static str>;
    /// Whether sessions can be bound to devices: not where the store's tables are of an earlier version.
    fn can_bind_devices(&self) -> bool;
    /// Revokes all sessions of `subject` in the store.
    fn ended_everywhere(&self, subject: &Subject, now: ClockReading);
    /// Checks the other accounts of the browser in the store.
    fn check_accounts(
        self: Arc<Self>,
        jar: SessionJar<C>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<C> SessionJar<C> {
    #[inline(always)]
    pub(crate) fn new(record: RequestState<JarInner<C>>) -> Self {
        Self(SharedJar(Arc::new(record)))
    }

    /// What was found out about the request when it came in.
    pub(crate) fn record(&self) -> &RequestState<JarInner<C>> {
        &self.0.0
    }

    pub(crate) fn fetch_mode(&self) -> Option<FetchMode> {
        self.0.facts.fetch_mode
    }

    /// What a sign-in by this request logs about its page.
    pub(crate) fn page_warning(&self) -> Option<&PageWarning> {
        self.0.facts.page_warning.as_deref()
    }

    /// Closes the jar if nothing is waiting to be written. Returns whether it did.
    pub(crate) fn close_untouched(&self) -> bool {
        self.0.phase.close()
    }

    /// As [`close_untouched`](Self::close_untouched), where the caller does not use the jar any more:
    /// a jar that nothing else holds cannot change, which spares an atomic operation.
    pub(crate) fn close_last_untouched(&self) -> bool {
        if Arc::strong_count(&self.0.0) > 1 {
            return self.close_untouched();
        }
        // Makes the changes of the code that held it before visible.
        fence(Ordering::Acquire);
        self.is_untouched()
    }

    /// Whether only the layer has used the jar and nothing is waiting to be written.
    pub(crate) fn is_untouched(&self) -> bool {
        self.0.phase.is_untouched()
    }
}

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// The session this request acts as, including the changes made so far: the new one after a
    /// sign-in, `None` after a sign-out, and `None` while [tasks](Self::pending) are open.
    #[must_use]
    pub fn session(&self) -> Option<Session<C>> {
        self.record().mark_read();
        self.current().1
    }

    /// The status, including the changes made so far. Does not mark the session as read.
    pub(crate) fn status_untracked(&self) -> SessionStatusKind {
        let Some(state) = self.0.state.get() else { return self.record().status() };
        let state = lock(state);
        match &state.staged {
            Some(staged) => staged.identity.kind(),
            None => self.record_in(&state).status(),
        }
    }

    /// What goes into the request's extensions. Does not mark the session as read.
    pub(crate) fn snapshot(&self) -> (SessionStatus, Option<Session<C>>) {
        let (updated, data) = match self.0.state.get() {
            None => (None, self.0.first.session.clone()),
            Some(state) => {
                let state = lock(state);
                let current = state.current.as_ref().map(|current| current.session.clone());
                (state.updated_state.clone(), current)
            }
        };
        let session = data.filter(|data| !data.identity().is_pending()).map(|data| {
            let record = updated.clone().unwrap_or_else(|| self.first());
            Session::new(data, record)
        });
        (self.status_of(updated), session)
    }

    /// The status, including the changes made so far, as for [`session`](Self::session): signed in
    /// after a sign-in, pending after one with open tasks, signed out after a sign-out. A status that an
    /// extractor returned earlier does not change with a sign-in.
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        let updated =
            self.0.state.get().map(|state| lock(state)).and_then(|state| match &state.staged {
                Some(staged) => Some(self.updated_for(&staged.identity)),
                None => state.updated_state.clone(),
            });
        self.status_of(updated)
    }

    /// Queries the claims source and the store now, so that the handler can respond to a failure itself. A
    /// sign-in that fails here is withdrawn.
    ///
    /// Without this call the layer does the work after the handler, and a failure replaces the
    /// response.
    ///
    /// ```
    /// use axum::response::{IntoResponse as _, Redirect, Response};
    /// use tower_auth_session::{SessionJar, SignIn, error::CommitError};
    ///
    /// async fn sign_in(jar: SessionJar, user: SignIn) -> Response {
    ///     if let Err(error) = jar.sign_in(user) {
    ///         return error.into_response();
    ///     }
    ///     match jar.commit().await {
    ///         Ok(()) => Redirect::to("/").into_response(),
    ///         Err(CommitError::TooManySessions) => {
    ///             "sign out on another device first".into_response()
    ///         }
    ///         Err(error) => error.into_response(),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the claims source or the store fails, or the claims do not fit in a cookie.
    pub fn commit(&self) -> impl Future<Output = Result<(), CommitError>> + Send + 'static + use<C>
    where
        C: Send + Sync + 'static,
    {
        let jar = self.clone();
        async move {
            let Some(effects) = jar.0.effects().cloned() else { return Ok(()) };
            effects.commit(jar).await
        }
    }

    /// Checks the accounts of this browser in the store, if there is one: accounts that were signed
    /// out elsewhere are absent from [`accounts`](Self::accounts) afterwards. One call covers all
    /// of them; accounts with fresh tokens need none. The layer's own chooser calls this.
    ///
    /// While the store is unavailable, no account is removed.
    ///
    /// ```
    /// use tower_auth_session::{SessionJar, engine::AccountSummary};
    ///
    /// /// For an account chooser of the application.
    /// async fn accounts(jar: &SessionJar) -> Vec<AccountSummary> {
    ///     jar.check_accounts().await;
    ///     jar.accounts()
    /// }
    /// ```
    pub fn check_accounts(&self) -> impl Future<Output = ()> + Send + 'static + use<C>
    where
        C: Send + Sync + 'static,
    {
        let jar = self.clone();
        async move {
            if let Some(effects) = jar.0.effects().cloned() {
                effects.check_accounts(jar).await;
            }
        }
    }
}

impl<C> SessionJar<C> {
    /// Verifies the cookies that have not been needed so far. No lock is held meanwhile, because
    /// listeners receive events and the application's code decodes its claims.
    fn verify_other_cookies(&self) {
        // They stay in the list meanwhile, so that a concurrent caller does not miss them.
        let unread = {
            let mut state = self.state();
            state.read_beyond_bounds(self.engine().session_cookie());
            state.others.unread.clone()
        };
        self.verify(unread.into_iter());
    }

    /// Verifies some of the cookies that have not been needed so far.
    fn verify(&self, unread: impl Iterator<Item = UnparsedCookies>) {
        // The current time, not the request's arrival: revocations since then may have been dropped
        // from the list.
        let now = self.now().timestamp();
        let engine = self.engine();
        let fields = self.state().presented.proofs.clone();
        let (cookie, max) = (engine.session_cookie(), engine.max_account_cookies());
        let proofs = fields.as_ref().map(|fields| SessionCookies::read_proofs(fields, cookie, max));
        let proofs = proofs.unwrap_or_default();
        let validation = unread
            .map(|UnparsedCookies { place, tokens }| {
                let tokens: Vec<&[u8]> = tokens.iter().map(AsRef::as_ref).collect();
                let mut validation = self.engine().validate_cookie(place, &tokens, &proofs, now);
                if tokens.len() > MAX_CANDIDATES {
                    // Too many values to be served. A sign-out still revokes their sessions.
                    let account = validation.account.take();
                    validation
                        .conflicting
                        .extend(account.map(|account| account.session.into_identity()));
                }
                (place, validation)
            })
            .collect();
        self.state().add_others(validation);
    }

    /// When the request came in.
    pub(crate) fn received_at(&self) -> Timestamp {
        self.0.opened
    }

    /// Whether the request counts as activity.
    pub(crate) fn is_activity(&self) -> bool {
        self.0.facts.activity
    }

    pub(crate) fn engine(&self) -> &SessionEngine<C> {
        self.0.engine()
    }

    /// The full state, created from the initial one if necessary.
    pub(crate) fn state(&self) -> MutexGuard<'_, JarState<C>> {
        let JarInner { phase, first, state, .. } = &*self.0;
        lock(state.get_or_init(|| {
            let mut state = JarState { closed: phase.touch(), ..JarState::default() };
            self.engine().materialize(first, &mut state);
            Box::new(Mutex::new(state))
        }))
    }

    pub(crate) fn host(&self) -> &JarHost<C> {
        &self.0.host
    }

    pub(crate) fn effects(&self) -> Option<&Arc<dyn Effects<C>>> {
        self.0.effects()
    }

    pub(crate) fn now(&self) -> ClockReading {
        self.0.host.now()
    }
}

impl<C> Drop for JarInner<C> {
    /// Revokes a sign-in that the store recorded and that no response has carried.
    fn drop(&mut self) {
        let (JarHost::Layer(effects), Some(state)) = (&self.host, self.state.get_mut()) else {
            return;
        };
        let state = state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.withdraw_staged();
        for session in std::mem::take(&mut state.stored.abandoned_sign_ins) {
            effects.ended(&session, effects.now());
        }
    }
}

/// Whether the session has no open tasks.
fn is_complete<C>(session: &Session<C>) -> bool {
    !session.data().identity().is_pending()
}

fn lock<C>(state: &Mutex<JarState<C>>) -> MutexGuard<'_, JarState<C>> {
    // No application code runs under the lock, so a poisoned state is still consistent.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<C> Deref for SharedJar<C> {
    type Target = JarInner<C>;

    fn deref(&self) -> &JarInner<C> {
        &self.0.context
    }
}

impl<C: Send + Sync> RequestContext for JarInner<C> {
    fn identity(&self) -> Option<&SessionIdentity> {
        self.first.session.as_ref().map(SessionData::identity)
    }

    fn redirects(&self) -> &Arc<ResolvedRedirects> {
        self.engine().shared_redirects()
    }

    fn page_design(&self) -> &Arc<PageDesign> {
        self.engine().page_design()
    }

    fn watch(&self) -> Option<Arc<dyn SessionHandle>> {
        self.effects().cloned().map(Effects::watch)
    }

    fn has_own_cookie(&self, headers: &HeaderMap) -> bool {
        !CookieScan::new(headers, self.engine().session_cookie()).is_empty()
    }

    fn proof_removal(
        &self,
        session: Option<SessionId>,
        headers: &HeaderMap,
    ) -> Option<HeaderValue> {
        let unserved = || {
            let state = lock(self.state.get()?);
            Some(state.unserved.as_ref()?.session.identity().id())
        };
        let id = session.or_else(unserved)?;
        let cookie = self.engine().session_cookie();
        let scan = CookieScan::new(headers, cookie);
        let is_present = scan.cookies().any(|(name, _)| name == CookieName::Proof(id.as_bytes()));
        is_present.then(|| cookie.remove(CookieSlot::Proof(id))).flatten()
    }

    fn logged_warnings(&self) -> Option<&LoggedWarnings> {
        Some(self.engine().logged_warnings())
    }

    fn paths(&self) -> Option<&Paths> {
        Some(self.engine().paths())
    }

    fn updated(&self) -> Option<Arc<RequestState>> {
        let state = lock(self.state.get()?);
        match &state.staged {
            Some(staged) => staged.ready.as_ref().map(|(session, _)| Arc::clone(session.state())),
            None => state.updated_state.clone(),
        }
    }
}

impl<C> Clone for SessionJar<C> {
    fn clone(&self) -> Self {
        Self(SharedJar(Arc::clone(&self.0.0)))
    }
}

impl<C> fmt::Debug for SessionJar<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let updated_state = self.0.state.get().and_then(|state| lock(state).updated_state.clone());
        let kind = updated_state.map_or_else(|| self.record().kind, |record| record.kind);
        f.debug_struct("SessionJar").field("kind", &kind).finish_non_exhaustive()
    }
}
