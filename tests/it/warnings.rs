//! Each warning of `docs/operating.md`, with its remedy, and what does not cause it.
#![cfg(all(feature = "tracing", feature = "axum", feature = "memory"))]

use std::{convert::Infallible, future::ready};

use axum::{Router, routing::get as route_get};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{
    Algorithm, KeyRing, RequireSessionLayer, Session, SessionEngine, SessionJar, SessionLayer,
    SessionManager, SignIn, SigningKey,
    config::{CookieConfig, Endpoint, Endpoints, RedirectUrls},
    engine::SessionEngineBuilder,
    testing,
    time::{Clock as _, SystemClock},
};

use crate::support::{
    COOKIE, ORIGIN, get, key,
    log::{Line, Log},
    post,
    probe::{Probe, now_or_never},
    subject,
};

type Builder = SessionEngineBuilder<()>;

fn builder(kid: &str) -> Builder {
    SessionEngine::builder(KeyRing::new(key(kid))).origin(ORIGIN)
}

/// The warnings of this name since the last call.
fn warnings(log: &Log, name: &str) -> Vec<Line> {
    let mut lines = log.warnings();
    lines.retain(|line| line.value("warning") == name);
    for line in &lines {
        assert_eq!(line.target, "tower_auth_session");
        assert!(line.message.contains(": "), "a warning has a remedy: {line:?}");
    }
    lines
}

/// The only warning of this name since the last call.
#[track_caller]
fn warning(log: &Log, name: &str) -> Line {
    let mut lines = warnings(log, name);
    assert_eq!(lines.len(), 1, "{name}: {lines:#?}");
    lines.remove(0)
}

fn send(app: &Router, request: Request<Full<Bytes>>) -> Response<axum::body::Body> {
    let request = request.map(axum::body::Body::new);
    now_or_never(app.clone().oneshot(request)).unwrap()
}

