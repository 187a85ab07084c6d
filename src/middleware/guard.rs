//! [`RequireSessionLayer`]: passes signed-in requests on and refuses all others.

use std::{
    any::type_name,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, Method, Request, Response, StatusCode, header::CACHE_CONTROL};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::SessionBody;
use crate::{
    engine::{
        request::{
            head::RequestHead,
            session::{LayerLookupError, SessionStatus},
            state::RequestState,
        },
        session::{
            factor::{Factor, FactorAges, FreshnessRequirement},
            identity::SessionStatusKind,
        },
    },
    rejection::{Rejection, RejectionReason, problem::NO_STORE},
};

/// Refuses requests without a session, in the form that each kind of client understands: see
/// [`Rejection`].
///
/// Place it inside [`SessionLayer`](crate::SessionLayer). Without that layer it refuses every request
/// with 500 (fail closed). Responses without `Cache-Control` become `private, no-store`.
///
/// CORS preflights (`OPTIONS` with `Origin` and `Access-Control-Request-Method`) pass, because browsers
/// send them without cookies. A handler behind the guard must therefore not act on `OPTIONS`, unless
/// the guard [answers preflights itself](Self::answer_preflights) or a CORS layer outside the guard
/// does.
#[derive(Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct RequireSessionLayer {
    find: Find,
    /// What `find` looks for, for logs.
    claims: fn() -> &'static str,
    layer_name: Option<&'static str>,
    checks: Arc<[Check]>,
    allows_pending: bool,
    answers_preflights: bool,
}

type Find = fn(&SessionStatus) -> Result<Arc<RequestState>, LayerLookupError>;
type Check = Arc<dyn Fn(&SessionStatus, &RequestState) -> Result<(), CheckFailed> + Send + Sync>;

/// Why a check refused a request, and the freshness it requires.
struct CheckFailed(RejectionReason, Option<FreshnessRequirement>);

impl From<RejectionReason> for CheckFailed {
    fn from(kind: RejectionReason) -> Self {
        Self(kind, None)
    }
}

impl RequireSessionLayer {
    /// Lets any signed-in session pass, whatever its claims. Where layers of several engines wrap the
    /// service, a guard must select one with [`for_layer`](Self::for_layer) or
    /// [`for_claims`](Self::for_claims): otherwise every request is refused with 500.
    pub fn new() -> Self {
        let find: Find = |status| match status.is_ambiguous() {
            true => Err(LayerLookupError::Ambiguous),
            false => Ok(Arc::clone(status.record())),
        };
        Self {
            find,
            claims: || "any",
            layer_name: None,
            checks: Arc::new([]),
            allows_pending: false,
            answers_preflights: false,
        }
    }

    /// Uses the layer that [`SessionLayer::name`](crate::SessionLayer::name) named `name`. Without such
    /// a layer every request is refused with 500.
    pub fn for_layer(self, name: &'static str) -> Self {
        Self { layer_name: Some(name), ..self }
    }

    /// Answers CORS preflights itself instead of passing them on to the handler: with 204 and no CORS
    /// headers, so that browsers refuse the cross-origin request. Other `OPTIONS` requests need a
    /// session like any request. A CORS layer that allows other origins belongs outside the guard.
    pub fn answer_preflights(self) -> Self {
        Self { answers_preflights: true, ..self }
    }

    /// Lets signed-in sessions of the layer whose claims are `C` pass, where there are several layers.
    /// Without such a layer every request is refused with 500.
    pub fn for_claims<C: Send + Sync + 'static>() -> Self {
        Self { find: find::<C>, claims: type_name::<C>, ..Self::new() }
    }

    /// Requires claims that satisfy `predicate`; other sessions are refused with 403. All checks of
    /// this guard then use the layer whose claims are `C`.
    pub fn claims<C: Send + Sync + 'static>(
        self,
        predicate: impl Fn(&C) -> bool + Send + Sync + 'static,
    ) -> Self {
        let checked = self.check(move |status, _| {
            let jar = status.find::<C>().map_err(RejectionReason::from)?;
            match jar.current_or_pending().1 {
                Some(session) if predicate(session.claims()) => Ok(()),
                Some(_) => Err(RejectionReason::Forbidden.into()),
                None => Err(RejectionReason::SignedOut.into()),
            }
        });
        Self { find: find::<C>, claims: type_name::<C>, ..checked }
    }

    /// Requires a first factor that was verified at most `age` ago (step-up, ASVS 7.5.3): by signing
    /// in, or by [`mark_verified`](crate::SessionJar::mark_verified) since then. Other sessions are sent to
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
    /// are completed. Handlers find them in [`SessionStatus::pending`] and [`SessionJar::pending`](crate::SessionJar::pending).
    pub fn allow_pending(self) -> Self {
        Self { allows_pending: true, ..self }
    }

    fn check(
        self,
        check: impl Fn(&SessionStatus, &RequestState) -> Result<(), CheckFailed> + Send + Sync + 'static,
    ) -> Self {
        let check: Check = Arc::new(check);
        Self { checks: self.checks.iter().cloned().chain([check]).collect(), ..self }
    }

    /// Decides about a request: pass it on, or respond.
    fn verdict<B>(&self, request: &Request<B>) -> Result<(), Box<Response<Bytes>>> {
        let head = RequestHead::from_request(request);
        if head.is_preflight() {
            return match self.answers_preflights {
                true => Err(Box::new(preflight_response())),
                false => Ok(()),
            };
        }
        self.check_session(request.extensions(), head)
            .map_err(|rejection| Box::new(rejection.to_response()))
    }

    fn check_session(
        &self,
        extensions: &Extensions,
        head: RequestHead<'_>,
    ) -> Result<(), Rejection> {
        let nearest = extensions.get::<SessionStatus>();
        let named = match (self.layer_name, nearest) {
            (Some(name), Some(status)) => status.layer(name),
            _ => None,
        };
        let status = if self.layer_name.is_some() { named.as_ref() } else { nearest };
        let found = status.ok_or(LayerLookupError::Missing);
        let (status, state) =
            found.and_then(|status| Ok((status, (self.find)(status)?))).map_err(|error| {
                let required = self.layer_name.unwrap_or_else(self.claims);
                Rejection::from_lookup_error(error, required, nearest, head)
            })?;
        state.mark_guarded();
        let kind = state.status();
        let passes = self.allows_pending && kind == SessionStatusKind::Pending;
        let refused = match RejectionReason::from_status(kind).filter(|_| !passes) {
            Some(reason) => Some(reason.into()),
            None => self.checks.iter().find_map(|check| check(status, &state).err()),
        };
        refused.map_or(Ok(()), |CheckFailed(reason, freshness)| {
            Err(Rejection::new(reason, head, Some(&state)).wanting(freshness))
        })
    }
}

/// The response to a preflight that allows nothing.
fn preflight_response() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// The state of the request in the layer whose claims are `C`.
fn find<C: Send + Sync + 'static>(
    status: &SessionStatus,
) -> Result<Arc<RequestState>, LayerLookupError> {
    status.find::<C>().map(|jar| jar.current().0)
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
            Err(response) => GuardFuture::Refused {
                response: Some(*response),
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
