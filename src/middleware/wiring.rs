//! The engine and the effects of the layer: the clock, the claims source, the deadline.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::{
    claims_source::ClaimsSource,
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
        jar.lacks_claims() || (self.claims_source.is_some() && jar.signs_in_unasked())
    }

    /// Whether `jar` has something to wait for before the handler runs.
    pub(crate) fn has_work(&self, jar: &SessionJar<C>) -> bool {
        self.claims_source.is_some() && jar.claims_wanted().is_some()
    }
}

impl<C: Send + Sync + 'static> Wiring<C> {
    /// Asks the claims source for the claims that `jar` wants. An answer that does not come or does
    /// not fit leaves the old claims; a sign-in without claims then fails.
    pub(crate) async fn settle(self: Arc<Self>, jar: SessionJar<C>) -> Result<(), CommitError> {
        if let (Some(source), Some(session)) = (&self.claims_source, jar.claims_wanted()) {
            match self.ask(&**source, &session).await {
                Some(claims) => match jar.provide_claims(claims) {
                    Err(UpdateClaimsError::Refused(error)) if jar.lacks_claims() => {
                        return Err(CommitError::SignIn(error));
                    }
                    Err(UpdateClaimsError::Refused(_)) => {
                        let session_id = session.id();
                        self.engine.tell(&SessionEvent::RenewalFailed { session_id });
                    }
                    _ => {}
                },
                None => {
                    let session_id = session.id();
                    self.engine.tell(&SessionEvent::ClaimsSourceFailed { session_id });
                    jar.claims_failed();
                }
            }
        }
        match (jar.lacks_claims(), &self.claims_source) {
            (false, _) => Ok(()),
            (true, Some(_)) => Err(CommitError::ClaimsSource),
            (true, None) => Err(CommitError::NoClaims),
        }
    }

    async fn ask(&self, source: &dyn ClaimsSource<C>, session: &SessionIdentity) -> Option<C> {
        let answer = source.claims(session);
        // Without tokio's timers there is no deadline, which is better than no claims.
        let answer = if tokio::runtime::Handle::try_current().is_ok() {
            match tokio::time::timeout(self.claims_deadline, answer).await {
                Ok(answer) => answer,
                Err(_) => {
                    logging::claims_source_failed(&"no answer within the deadline");
                    return None;
                }
            }
        } else {
            logging::no_runtime();
            answer.await
        };
        answer.map_err(|error| logging::claims_source_failed(&error)).ok()
    }
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
