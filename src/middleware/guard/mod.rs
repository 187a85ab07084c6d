//! [`RequireSessionLayer`]: passes signed-in requests on and refuses all others.

mod authorization;
mod requirement;
mod service;
mod warnings;

use std::{any::type_name, borrow::Cow, fmt, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CACHE_CONTROL, request::Parts};
use tower_layer::Layer;

use self::requirement::{
    AsyncPredicate, GuardedRequest, PredicateFuture, Refusal, Requirement, copy_parts,
};
pub use self::{
    authorization::{Permissions, PredicateError, PredicateResult, Roles},
    service::{RequireSession, RequireSessionFuture},
};
use crate::{
    engine::{
        redirect::target::RedirectTarget,
        request::{
            head::RequestHead,
            session::{LayerLookupError, Session, SessionStatus},
            state::RequestState,
        },
        session::{factor::Factor, identity::SessionStatusKind},
    },
    rejection::{
        Rejection, RejectionReason,
        problem::{NO_STORE, no_store},
    },
};

/// Refuses requests without a session, with the response that suits the client: see [`Rejection`].
///
/// Place it inside [`SessionLayer`](crate::SessionLayer). Without that layer it refuses every request
/// with 500 (fail closed). Responses without `Cache-Control` become `private, no-store`.
///
/// Each method adds a requirement, and a request must meet all of them. In Axum, add the guard with
/// `route_layer`. With `layer`, it also covers the fallback of the router: a path without a route is then a
/// redirect or 401, not 404.
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// # use tower_auth_session::*;
/// # use tower_auth_session::claims::Roles;
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct User { roles: Vec<String> }
/// # impl Roles for User {
/// #     type Role = &'static str;
/// #     fn has_role(&self, role: &Self::Role) -> bool { self.roles.iter().any(|own| own == role) }
/// # }
/// # async fn page() {}
/// # use axum::{Router, body::Body, http::{Request, StatusCode}, routing::get};
/// # use tower::ServiceExt as _;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let app: Router =
/// Router::new()
///     .route("/admin/users", get(page))
///     .route_layer(RequireSessionLayer::new().role::<User>("admin"))
///     .merge(Router::new().route("/account", get(page)).route_layer(RequireSessionLayer::new()))
/// # ;
/// # let keys = KeyRing::new(SigningKey::generate("k1", Algorithm::Hs256)?);
/// # let engine = SessionEngine::<User>::builder(keys).origin("https://app.example.com").build()?;
/// # let app = app.layer(SessionLayer::new(engine));
/// # let expected = [("/account", 401), ("/admin/users", 401), ("/sign-in", 404)];
/// # for (path, status) in expected {
/// #     let request = Request::get(path).body(Body::empty())?;
/// #     assert_eq!(app.clone().oneshot(request).await?.status(), StatusCode::from_u16(status)?);
/// # }
/// # Ok(()) }
/// ```
///
/// A signed-in user who does not meet a requirement gets 403.
///
/// CORS preflights (`OPTIONS` with `Origin` and `Access-Control-Request-Method`) pass, because browsers
/// send them without cookies. A handler behind the guard must therefore not act on `OPTIONS`, unless
/// the guard [answers preflights itself](Self::answer_preflights) or a CORS layer outside the guard
/// does.
///
/// All requirements:
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{
///     RequireSessionLayer,
///     claims::{Permissions, Roles},
/// };
///
/// # struct User { roles: Vec<String> }
/// # impl Roles for User {
/// #     type Role = &'static str;
/// #     fn has_role(&self, role: &Self::Role) -> bool { self.roles.iter().any(|own| own == role) }
/// # }
/// # impl Permissions for User {
/// #     type Permission = &'static str;
/// #     fn has_permission(&self, permission: &Self::Permission) -> bool { self.has_role(permission) }
/// # }
/// const MINUTE: Duration = Duration::from_secs(60);
/// let editors = RequireSessionLayer::new().any_role::<User>(["editor", "admin"]);
/// let reports = RequireSessionLayer::new().permission::<User>("reports:read");
/// let exports = RequireSessionLayer::new().any_permission::<User>(["export:all", "export:own"]);
/// let payments = RequireSessionLayer::new()
///     .first_factor_within(10 * MINUTE)
///     .second_factor_within(10 * MINUTE)
///     .deny_impersonated();
/// let devices = RequireSessionLayer::new().any_factor_within(60 * MINUTE);
/// let transfers = RequireSessionLayer::new().device_within(MINUTE); // on the user's own device
/// let code_page = RequireSessionLayer::new().allow_pending(); // the page where a task is completed
/// let api = RequireSessionLayer::new().answer_preflights().redirect_param("next");
///
/// // Where several layers wrap the service:
/// let customers = RequireSessionLayer::for_claims::<User>();
/// let staff = RequireSessionLayer::new().for_layer("staff");
/// # let _ = (editors, reports, exports, payments, devices, transfers, code_page, api, customers, staff);
/// ```
#[derive(Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct RequireSessionLayer(Arc<GuardSettings>);

/// What the services of a guard share.
#[derive(Clone)]
struct GuardSettings {
    find: Find,
    /// What `find` looks for, for logs.
    claims: fn() -> &'static str,
    layer_name: Option<&'static str>,
    requirements: Vec<Requirement>,
    predicates: Vec<AsyncPredicate>,
    allows_pending: bool,
    answers_preflights: bool,
    sign_in_url: Option<RedirectTarget>,
    redirect_param: Option<Cow<'static, str>>,
    response: Option<Arc<OwnResponse>>,
}

type Find = fn(&SessionStatus) -> Result<Arc<RequestState>, LayerLookupError>;
type OwnResponse = dyn Fn(&Rejection) -> Response<Bytes> + Send + Sync;

/// The decision about a request.
enum Verdict {
    Pass,
    Refuse(Box<Response<Bytes>>),
    /// Asynchronous predicates decide.
    Wait(PredicateFuture, Arc<RequestState>),
}

impl RequireSessionLayer {
    /// Lets any signed-in session pass, whatever its claims. Where layers of several engines wrap the
    /// service, a guard must select one with [`for_layer`](Self::for_layer) or
    /// [`for_claims`](Self::for_claims): otherwise every request is refused with 500.
    pub fn new() -> Self {
        let find: Find = |status| match status.is_ambiguous() {
            true => Err(LayerLookupError::Ambiguous),
            false => Ok(status.current_record()),
        };
        Self(Arc::new(GuardSettings {
            find,
            claims: || "any",
            layer_name: None,
            requirements: Vec::new(),
            predicates: Vec::new(),
            allows_pending: false,
            answers_preflights: false,
            sign_in_url: None,
            redirect_param: None,
            response: None,
        }))
    }

    /// Uses the layer that [`SessionLayer::name`](crate::SessionLayer::name) named `name`. Without such
    /// a layer every request is refused with 500.
    pub fn for_layer(self, name: &'static str) -> Self {
        self.with(|settings| settings.layer_name = Some(name))
    }

    /// Lets signed-in sessions of the layer whose claims are `C` pass, where there are several layers.
    /// Without such a layer every request is refused with 500.
    pub fn for_claims<C: Send + Sync + 'static>() -> Self {
        Self::new().using_claims::<C>()
    }

    /// Answers CORS preflights itself instead of passing them on to the handler: with 204 and no CORS
    /// headers, so that browsers refuse the cross-origin request. Other `OPTIONS` requests need a
    /// session like any request. A CORS layer that allows other origins belongs outside the guard.
    pub fn answer_preflights(self) -> Self {
        self.with(|settings| settings.answers_preflights = true)
    }

    /// Requires claims that satisfy `predicate`; other sessions are refused with 403. All requirements
    /// of this guard then use the layer whose claims are `C`.
    ///
    /// ```
    /// # use tower_auth_session::RequireSessionLayer;
    /// # struct User { verified: bool }
    /// let guard = RequireSessionLayer::new().claims(|user: &User| user.verified);
    /// ```
    pub fn claims<C: Send + Sync + 'static>(
        self,
        predicate: impl Fn(&C) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.authorize(move |session: &Session<C>, _| predicate(session.claims()))
    }

    /// Requires a role, as the claims state it: see [`Roles`](crate::claims::Roles). Other sessions are
    /// refused with 403. Two calls require both roles.
    pub fn role<C: Roles + Send + Sync + 'static>(self, role: C::Role) -> Self {
        self.claims(move |claims: &C| claims.has_role(&role))
    }

    /// Requires at least one of `roles`.
    pub fn any_role<C: Roles + Send + Sync + 'static>(
        self,
        roles: impl IntoIterator<Item = C::Role>,
    ) -> Self {
        let roles: Vec<_> = roles.into_iter().collect();
        self.claims(move |claims: &C| roles.iter().any(|role| claims.has_role(role)))
    }

    /// Requires a permission, as the claims state it: see [`Permissions`](crate::claims::Permissions).
    /// Other sessions are refused with 403. Two calls require both permissions.
    pub fn permission<C: Permissions + Send + Sync + 'static>(
        self,
        permission: C::Permission,
    ) -> Self {
        self.claims(move |claims: &C| claims.has_permission(&permission))
    }

    /// Requires at least one of `permissions`.
    pub fn any_permission<C: Permissions + Send + Sync + 'static>(
        self,
        permissions: impl IntoIterator<Item = C::Permission>,
    ) -> Self {
        let permissions: Vec<_> = permissions.into_iter().collect();
        self.claims(move |claims: &C| permissions.iter().any(|it| claims.has_permission(it)))
    }

    /// Requires a session and a request that satisfy `predicate`; others are refused with 403. The
    /// predicate receives the method, the URI and the headers, but no path parameters: use
    /// [`authorize_async`](Self::authorize_async) to extract them.
    ///
    /// ```
    /// use tower_auth_session::{RequireSessionLayer, Session, engine::RequestHead};
    ///
    /// # struct User { can_write: bool }
    /// let guard = RequireSessionLayer::new().authorize(
    ///     |session: &Session<User>, request: RequestHead<'_>| {
    ///         request.method.is_safe() || session.claims().can_write
    ///     },
    /// );
    /// ```
    pub fn authorize<C: Send + Sync + 'static>(
        self,
        predicate: impl Fn(&Session<C>, RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.using_claims::<C>().require(Requirement::predicate(predicate))
    }

    /// Like [`authorize`](Self::authorize), for asynchronous predicates, such as a database query. They are
    /// evaluated in their order, after all other requirements. Each receives a copy of the request's head,
    /// from which Axum's extractors read:
    ///
    #[cfg_attr(feature = "axum", doc = "```")]
    #[cfg_attr(not(feature = "axum"), doc = "```ignore")]
    /// use axum::{RequestPartsExt, extract::Path};
    /// use http::request::Parts;
    /// use tower_auth_session::{RequireSessionLayer, Session};
    ///
    /// # struct User;
    /// # #[derive(Clone)] struct Database;
    /// # impl Database {
    /// #     async fn is_member(&self, _: &str, _: &str) -> Result<bool, std::io::Error> { Ok(true) }
    /// # }
    /// # fn guard(database: Database) -> RequireSessionLayer {
    /// // For routes such as /teams/{team}/members:
    /// RequireSessionLayer::new().authorize_async(move |session: Session<User>, mut request: Parts| {
    ///     let database = database.clone();
    ///     async move {
    ///         let Ok(Path(team)) = request.extract::<Path<String>>().await else { return Ok(false) };
    ///         database.is_member(session.subject().as_str(), &team).await
    ///     }
    /// })
    /// # }
    /// ```
    ///
    /// The predicate returns `bool` or `Result<bool, E>`. An error is logged, and the response is 503. In
    /// Axum, add the guard with `route_layer` to the router that has the routes: only there can it read
    /// path parameters.
    pub fn authorize_async<C, F, R>(
        self,
        predicate: impl Fn(Session<C>, Parts) -> F + Send + Sync + 'static,
    ) -> Self
    where
        C: Send + Sync + 'static,
        F: Future<Output = R> + Send + 'static,
        R: PredicateResult,
    {
        let predicate = AsyncPredicate::new(predicate);
        self.using_claims::<C>().with(|settings| settings.predicates.push(predicate))
    }

    /// Requires a first factor that was verified at most `age` ago (step-up, ASVS 7.5.3): by signing
    /// in, or by [`mark_verified`](crate::SessionJar::mark_verified) since then. Other sessions are sent to
    /// [`reverify_url`](crate::config::RedirectUrls::reverify_url).
    ///
    /// An impersonated session has no fresh factor unless the application marked one as verified.
    pub fn first_factor_within(self, age: Duration) -> Self {
        self.require(Requirement::freshness(Some(Factor::First), age))
    }

    /// Requires a second factor that was verified at most `age` ago. A session without a second factor
    /// is refused.
    pub fn second_factor_within(self, age: Duration) -> Self {
        self.require(Requirement::freshness(Some(Factor::Second), age))
    }

    /// Requires that either factor was verified at most `age` ago.
    pub fn any_factor_within(self, age: Duration) -> Self {
        self.require(Requirement::freshness(None, age))
    }

    /// Requires a session that is bound to the user's device
    /// ([`device_bound`](crate::engine::SessionEngineBuilder::device_bound)). Others are refused with 403,
    /// and a page that names the reason: their browser cannot bind sessions, or has not done it yet.
    ///
    /// ```
    /// use axum::Router;
    /// use tower_auth_session::RequireSessionLayer;
    ///
    /// /// Routes on which a copied cookie must not work.
    /// fn payments(routes: Router) -> Router {
    ///     routes.route_layer(RequireSessionLayer::new().device_bound())
    /// }
    /// ```
    pub fn device_bound(self) -> Self {
        self.require(Requirement::device(Duration::MAX))
    }

    /// Requires that the device of the session proved its key at most `max_age` ago, at least 30 seconds.
    /// A GET or HEAD request with an older proof is redirected to the same URL, and the response removes the
    /// proof: the browser renews it before the next request, without a script. Other requests get 401. A
    /// session that is not bound is refused with 403.
    ///
    /// The age of a proof counts from when the service received the signature. The signed challenge may be
    /// up to 5 minutes older, because browsers send a signature more than once.
    pub fn device_within(self, max_age: Duration) -> Self {
        // With less, a browser could be redirected endlessly if the clocks of two nodes differ.
        const MIN_AGE: Duration = Duration::from_secs(30);
        self.require(Requirement::device(max_age.max(MIN_AGE)))
    }

    /// Refuses impersonated sessions with 403, for actions that only the subject may take.
    pub fn deny_impersonated(self) -> Self {
        self.require(Requirement::not_impersonated())
    }

    /// Also lets [pending](crate::SignIn::with_tasks) sessions pass, for the pages on which their tasks
    /// are completed. Handlers find them in [`SessionStatus::pending`] and [`SessionJar::pending`](crate::SessionJar::pending).
    pub fn allow_pending(self) -> Self {
        self.with(|settings| settings.allows_pending = true)
    }

    /// The sign-in page of these routes, in place of
    /// [`RedirectUrls::sign_in_url`](crate::config::RedirectUrls::sign_in_url). It also replaces that
    /// page where it is the default for tasks and re-verification.
    ///
    /// ```
    /// use tower_auth_session::{RequireSessionLayer, config::RedirectTarget};
    ///
    /// # fn guard() -> Result<RequireSessionLayer, tower_auth_session::ConfigError> {
    /// let page = RedirectTarget::parse("/admin/sign-in")?;
    /// Ok(RequireSessionLayer::new().sign_in_url(page))
    /// # }
    /// ```
    pub fn sign_in_url(self, url: RedirectTarget) -> Self {
        self.with(|settings| settings.sign_in_url = Some(url))
    }

    /// The query parameter in which redirects of this guard name the page to return to, in place of
    /// [`RedirectUrls::redirect_param`](crate::config::RedirectUrls::redirect_param). With an empty name,
    /// redirects do not name the page.
    pub fn redirect_param(self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        self.with(|settings| settings.redirect_param = Some(name))
    }

    /// Answers refused requests with a response of the application. [`Rejection::to_response`] is this
    /// crate's response, for the reasons and clients that need no other:
    ///
    /// ```
    /// use http::{Response, StatusCode};
    /// use tower_auth_session::{Rejection, RequireSessionLayer, error::RejectionReason};
    ///
    /// # struct User { admin: bool }
    /// // The pages of administrators do not exist for other users.
    /// let guard = RequireSessionLayer::new().claims(|user: &User| user.admin).respond_with(
    ///     |rejection: &Rejection| match rejection.kind() {
    ///         RejectionReason::Forbidden => {
    ///             let mut response = Response::new("not found".into());
    ///             *response.status_mut() = StatusCode::NOT_FOUND;
    ///             response
    ///         }
    ///         _ => rejection.to_response(),
    ///     },
    /// );
    /// ```
    ///
    /// A response without `Cache-Control` becomes `no-store`.
    pub fn respond_with(
        self,
        response: impl Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.response = Some(Arc::new(response)))
    }

    fn require(self, requirement: Requirement) -> Self {
        self.with(|settings| settings.requirements.push(requirement))
    }

    /// The layer whose claims are `C` decides.
    fn using_claims<C: Send + Sync + 'static>(self) -> Self {
        self.with(|settings| {
            settings.find = find::<C>;
            settings.claims = type_name::<C>;
        })
    }

    fn with(self, change: impl FnOnce(&mut GuardSettings)) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.0);
        change(&mut settings);
        Self(Arc::new(settings))
    }
}

