//! [`ResponseFuture`]: the state machine that serves one request.
//!
//! `Reading → Checking → Settling → Answering` for the layer's own endpoints, `Renewing → Calling →
//! Committing` for all other requests. `Checking`, `Settling`, `Renewing` and `Committing` box a
//! future, and only if there is asynchronous work. The future can be dropped in any state: a sign-in
//! takes effect only when its cookie is in the response.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response, header::CONTENT_LENGTH};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use super::{body::SessionBody, context::LayerContext, timeout};
use crate::{
    endpoints::{
        dispatch::EndpointCall,
        read_body::{BodyError, ReadBody},
        response::EndpointResponse,
    },
    engine::{
        jar::{CommitFuture, SessionJar},
        logging::{self, span::RequestSpan},
        request::{
            head::RequestHead,
            session::{Session, SessionStatus},
        },
        session_engine::SessionEngine,
        sign_in::CommitError,
    },
    rejection::{
        client::Client,
        error_page::ErrorPage,
        problem::{Problem, ProblemOfHandler},
    },
};

/// The parts of a request that its response depends on, kept while the application has the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResponseFormat {
    client: Client,
    to_head: bool,
}

impl ResponseFormat {
    #[inline]
    pub(super) fn new<C>(jar: &SessionJar<C>, head: RequestHead<'_>) -> Self {
        let client = Client::for_replacement(head, jar.fetch_mode());
        Self { client, to_head: head.method == Method::HEAD }
    }
}

type LookupFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

pin_project! {
    /// The future of [`SessionService`](crate::middleware::SessionService).
    pub struct ResponseFuture<S, Q, C>
    where
        S: Service<Request<Q>>,
    {
        format: ResponseFormat,
        span: RequestSpan,
        #[pin]
        state: FutureState<S, S::Future, S::Response, Q, C>,
    }
}

