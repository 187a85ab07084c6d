//! [`RequireSessionLayer`]: lets signed-in requests pass and refuses the others.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{
    Extensions, Method, Request, Response,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    body::SessionBody,
    engine::{RequestHead, RequestRecord, SessionJar, SessionStatus},
    rejection::{Rejection, RejectionKind},
};

/// Refuses requests without a session, each client in its own language: see [`Rejection`].
///
/// It belongs inside of [`SessionLayer`](crate::SessionLayer); without it, it refuses everything with
/// 500 (fail closed). Responses without `Cache-Control` become `private, no-store`.
///
/// CORS preflights pass, because they never carry a cookie: `OPTIONS` with `Origin` and
/// `Access-Control-Request-Method`. What stands behind the guard must not do with `OPTIONS` what only
/// signed-in requests may; a CORS layer outside of the guard answers them before they get here.
#[derive(Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct RequireSessionLayer {
    find: Find,
    checks: Arc<[Check]>,
}

type Find = fn(&Extensions) -> Option<Arc<RequestRecord>>;
type Check = Arc<dyn Fn(&Extensions, &RequestRecord) -> Result<(), RejectionKind> + Send + Sync>;

impl RequireSessionLayer {
    /// Any signed-in session of the nearest session layer, whatever its claims.
    pub fn new() -> Self {
        let find: Find = |extensions| {
            extensions.get::<SessionStatus>().map(|status| Arc::clone(status.record()))
        };
        Self { find, checks: Arc::new([]) }
    }

    /// A signed-in session of the layer whose claims are `C`, where there are several layers.
    /// Without such a layer everything is refused with 500.
    pub fn of<C: Send + Sync + 'static>() -> Self {
        Self { find: find::<C>, ..Self::new() }
    }

    /// Only sessions whose claims satisfy `predicate`; others are refused with 403. Everything this
    /// guard asks is asked of the layer whose claims are `C`.
    pub fn claims<C: Send + Sync + 'static>(
        self,
        predicate: impl Fn(&C) -> bool + Send + Sync + 'static,
    ) -> Self {
        let checked = self.check(move |extensions, _| {
            let jar = extensions.get::<SessionJar<C>>().ok_or(RejectionKind::LayerMissing)?;
            match jar.current().1 {
                Some(session) if predicate(session.claims()) => Ok(()),
                Some(_) => Err(RejectionKind::Forbidden),
                None => Err(RejectionKind::SignedOut),
            }
        });
        Self { find: find::<C>, ..checked }
    }

    /// Only sessions signed in at most `age` ago (step-up, ASVS 7.5.3); others are asked to sign in
    /// again.
    pub fn fresh_within(self, age: Duration) -> Self {
        self.check(move |_, record| {
            let fresh = record.identity.as_ref().is_some_and(|identity| {
                record.now.saturating_since(identity.signed_in_at()) <= age
            });
            if fresh { Ok(()) } else { Err(RejectionKind::NotFresh) }
        })
    }

    fn check(
        self,
        check: impl Fn(&Extensions, &RequestRecord) -> Result<(), RejectionKind> + Send + Sync + 'static,
    ) -> Self {
        let check: Check = Arc::new(check);
        Self { checks: self.checks.iter().cloned().chain([check]).collect(), ..self }
    }

    fn verdict<B>(&self, request: &Request<B>) -> Result<(), Rejection> {
        let head = RequestHead::of(request);
        let is_preflight = request.method() == Method::OPTIONS
            && head.headers.contains_key(ORIGIN)
            && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight {
            return Ok(());
        }
        let Some(record) = (self.find)(request.extensions()) else {
            return Err(Rejection::new(RejectionKind::LayerMissing, head, None));
        };
        record.guard();
        let refused = match RejectionKind::of_status(record.kind_now()) {
            Some(kind) => Some(kind),
            None => self.checks.iter().find_map(|check| check(request.extensions(), &record).err()),
        };
        refused.map_or(Ok(()), |kind| Err(Rejection::new(kind, head, Some(&record))))
    }
}

/// What the layer whose claims are `C` knows of the request.
fn find<C: Send + Sync + 'static>(extensions: &Extensions) -> Option<Arc<RequestRecord>> {
    extensions.get::<SessionJar<C>>().map(|jar| jar.current().0)
}

impl Default for RequireSessionLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for RequireSessionLayer {
    type Service = RequireSession<S>;

    fn layer(&self, inner: S) -> RequireSession<S> {
        RequireSession { inner, layer: self.clone() }
    }
}

impl fmt::Debug for RequireSessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireSessionLayer").field("checks", &self.checks.len()).finish()
    }
}

/// The service that [`RequireSessionLayer`] makes of `S`.
#[derive(Debug, Clone)]
pub struct RequireSession<S> {
    inner: S,
    layer: RequireSessionLayer,
}

impl<S, Q, B> Service<Request<Q>> for RequireSession<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
{
    type Response = Response<SessionBody<B>>;
    type Error = S::Error;
    type Future = RequireSessionFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let kind = match self.layer.verdict(&request) {
            Ok(()) => Kind::Passed { future: self.inner.call(request) },
            Err(rejection) => Kind::Refused {
                response: Some(rejection.to_response()),
                to_head: request.method() == Method::HEAD,
            },
        };
        RequireSessionFuture { kind }
    }
}

pin_project! {
    /// The future of [`RequireSession`].
    #[derive(Debug)]
    pub struct RequireSessionFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[project = KindProj]
    #[derive(Debug)]
    enum Kind<F> {
        Passed { #[pin] future: F },
        Refused { response: Option<Response<Bytes>>, to_head: bool },
    }
}

impl<F, B, E> Future for RequireSessionFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<SessionBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProj::Passed { future } => {
                let response = ready!(future.poll(cx))?;
                Poll::Ready(Ok(response.map(SessionBody::application)))
            }
            KindProj::Refused { response, to_head } => {
                let response = response.take().unwrap_or_default();
                Poll::Ready(Ok(SessionBody::own(response, *to_head)))
            }
        }
    }
}
