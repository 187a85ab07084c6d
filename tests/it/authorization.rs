//! Guards that check roles, permissions and predicates over the request, and how they refuse.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{RequestPartsExt as _, Router, extract::Path, routing::any};
use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use tower::{Layer as _, Service, service_fn};
use tower_auth_session::{
    KeyRing, Rejection, RequireSessionLayer, Session, SessionEngine, SessionJar, SessionLayer,
    SignIn,
    claims::{Permissions, Roles},
    config::{Endpoint, Endpoints, RedirectTarget, RedirectUrls},
    engine::{RequestHead, SessionEngineBuilder, SessionIdentity, SessionTask},
    error::RejectionReason,
    testing::SeededRandom,
};

use crate::support::{
    Browser, ORIGIN, TestResponse, User, get, key, layer, layer_on, subject, user,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Permission {
    Read,
    Write,
    Delete,
}

/// Claims with roles as texts and permissions as an enum.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Member {
    roles: Vec<String>,
    permissions: Vec<Permission>,
}

impl Roles for Member {
    type Role = &'static str;

    fn has_role(&self, role: &Self::Role) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

impl Permissions for Member {
    type Permission = Permission;

    fn has_permission(&self, permission: &Permission) -> bool {
        self.permissions.contains(permission)
    }
}

fn member(roles: &[&str], permissions: &[Permission]) -> SignIn<Member> {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    SignIn::new(subject("ada"), Member { roles, permissions: permissions.to_vec() })
}

fn builder() -> SessionEngineBuilder<Member> {
    SessionEngine::<Member>::builder(KeyRing::new(key("k1")))
        .origin(ORIGIN)
        .redirect_urls(RedirectUrls::new().sign_in_url("/sign-in"))
        .random(SeededRandom::new(1))
}

fn member_layer() -> SessionLayer<Member> {
    layer_on(builder()).0
}

/// A router with `/teams/{team}` behind `guard`.
fn app<C: Send + Sync + 'static>(layer: &SessionLayer<C>, guard: RequireSessionLayer) -> Router {
    let teams = Router::new().route("/teams/{team}", any(|| async { "private" }));
    Router::new().merge(teams.layer(guard)).layer(layer.clone())
}

const NAVIGATION: &[(&str, &str)] = &[("sec-fetch-mode", "navigate"), ("accept", "text/html")];
const SCRIPT: &[(&str, &str)] = &[("sec-fetch-mode", "cors"), ("accept", "application/json")];
const HTMX: &[(&str, &str)] = &[("hx-request", "true"), ("hx-boosted", "true")];
const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc")];