pin_project! {
    #[project = StateProj]
    enum FutureState<S, F, R, Q, C> {
        Reading {
            context: Arc<LayerContext<C>>,
            body: Pin<Box<ReadBody<Q>>>,
            timer: Option<Pin<Box<Sleep>>>,
            call: Option<Box<EndpointCall<C>>>,
        },
        Checking {
            context: Arc<LayerContext<C>>,
            work: LookupFuture,
            next: Option<Box<(EndpointCall<C>, Result<Vec<u8>, BodyError>)>>,
        },
        Settling {
            context: Arc<LayerContext<C>>,
            work: CommitFuture,
            outcome: Option<Box<EndpointResponse<C>>>,
        },
        Answering { response: Option<Box<Response<Bytes>>> },
        Renewing { work: CommitFuture, jar: SessionJar<C>, next: Option<Box<(S, Request<Q>)>> },
        Calling { #[pin] future: F, jar: SessionJar<C> },
        Committing { work: CommitFuture, jar: SessionJar<C>, response: Option<Box<R>> },
    }
}

impl<S, Q, C> ResponseFuture<S, Q, C>
where
    S: Service<Request<Q>> + Clone,
    C: Send + Sync + 'static,
{
    /// A request to an endpoint whose body must be read first.
    pub(super) fn read(
        context: Arc<LayerContext<C>>,
        call: EndpointCall<C>,
        body: Q,
        format: ResponseFormat,
    ) -> Self {
        let state = FutureState::Reading {
            context,
            body: Box::pin(ReadBody::new(body)),
            timer: None,
            call: Some(call.into()),
        };
        Self { format, span: RequestSpan::none(), state }
    }

    /// The future is polled in `span`.
    pub(super) fn set_span(&mut self, span: RequestSpan) {
        self.span = span;
    }

    /// A request to an endpoint that ignores the body.
    pub(super) fn answer(
        context: &Arc<LayerContext<C>>,
        outcome: EndpointResponse<C>,
        format: ResponseFormat,
        span: &RequestSpan,
    ) -> Self {
        let state = answer(context, outcome, span);
        Self { format, span: RequestSpan::none(), state }
    }

    /// A request for the application, whose service is ready.
    #[inline]
    pub(super) fn handle(jar: SessionJar<C>, inner: &mut S, request: Request<Q>) -> Self {
        let format = ResponseFormat::new(&jar, RequestHead::from_request(&request));
        if jar.needs_query()
            && let Some(effects) = jar.effects()
        {
            let work = Arc::clone(effects).commit(jar.clone());
            // The clone may not be ready: the service that was polled handles this request.
            let not_ready = inner.clone();
            let ready = std::mem::replace(inner, not_ready);
            let state = FutureState::Renewing { work, jar, next: Some(Box::new((ready, request))) };
            return Self { format, span: RequestSpan::none(), state };
        }
        Self {
            state: FutureState::Calling { future: call(inner, request, &jar), jar },
            span: RequestSpan::none(),
            format,
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
        let (format, span) = (*this.format, &*this.span);
        let _entered = span.enter();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Reading { context, body, timer, call } => {
                    let body = match body.as_mut().poll(cx) {
                        Poll::Ready(body) => body,
                        Poll::Pending => {
                            if timer.is_none() {
                                *timer = timeout::timer(context.body_timeout).map(Box::pin);
                            }
                            match timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
                                Some(Poll::Ready(())) => Err(BodyError::TimedOut),
                                Some(Poll::Pending) | None => return Poll::Pending,
                            }
                        }
                    };
                    match call.take() {
                        Some(call) if context.store.is_some() => {
                            let work =
                                Box::pin(Arc::clone(context).verify_accounts(call.jar().clone()));
                            let next = Some(Box::new((*call, body)));
                            FutureState::Checking { context: Arc::clone(context), work, next }
                        }
                        Some(call) => answer(context, call.act(body), span),
                        None => FutureState::Answering { response: None },
                    }
                }
                StateProj::Checking { context, work, next } => {
                    ready!(work.as_mut().poll(cx));
                    match next.take().map(|next| *next) {
                        Some((call, body)) => answer(context, call.act(body), span),
                        None => FutureState::Answering { response: None },
                    }
                }
                StateProj::Settling { context, work, outcome } => {
                    let settled = ready!(work.as_mut().poll(cx));
                    let now = || context.clock.now();
                    let response = outcome.take().map(|outcome| match settled {
                        // The store did not record the sign-out: never report success.
                        Err(CommitError::StoreUnavailable) => outcome.unavailable(now),
                        // Other errors are handled as for the application's requests.
                        _ => outcome.finish(now),
                    });
                    FutureState::Answering { response: response.map(Box::new) }
                }
                StateProj::Answering { response } => {
                    let own = || Box::new(Problem::INTERNAL.response());
                    let response = response.take().unwrap_or_else(own);
                    return Poll::Ready(Ok(SessionBody::own(*response, format.to_head)));
                }
                StateProj::Renewing { work, jar, next } => {
                    // An event reports a failed claims source; the request continues with old claims.
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
                    if jar.host().has_store() && !jar.engine().can_set_cookie(jar, &response) {
                        jar.withdraw_sign_in();
                        let error = CommitError::CookieNotAllowed;
                        return Poll::Ready(Ok(failed(jar, &error, format, span)));
                    }
                    match jar.effects().filter(|_| jar.needs_commit()) {
                        Some(effects) => {
                            let work = Arc::clone(effects).finish(jar.clone());
                            let (jar, response) = (jar.clone(), Some(Box::new(response)));
                            FutureState::Committing { work, jar, response }
                        }
                        None => return Poll::Ready(Ok(close(jar, response, format, span))),
                    }
                }
                StateProj::Committing { work, jar, response } => {
                    let committed = ready!(work.as_mut().poll(cx));
                    match (committed, response.take()) {
                        (Ok(()), Some(response)) => {
                            return Poll::Ready(Ok(close(jar, *response, format, span)));
                        }
                        (Err(error), _) => {
                            return Poll::Ready(Ok(failed(jar, &error, format, span)));
                        }
                        (Ok(()), None) => FutureState::Answering { response: None },
                    }
                }
            };
            this.state.set(next);
        }
    }
}

