//! Starting and finishing [flows](Flow). `close/flows.rs` writes and removes their cookies.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use super::{SessionJar, lock};
use crate::engine::{
    cookie::{config::SameSite, parse::MAX_CANDIDATES, scan, set_cookie::CookieSlot},
    event::SessionEvent,
    flow::{
        FinishedFlow, Flow, FlowId,
        errors::{FinishFlowError, StartFlowError},
        sealed::{self, FlowContext, FlowHeader, OpenedFlow, SealedFlow},
    },
    session_engine::SessionEngine,
    sign_in::SignInError,
};

/// The flows that a request started and finished.
#[derive(Default)]
pub(crate) struct FlowChanges {
    /// The latest is last.
    pub(crate) started: Vec<StartedFlow>,
    /// Flows whose cookies are removed.
    pub(crate) removed: Vec<(FlowId, SameSite)>,
    /// Whether this request has shown that its browser started a flow of this service.
    pub(crate) is_finished: bool,
}

impl FlowChanges {
    pub(crate) fn is_empty(&self) -> bool {
        self.started.is_empty() && self.removed.is_empty()
    }
}

/// A flow whose cookie the response sets.
pub(crate) struct StartedFlow {
    pub(crate) id: FlowId,
    pub(crate) header: FlowHeader,
    pub(crate) value: String,
}

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// Keeps the data of `flow` in a sealed cookie until the user returns. Use the id that it returns as the
    /// `state` of OAuth and OpenID Connect. A flow needs neither a session nor a store.
    ///
    /// A browser can have several flows, in different tabs. Each is bound to this engine by its cookie's
    /// name, issuer and audience.
    ///
    #[cfg_attr(feature = "axum", doc = "```")]
    #[cfg_attr(not(feature = "axum"), doc = "```ignore")]
    /// use axum::{extract::Query, response::Redirect};
    /// use serde::{Deserialize, Serialize};
    /// use tower_auth_session::{SessionJar, SignIn, Subject, flow::Flow};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Login {
    ///     nonce: String,
    ///     pkce_verifier: String,
    /// }
    ///
    /// #[derive(Deserialize)]
    /// struct Answer {
    ///     code: String,
    ///     state: String,
    /// }
    ///
    /// async fn start(jar: SessionJar) -> Result<Redirect, axum::response::ErrorResponse> {
    ///     let login = Login { nonce: "n".into(), pkce_verifier: "v".into() };
    ///     let state = jar.start_flow(Flow::new(login))?;
    ///     Ok(Redirect::to(&format!("https://provider.example/authorize?state={state}")))
    /// }
    ///
    /// async fn callback(
    ///     jar: SessionJar,
    ///     Query(answer): Query<Answer>,
    /// ) -> Result<Redirect, axum::response::ErrorResponse> {
    ///     let flow = jar.finish_flow::<Login>(&answer.state)?;
    ///     // Exchange `answer.code` with `flow.data.pkce_verifier`, compare `flow.data.nonce`.
    ///     # let subject = Subject::new(answer.code).unwrap();
    ///     jar.sign_in(SignIn::new(subject, ()))?;
    ///     Ok(Redirect::to(flow.return_to.as_ref().map_or("/", |target| target.as_str())))
    /// }
    /// # let _: axum::Router = axum::Router::new()
    /// #     .route("/in", axum::routing::get(start)).route("/callback", axum::routing::get(callback));
    /// ```
    ///
    /// # Errors
    ///
    /// When the engine writes no cookies for this request, the data does not fit, or no key or randomness
    /// is available.
    pub fn start_flow<T: Serialize + DeserializeOwned>(
        &self,
        flow: Flow<T>,
    ) -> Result<FlowId, StartFlowError> {
        let engine = self.engine();
        self.ensure_cookie_session().map_err(|error| match error {
            SignInError::BearerToken => StartFlowError::BearerToken,
            _ => StartFlowError::VerifiesOnly,
        })?;
        if !(Duration::from_secs(1)..=Flow::MAX_LIFETIME).contains(&flow.expires_in) {
            return Err(StartFlowError::ExpiresIn);
        }
        if flow.same_site == SameSite::None && !engine.session_cookie().is_secure() {
            return Err(StartFlowError::InsecureCookie);
        }
        let id = engine.new_flow_id().ok_or(StartFlowError::Random)?;
        let started_at = self.received_at();
        let expires_at = started_at.saturating_add(flow.expires_in);
        let header = FlowHeader { same_site: flow.same_site, started_at, expires_at };
        let keys = engine.keys().current();
        let key = keys.sealing_key().ok_or(StartFlowError::NoKey)?;
        let value = sealed::seal(flow, key, &engine.flow_context(id), header)?;

        let bytes = engine.flow_size(id, &value);
        if bytes > Flow::MAX_BYTES {
            return Err(StartFlowError::TooLarge { size: bytes, limit: Flow::MAX_BYTES });
        }
        let mut state = self.state();
        if state.closed {
            return Err(StartFlowError::Closed);
        }
        let (bytes, budget) = (state.session_bytes(engine) + bytes, engine.cookie_budget());
        if bytes > budget {
            return Err(StartFlowError::CookieBudget { bytes, budget });
        }
        state.flows.started.push(StartedFlow { id, header, value });
        drop(state);
        crate::engine::logging::flow_started(id);
        Ok(id)
    }

    /// Returns the data of the flow that this browser started with the id `state`. A flow can be finished
    /// once: the response removes its cookie, and this process rejects copies of it.
    ///
    /// A finished flow proves that this browser started the sign-in. The handler may therefore sign a user
    /// in with this request, also if a page of another site sent it, such as a provider's form.
    ///
    /// ```
    /// use tower_auth_session::{SessionJar, error::FinishFlowError};
    ///
    /// /// The PKCE verifier of the sign-in to which the provider responded with this `state`.
    /// fn verifier(jar: &SessionJar, state: &str) -> Result<String, FinishFlowError> {
    ///     Ok(jar.finish_flow::<String>(state)?.data)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// When this browser has no such flow, or it has expired. A response to the error is 400 with the
    /// code `unknown_flow`.
    pub fn finish_flow<T: DeserializeOwned>(
        &self,
        state: impl AsRef<str>,
    ) -> Result<FinishedFlow<T>, FinishFlowError> {
        let finished = self.take_flow(state.as_ref());
        if let Err(reason) = finished {
            self.engine().emit(&SessionEvent::FlowRejected { reason });
        }
        finished
    }

    fn take_flow<T: DeserializeOwned>(
        &self,
        state: &str,
    ) -> Result<FinishedFlow<T>, FinishFlowError> {
        let id = FlowId::try_from_bytes(state.as_bytes()).ok_or(FinishFlowError::Unknown)?;
        let (header, opened) = self.open_flow(id).ok_or(FinishFlowError::Unknown)?;
        let has_expired = self.received_at() >= header.expires_at;
        let flow = if has_expired { Err(FinishFlowError::Expired) } else { opened.decode() };
        if let Err(error @ (FinishFlowError::OtherType | FinishFlowError::Data)) = flow {
            return Err(error);
        }
        let mut state = self.state();
        if state.closed {
            return Err(FinishFlowError::Closed);
        }
        state.flows.removed.push((id, header.same_site));
        if flow.is_ok() && !self.engine().0.finished_flows.finish(id) {
            return Err(FinishFlowError::Unknown);
        }
        state.flows.is_finished |= flow.is_ok();
        drop(state);
        crate::engine::logging::flow_finished(id);
        flow
    }

    /// The flow `id` of this browser, whether or not it has expired.
    fn open_flow(&self, id: FlowId) -> Option<(FlowHeader, OpenedFlow)> {
        let engine = self.engine();
        let (keys, context) = (engine.keys().current(), engine.flow_context(id));
        // Only another host or path can add a second cookie of this name.
        let values = self.flow_cookies().filter(|(other, _)| *other == id).take(MAX_CANDIDATES);
        values.map(|(_, value)| value).find_map(|value| {
            let sealed = SealedFlow::read(value)?;
            let opened = sealed.open(keys.sealing_keys(self.received_at()), &context)?;
            Some((sealed.header, opened))
        })
    }
}