fn request(method: &str, path: &str, headers: &[(&'static str, &str)]) -> Request<Full<Bytes>> {
    let mut request = get(path);
    *request.method_mut() = method.parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

/// The status, and the redirect target, the code, the kind of page or the status of gRPC.
fn outcome(response: &TestResponse) -> String {
    let detail = ["location", "hx-redirect", "grpc-status"]
        .into_iter()
        .filter_map(|name| response.headers.get(name)?.to_str().ok().map(str::to_owned))
        .chain(match response.header("content-type") {
            "application/problem+json" => {
                let json: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
                Some(json["code"].as_str().unwrap().to_owned())
            }
            kind if kind.starts_with("text/html") => Some("page".to_owned()),
            _ => None,
        });
    let detail = detail.collect::<Vec<_>>().join(" ");
    format!("{} {detail}", response.status.as_u16()).trim_end().to_owned()
}

#[tokio::test]
async fn guard_with_a_role_answers_each_client_in_its_form() {
    let layer = member_layer();
    let app = app(&layer, RequireSessionLayer::new().role::<Member>("admin"));
    let signed_out = Browser::default();
    let other = Browser::signed_in(&layer, member(&["support"], &[]));
    let admin = Browser::signed_in(&layer, member(&["support", "admin"], &[]));
    let back = "/sign-in?redirect_url=%2Fteams%2Fred";
    for (method, headers, anonymous, forbidden) in [
        ("GET", NAVIGATION, format!("303 {back}"), "403 page"),
        ("GET", SCRIPT, "401 signed_out".to_owned(), "403 forbidden"),
        // HTMX loads the page of a boosted link as a navigation, which shows the failure.
        ("GET", HTMX, format!("401 {back} signed_out"), "403 /teams/red forbidden"),
        ("POST", GRPC, "200 16".to_owned(), "200 7"),
    ] {
        for (browser, expected) in
            [(&signed_out, &*anonymous), (&other, forbidden), (&admin, "200")]
        {
            let response = browser.clone().send(&app, request(method, "/teams/red", headers)).await;
            assert_eq!(outcome(&response), expected, "{headers:?}");
            assert_eq!(response.text() == "private", expected == "200", "{headers:?}");
        }
    }
}

#[tokio::test]
async fn roles_and_permissions_combine() {
    use Permission::{Delete, Read, Write};
    let guard = RequireSessionLayer::new;
    let layer = member_layer();
    for (guard, roles, permissions, passes) in [
        (guard().role::<Member>("a"), &["a"][..], &[][..], true),
        (guard().role::<Member>("a"), &["A"], &[], false),
        (guard().role::<Member>("a").role::<Member>("b"), &["a", "b"], &[], true),
        (guard().role::<Member>("a").role::<Member>("b"), &["b"], &[], false),
        (guard().any_role::<Member>(["a", "b"]), &["b"], &[], true),
        (guard().any_role::<Member>(["a", "b"]), &["c"], &[], false),
        (guard().any_role::<Member>([]), &["a"], &[], false),
        (guard().permission::<Member>(Write), &[], &[Read, Write], true),
        (guard().permission::<Member>(Write), &[], &[Read], false),
        (guard().permission::<Member>(Read).permission::<Member>(Write), &[], &[Read], false),
        (guard().any_permission::<Member>([Write, Delete]), &[], &[Delete], true),
        (guard().any_permission::<Member>([Write, Delete]), &[], &[Read], false),
        (guard().role::<Member>("a").permission::<Member>(Read), &["a"], &[], false),
        (guard().role::<Member>("a").permission::<Member>(Read), &["a"], &[Read], true),
    ] {
        let mut browser = Browser::signed_in(&layer, member(roles, permissions));
        let response = browser.send(&app(&layer, guard), get("/teams/red")).await;
        let expected = if passes { 200 } else { 403 };
        assert_eq!(response.status, expected, "{roles:?} {permissions:?}");
    }
}

#[tokio::test]
async fn predicate_sees_the_method_and_the_headers() {
    let guard = RequireSessionLayer::new().authorize(
        |session: &Session<Member>, request: RequestHead<'_>| {
            request.method.is_safe()
                || request.headers.contains_key("x-confirmed")
                || request.uri.path() == "/teams/open"
                || session.claims().permissions.contains(&Permission::Write)
        },
    );
    let layer = member_layer();
    let app = app(&layer, guard);
    for (method, path, headers, permissions, status) in [
        ("GET", "/teams/red", &[][..], &[][..], 200),
        ("PUT", "/teams/red", &[], &[], 403),
        ("PUT", "/teams/red", &[("x-confirmed", "1")], &[], 200),
        ("PUT", "/teams/open", &[], &[], 200),
        ("PUT", "/teams/red", &[], &[Permission::Write], 200),
    ] {
        let mut browser = Browser::signed_in(&layer, member(&[], permissions));
        let response = browser.send(&app, request(method, path, headers)).await;
        assert_eq!(response.status, status, "{method} {path} {headers:?} {permissions:?}");
    }
}

/// Allows members whose role is the team in the path, after the task was suspended once.
async fn is_in_team(session: Session<Member>, mut request: Parts) -> Result<bool, std::fmt::Error> {
    tokio::task::yield_now().await;
    match request.extract::<Path<String>>().await.unwrap().0.as_str() {
        "broken" => Err(std::fmt::Error),
        team => Ok(session.claims().roles.iter().any(|role| role == team)),
    }
}

#[tokio::test]
async fn asynchronous_predicate_extracts_path_parameters() {
    let layer = member_layer();
    let app = app(&layer, RequireSessionLayer::new().authorize_async(is_in_team));
    let red = Browser::signed_in(&layer, member(&["red"], &[]));
    for (browser, path, headers, method, expected) in [
        (&red, "/teams/red", SCRIPT, "GET", "200"),
        (&red, "/teams/red", SCRIPT, "POST", "200"),
        (&red, "/teams/blue", SCRIPT, "GET", "403 forbidden"),
        (&red, "/teams/blue", NAVIGATION, "GET", "403 page"),
        (&red, "/teams/blue", GRPC, "POST", "200 7"),
        (&red, "/teams/broken", SCRIPT, "GET", "503 unavailable"),
        (&red, "/teams/broken", NAVIGATION, "GET", "503 page"),
        (&red, "/teams/broken", GRPC, "POST", "200 14"),
        (&Browser::default(), "/teams/red", SCRIPT, "GET", "401 signed_out"),
        (&Browser::default(), "/teams/broken", SCRIPT, "GET", "401 signed_out"),
    ] {
        let response = browser.clone().send(&app, request(method, path, headers)).await;
        assert_eq!(outcome(&response), expected, "{path} {headers:?}");
        assert_eq!(response.header("vary"), "Cookie", "{path}");
        assert!(response.header("cache-control").contains("no-store"), "{path}");
    }
    // A refused HEAD request has no body.
    let head = red.clone().send(&app, request("HEAD", "/teams/blue", SCRIPT)).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (403, 0));
}

#[tokio::test]
async fn asynchronous_predicates_run_last_and_in_order() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = |allows: bool| {
        let calls = Arc::clone(&calls);
        move |_: Session<Member>, _: Parts| {
            calls.fetch_add(1, Ordering::Relaxed);
            async move { allows }
        }
    };
    let layer = member_layer();
    for (guard, status, called) in [
        // The role is checked first, although it is required last.
        (RequireSessionLayer::new().authorize_async(counting(true)).role::<Member>("b"), 403, 0),
        (RequireSessionLayer::new().authorize_async(counting(true)).role::<Member>("a"), 200, 1),
        (
            RequireSessionLayer::new()
                .authorize_async(counting(false))
                .authorize_async(counting(true)),
            403,
            1,
        ),
        (
            RequireSessionLayer::new()
                .authorize_async(counting(true))
                .authorize_async(counting(false)),
            403,
            2,
        ),
        (
            RequireSessionLayer::new()
                .authorize_async(counting(true))
                .authorize_async(counting(true)),
            200,
            2,
        ),
    ] {
        let mut browser = Browser::signed_in(&layer, member(&["a"], &[]));
        let response = browser.send(&app(&layer, guard), get("/teams/red")).await;
        assert_eq!((response.status.as_u16(), calls.swap(0, Ordering::Relaxed)), (status, called));
    }
}