/// A request that a browser makes for a page.
fn navigation(path: &str) -> Request<Full<Bytes>> {
    let mut request = get(path);
    request.headers_mut().insert("sec-fetch-mode", "navigate".parse().unwrap());
    request.headers_mut().insert("sec-fetch-dest", "document".parse().unwrap());
    request.headers_mut().insert("accept", "text/html".parse().unwrap());
    request
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Customer;

#[derive(serde::Serialize, serde::Deserialize)]
struct Operator;

#[test]
fn missing_layer_names_the_claims_of_guard_and_layer() {
    let log = Log::start();
    let guarded = Router::new().route("/", route_get(|| async {}));
    let guard = RequireSessionLayer::for_claims::<Operator>();
    let app = guarded.layer(guard);
    assert_eq!(send(&app, get("/")).status(), 500);
    let line = warning(&log, "missing_layer");
    assert!(line.value("required").ends_with("warnings::Operator"), "{line:?}");
    assert_eq!(line.value("found"), "[]");

    async fn customer(_: Session<Customer>) {}
    let app = Router::new()
        .route("/", route_get(customer))
        .layer(SessionLayer::new(builder("w1").build().unwrap()));
    assert_eq!(send(&app, get("/")).status(), 500);
    let line = warning(&log, "missing_layer");
    assert!(line.value("required").ends_with("warnings::Customer"), "{line:?}");
    assert_eq!(line.value("found"), r#"["()"]"#);
    // The same warning again, within a minute.
    assert_eq!(send(&app, get("/")).status(), 500);
    assert!(warnings(&log, "missing_layer").is_empty());
}

#[test]
fn ambiguous_layer_names_the_claims_of_all_layers() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Visitor;
    let log = Log::start();
    let visitors = SessionEngine::<Visitor>::builder(KeyRing::new(key("w2")))
        .cookie(CookieConfig::new("visitor"))
        .endpoints(Endpoints::new().path(Endpoint::SignOut, "/visitor/sign-out"))
        .build()
        .unwrap();
    let app = Router::new()
        .route("/", route_get(|| async {}))
        .layer(RequireSessionLayer::new().for_layer("w2-absent"))
        .layer(SessionLayer::new(visitors))
        .layer(SessionLayer::new(builder("w2").build().unwrap()).name("users"));
    assert_eq!(send(&app, get("/")).status(), 500);
    assert_eq!(warning(&log, "missing_layer").value("required"), "w2-absent");

    async fn jar(_: tower_auth_session::SessionStatus, _: Session) {}
    let app = Router::new()
        .route("/", route_get(jar))
        .layer(SessionLayer::new(builder("w2").build().unwrap()))
        .layer(SessionLayer::new(builder("w2").build().unwrap()));
    assert_eq!(send(&app, get("/")).status(), 500);
    let lines = warnings(&log, "ambiguous_layer");
    assert!(lines.iter().all(|line| line.value("found") == r#"["()", "()"]"#), "{lines:?}");
    assert!(!lines.is_empty());
}

#[test]
fn failed_predicate_is_logged_with_its_error() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Tenant;
    let log = Log::start();
    let builder = SessionEngine::<Tenant>::builder(KeyRing::new(key("w13"))).origin(ORIGIN);
    let layer = SessionLayer::new(builder.build().unwrap());
    let guard = |result: Result<bool, &'static str>| {
        RequireSessionLayer::new().authorize_async(move |_: Session<Tenant>, _| ready(result))
    };
    let app = |result| {
        let routes = Router::new().route("/teams/1", route_get(|| async {}));
        routes.layer(guard(result)).layer(layer.clone())
    };
    let request = || {
        let now = SystemClock::new().now().timestamp();
        let sign_in = SignIn::new(subject("ada"), Tenant);
        testing::signed_in(layer.engine(), sign_in, now, get("/teams/1")).unwrap()
    };
    for (result, status) in [(Ok(true), 200), (Ok(false), 403)] {
        assert_eq!(send(&app(result), request()).status(), status);
        assert!(warnings(&log, "predicate_failed").is_empty());
    }
    assert_eq!(send(&app(Err("the database is down")), request()).status(), 503);
    let line = warning(&log, "predicate_failed");
    assert_eq!((line.value("path"), line.value("error")), ("/teams/1", "the database is down"));
    assert!(line.value("claims").ends_with("Tenant"), "{line:?}");
}

#[test]
fn missing_store_names_the_claims() {
    let log = Log::start();
    let app = Router::new()
        .route("/", route_get(|_: SessionManager| async {}))
        .layer(SessionLayer::new(builder("w14").build().unwrap()));
    assert_eq!(send(&app, get("/")).status(), 500);
    assert_eq!(warning(&log, "missing_store").value("claims"), "()");
}

#[test]
fn nested_layers_report_endpoints_that_are_never_reached() {
    let log = Log::start();
    let endpoints = || Endpoints::new().path(Endpoint::SignOut, "/w3/sign-out");
    let layer = |endpoints| SessionLayer::new(builder("w3").endpoints(endpoints).build().unwrap());
    let routes = || Router::new().route("/", route_get(|| async {}));
    let app = routes().layer(layer(endpoints())).layer(layer(endpoints()));
    send(&app, get("/"));
    let lines = warnings(&log, "endpoint_behind_another");
    let paths: Vec<_> = lines.iter().map(|line| line.value("path")).collect();
    assert!(paths.contains(&"/w3/sign-out"), "{paths:?}");
    send(&app, get("/"));
    assert!(warnings(&log, "endpoint_behind_another").is_empty(), "once");

    // The same engine twice counts as one layer.
    let same = layer(Endpoints::new().path(Endpoint::SignOut, "/w3/same"));
    send(&routes().layer(same.clone()).layer(same), get("/"));
    assert!(warnings(&log, "endpoint_behind_another").is_empty());
}

#[test]
fn guards_report_navigations_without_a_sign_in_page_and_redirect_loops() {
    let log = Log::start();
    let app = |redirects: RedirectUrls| {
        let engine = builder("w4").redirect_urls(redirects).build().unwrap();
        Router::new()
            .route("/w4/sign-in", route_get(|| async {}))
            .route("/w4/me", route_get(|| async {}))
            .layer(RequireSessionLayer::new())
            .layer(SessionLayer::new(engine))
    };
    let without = app(RedirectUrls::new());
    send(&without, get("/w4/me"));
    assert!(warnings(&log, "no_sign_in_url").is_empty(), "not for scripts");
    send(&without, navigation("/w4/me"));
    assert_eq!(warning(&log, "no_sign_in_url").value("path"), "/w4/me");
    let with = app(RedirectUrls::new().sign_in_url("/w4/sign-in"));
    send(&with, navigation("/w4/me"));
    assert!(log.warnings().is_empty());
    send(&with, navigation("/w4/sign-in"));
    assert_eq!(warning(&log, "guarded_target").value("path"), "/w4/sign-in");
}

#[test]
fn store_without_background_task_is_reported() {
    use tower_auth_session::store::MemoryStore;

    let log = Log::start();
    for follows in [true, false] {
        let layer = SessionLayer::new(builder("w5").build().unwrap()).store(MemoryStore::new());
        let background = follows.then(|| layer.background());
        let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| {
            let status = request.extensions().get::<tower_auth_session::SessionStatus>().unwrap();
            let jar: SessionJar = status.jar().unwrap();
            jar.sign_in(SignIn::new(subject("ada"), ())).unwrap();
            ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        }));
        for _ in 0..2 {
            now_or_never(service.clone().oneshot(get("/"))).unwrap();
        }
        assert_eq!(warnings(&log, "no_background").len(), usize::from(!follows));
        drop(background);
    }
}

