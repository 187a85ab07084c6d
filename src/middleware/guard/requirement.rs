//! [`Requirement`]: one condition of a guard, as a value in its list.

use std::{any::type_name, future::Future, pin::Pin, sync::Arc, time::Duration};

use http::{Request, request::Parts};

use super::{authorization::PredicateResult, warnings};
use crate::{
    engine::{
        request::{
            head::RequestHead,
            session::{Session, SessionStatus},
            state::RequestState,
        },
        session::{
            factor::{Factor, FactorAges, FreshnessRequirement},
            identity::{SessionIdentity, SessionStatusKind},
        },
    },
    rejection::RejectionReason,
};

/// A request with a session, for a requirement to check.
pub(super) struct GuardedRequest<'r> {
    pub(super) head: RequestHead<'r>,
    /// The status in the layer that the guard uses.
    pub(super) status: &'r SessionStatus,
    pub(super) state: &'r RequestState,
}

impl GuardedRequest<'_> {
    /// The session with its claims. It is pending only if the guard allows that.
    fn session<C: Send + Sync + 'static>(&self) -> Result<Session<C>, Refusal> {
        let is_pending = self.state.status() == SessionStatusKind::Pending;
        find_session(self.status, is_pending).map_err(Refusal::from)
    }
}

/// The session in the layer whose claims are `C`. Where predicates use the claims of two layers, the
/// session of each must be complete, unless that of the guard's own layer `is_pending` too.
fn find_session<C: Send + Sync + 'static>(
    status: &SessionStatus,
    is_pending: bool,
) -> Result<Session<C>, RejectionReason> {
    let jar = status.find::<C>()?;
    let session = jar.current_or_pending().1.ok_or(RejectionReason::SignedOut)?;
    match session.data().identity().is_pending() && !is_pending {
        true => Err(RejectionReason::Pending),
        false => Ok(session),
    }
}

/// Why a requirement refused a request.
pub(super) struct Refusal {
    pub(super) reason: RejectionReason,
    pub(super) freshness: Option<FreshnessRequirement>,
}

impl From<RejectionReason> for Refusal {
    fn from(reason: RejectionReason) -> Self {
        Self { reason, freshness: None }
    }
}

type Check = dyn Fn(&GuardedRequest<'_>) -> Result<(), Refusal> + Send + Sync;

/// A condition that a request with a session must meet.
#[derive(Clone)]
pub(super) struct Requirement(Arc<Check>);

impl Requirement {
    pub(super) fn check(&self, request: &GuardedRequest<'_>) -> Result<(), Refusal> {
        (self.0)(request)
    }

    fn new(
        check: impl Fn(&GuardedRequest<'_>) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(check))
    }

    /// A session and a request that satisfy `predicate`.
    pub(super) fn predicate<C: Send + Sync + 'static>(
        predicate: impl Fn(&Session<C>, RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::new(move |request| match predicate(&request.session()?, request.head) {
            true => Ok(()),
            false => Err(RejectionReason::Forbidden.into()),
        })
    }

    /// A factor that was verified at most `max_age` ago; either one if `factor` is `None`.
    pub(super) fn freshness(factor: Option<Factor>, max_age: Duration) -> Self {
        Self::new(move |request| {
            let age_of = |ages: FactorAges| match factor {
                Some(factor) => ages.of_factor(factor),
                None => ages.first.into_iter().chain(ages.second).min(),
            };
            let (identity, now) = (request.state.identity(), request.state.now);
            let ages = identity.map(|identity| identity.factor_ages(now));
            if ages.and_then(age_of).is_some_and(|age| age <= max_age) {
                return Ok(());
            }
            let freshness = Some(FreshnessRequirement { factor, max_age });
            Err(Refusal { reason: RejectionReason::NotFresh, freshness })
        })
    }

    /// A session that is bound to a device, which proved its key at most `max_age` ago.
    pub(super) fn device(max_age: Duration) -> Self {
        Self::new(move |request| {
            let (identity, now) = (request.state.identity(), request.state.now);
            let proof = identity.and_then(SessionIdentity::device_proof);
            let proof = proof.ok_or(RejectionReason::NotDeviceBound)?;
            let is_recent = now.saturating_since(proof.proven_at) <= max_age;
            if is_recent { Ok(()) } else { Err(RejectionReason::ProofTooOld.into()) }
        })
    }

    /// A session that is not impersonated.
    pub(super) fn not_impersonated() -> Self {
        Self::new(|request| match request.state.identity().and_then(|it| it.actor()) {
            None => Ok(()),
            Some(_) => Err(RejectionReason::Impersonated.into()),
        })
    }
}

/// The future of the asynchronous predicates of a guard.
pub(super) type PredicateFuture = Pin<Box<dyn Future<Output = Result<(), RejectionReason>> + Send>>;

/// Its arguments are the status of the guard's layer, whether the session there is pending, and the
/// request.
type AsyncCheck = dyn Fn(&SessionStatus, bool, Parts) -> PredicateFuture + Send + Sync;

/// An asynchronous predicate, such as a database query.
#[derive(Clone)]
pub(super) struct AsyncPredicate(Arc<AsyncCheck>);

impl AsyncPredicate {
    pub(super) fn new<C, F, R>(
        predicate: impl Fn(Session<C>, Parts) -> F + Send + Sync + 'static,
    ) -> Self
    where
        C: Send + Sync + 'static,
        F: Future<Output = R> + Send + 'static,
        R: PredicateResult,
    {
        Self(Arc::new(move |status, is_pending, parts| {
            let path = parts.uri.path().to_owned();
            let decision =
                find_session(status, is_pending).map(|session| predicate(session, parts));
            Box::pin(async move {
                match decision?.await.into_result() {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(RejectionReason::Forbidden),
                    Err(error) => {
                        warnings::predicate_failed(type_name::<C>(), &path, &error);
                        Err(RejectionReason::Unavailable)
                    }
                }
            })
        }))
    }

    /// Evaluates `predicates` in their order, up to the first one that is not satisfied.
    pub(super) fn evaluate_all(
        predicates: &[Self],
        status: &SessionStatus,
        state: &RequestState,
        parts: Parts,
    ) -> PredicateFuture {
        let is_pending = state.status() == SessionStatusKind::Pending;
        if let [Self(predicate)] = predicates {
            return predicate(status, is_pending, parts);
        }
        let (predicates, status) = (predicates.to_vec(), status.clone());
        Box::pin(async move {
            for Self(predicate) in predicates {
                predicate(&status, is_pending, parts.clone()).await?;
            }
            Ok(())
        })
    }
}

/// A copy of the head of `request`.
pub(super) fn copy_parts<B>(request: &Request<B>) -> Parts {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy.into_parts().0
}
