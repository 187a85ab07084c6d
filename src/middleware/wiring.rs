//! The engine and the effects of the layer: the clock, the claims source, the deadline.

use std::{
    fmt,
    future::{Future, poll_fn},
    panic::catch_unwind,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::time::Sleep;

use crate::{
    claims_source::{ClaimsRequest, ClaimsSource},
    engine::{
        CommitError, Effects, SessionEngine, SessionEvent, SessionIdentity, SessionJar,
        UpdateClaimsError,
    },
    logging,
    time::{Clock, Now, SystemClock},
};

/// How long a claims source may take unless told otherwise.
const DEFAULT_CLAIMS_DEADLINE: Duration = Duration::from_secs(1);

/// What the layer holds, shared by all its services.
pub(crate) struct Wiring<C> {
    pub(crate) engine: SessionEngine<C>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) claims_source: Option<Arc<dyn ClaimsSource<C>>>,
    pub(crate) claims_deadline: Duration,
}

impl<C> Wiring<C> {
    pub(crate) fn new(engine: SessionEngine<C>) -> Self {
        Self {
            engine,
            clock: Arc::new(SystemClock::new()),
            claims_source: None,
            claims_deadline: DEFAULT_CLAIMS_DEADLINE,
        }
    }

    /// Whether a handler left something to wait for before the response can go out.
    pub(crate) fn must_settle(&self, jar: &SessionJar<C>) -> bool {
        jar.lacks_claims() || self.has_work(jar)
    }

    /// Whether there are claims to ask for.
    pub(crate) fn has_work(&self, jar: &SessionJar<C>) -> bool {
        self.claims_source.is_some() && jar.claims_wanted().is_some()
    }
}

impl<C: Send + Sync + 'static> Wiring<C> {
    /// Asks the claims source for the claims that `jar` wants. An answer that does not come or does
    /// not fit leaves the old claims; a sign-in without claims then fails, and is withdrawn.
    pub(crate) async fn settle(self: Arc<Self>, jar: SessionJar<C>) -> Result<(), CommitError> {
        let settled = self.provide(&jar).await;
        if settled.is_err() {
            jar.withdraw_sign_in();
        }
        settled
    }

    async fn provide(&self, jar: &SessionJar<C>) -> Result<(), CommitError> {
        // Somebody else may sign in while it is asked: then it is asked once more.
        while let (Some(source), Some(session)) = (&self.claims_source, jar.claims_wanted()) {
            let session_id = session.id();
            let refused = match self.ask(&**source, &session, jar.claims()).await {
                Some(claims) => match jar.provide_claims(session_id, claims) {
                    Err(UpdateClaimsError::Refused(error)) if jar.lacks_claims() => {
                        return Err(CommitError::SignIn(error));
                    }
                    Err(UpdateClaimsError::Refused(_)) => true,
                    _ => false,
                },
                None => {
                    jar.claims_failed(session_id);
                    true
                }
            };
            if refused {
                self.engine.tell(&SessionEvent::ClaimsSourceFailed { session_id });
            }
        }
        match (jar.lacks_claims(), &self.claims_source) {
            (false, _) => Ok(()),
            (true, Some(_)) => Err(CommitError::ClaimsSource),
            (true, None) => Err(CommitError::NoClaims),
        }
    }

    async fn ask(
        &self,
        source: &dyn ClaimsSource<C>,
        session: &SessionIdentity,
        current: Option<Arc<C>>,
    ) -> Option<C> {
        let answer = source.claims(ClaimsRequest { session, current: current.as_deref() });
        // Without tokio's timers there is no deadline, which is better than no claims.
        let answer = match deadline(self.claims_deadline) {
            Some(deadline) => {
                let (mut answer, mut deadline) = (answer, Box::pin(deadline));
                let first = poll_fn(|cx| match answer.as_mut().poll(cx) {
                    Poll::Ready(answer) => Poll::Ready(Some(answer)),
                    Poll::Pending => deadline.as_mut().poll(cx).map(|()| None),
                });
                match first.await {
                    Some(answer) => answer,
                    None => {
                        logging::claims_source_failed(&"no answer within the deadline");
                        return None;
                    }
                }
            }
            None => answer.await,
        };
        answer.map_err(|error| logging::claims_source_failed(&error)).ok()
    }
}

/// A timer of the runtime that the layer runs on, if it has one. tokio panics where a runtime was
/// built without timers and cannot be asked before, so that is tried once in a process.
fn deadline(after: Duration) -> Option<Sleep> {
    static HAS_NO_TIMERS: AtomicBool = AtomicBool::new(false);
    if HAS_NO_TIMERS.load(Ordering::Relaxed) {
        return None;
    }
    let timer = tokio::runtime::Handle::try_current()
        .is_ok()
        .then(|| catch_unwind(|| tokio::time::sleep(after)));
    match timer {
        Some(Ok(timer)) => return Some(timer),
        Some(Err(_)) => HAS_NO_TIMERS.store(true, Ordering::Relaxed),
        None => {}
    }
    logging::no_runtime();
    None
}

impl<C: Send + Sync + 'static> Effects<C> for Wiring<C> {
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn commit(
        self: Arc<Self>,
        jar: SessionJar<C>,
    ) -> Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send>> {
        Box::pin(self.settle(jar))
    }
}

impl<C> Clone for Wiring<C> {
    fn clone(&self) -> Self {
        Self {
            engine: self.engine.clone(),
            clock: Arc::clone(&self.clock),
            claims_source: self.claims_source.clone(),
            claims_deadline: self.claims_deadline,
        }
    }
}

impl<C> fmt::Debug for Wiring<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wiring")
            .field("engine", &self.engine)
            .field("clock", &self.clock)
            .field("claims_source", &self.claims_source.is_some())
            .field("claims_deadline", &self.claims_deadline)
            .finish()
    }
}
