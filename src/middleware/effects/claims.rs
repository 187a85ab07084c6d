//! Calls of the claims source.

use std::sync::Arc;

use crate::{
    claims_source::{ClaimsLookup, ClaimsRequest, ClaimsSource},
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
    /// Fetches the claims of `session`. If there is no such user, the session is revoked. If the source
    /// fails, times out or returns claims that do not fit, the old claims stay; a sign-in without claims
    /// then fails.
    pub(crate) async fn provide_claims(
        &self,
        jar: &SessionJar<C>,
        session: &SessionIdentity,
    ) -> Result<(), CommitError> {
        let Some(source) = &self.claims_source else { return Err(CommitError::NoClaims) };
        let session_id = session.id();
        let refused = match self.call_claims_source(&**source, session, jar.claims()).await {
            Some(ClaimsLookup::NoSuchUser) => !jar.handle_no_such_user(session_id),
            Some(ClaimsLookup::Found(claims)) => match jar.handle_claims(session_id, claims) {
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
        if refused && jar.awaits_claims() { Err(CommitError::ClaimsSource) } else { Ok(()) }
    }

    async fn call_claims_source(
        &self,
        source: &dyn ClaimsSource<C>,
        session: &SessionIdentity,
        current: Option<Arc<C>>,
    ) -> Option<ClaimsLookup<C>> {
        let response = source.claims(ClaimsRequest { session, current: current.as_deref() });
        match within(self.claims_deadline, response).await {
            Some(result) => result.map_err(|error| logging::claims_source_failed(&error)).ok(),
            None => {
                logging::claims_source_failed(&"no response within the claims timeout");
                None
            }
        }
    }
}