#[tokio::test]
async fn predicates_see_pending_sessions_only_where_the_guard_allows_them() {
    let guard = || {
        RequireSessionLayer::new()
            .authorize(|_: &Session<Member>, _: RequestHead<'_>| true)
            .authorize_async(|_: Session<Member>, _: Parts| async { true })
    };
    let layer = member_layer();
    let pending = member(&[], &[]).with_tasks([SessionTask::SECOND_FACTOR]);
    let browser = Browser::signed_in(&layer, pending);
    for (guard, status) in [(guard(), 403), (guard().allow_pending(), 200)] {
        let response = browser.clone().send(&app(&layer, guard), get("/teams/red")).await;
        assert_eq!(response.status, status);
    }
}

/// A service that is ready for one request after each `poll_ready`, and whose clones are not ready.
#[derive(Default)]
struct OneAtATime {
    is_ready: bool,
}

impl Clone for OneAtATime {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<Full<Bytes>>> for OneAtATime {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called before it was ready");
        std::future::ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn waiting_guard_calls_the_service_that_was_ready() {
    let layer = member_layer();
    let guard = RequireSessionLayer::new().authorize_async(|_: Session<Member>, _: Parts| async {
        tokio::task::yield_now().await;
        true
    });
    let service = layer.layer(guard.layer(OneAtATime::default()));
    let mut browser = Browser::signed_in(&layer, member(&[], &[]));
    assert_eq!(browser.send(&service, get("/")).await.status, 200);
    assert_eq!(browser.send(&service, get("/")).await.status, 200);
}

#[tokio::test]
async fn guard_has_its_own_sign_in_page_and_redirect_parameter() {
    let page = || RedirectTarget::parse("/admin/sign-in").unwrap();
    let elsewhere = || RedirectTarget::parse("https://id.example/in?app=1").unwrap();
    let guard = RequireSessionLayer::new;
    let engine = |redirects: RedirectUrls| layer_on(builder().redirect_urls(redirects)).0;
    let standard = || RedirectUrls::new().sign_in_url("/sign-in");
    for (redirects, guard, expected) in [
        (standard(), guard(), "/sign-in?redirect_url=%2Fteams%2Fred"),
        (standard(), guard().sign_in_url(page()), "/admin/sign-in?redirect_url=%2Fteams%2Fred"),
        (standard(), guard().redirect_param("next"), "/sign-in?next=%2Fteams%2Fred"),
        (standard(), guard().redirect_param(""), "/sign-in"),
        (standard(), guard().redirect_param("a&b=c"), "/sign-in?a%26b%3Dc=%2Fteams%2Fred"),
        (standard().redirect_param("next"), guard(), "/sign-in?next=%2Fteams%2Fred"),
        (
            standard().redirect_param("next"),
            guard().redirect_param("return_to").sign_in_url(page()),
            "/admin/sign-in?return_to=%2Fteams%2Fred",
        ),
        (
            standard(),
            guard().sign_in_url(elsewhere()),
            "https://id.example/in?app=1&redirect_url=https%3A%2F%2Fapp.example.com%2Fteams%2Fred",
        ),
        (
            RedirectUrls::new(),
            guard().sign_in_url(page()),
            "/admin/sign-in?redirect_url=%2Fteams%2Fred",
        ),
    ] {
        let described = format!("{redirects:?} {expected}");
        let app = app(&engine(redirects), guard);
        let request = request("GET", "/teams/red", NAVIGATION);
        let response = Browser::default().send(&app, request).await;
        assert_eq!(outcome(&response), format!("303 {expected}"), "{described}");
    }
}

/// A pending session is sent to the tasks page, and a session whose factor is too old to the
/// re-verification page. Where these are the sign-in page by default, the guard's own replaces them.
#[tokio::test]
async fn guards_sign_in_page_replaces_it_as_a_default_only() {
    let page = RedirectTarget::parse("/admin/sign-in").unwrap();
    let guard = || RequireSessionLayer::new().sign_in_url(page.clone()).redirect_param("next");
    let standard = || RedirectUrls::new().sign_in_url("/sign-in");
    let own = || standard().tasks_url("/tasks").reverify_url("/verify");
    for (redirects, tasks, reverify) in
        [(standard(), "/admin/sign-in", "/admin/sign-in"), (own(), "/tasks", "/verify")]
    {
        let (layer, clock) = layer_on(builder().redirect_urls(redirects));
        let pending = member(&[], &[]).with_tasks([SessionTask::SECOND_FACTOR]);
        let mut browser = Browser::signed_in(&layer, pending);
        let navigation = || request("GET", "/teams/red", NAVIGATION);
        let response = browser.send(&app(&layer, guard()), navigation()).await;
        assert_eq!(outcome(&response), format!("303 {tasks}?next=%2Fteams%2Fred"));

        let mut browser = Browser::signed_in(&layer, member(&[], &[]));
        clock.advance(std::time::Duration::from_secs(2));
        let fresh = guard().first_factor_within(std::time::Duration::from_secs(1));
        let response = browser.send(&app(&layer, fresh), navigation()).await;
        assert_eq!(outcome(&response), format!("303 {reverify}?next=%2Fteams%2Fred"));
    }
}

/// The chooser that this crate serves reads `redirect_url`; that of the application reads the
/// configured parameter.
#[tokio::test]
async fn redirect_parameter_of_the_account_chooser() {
    let below = || RedirectUrls::new().sign_in_url("/in");
    let own = Endpoints::new().disable(Endpoint::Chooser);
    for (redirects, endpoints, expected) in [
        (RedirectUrls::new(), Endpoints::new(), "/sign-in/choose?redirect_url=%2Fteams%2Fred"),
        (below(), Endpoints::new(), "/in/choose?redirect_url=%2Fteams%2Fred"),
        (below(), own, "/in/choose?next=%2Fteams%2Fred"),
    ] {
        let engine = builder().multi_session(true).endpoints(endpoints);
        let (layer, _) = layer_on(engine.redirect_urls(redirects.redirect_param("next")));
        let mut browser = Browser::signed_in(&layer, member(&[], &[]));
        browser.cookies.insert("__Host-session.active".to_owned(), "none".to_owned());
        let app = app(&layer, RequireSessionLayer::new());
        let response = browser.send(&app, request("GET", "/teams/red", NAVIGATION)).await;
        assert_eq!(outcome(&response), format!("303 {expected}"));
    }
}

#[test]
fn invalid_redirect_parameters_are_problems() {
    for (name, is_valid) in [
        ("next", true),
        ("return-to_1.x", true),
        ("", false),
        ("a b", false),
        ("a&b", false),
        ("ä", false),
        ("cookie_missing", false),
        (&"n".repeat(64), true),
        (&"n".repeat(65), false),
    ] {
        let built =
            builder().redirect_urls(RedirectUrls::new().redirect_param(name.to_owned())).build();
        assert_eq!(built.is_ok(), is_valid, "{name}");
        if let Err(error) = built {
            assert!(error.to_string().contains("redirect_param"), "{error}");
        }
    }
    let both = builder()
        .redirect_urls(RedirectUrls::new().redirect_param("next"))
        .session_query_param("next")
        .build();
    assert!(both.unwrap_err().to_string().contains("session_query_param"));
}

#[tokio::test]
async fn application_answers_refused_requests_itself() {
    let guard =
        RequireSessionLayer::new().role::<Member>("admin").respond_with(|rejection| {
            match (rejection.kind(), rejection.shows_page()) {
                (RejectionReason::Forbidden, true) => {
                    let mut response = Response::new(Bytes::from("<h1>no such page</h1>"));
                    *response.status_mut() = http::StatusCode::NOT_FOUND;
                    response.headers_mut().insert("content-type", "text/html".parse().unwrap());
                    response
                }
                _ => rejection.to_response(),
            }
        });
    let layer = member_layer();
    let app = app(&layer, guard.clone());
    let mut browser = Browser::signed_in(&layer, member(&[], &[]));
    for (headers, method, expected) in [
        (NAVIGATION, "GET", "404 page"),
        (SCRIPT, "GET", "403 forbidden"),
        (HTMX, "GET", "403 /teams/red forbidden"),
        (GRPC, "POST", "200 7"),
    ] {
        let response = browser.send(&app, request(method, "/teams/red", headers)).await;
        assert_eq!(outcome(&response), expected);
        assert!(response.header("cache-control").contains("no-store"));
    }
    let signed_out = Browser::default().send(&app, request("GET", "/teams/red", NAVIGATION)).await;
    assert_eq!(signed_out.header("location"), "/sign-in?redirect_url=%2Fteams%2Fred");

    // The rejection is in the extensions, as with this crate's response.
    let inner = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = guard.respond_with(|_| Response::default()).layer(inner);
    let response = tower::ServiceExt::oneshot(service, get("/")).await.unwrap();
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(
        (rejection.kind(), response.status().as_u16()),
        (RejectionReason::MissingLayer, 200)
    );
}

#[tokio::test]
async fn predicates_over_other_claims_find_no_layer() {
    let (layer, ..) = layer();
    let mut browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
    let wrong = [
        RequireSessionLayer::new().role::<Member>("a"),
        RequireSessionLayer::new().authorize_async(|_: Session<Member>, _: Parts| async { true }),
        RequireSessionLayer::new()
            .authorize_async(|_: Session<User>, _: Parts| async { true })
            .role::<Member>("a"),
    ];
    for guard in wrong {
        let response = browser.send(&app(&layer, guard), request("GET", "/teams/a", SCRIPT)).await;
        assert_eq!(outcome(&response), "500 layer_missing");
    }
}

/// Such as one that takes over the sessions of another layer.
#[tokio::test]
async fn guards_and_extractors_see_the_sign_in_of_a_middleware() {
    async fn sign_in_or_out(
        jar: SessionJar<Member>,
        request: axum::extract::Request,
        next: axum::middleware::Next,
    ) -> axum::response::Response {
        match request.uri().path() {
            "/teams/out" => drop(jar.sign_out()),
            _ if jar.session().is_none() => drop(jar.sign_in(member(&["admin"], &[])).unwrap()),
            _ => {}
        }
        next.run(request).await
    }
    let layer = member_layer();
    for guard in [
        RequireSessionLayer::new(),
        RequireSessionLayer::for_claims::<Member>(),
        RequireSessionLayer::new().role::<Member>("admin"),
        RequireSessionLayer::new().deny_impersonated(),
    ] {
        let team = |identity: SessionIdentity| async move { identity.subject().to_string() };
        let app = Router::new()
            .route("/teams/{team}", any(team))
            .layer(guard)
            .layer(axum::middleware::from_fn(sign_in_or_out))
            .layer(layer.clone());
        let mut browser = Browser::default();
        let response = browser.send(&app, request("GET", "/teams/red", SCRIPT)).await;
        assert_eq!((response.status.as_u16(), response.text()), (200, "ada"));
        assert_eq!(response.set_cookies().len(), 1);
        let response = browser.send(&app, request("GET", "/teams/red", SCRIPT)).await;
        assert_eq!((response.status.as_u16(), response.text()), (200, "ada"));
        assert!(response.set_cookies().is_empty());
        let response = browser.send(&app, request("GET", "/teams/out", SCRIPT)).await;
        assert_eq!(outcome(&response), "401 signed_out");
        assert!(browser.has_no_session());
    }
}
