//! [`RequireSessionLayer`]: passes signed-in requests on and refuses all others.

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

use super::body::SessionBody;
use crate::{
    engine::{
        jar::SessionJar,
        request::{head::RequestHead, session::SessionStatus, state::RequestState},
        session::{
            factor::{Factor, FactorAges, FreshnessRequirement},
            identity::SessionStatusKind,
        },
    },
    rejection::{Rejection, RejectionReason},
};

/// Refuses requests without a session, in the form that each kind of client understands: see
/// [`Rejection`].
///
/// Place it inside [`SessionLayer`](crate::SessionLayer). Without that layer it refuses every request
/// with 500 (fail closed). Responses without `Cache-Control` become `private, no-store`.
///
/// CORS preflights (`OPTIONS` with `Origin` and `Access-Control-Request-Method`) pass, because browsers
/// send them without cookies. A handler behind the guard must therefore not act on `OPTIONS`. A CORS
/// layer outside the guard answers preflights before they reach it.
#[derive(Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct RequireSessionLayer {
    find: Find,
    checks: Arc<[Check]>,
    allows_pending: bool,
}

type Find = fn(&Extensions) -> Option<Arc<RequestState>>;
type Check = Arc<dyn Fn(&Extensions, &RequestState) -> Result<(), CheckFailed> + Send + Sync>;

/// Why a check refused a request, and the freshness it requires.
struct CheckFailed(RejectionReason, Option<FreshnessRequirement>);

impl From<RejectionReason> for CheckFailed {
    fn from(kind: RejectionReason) -> Self {
        Self(kind, None)
    }
}

impl RequireSessionLayer {
    /// Lets any signed-in session of the nearest session layer pass, whatever its claims.
    pub fn new() -> Self {
        let find: Find = |extensions| {
            extensions.get::<SessionStatus>().map(|status| Arc::clone(status.record()))
        };
        Self { find, checks: Arc::new([]), allows_pending: false }
    }

    /// Lets signed-in sessions of the layer whose claims are `C` pass, where there are several layers.
    /// Without such a layer every request is refused with 500.
    pub fn for_claims<C: Send + Sync + 'static>() -> Self {
        Self { find: find::<C>, ..Self::new() }
    }

    /// Requires claims that satisfy `predicate`; other sessions are refused with 403. All checks of
    /// this guard then use the layer whose claims are `C`.
    pub fn claims<C: Send + Sync + 'static>(
        self,
        predicate: impl Fn(&C) -> bool + Send + Sync + 'static,
    ) -> Self {
        let checked = self.check(move |extensions, _| {
            let jar = jar::<C>(extensions).ok_or(RejectionReason::MissingLayer)?;
            match jar.current_or_pending().1 {
                Some(session) if predicate(session.claims()) => Ok(()),
                Some(_) => Err(RejectionReason::Forbidden.into()),
                None => Err(RejectionReason::SignedOut.into()),
            }
        });
        Self { find: find::<C>, ..checked }
    }

    /// Requires a first factor that was verified at most `age` ago (step-up, ASVS 7.5.3): by signing
    /// in, or by [`mark_verified`](SessionJar::mark_verified) since then. Other sessions are sent to
    /// [`reverify_url`](crate::config::RedirectUrls::reverify_url).
    ///
    /// An impersonated session has no fresh factor unless the application marked one as verified.
    pub fn first_factor_within(self, age: Duration) -> Self {
        self.fresh(Some(Factor::First), age)
    }

    /// Requires a second factor that was verified at most `age` ago. A session without a second factor
    /// is refused.
    pub fn second_factor_within(self, age: Duration) -> Self {
        self.fresh(Some(Factor::Second), age)
    }

    /// Requires that either factor was verified at most `age` ago.
    pub fn any_factor_within(self, age: Duration) -> Self {
        self.fresh(None, age)
    }

    fn fresh(self, factor: Option<Factor>, max_age: Duration) -> Self {
        self.check(move |_, record| {
            let age_of = |ages: FactorAges| match factor {
                Some(factor) => ages.of_factor(factor),
                None => ages.first.into_iter().chain(ages.second).min(),
            };
            let ages = record.identity.as_ref().map(|identity| identity.factor_ages(record.now));
            if ages.and_then(age_of).is_some_and(|age| age <= max_age) {
                return Ok(());
            }
            Err(CheckFailed(
                RejectionReason::NotFresh,
                Some(FreshnessRequirement { factor, max_age }),
            ))
        })
    }

    /// Refuses impersonated sessions with 403, for actions that only the subject may take.
    pub fn deny_impersonated(self) -> Self {
        self.check(|_, record| match record.identity.as_ref().and_then(|it| it.actor()) {
            None => Ok(()),
            Some(_) => Err(RejectionReason::Impersonated.into()),
        })
    }

    /// Also lets [pending](crate::SignIn::with_tasks) sessions pass, for the pages on which their tasks
    /// are completed. Handlers find them in [`SessionStatus::pending`] and [`SessionJar::pending`].
    pub fn allow_pending(self) -> Self {
        Self { allows_pending: true, ..self }
    }

    fn check(
        self,
        check: impl Fn(&Extensions, &RequestState) -> Result<(), CheckFailed> + Send + Sync + 'static,
    ) -> Self {
        let check: Check = Arc::new(check);
        Self { checks: self.checks.iter().cloned().chain([check]).collect(), ..self }
    }

    fn verdict<B>(&self, request: &Request<B>) -> Result<(), Rejection> {
        let head = RequestHead::from_request(request);
        let is_preflight = request.method() == Method::OPTIONS
            && head.headers.contains_key(ORIGIN)
            && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight {
            return Ok(());
        }
        let Some(record) = (self.find)(request.extensions()) else {
            return Err(Rejection::new(RejectionReason::MissingLayer, head, None));
        };
        record.mark_guarded();
        let kind = record.status();
        let passes = self.allows_pending && kind == SessionStatusKind::Pending;
        let refused = match RejectionReason::from_status(kind).filter(|_| !passes) {
            Some(kind) => Some(kind.into()),
            None => self.checks.iter().find_map(|check| check(request.extensions(), &record).err()),
        };
        refused.map_or(Ok(()), |CheckFailed(kind, freshness)| {
            Err(Rejection::new(kind, head, Some(&record)).wanting(freshness))
        })
    }
}

/// The state of the request in the layer whose claims are `C`.
fn find<C: Send + Sync + 'static>(extensions: &Extensions) -> Option<Arc<RequestState>> {
    jar::<C>(extensions).map(|jar| jar.current().0)
}

fn jar<C: Send + Sync + 'static>(extensions: &Extensions) -> Option<SessionJar<C>> {
    extensions.get().and_then(SessionStatus::jar)
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

/// The service that [`RequireSessionLayer`] wraps around `S`.
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
            Ok(()) => GuardFuture::Passed { future: self.inner.call(request) },
            Err(rejection) => GuardFuture::Refused {
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
        kind: GuardFuture<F>,
    }
}

pin_project! {
    #[project = KindProj]
    #[derive(Debug)]
    enum GuardFuture<F> {
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