impl GuardSettings {
    /// Decides about a request.
    fn verdict<B>(&self, request: &Request<B>) -> Verdict {
        let head = RequestHead::from_request(request);
        if head.is_preflight() {
            return match self.answers_preflights {
                true => Verdict::Refuse(Box::new(preflight_response())),
                false => Verdict::Pass,
            };
        }
        let named;
        let nearest = request.extensions().get::<SessionStatus>();
        let status = match self.layer_name {
            Some(name) => {
                named = nearest.and_then(|status| status.layer(name));
                named.as_ref()
            }
            None => nearest,
        };
        let found = status.ok_or(LayerLookupError::Missing);
        let (status, state) = match found.and_then(|status| Ok((status, (self.find)(status)?))) {
            Ok(found) => found,
            Err(error) => {
                let required = self.layer_name.unwrap_or_else(self.claims);
                let rejection = Rejection::from_lookup_error(error, required, nearest, head);
                return Verdict::Refuse(Box::new(self.response(&rejection)));
            }
        };
        state.mark_guarded();
        match self.check(&GuardedRequest { head, status, state: &state }) {
            Err(refusal) => Verdict::Refuse(Box::new(self.refuse(&refusal, head, &state))),
            Ok(()) if self.predicates.is_empty() => Verdict::Pass,
            Ok(()) => {
                let parts = copy_parts(request);
                let future = AsyncPredicate::evaluate_all(&self.predicates, status, &state, parts);
                Verdict::Wait(future, state)
            }
        }
    }

