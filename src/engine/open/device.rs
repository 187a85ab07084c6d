//! Requests of browsers to bind a session to a device, and to renew its proof.

use crate::{
    engine::{
        device_bound::headers,
        jar::{RequestFacts, state::CurrentSession},
        request::{head::RequestHead, presented::RequestedSession, routes::Endpoint},
        session::identity::SessionStatusKind,
        session_engine::SessionEngine,
        validate::ValidSession,
    },
    time::Timestamp,
};

/// The session of a request, or why there is none; and a session that the request does not act as.
type Checked<C> = (Result<ValidSession<C>, SessionStatusKind>, Option<CurrentSession<C>>);

impl<C> SessionEngine<C> {
    /// The session that a request to an endpoint for devices concerns; `None` for other requests. Such a
    /// request acts as that session without a proof, which it is about to get.
    pub(super) fn device_request(&self, head: RequestHead<'_>) -> Option<RequestedSession> {
        let named = match self.paths().find(head.uri.path())? {
            Endpoint::DeviceRegistration => {
                return Some(RequestedSession::from_query(head.uri, "session_id"));
            }
            Endpoint::DeviceRefresh => headers::single(head.headers, &headers::SESSION),
            _ => return None,
        };
        let id = named.ok().flatten().and_then(|text| text.parse().ok());
        Some(id.map_or(RequestedSession::Invalid, RequestedSession::Id))
    }

    /// Checks that the request comes from the device that its session is bound to.
    pub(super) fn check_device(
        &self,
        head: RequestHead<'_>,
        now: Timestamp,
        facts: &RequestFacts,
        account: ValidSession<C>,
    ) -> Checked<C> {
        let refusal = self.device_refusal(account.identity(), now);
        let Some(kind) = refusal.filter(|_| !facts.is_for_device) else {
            return (Ok(account), None);
        };
        self.report_unproven(account.identity(), head.headers);
        (Err(kind), account.into_unrenewed())
    }
}
