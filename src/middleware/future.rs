//! [`ResponseFuture`]: what happens to a request, as a state machine.
//!
//! `Reading → Settling → Answering` for the layer's own endpoints, `Renewing → Calling → Committing`
//! for all other requests. Only `Settling`, `Renewing` and `Committing` box a future, and only when
//! there is something to wait for. It can be dropped anywhere: until the cookie is in the response,
//! nothing has been done.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{body::SessionBody, context::LayerContext};
use crate::{
    endpoints::{
        dispatch::EndpointCall,
        read_body::{BodyError, ReadBody},
        response::EndpointResponse,
    },
    engine::{
        jar::SessionJar,
        logging,
        request::{
            head::RequestHead,
            session::{Session, SessionStatus},
        },
        sign_in::CommitError,
    },
    rejection::{client::ResponseFormat, problem::Problem},
};

type LookupFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
type CommitFuture = Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send>>;

pin_project! {
    /// The future of [`SessionService`](crate::middleware::SessionService).
    pub struct ResponseFuture<S, Q, C>
    where
        S: Service<Request<Q>>,
    {
        wiring: Arc<LayerContext<C>>,
        asker: ResponseFormat,
        #[pin]
        state: FutureState<S, S::Future, S::Response, Q, C>,
    }
}

pin_project! {
    #[project = StateProj]
    enum FutureState<S, F, R, Q, C> {
        Reading { body: Pin<Box<ReadBody<Q>>>, call: Option<Box<EndpointCall<C>>> },
        Checking { work: LookupFuture, next: Option<Box<(EndpointCall<C>, Result<Vec<u8>, BodyError>)>> },
        Settling { work: CommitFuture, acted: Option<Box<EndpointResponse<C>>> },
        Answering { response: Option<Box<Response<Bytes>>> },
        Renewing { work: CommitFuture, jar: SessionJar<C>, next: Option<Box<(S, Request<Q>)>> },
        Calling { #[pin] future: F, jar: SessionJar<C> },
        Committing { work: CommitFuture, jar: SessionJar<C>, response: Option<Box<R>> },
    }
}

impl<S, Q, C> ResponseFuture<S, Q, C>
where
    S: Service<Request<Q>>,
    C: Send + Sync + 'static,
{
    /// An endpoint's request whose body is still to be read.
    pub(super) fn read(
        wiring: Arc<LayerContext<C>>,
        call: EndpointCall<C>,
        body: Q,
        asker: ResponseFormat,
    ) -> Self {
        let state =
            FutureState::Reading { body: Box::pin(ReadBody::new(body)), call: Some(call.into()) };
        Self { wiring, asker, state }
    }

    /// An endpoint's request that is answered without looking at its body.
    pub(super) fn answer(
        wiring: Arc<LayerContext<C>>,
        acted: EndpointResponse<C>,
        asker: ResponseFormat,
    ) -> Self {
        let state = answer(&wiring, acted);
        Self { wiring, asker, state }
    }

    /// A request for the application.
    #[inline]
    pub(super) fn handle(
        wiring: Arc<LayerContext<C>>,
        jar: SessionJar<C>,
        mut inner: S,
        request: Request<Q>,
    ) -> Self {
        let asker = ResponseFormat::of(RequestHead::of(&request));
        if wiring.needs_async_work(&jar) {
            let work = Box::pin(Arc::clone(&wiring).commit(jar.clone()));
            let next = Some(Box::new((inner, request)));
            return Self { wiring, asker, state: FutureState::Renewing { work, jar, next } };
        }
        Self {
            state: FutureState::Calling { future: call(&mut inner, request, &jar), jar },
            wiring,
            asker,
        }
    }
}

impl<S, Q, C, B> Future for ResponseFuture<S, Q, C>
where
    S: Service<Request<Q>, Response = Response<B>>,
    Q: Body,
    C: Send + Sync + 'static,
{
    type Output = Result<Response<SessionBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (wiring, asker) = (this.wiring, *this.asker);
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Reading { body, call } => {
                    let body = ready!(body.as_mut().poll(cx));
                    match call.take() {
                        Some(call) if wiring.kept.is_some() => {
                            let work =
                                Box::pin(Arc::clone(wiring).verify_accounts(call.jar().clone()));
                            FutureState::Checking { work, next: Some(Box::new((*call, body))) }
                        }
                        Some(call) => answer(wiring, call.act(body)),
                        None => FutureState::Answering { response: None },
                    }
                }
                StateProj::Checking { work, next } => {
                    ready!(work.as_mut().poll(cx));
                    match next.take().map(|next| *next) {
                        Some((call, body)) => answer(wiring, call.act(body)),
                        None => FutureState::Answering { response: None },
                    }
                }
                StateProj::Settling { work, acted } => {
                    let settled = ready!(work.as_mut().poll(cx));
                    let now = || wiring.clock.now();
                    let response = acted.take().map(|acted| match settled {
                        // What it signed out is not known to the store: never a success.
                        Err(CommitError::StoreUnavailable) => acted.unavailable(now),
                        // As for the application's own requests.
                        _ => acted.finish(now),
                    });
                    FutureState::Answering { response: response.map(Box::new) }
                }
                StateProj::Answering { response } => {
                    let own = || Box::new(Problem::INTERNAL.response());
                    let response = response.take().unwrap_or_else(own);
                    return Poll::Ready(Ok(SessionBody::own(*response, asker.to_head)));
                }
                StateProj::Renewing { work, jar, next } => {
                    // What the claims source could not say is told in an event; the request goes on.
                    let _ = ready!(work.as_mut().poll(cx));
                    match next.take().map(|next| *next) {
                        Some((mut inner, request)) => {
                            let future = call(&mut inner, request, jar);
                            FutureState::Calling { future, jar: jar.clone() }
                        }
                        None => FutureState::Answering { response: None },
                    }
                }
                StateProj::Calling { future, jar } => {
                    let response = ready!(future.poll(cx))?;
                    if wiring.kept.is_some() && !wiring.engine.can_set_cookie(jar, &response) {
                        let error = CommitError::CookieNotAllowed;
                        jar.withdraw_sign_in();
                        return Poll::Ready(Ok(failed(wiring, jar, &error, asker)));
                    }
                    if wiring.needs_commit(jar) {
                        let work = Box::pin(Arc::clone(wiring).finish(jar.clone()));
                        let (jar, response) = (jar.clone(), Some(Box::new(response)));
                        FutureState::Committing { work, jar, response }
                    } else {
                        return Poll::Ready(Ok(close(wiring, jar, response, asker)));
                    }
                }
                StateProj::Committing { work, jar, response } => {
                    let committed = ready!(work.as_mut().poll(cx));
                    match (committed, response.take()) {
                        (Ok(()), Some(response)) => {
                            return Poll::Ready(Ok(close(wiring, jar, *response, asker)));
                        }
                        (Err(error), _) => {
                            return Poll::Ready(Ok(failed(wiring, jar, &error, asker)));
                        }
                        (Ok(()), None) => FutureState::Answering { response: None },
                    }
                }
            };
            this.state.set(next);
        }
    }
}