/// Signs in with the first request, so that the second one renews the session.
fn sign_in_first(status: &tower_auth_session::SessionStatus) {
    let jar: SessionJar = status.jar().unwrap();
    if jar.session().is_none() {
        jar.sign_in(SignIn::new(subject("ada"), ())).unwrap();
    }
}

/// Other threads of the program may have a runtime.
#[test]
fn calls_without_a_timeout_are_reported_once_for_each_thread() {
    use tower_auth_session::store::MemoryStore;

    let log = Log::start();
    let layer = SessionLayer::new(builder("w11").build().unwrap()).store(MemoryStore::new());
    let background = layer.background();
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| {
        sign_in_first(request.extensions().get().unwrap());
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(service.clone().oneshot(get("/"))).unwrap();
    assert!(log.warnings().is_empty());
    now_or_never(service.clone().oneshot(get("/"))).unwrap();
    let thread = std::thread::current();
    assert_eq!(warning(&log, "no_runtime").value("thread"), thread.name().unwrap());
    now_or_never(service.clone().oneshot(get("/"))).unwrap();
    assert!(log.warnings().is_empty());
    // Of a name of its own: the warning is limited for each name, and other tests have threads too.
    let other = std::thread::Builder::new().name("w11".into()).spawn(move || {
        now_or_never(service.oneshot(get("/"))).unwrap();
        assert_eq!(warning(&log, "no_runtime").value("thread"), "w11");
    });
    other.unwrap().join().unwrap();
    drop(background);
}

/// One warning names all that the tables do not record.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn tables_of_version_1_are_reported_once() {
    use sqlx::{AssertSqlSafe, SqlitePool, sqlite::SqliteConnectOptions};
    use tower_auth_session::{config::CopiedCookies, store::SqliteStore};

    let log = Log::start();
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("warnings-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("sessions.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let version_1 = include_str!("../../migrations/sqlite/0001_sessions.sql");
    let version_1 = version_1.replace("auth_", "w12_");
    sqlx::raw_sql(AssertSqlSafe(version_1)).execute(&pool).await.unwrap();
    pool.close().await;
    let store = SqliteStore::open(&file).await.unwrap().prefix("w12_").unwrap();
    for is_migrated in [false, true] {
        if is_migrated {
            store.migrate().await.unwrap();
        }
        let builder = builder("w12").copied_cookies(CopiedCookies::Report);
        let (layer, clock) = crate::support::layer_on(builder);
        let layer = layer.store(store.clone());
        let background = layer.background();
        let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| {
            sign_in_first(request.extensions().get().unwrap());
            ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        }));
        let response = service.clone().oneshot(get("/")).await.unwrap();
        clock.advance(crate::support::seconds(120));
        let mut request = get("/");
        testing::carry_cookies(&response, &mut request);
        service.oneshot(request).await.unwrap();
        let lines = log.warnings();
        let logged: Vec<_> = lines.iter().map(|line| line.value("warning")).collect();
        let expected: &[_] = if is_migrated { &[] } else { &["store_outdated"] };
        assert_eq!(logged, expected);
        assert!(lines.iter().all(|line| line.value("prefix") == "w12_"), "{lines:?}");
        drop(background);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn token_of_another_key_with_the_same_name_is_reported() {
    let log = Log::start();
    let generated = || SigningKey::generate("w6", Algorithm::Hs256).unwrap();
    let node = |key: SigningKey| {
        Probe::new(SessionEngine::<()>::builder(KeyRing::new(key)).origin(ORIGIN))
    };
    let (one, other) = (node(generated()), node(generated()));
    let signed_in = one.run_handler(get("/"), |jar, _| {
        jar.sign_in(SignIn::new(subject("ada"), ())).unwrap();
    });
    assert!(one.cookie(COOKIE, &signed_in.token()).session.is_some());
    assert!(warnings(&log, "other_key").is_empty());
    assert!(other.cookie(COOKIE, &signed_in.token()).session.is_none());
    assert_eq!(warning(&log, "other_key").value("kid"), "w6");
    // A key of another algorithm.
    let other = node(SigningKey::generate("w6-es", Algorithm::Es256).unwrap());
    let token = node(SigningKey::generate("w6-es", Algorithm::Hs256).unwrap())
        .run_handler(get("/"), |jar, _| {
            jar.sign_in(SignIn::new(subject("ada"), ())).unwrap();
        })
        .token();
    assert!(other.cookie(COOKIE, &token).session.is_none());
    assert_eq!(warning(&log, "other_key").value("kid"), "w6-es");
    // A name that this process does not know: a node that is behind in a rotation.
    let stranger = node(SigningKey::generate("w6-other", Algorithm::Hs256).unwrap());
    assert!(stranger.cookie(COOKIE, &token).session.is_none());
    assert!(warnings(&log, "other_key").is_empty());
}

const SAFARI: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like \
                      Gecko) Version/18.0 Safari/605.1.15";