    /// Checks the status and the requirements that need no waiting.
    fn check(&self, request: &GuardedRequest<'_>) -> Result<(), Refusal> {
        let kind = request.state.status();
        let passes = self.allows_pending && kind == SessionStatusKind::Pending;
        match RejectionReason::from_status(kind).filter(|_| !passes) {
            Some(reason) => Err(reason.into()),
            None => self.requirements.iter().try_for_each(|it| it.check(request)),
        }
    }

    fn refuse(
        &self,
        refusal: &Refusal,
        head: RequestHead<'_>,
        state: &RequestState,
    ) -> Response<Bytes> {
        let redirects = state.redirects();
        let own = (self.sign_in_url.is_some() || self.redirect_param.is_some())
            .then(|| redirects.for_guard(self.sign_in_url.as_ref(), self.redirect_param.as_ref()));
        let redirects = own.as_ref().unwrap_or(redirects);
        let rejection = Rejection::with_redirects(refusal.reason, head, Some((state, redirects)));
        self.response(&rejection.wanting(refusal.freshness))
    }

    fn response(&self, rejection: &Rejection) -> Response<Bytes> {
        let Some(own) = &self.response else { return rejection.to_response() };
        let mut response = own(rejection);
        no_store(response.headers_mut());
        response.extensions_mut().insert(rejection.clone());
        response
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
    status.find::<C>().map(|jar| jar.current_state())
}

impl Default for RequireSessionLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for RequireSessionLayer {
    type Service = RequireSession<S>;

    fn layer(&self, inner: S) -> RequireSession<S> {
        RequireSession::new(inner, self.clone())
    }
}

impl fmt::Debug for RequireSessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireSessionLayer")
            .field("requirements", &self.0.requirements.len())
            .field("predicates", &self.0.predicates.len())
            .finish_non_exhaustive()
    }
}