/// Answers a request to an endpoint, after fetching the claims of any token that it issues.
fn answer<S, F, R, Q, C>(
    context: &Arc<LayerContext<C>>,
    outcome: EndpointResponse<C>,
    span: &RequestSpan,
) -> FutureState<S, F, R, Q, C>
where
    C: Send + Sync + 'static,
{
    span.record_outcome(|| outcome.status());
    let shows = outcome.shows_accounts() && context.store.is_some();
    match outcome.jar().filter(|jar| shows || jar.needs_commit()).cloned() {
        Some(jar) => {
            let layer = Arc::clone(context);
            let work = Box::pin(async move {
                if shows {
                    Arc::clone(&layer).verify_accounts(jar.clone()).await;
                }
                let committed = Arc::clone(&layer).commit(jar.clone()).await;
                layer.enforce_limits(&jar).await;
                committed
            });
            let (context, outcome) = (Arc::clone(context), Some(Box::new(outcome)));
            FutureState::Settling { context, work, outcome }
        }
        None => {
            FutureState::Answering { response: Some(outcome.finish(|| context.clock.now()).into()) }
        }
    }
}

/// Calls the application with the session in the request's extensions.
#[inline]
fn call<S, Q, C>(inner: &mut S, mut request: Request<Q>, jar: &SessionJar<C>) -> S::Future
where
    S: Service<Request<Q>>,
    C: Send + Sync + 'static,
{
    let (mut status, session) = jar.snapshot();
    status.set_layer_name(jar.effects().and_then(|effects| effects.layer_name()));
    let extensions = request.extensions_mut();
    match session {
        Some(session) => extensions.insert(session),
        // Handlers must not take an outer layer's session for this layer's.
        None => extensions.remove::<Session<C>>(),
    };
    if let Some(outer) = extensions.insert(status)
        && let Some(status) = extensions.get_mut::<SessionStatus>()
    {
        if outer.engine() != status.engine()
            && let Some(paths) = outer.paths()
        {
            jar.engine().check_outer_endpoints(paths);
        }
        status.set_outer(outer);
        if status.find::<C>().is_err() {
            // Another engine's layer has the same claims type: handlers must not confuse their sessions.
            extensions.remove::<Session<C>>();
        }
    }
    inner.call(request)
}

fn close<C: Send + Sync + 'static, B>(
    jar: &SessionJar<C>,
    mut response: Response<B>,
    format: ResponseFormat,
    span: &RequestSpan,
) -> Response<SessionBody<B>> {
    span.record_outcome(|| jar.status_untracked());
    let engine = jar.engine();
    if jar.close_last_untouched() {
        engine.mark_unchanged(jar, &mut response);
        return finish(engine, response, format);
    }
    match engine.close(jar, &mut response, jar.now()) {
        Ok(()) => finish(engine, response, format),
        Err(error) => failed(jar, &error, format, span),
    }
}

/// Renders the error of a handler as a page if a user sees the response.
fn finish<C, B>(
    engine: &SessionEngine<C>,
    response: Response<B>,
    format: ResponseFormat,
) -> Response<SessionBody<B>> {
    let problem = match format.client {
        Client::Script | Client::Htmx => None,
        Client::Navigation | Client::Turbo { .. } | Client::Grpc(_) => {
            ProblemOfHandler::find(&response)
        }
    };
    match problem {
        None => response.map(SessionBody::application),
        Some(problem) => {
            let mut rendered = render(engine, problem, format.client);
            let (mut parts, _) = response.into_parts();
            parts.headers.remove(CONTENT_LENGTH);
            parts.headers.extend(std::mem::take(rendered.headers_mut()));
            parts.status = rendered.status();
            SessionBody::own(Response::from_parts(parts, rendered.into_body()), format.to_head)
        }
    }
}

fn render<C>(engine: &SessionEngine<C>, problem: Problem, client: Client) -> Response<Bytes> {
    problem.response_to(client, || ErrorPage::new(engine, client))
}

/// Replaces the response to a sign-in that failed. The replacement carries the request's other changes of
/// cookies.
fn failed<C: Send + Sync + 'static, B>(
    jar: &SessionJar<C>,
    error: &CommitError,
    format: ResponseFormat,
    span: &RequestSpan,
) -> Response<SessionBody<B>> {
    logging::commit_failed(error);
    span.record_outcome(|| jar.status_untracked());
    let mut response = render(jar.engine(), Problem::from_commit_error(error), format.client);
    // Only a sign-in makes closing fail, and it was withdrawn.
    let _ = jar.engine().close(jar, &mut response, jar.now());
    jar.revoke_abandoned_sign_ins();
    SessionBody::own(response, format.to_head)
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