const CHROMIUM: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                        Chrome/156.0.0.0 Safari/537.36";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

/// A sign-in form that a page of `origin`, which the browser `agent` shows, submits to `host`.
fn form(host: &str, page: (&'static str, String), agent: &str) -> Request<Full<Bytes>> {
    Request::post("/sign-in")
        .header(header::HOST, host)
        .header(page.0, page.1)
        .header(header::USER_AGENT, agent)
        .body(Full::default())
        .unwrap()
}

#[test]
fn sign_in_whose_cookie_the_browser_drops_is_reported() {
    let log = Log::start();
    let anywhere = || SessionEngine::<()>::builder(KeyRing::new(key("w7")));
    let secure = || Probe::new(anywhere());
    let insecure =
        || Probe::new(anywhere().cookie(CookieConfig::default().insecure_for_development()));
    let (over_http, over_https) = ("secure_cookie_over_http", "insecure_cookie_over_https");
    let origin = |origin: &str| ("origin", origin.to_owned());
    let referer = |origin: &str| ("referer", format!("{origin}/sign-in"));
    for (probe, host, page, agent, expected) in [
        (secure(), "192.168.7.1:3000", origin("http://192.168.7.1:3000"), CHROMIUM, over_http),
        (secure(), "192.168.7.2", referer("http://192.168.7.2"), FIREFOX, over_http),
        (secure(), "w7.example", origin("http://w7.example"), SAFARI, over_http),
        (secure(), "localhost:7001", origin("http://localhost:7001"), SAFARI, over_http),
        (secure(), "127.0.0.1:7001", referer("http://127.0.0.1:7001"), SAFARI, over_http),
        (secure(), "localhost:7002", origin("http://localhost:7002"), CHROMIUM, ""),
        (secure(), "127.0.0.1:7002", origin("http://127.0.0.1:7002"), FIREFOX, ""),
        (secure(), "w7.example", origin("https://w7.example"), SAFARI, ""),
        (insecure(), "192.168.7.1:3000", origin("http://192.168.7.1:3000"), CHROMIUM, ""),
        (insecure(), "localhost:7001", origin("http://localhost:7001"), SAFARI, ""),
        (insecure(), "w7.example", origin("https://w7.example"), FIREFOX, over_https),
    ] {
        log.take();
        let stated = page.1.trim_end_matches("/sign-in").to_owned();
        let result = probe.run_handler(form(host, page, agent), |jar, _| {
            jar.sign_in(SignIn::new(subject("ada"), ())).unwrap();
        });
        assert_eq!(result.response.set_cookies().len(), 1);
        let mut lines = log.warnings();
        lines.retain(|line| !line.value("warning").is_empty());
        let names: Vec<_> = lines.iter().map(|line| line.value("warning")).collect();
        assert_eq!(names.join(" "), expected, "{host} {agent}");
        assert!(lines.iter().all(|line| line.value("page") == stated), "{lines:?}");
    }
    // A link to a page that signs in, or a redirect of a form to it.
    for (page, agent, expected) in [
        (referer("http://w13.example"), CHROMIUM, 1),
        (referer("http://localhost:7013"), SAFARI, 1),
        (referer("http://localhost:7014"), CHROMIUM, 0),
        (referer("https://w13.example"), SAFARI, 0),
        (referer("http://provider.example"), FIREFOX, 0),
    ] {
        let own = page.1.trim_start_matches("https://").trim_start_matches("http://");
        let own = own.trim_end_matches("/sign-in").replace("provider", "w14");
        let mut callback = form(&own, page, agent);
        *callback.method_mut() = http::Method::GET;
        let probe = secure();
        let sign_in = |jar: &SessionJar, _: &mut _| {
            jar.sign_in(SignIn::new(subject("ada"), ())).unwrap();
        };
        probe.run_handler(callback, sign_in);
        assert_eq!(warnings(&log, over_http).len(), expected, "{own} {agent}");
    }
    // Only a sign-in sets a cookie that could be dropped.
    let probe = secure();
    probe.send(form("192.168.7.9", origin("http://192.168.7.9"), CHROMIUM));
    assert!(warnings(&log, over_http).is_empty());
}

#[test]
fn request_refused_for_its_origin_names_both_origins() {
    let log = Log::start();
    let page = |path: &str, origin: &'static str| {
        let mut request = post(path, "");
        request.headers_mut().insert(header::ORIGIN, origin.parse().unwrap());
        request
    };
    let probe = Probe::new(builder("w8"));
    probe.run_handler(page("/sign-in", "http://localhost:8001"), |jar, _| {
        assert!(jar.sign_in(SignIn::new(subject("ada"), ())).is_err());
    });
    let line = warning(&log, "refused_origin");
    assert_eq!((line.value("page"), line.value("own_origin")), ("http://localhost:8001", ORIGIN));

    let token = probe
        .run_handler(get("/"), |jar, _| {
            jar.sign_in(SignIn::new(subject("ada"), ())).unwrap();
        })
        .token();
    let mut sign_out = page("/sign-out", "http://localhost:8002");
    sign_out.headers_mut().insert(header::COOKIE, format!("{COOKIE}={token}").parse().unwrap());
    assert_eq!(probe.send_endpoint(sign_out).status, 403);
    assert_eq!(warning(&log, "refused_origin").value("page"), "http://localhost:8002");

    let mut websocket = page("/", "http://localhost:8003");
    *websocket.method_mut() = http::Method::GET;
    websocket.headers_mut().insert(header::UPGRADE, "websocket".parse().unwrap());
    websocket.headers_mut().insert(header::COOKIE, format!("{COOKIE}={token}").parse().unwrap());
    probe.send(websocket);
    assert_eq!(warning(&log, "refused_origin").value("page"), "http://localhost:8003");

    // Nothing of a hostile header is logged, and a request without an origin has nothing to name.
    for origin in ["null", "http://evil.example/\"x", "http://EVIL.example"] {
        probe.run_handler(page("/sign-in", origin), |jar, _| {
            assert!(jar.sign_in(SignIn::new(subject("ada"), ())).is_err());
        });
    }
    // Allowed by the handler, so that it is not refused.
    probe.run_handler(page("/sign-in", "http://localhost:8004"), |jar, _| {
        jar.sign_in(SignIn::new(subject("ada"), ()).allow_cross_origin()).unwrap();
    });
    let lines = warnings(&log, "refused_origin");
    assert!(lines.is_empty(), "{lines:#?}");
}

