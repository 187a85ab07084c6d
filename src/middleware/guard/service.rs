//! [`RequireSession`]: the service of a guard.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    GuardSettings, RequireSessionLayer, Verdict,
    requirement::{PredicateFuture, Refusal},
};
use crate::{
    engine::request::{head::RequestHead, state::RequestState},
    middleware::body::SessionBody,
};

/// The service that [`RequireSessionLayer`] wraps around `S`.
///
/// ```
/// use std::convert::Infallible;
/// use http::{Request, Response};
/// use tower::{Layer as _, service_fn};
/// use tower_auth_session::{RequireSessionLayer, middleware::RequireSession};
///
/// async fn secret(_: Request<()>) -> Result<Response<String>, Infallible> {
///     Ok(Response::new("for signed-in users".to_owned()))
/// }
///
/// let service: RequireSession<_> = RequireSessionLayer::new().layer(service_fn(secret));
/// # let _ = service;
/// ```
#[derive(Debug, Clone)]
pub struct RequireSession<S> {
    inner: S,
    guard: RequireSessionLayer,
}

impl<S> RequireSession<S> {
    pub(super) const fn new(inner: S, guard: RequireSessionLayer) -> Self {
        Self { inner, guard }
    }
}

impl<S, Q, B> Service<Request<Q>> for RequireSession<S>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone,
{
    type Response = Response<SessionBody<B>>;
    type Error = S::Error;
    type Future = RequireSessionFuture<S, Q>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let settings = &self.guard.0;
        let phase = match settings.verdict(&request) {
            Verdict::Pass => Phase::Calling { future: self.inner.call(request) },
            Verdict::Refuse(response) => {
                Phase::Refused { response: Some(*response), is_head: is_head(&request) }
            }
            Verdict::Wait(predicates, state) => {
                // The clone may not be ready: the service that was polled handles this request.
                let not_ready = self.inner.clone();
                let service = std::mem::replace(&mut self.inner, not_ready);
                let settings = Arc::clone(settings);
                let waiting = Box::new(WaitingRequest { service, request, settings, state });
                Phase::Deciding { predicates, waiting: Some(waiting) }
            }
        };
        RequireSessionFuture { phase }
    }
}

fn is_head<Q>(request: &Request<Q>) -> bool {
    request.method() == Method::HEAD
}

/// A request that waits for the predicates of its guard.
struct WaitingRequest<S, Q> {
    service: S,
    request: Request<Q>,
    settings: Arc<GuardSettings>,
    state: Arc<RequestState>,
}

pin_project! {
    /// The future of [`RequireSession`].
    pub struct RequireSessionFuture<S, Q>
    where
        S: Service<Request<Q>>,
    {
        #[pin]
        phase: Phase<S, Q>,
    }
}

pin_project! {
    #[project = PhaseProj]
    enum Phase<S, Q>
    where
        S: Service<Request<Q>>,
    {
        Deciding { predicates: PredicateFuture, waiting: Option<Box<WaitingRequest<S, Q>>> },
        Calling { #[pin] future: S::Future },
        Refused { response: Option<Response<Bytes>>, is_head: bool },
    }
}

impl<S, Q, B> Future for RequireSessionFuture<S, Q>
where
    S: Service<Request<Q>, Response = Response<B>>,
{
    type Output = Result<Response<SessionBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut phase = self.project().phase;
        loop {
            let next = match phase.as_mut().project() {
                PhaseProj::Deciding { predicates, waiting } => {
                    let verdict = ready!(predicates.as_mut().poll(cx));
                    // It is taken once, because the next phase begins below.
                    let Some(waiting) = waiting.take() else { return Poll::Pending };
                    waiting.decide(verdict.map_err(Refusal::from))
                }
                PhaseProj::Calling { future } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(response.map(SessionBody::application)));
                }
                PhaseProj::Refused { response, is_head } => {
                    let response = response.take().unwrap_or_default();
                    return Poll::Ready(Ok(SessionBody::own(response, *is_head)));
                }
            };
            phase.set(next);
        }
    }
}

impl<S: Service<Request<Q>>, Q> WaitingRequest<S, Q> {
    fn decide(self, verdict: Result<(), Refusal>) -> Phase<S, Q> {
        let Self { mut service, request, settings, state } = self;
        match verdict {
            Ok(()) => Phase::Calling { future: service.call(request) },
            Err(refusal) => {
                let head = RequestHead::from_request(&request);
                let response = settings.refuse(&refusal, head, &state);
                Phase::Refused { response: Some(response), is_head: is_head(&request) }
            }
        }
    }
}

impl<S: Service<Request<Q>>, Q> fmt::Debug for RequireSessionFuture<S, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match &self.phase {
            Phase::Deciding { .. } => "Deciding",
            Phase::Calling { .. } => "Calling",
            Phase::Refused { .. } => "Refused",
        };
        f.debug_struct("RequireSessionFuture").field("phase", &phase).finish_non_exhaustive()
    }
}
