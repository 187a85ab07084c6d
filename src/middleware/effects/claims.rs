//! Asking the claims source.

use std::sync::Arc;

use crate::{
    claims_source::{ClaimsRequest, ClaimsSource},
    engine::{
        event::SessionEvent,
        jar::{SessionJar, claims::UpdateClaimsError},
        logging,
        session::identity::SessionIdentity,
        sign_in::CommitError,
    },
    middleware::{context::LayerContext, timeout::within},
};

impl<C: Send + Sync + 'static> LayerContext<C> {
    /// Asks the claims source for the claims that `jar` wants. An answer that does not come or does
    /// not fit leaves the old claims; a sign-in without claims then fails.
    pub(crate) async fn provide_claims(&self, jar: &SessionJar<C>) -> Result<(), CommitError> {
        // Somebody else may sign in while it is asked: then it is asked once more.
        while let (Some(source), Some(session)) = (&self.claims_source, jar.claims_request()) {
            let session_id = session.id();
            let refused = match self.ask_source(&**source, &session, jar.claims()).await {
                Some(claims) => match jar.handle_claims(session_id, claims) {
                    Err(UpdateClaimsError::Refused(error)) if jar.awaits_claims() => {
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
                self.engine.emit(&SessionEvent::ClaimsSourceFailed { session_id });
            }
        }
        match (jar.awaits_claims(), &self.claims_source) {
            (false, _) => Ok(()),
            (true, Some(_)) => Err(CommitError::ClaimsSource),
            (true, None) => Err(CommitError::NoClaims),
        }
    }

    async fn ask_source(
        &self,
        source: &dyn ClaimsSource<C>,
        session: &SessionIdentity,
        current: Option<Arc<C>>,
    ) -> Option<C> {
        let answer = source.claims(ClaimsRequest { session, current: current.as_deref() });
        match within(self.claims_deadline, answer).await {
            Some(answer) => answer.map_err(|error| logging::claims_source_failed(&error)).ok(),
            None => {
                logging::claims_source_failed(&"no answer within the deadline");
                None
            }
        }
    }
}