#[test]
fn store_that_records_no_lineage_is_reported() {
    use crate::support::faulty_store::{Fault, FaultyStore};
    use tower_auth_session::config::CopiedCookies;

    let log = Log::start();
    for (fault, reaction, expected) in [
        (Fault::None, CopiedCookies::Report, 0),
        (Fault::NoLineage, CopiedCookies::Off, 0),
        (Fault::NoLineage, CopiedCookies::Report, 1),
    ] {
        let store = FaultyStore::new();
        store.set(fault);
        let builder = builder("w9").copied_cookies(reaction);
        let (layer, clock) = crate::support::layer_on(builder);
        let service = layer.store(store).layer(service_fn(|request: Request<Full<Bytes>>| {
            sign_in_first(request.extensions().get().unwrap());
            ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        }));
        let response = now_or_never(service.clone().oneshot(get("/"))).unwrap();
        clock.advance(crate::support::seconds(120));
        let mut request = get("/");
        testing::carry_cookies(&response, &mut request);
        now_or_never(service.oneshot(request)).unwrap();
        assert_eq!(warnings(&log, "copies_not_detected").len(), expected, "{fault:?} {reaction}");
    }
}

#[test]
fn store_that_records_no_binding_is_reported() {
    use crate::support::faulty_store::{Fault, FaultyStore};
    use tower_auth_session::config::DeviceBound;

    let log = Log::start();
    let device = testing::DeviceClient::new(ORIGIN).unwrap();
    for (fault, expected) in [(Fault::None, 0), (Fault::NoBinding, 1)] {
        let store = FaultyStore::new();
        store.set(fault);
        let builder = builder("w10").device_bound(DeviceBound::Preferred);
        let (layer, _) = crate::support::layer_on(builder);
        let service = layer.store(store).layer(service_fn(|request: Request<Full<Bytes>>| {
            sign_in_first(request.extensions().get().unwrap());
            ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        }));
        let response = now_or_never(service.clone().oneshot(get("/"))).unwrap();
        let mut request = device.register(&response).unwrap();
        testing::carry_cookies(&response, &mut request);
        assert_eq!(now_or_never(service.oneshot(request)).unwrap().status(), 200);
        assert_eq!(warnings(&log, "bindings_not_recorded").len(), expected, "{fault:?}");
    }
}