/// Answers a request of ours, once the claims of a token that goes out with it are known.
fn answer<S, F, R, Q, C>(
    wiring: &Arc<LayerContext<C>>,
    acted: EndpointResponse<C>,
) -> FutureState<S, F, R, Q, C>
where
    C: Send + Sync + 'static,
{
    let shows = acted.shows_accounts() && wiring.kept.is_some();
    match acted.jar().filter(|jar| shows || wiring.needs_commit(jar)).cloned() {
        Some(jar) => {
            let wiring = Arc::clone(wiring);
            let work = Box::pin(async move {
                if shows {
                    Arc::clone(&wiring).verify_accounts(jar.clone()).await;
                }
                wiring.commit(jar).await
            });
            FutureState::Settling { work, acted: Some(Box::new(acted)) }
        }
        None => {
            FutureState::Answering { response: Some(acted.finish(|| wiring.clock.now()).into()) }
        }
    }
}

/// Hands the request to the application, with what is known about its session.
#[inline]
fn call<S, Q, C>(inner: &mut S, mut request: Request<Q>, jar: &SessionJar<C>) -> S::Future
where
    S: Service<Request<Q>>,
    C: Send + Sync + 'static,
{
    let (status, session) = jar.snapshot();
    let extensions = request.extensions_mut();
    match session {
        Some(session) => extensions.insert(session),
        // Whatever a layer further out put there is not this layer's session.
        None => extensions.remove::<Session<C>>(),
    };
    if let Some(outer) = extensions.insert(status)
        && let Some(status) = extensions.get_mut::<SessionStatus>()
    {
        status.within(outer);
    }
    inner.call(request)
}

fn close<C: Send + Sync + 'static, B>(
    wiring: &LayerContext<C>,
    jar: &SessionJar<C>,
    mut response: Response<B>,
    asker: ResponseFormat,
) -> Response<SessionBody<B>> {
    if wiring.engine.close_untouched(jar, &mut response) {
        return response.map(SessionBody::application);
    }
    match wiring.engine.close(jar, &mut response, wiring.clock.now()) {
        Ok(()) => response.map(SessionBody::application),
        Err(error) => failed(wiring, jar, &error, asker),
    }
}

/// Replaces a response that says that somebody is signed in who is not. What else the request
/// changed goes out with the replacement.
fn failed<C: Send + Sync + 'static, B>(
    wiring: &LayerContext<C>,
    jar: &SessionJar<C>,
    error: &CommitError,
    asker: ResponseFormat,
) -> Response<SessionBody<B>> {
    logging::commit_failed(error);
    let mut response = Problem::of_commit(error).response_to(asker);
    // Only a sign-in can fail.
    let now = wiring.clock.now();
    let _ = wiring.engine.close(jar, &mut response, now);
    wiring.revoke_abandoned_sign_ins(jar);
    SessionBody::own(response, asker.to_head)
}

impl<S, Q, C> fmt::Debug for ResponseFuture<S, Q, C>
where
    S: Service<Request<Q>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            FutureState::Reading { .. } => "Reading",
            FutureState::Checking { .. } => "Checking",
            FutureState::Settling { .. } => "Settling",
            FutureState::Answering { .. } => "Answering",
            FutureState::Renewing { .. } => "Renewing",
            FutureState::Calling { .. } => "Calling",
            FutureState::Committing { .. } => "Committing",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
