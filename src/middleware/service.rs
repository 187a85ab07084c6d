//! [`SessionService`].

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    body::SessionBody,
    context::LayerContext,
    future::{ResponseFormat, ResponseFuture},
    per_thread::PerThread,
};
use crate::{
    endpoints::dispatch::EndpointMatch,
    engine::{
        jar::JarHost,
        logging::span::RequestSpan,
        request::{head::RequestHead, state::RequestContext as _},
    },
};

/// The service that [`SessionLayer`](crate::SessionLayer) wraps around `S`.
///
/// ```
/// use tower::{Layer as _, service_fn};
/// use tower_auth_session::{SessionEngine, SessionLayer, middleware::SessionService};
///
/// # async fn answer(_: http::Request<String>) -> Result<http::Response<String>, std::convert::Infallible> {
/// #     Ok(http::Response::default())
/// # }
/// fn wrap(engine: SessionEngine) {
///     let mut service: SessionService<_> = SessionLayer::new(engine).layer(service_fn(answer));
///     let _shared = service.get_ref();
///     let _exclusive = service.get_mut();
///     let _application = service.into_inner();
/// }
/// ```
pub struct SessionService<S, C = ()> {
    inner: S,
    context: PerThread<C>,
}

impl<S, C> SessionService<S, C> {
    pub(super) const fn new(inner: S, context: PerThread<C>) -> Self {
        Self { inner, context }
    }

    /// The wrapped service.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The wrapped service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The wrapped service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, C, Q, B> Service<Request<Q>> for SessionService<S, C>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone,
    Q: Body,
    C: Send + Sync + 'static,
{
    type Response = Response<SessionBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, Q, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let span = RequestSpan::new();
        let mut future = {
            let _entered = span.enter();
            self.respond(request, &span)
        };
        future.set_span(span);
        future
    }
}

impl<S, C> SessionService<S, C> {
    #[inline]
    fn respond<Q, B>(&mut self, request: Request<Q>, span: &RequestSpan) -> ResponseFuture<S, Q, C>
    where
        S: Service<Request<Q>, Response = Response<B>> + Clone,
        Q: Body,
        C: Send + Sync + 'static,
    {
        let context = self.context.get();
        context.spawn_stale_refresh();
        let head = RequestHead::from_request(&request);
        let effects = Arc::<LayerContext<C>>::clone(context);
        let jar = context.engine.open_for(head, context.clock.timestamp(), JarHost::Layer(effects));
        let state = jar.record();
        let log_subject = context.engine.logs_subjects();
        span.record_request(state.kind, state.context.identity(), log_subject);
        if context.store.is_none() && !jar.is_untouched() {
            jar.compare_lineage();
        }

        if let Some(entry) = EndpointMatch::from_request(&jar, head) {
            let format = ResponseFormat::new(&jar, head);
            return match entry {
                EndpointMatch::Read(call) => {
                    ResponseFuture::read(Arc::clone(context), call, request.into_body(), format)
                }
                EndpointMatch::Response(outcome) => {
                    ResponseFuture::answer(context, outcome, format, span)
                }
            };
        }
        ResponseFuture::handle(jar, &mut self.inner, request)
    }
}

impl<S: Clone, C> Clone for SessionService<S, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), context: self.context.clone() }
    }
}

impl<S: fmt::Debug, C> fmt::Debug for SessionService<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService")
            .field("inner", &self.inner)
            .field("context", self.context.get())
            .finish()
    }
}