#[test]
fn guarded_response_for_shared_caches_is_reported() {
    let log = Log::start();
    let layer = SessionLayer::new(builder("w9").build().unwrap());
    let cached = |cache: &'static str| {
        Router::new()
            .route("/report", route_get(move || ready([(header::CACHE_CONTROL, cache)])))
            .layer(RequireSessionLayer::new())
            .layer(layer.clone())
    };
    let signed_in = || {
        let (ada, now) = (SignIn::new(subject("ada"), ()), SystemClock::new().now());
        let cookie = testing::cookie_of(layer.engine(), ada, now.timestamp()).unwrap();
        let mut request = get("/report?secret=1");
        request.headers_mut().insert(header::COOKIE, cookie);
        request
    };
    for private in ["private", "max-age=60", "no-store"] {
        assert_eq!(send(&cached(private), signed_in()).status(), 200);
    }
    assert_eq!(send(&cached("public"), get("/report")).status(), 401);
    assert!(warnings(&log, "guarded_and_public").is_empty());
    for public in ["public, max-age=60", "s-maxage=60"] {
        assert_eq!(send(&cached(public), signed_in()).status(), 200);
    }
    // Once for each engine.
    assert_eq!(warning(&log, "guarded_and_public").value("path"), "/report");
}

#[test]
fn every_warning_is_documented_and_tested() {
    let guide = include_str!("../../docs/operating.md");
    let this = include_str!("warnings.rs");
    let sources = [
        include_str!("../../src/engine/logging/warnings.rs"),
        include_str!("../../src/rejection/warnings.rs"),
    ];
    let mut names = Vec::new();
    for source in sources {
        let calls = source.split("warning!(").skip(1);
        let once = source.split("warning_once!(").skip(1);
        let calls = calls.chain(once);
        names.extend(
            calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next()),
        );
    }
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        assert!(guide.contains(&format!("| `{name}` |")), "docs/operating.md lacks {name}");
        assert!(this.contains(&format!("\"{name}\"")), "no test of {name}");
    }
}