impl<C> SessionJar<C> {
    /// The flows of the request, as the browser presents them.
    pub(crate) fn flow_cookies(&self) -> impl Iterator<Item = (FlowId, &[u8])> {
        let fields = self.0.facts.flow_cookies.as_deref().into_iter();
        let cookie = self.engine().session_cookie();
        fields.flat_map(move |fields| scan::flow_cookies(fields.as_bytes(), cookie))
    }

    /// Whether a flow was finished by this request.
    pub(super) fn has_finished_flow(&self) -> bool {
        self.0.state.get().is_some_and(|state| lock(state).flows.is_finished)
    }
}

impl<C> SessionEngine<C> {
    fn new_flow_id(&self) -> Option<FlowId> {
        FlowId::generate(self.random()).ok()
    }

    /// What the seal of the flow `id` is bound to: the cookie's name, the issuer and the audience. Session
    /// tokens are bound to the same values.
    fn flow_context(&self, id: FlowId) -> FlowContext {
        let (issuer, audience) = (self.0.issuer.as_deref(), self.0.audience.as_deref());
        FlowContext::new([Some(&self.session_cookie().base_name), issuer, audience], id)
    }

    /// The bytes of the cookie budget that a flow takes, with name and separators.
    pub(crate) fn flow_size(&self, id: FlowId, value: impl AsRef<[u8]>) -> usize {
        let name = self.session_cookie().name_of(CookieSlot::Flow(id));
        name.len() + "=; ".len() + value.as_ref().len()
    }
}
