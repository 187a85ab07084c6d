//! The layer in front of a plain tower service.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, Response, header};
use http_body_util::Full;
use tokio::sync::Barrier;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{
    Clock as _, LifetimeOverride, Session, SessionEvent, SessionIdentity, SessionStatus,
    SessionStatusKind, SignIn, Timestamp, engine::CredentialError,
};

use crate::support::{
    Browser, ORIGIN, START, TestResponse, User, engine_builder, get, layer, layer_on, post,
    seconds, subject, user,
};

/// An application: `/in` signs Ada in, `/out` signs out, other paths say who is signed in; `x-status`
/// and `x-cache` choose the status and Cache-Control of the answer.
async fn app(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let jar =
        request.extensions().get::<SessionStatus>().expect("the layer").jar::<User>().unwrap();
    match request.uri().path() {
        "/in" => {
            jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
        }
        "/out" => {
            jar.sign_out();
        }
        _ => {}
    }
    let who = request
        .extensions()
        .get::<Session<User>>()
        .map_or_else(|| "signed out".to_owned(), |session| session.claims().name.clone());
    let mut response = Response::new(Full::from(who));
    if let Some(status) = request.headers().get("x-status") {
        *response.status_mut() = status.to_str().unwrap().parse().unwrap();
    }
    if let Some(value) = request.headers().get("x-cache") {
        response.headers_mut().insert(header::CACHE_CONTROL, value.clone());
    }
    Ok(response)
}

#[tokio::test]
async fn a_session_from_sign_in_to_sign_out() {
    let (layer, clock, events) = layer();
    let service = layer.layer(service_fn(app));
    let mut ada = Browser::default();

    let response = ada.send(&service, get("/")).await;
    assert_eq!((response.text(), response.set_cookies().len()), ("signed out", 0));

    let response = ada.send(&service, post("/in", "")).await;
    let set = response.set_cookies();
    assert_eq!(set.len(), 1);
    assert!(set[0].ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=100"), "{set:?}");
    assert_eq!(response.header("cache-control"), "private, no-store");

    clock.advance(seconds(9));
    let response = ada.send(&service, get("/")).await;
    assert_eq!((response.text(), response.set_cookies().len()), ("Ada", 0), "young tokens stay");
    assert_eq!(response.header("vary"), "Cookie");

    clock.advance(seconds(1));
    let response = ada.send(&service, post("/", "")).await;
    assert_eq!(
        (response.text(), response.set_cookies().len()),
        ("Ada", 1),
        "renewed on a POST too"
    );

    let copied = ada.clone();
    let response = ada.send(&service, post("/out", "")).await;
    assert!(response.set_cookies()[0].starts_with("__Host-session=; "));
    assert!(ada.cookies.is_empty());
    assert_eq!(ada.send(&service, get("/")).await.text(), "signed out");
    assert_eq!(
        copied.clone().send(&service, get("/")).await.text(),
        "signed out",
        "copies are dead"
    );

    let names: Vec<_> = events
        .take()
        .iter()
        .map(|event| format!("{event:?}").split([' ', '{']).next().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["SignedIn", "Renewed", "SignedOut", "Rejected"]);
}

#[tokio::test]
async fn changes_are_kept_whatever_the_status() {
    let (layer, clock, _) = layer();
    let service = layer.layer(service_fn(app));
    for (status, carries) in [
        (200, true),
        (204, true),
        (206, true),
        (301, true),
        (303, true),
        (304, false),
        (400, true),
        (404, true),
        (500, true),
        (503, true),
        (101, false),
    ] {
        let mut ada = Browser::default();
        let mut request = post("/in", "");
        request.headers_mut().insert("x-status", status.into());
        let response = ada.send(&service, request).await;
        // A response that cannot carry the cookie would say what is not so: it is replaced.
        assert_eq!(response.status, if carries { status } else { 500 });
        assert_eq!(response.set_cookies().len(), usize::from(carries), "sign-in, {status}");

        let mut ada = Browser::default();
        ada.send(&service, post("/in", "")).await;
        clock.advance(seconds(10));
        let mut request = get("/");
        request.headers_mut().insert("x-status", status.into());
        let response = ada.send(&service, request).await;
        assert_eq!(response.set_cookies().len(), usize::from(carries), "renewal, {status}");
    }
}

#[tokio::test]
async fn a_response_for_shared_caches_gets_no_cookie_and_says_so() {
    let (layer, clock, events) = layer();
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        let mut response = app(request).await?;
        // An asset: nobody asks who is signed in.
        *response.body_mut() = Full::default();
        Ok::<_, Infallible>(response)
    }));
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    clock.advance(seconds(10));
    events.take();
    for (value, carries) in [
        ("public, max-age=60", false),
        ("max-age=60, s-maxage=9", false),
        ("immutable", false),
        ("max-age=60", true),
    ] {
        let mut request = get("/");
        request.headers_mut().insert("x-cache", value.parse().unwrap());
        let answer = ada.clone().send(&service, request).await;
        assert_eq!(answer.set_cookies().len(), usize::from(carries), "{value}");
        let expected = if carries { "private, no-store" } else { value };
        assert_eq!(answer.header("cache-control"), expected);
        let told = events.take();
        let withheld = |event: &SessionEvent| matches!(event, SessionEvent::CookieWithheld { .. });
        assert_eq!(told.iter().any(withheld), !carries, "{told:?}");
    }
}

/// DESIGN §3: liveness and `iat` at the first reading of the clock, Max-Age at the second.
#[tokio::test]
async fn a_slow_handler_mints_no_fresh_token() {
    let (layer, clock, _) = layer();
    let handler_clock = clock.clone();
    let service = layer.layer(service_fn(move |request: Request<Full<Bytes>>| {
        if request.uri().path() == "/slow" {
            handler_clock.advance(seconds(40));
        }
        app(request)
    }));
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    clock.advance(seconds(50));
    let response = ada.send(&service, get("/slow")).await;
    // RenewOutcome at 50 s, so it lives until 150 s; the response goes out at 90 s.
    assert!(response.set_cookies()[0].ends_with("Max-Age=60"), "{:?}", response.set_cookies());
    clock.advance(seconds(60));
    let response = ada.send(&service, get("/")).await;
    assert_eq!(response.text(), "signed out");
    assert!(response.set_cookies()[0].ends_with("Max-Age=0"), "an expired cookie of ours goes");
}

#[tokio::test]
async fn a_panic_an_error_and_a_dropped_request_change_nothing() {
    #[derive(Debug, PartialEq, Eq)]
    struct Failed;
    let (layer, _, events) = layer();
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
        jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
        match request.uri().path() {
            "/panic" => panic!("the handler"),
            "/hang" => std::future::pending().await,
            _ => Err::<Response<Full<Bytes>>, _>(Failed),
        }
    }));
    let panicked = AssertUnwindSafe(service.clone().oneshot(post("/panic", ""))).catch_unwind();
    assert!(panicked.await.is_err());
    let failed = service.clone().oneshot(post("/fail", "")).await;
    assert!(matches!(failed, Err(Failed)), "the service's own error, unchanged");
    assert!(service.clone().oneshot(post("/hang", "")).now_or_never().is_none());
    assert_eq!(events.take(), []);
}

/// A response that begins before a sign-out and ends after it must not bring the session back.
#[tokio::test]
async fn a_slow_response_never_undoes_a_sign_out() {
    let (layer, clock, events) = layer();
    let gate = Arc::new(Barrier::new(2));
    let at_the_gate = Arc::clone(&gate);
    let service = layer.layer(service_fn(move |request: Request<Full<Bytes>>| {
        let gate = Arc::clone(&at_the_gate);
        async move {
            if request.uri().path() == "/slow" {
                gate.wait().await;
                gate.wait().await;
            }
            app(request).await
        }
    }));
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    clock.advance(seconds(10));

    let mut other_tab = ada.clone();
    let slow_service = service.clone();
    let slow = tokio::spawn(async move { other_tab.send(&slow_service, get("/slow")).await });
    gate.wait().await;
    ada.send(&service, post("/out", "")).await;
    events.take();
    gate.wait().await;
    let response = slow.await.unwrap();
    assert_eq!(response.set_cookies(), Vec::<&str>::new());
    let told = events.take();
    assert!(matches!(told[..], [SessionEvent::RenewalSuperseded { .. }]), "{told:?}");
}

/// The ended set goes by the session's limits: a newer token may have been copied.
#[tokio::test]
async fn a_newer_copy_is_dead_after_the_presented_token_has_expired() {
    let (layer, clock, _) = layer();
    let service = layer.layer(service_fn(app));
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    let t0 = ada.clone();
    clock.advance(seconds(99));
    ada.send(&service, get("/")).await;
    let mut t1 = ada;
    assert_ne!(t0.cookies, t1.cookies);
    // Signed out with T0 in its last second; T1 lives 99 s longer.
    t0.clone().send(&service, post("/out", "")).await;
    clock.advance(seconds(2));
    let response = t1.clone().send(&service, get("/")).await;
    assert_eq!(response.text(), "signed out");
    clock.advance(seconds(96));
    // Others sign out meanwhile, so that the memory is swept.
    let mut grace = Browser::default();
    grace.send(&service, post("/in", "")).await;
    grace.send(&service, post("/out", "")).await;
    assert_eq!(t1.send(&service, get("/")).await.text(), "signed out");
}

#[tokio::test]
async fn a_sign_in_replaces_what_was_there_under_a_new_id() {
    let (layer, _, events) = layer();
    let service = layer.layer(service_fn(app));
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    let before = ada.clone();
    ada.send(&service, post("/in", "")).await;
    let told = events.take();
    let [
        SessionEvent::SignedIn { session: first, .. },
        SessionEvent::Replaced { session: old, by, .. },
        SessionEvent::SignedIn { session, replaced, .. },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!((old.id(), *by), (first.id(), session.id()));
    assert_eq!(*replaced, Some(first.id()));
    assert_ne!(session.id(), first.id());
    assert_eq!(before.clone().send(&service, get("/")).await.text(), "signed out");
    assert_eq!(ada.send(&service, get("/")).await.text(), "Ada");
}

#[tokio::test]
async fn passive_requests_do_not_keep_a_session_alive() {
    let (builder, _) = engine_builder();
    let (layer, clock) = layer_on(builder.activity(|head| head.uri.path() != "/poll"));
    let service = layer.layer(service_fn(app));
    let passive = || {
        let mut request = get("/");
        request.headers_mut().insert("session-activity", "none".parse().unwrap());
        request
    };
    for poll in [passive, || get("/poll")] {
        let mut ada = Browser::default();
        ada.send(&service, post("/in", "")).await;
        for _ in 0..9 {
            clock.advance(seconds(11));
            let response = ada.send(&service, poll()).await;
            assert_eq!((response.text(), response.set_cookies().len()), ("Ada", 1));
        }
        clock.advance(seconds(1));
        assert_eq!(ada.send(&service, poll()).await.text(), "signed out", "100 s without activity");
    }
}

#[tokio::test]
async fn a_sign_in_has_a_lifetime_and_a_persistence_of_its_own() {
    let (layer, clock, _) = layer();
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
        let sign_in = SignIn::new(subject("ada"), user("Ada"));
        match request.uri().path() {
            "/remember" => {
                jar.sign_in(sign_in.lifetime(LifetimeOverride::both(seconds(5_000)))).unwrap();
            }
            "/kiosk" => {
                jar.sign_in(sign_in.persistent(false)).unwrap();
            }
            _ => {}
        }
        app(request).await
    }));
    let mut ada = Browser::default();
    let response = ada.send(&service, post("/remember", "")).await;
    assert!(response.set_cookies()[0].ends_with("Max-Age=5000"));
    clock.advance(seconds(4_999));
    let response = ada.send(&service, get("/")).await;
    assert_eq!(response.text(), "Ada");
    assert!(response.set_cookies()[0].ends_with("Max-Age=1"), "its maximum, carried in the token");
    clock.advance(seconds(1));
    assert_eq!(ada.send(&service, get("/")).await.text(), "signed out");

    let response = ada.send(&service, post("/kiosk", "")).await;
    assert!(response.set_cookies()[0].ends_with("Path=/"), "{:?}", response.set_cookies());
    clock.advance(seconds(50));
    let response = ada.send(&service, get("/")).await;
    assert!(response.set_cookies()[0].ends_with("Path=/"), "a renewal keeps it so");
    clock.advance(seconds(100));
    assert_eq!(
        ada.send(&service, get("/")).await.text(),
        "signed out",
        "the limits hold all the same"
    );
}

#[tokio::test]
async fn a_clock_that_jumps_signs_nobody_out() {
    let (layer, clock, _) = layer();
    let service = layer.layer(service_fn(app));
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    let now = clock.now().timestamp();
    for (seconds_back, served) in [(5, true), (6, false), (3_600, false), (START, false)] {
        let wall = now.as_unix_seconds().saturating_sub(seconds_back);
        clock.set(Timestamp::from_unix_seconds(wall));
        let response = ada.send(&service, get("/")).await;
        assert_eq!(response.text() == "Ada", served, "{seconds_back} s back");
        assert_eq!(response.set_cookies(), Vec::<&str>::new(), "{seconds_back} s back");
        clock.set(now);
        assert_eq!(ada.send(&service, get("/")).await.text(), "Ada");
    }
}

#[tokio::test]
async fn websocket_handshakes_from_other_sites_have_no_session() {
    let (layer, clock, events) = layer();
    let statuses = Arc::new(Mutex::new(Vec::new()));
    let result = Arc::clone(&statuses);
    let service = layer.layer(service_fn(move |request: Request<Full<Bytes>>| {
        result.lock().unwrap().push(request.extensions().get::<SessionStatus>().unwrap().kind());
        app(request)
    }));
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    clock.advance(seconds(10));
    let handshake = |site: &'static str, origin: &'static str| {
        let mut request = get("/ws");
        let headers = request.headers_mut();
        headers.insert("connection", "Upgrade".parse().unwrap());
        headers.insert("upgrade", "WebSocket".parse().unwrap());
        if !site.is_empty() {
            headers.insert("sec-fetch-site", site.parse().unwrap());
        }
        if !origin.is_empty() {
            headers.insert("origin", origin.parse().unwrap());
        }
        headers.insert("x-status", 101.into());
        request
    };
    for (site, origin, served) in [
        ("same-origin", ORIGIN, true),
        ("", ORIGIN, true),
        ("cross-site", "https://evil.example", false),
        ("", "https://evil.example", false),
        ("", "null", false),
        ("", "", false),
    ] {
        statuses.lock().unwrap().clear();
        let response = ada.send(&service, handshake(site, origin)).await;
        assert_eq!(response.text() == "Ada", served, "{site} {origin}");
        assert_eq!(response.set_cookies(), Vec::<&str>::new(), "101 carries no cookie");
        let kind = statuses.lock().unwrap()[0];
        assert_eq!(matches!(kind, SessionStatusKind::CrossOrigin(_)), !served);
    }
    let mut connect = handshake("cross-site", "https://evil.example");
    *connect.method_mut() = http::Method::CONNECT;
    connect.headers_mut().remove("upgrade");
    assert_eq!(ada.send(&service, connect).await.text(), "signed out", "RFC 8441");
    assert!(events.take().iter().any(|event| matches!(
        event,
        SessionEvent::CredentialRejected { reason: CredentialError::CrossOrigin(_), .. }
    )));
}

/// One handler that does everything, so that dropping its response at every poll is a test of every
/// await point: nothing but the sign-out's ended session may be left.
#[tokio::test(start_paused = true)]
async fn a_request_dropped_at_any_await_point_leaves_nothing_half_done() {
    for path in ["/in", "/renew", "/sign-out"] {
        for polls in 0..12 {
            let (layer, clock, events) = layer();
            let layer = layer.claims_source(|_: SessionIdentity| async {
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(user("Ada"))
            });
            let service = layer.layer(service_fn(|request: Request<YieldingBody>| async move {
                tokio::task::yield_now().await;
                let (parts, _) = request.into_parts();
                let response = app(Request::from_parts(parts, Full::default())).await;
                tokio::task::yield_now().await;
                response
            }));
            let signed_in = service.clone().oneshot(post("/in", "").map(|_| YieldingBody(0))).await;
            let mut ada = Browser::default();
            ada.store(signed_in.unwrap().headers());
            clock.advance(seconds(10));
            events.take();

            let mut request = post(path, "").map(|_| YieldingBody(2));
            let cookie = ada.cookie_header().unwrap();
            request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
            let mut future = Box::pin(service.clone().oneshot(request));
            let mut done = false;
            for _ in 0..polls {
                let waker = futures::task::noop_waker();
                if future.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_ready() {
                    done = true;
                    break;
                }
            }
            drop(future);
            let told = events.take();
            assert_eq!(told.is_empty(), !done, "{path}, {polls} polls: {told:?}");
            // The session that was there is there still unless its end was answered.
            let mut request = get("/").map(|_| YieldingBody(0));
            request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
            let answer = TestResponse::of(service.clone().oneshot(request).await.unwrap()).await;
            let ended = done && path != "/renew";
            assert_eq!(answer.text() == "Ada", !ended, "{path}, {polls} polls");
        }
    }
}

/// A body that takes a few polls to be empty.
struct YieldingBody(u32);

impl http_body::Body for YieldingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Ended from elsewhere in the process, by what an event or a guard showed of it.
#[tokio::test]
async fn a_session_can_be_ended_by_its_identity_for_as_long_as_it_may_live() {
    let (layer, clock, events) = layer();
    let engine = layer.engine().clone();
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        if request.uri().path() == "/remember" {
            let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
            let sign_in = SignIn::new(subject("ada"), user("Ada"));
            jar.sign_in(sign_in.lifetime(LifetimeOverride::both(seconds(50_000)))).unwrap();
        }
        app(request).await
    }));
    let (mut ada, mut grace) = (Browser::default(), Browser::default());
    ada.send(&service, post("/remember", "")).await;
    let told = events.take();
    let [SessionEvent::SignedIn { session, .. }] = &told[..] else { panic!("{told:?}") };
    engine.end_session(session, clock.now());
    clock.advance(seconds(49_000));
    // Somebody else signs out, so that the memory is swept.
    grace.send(&service, post("/in", "")).await;
    grace.send(&service, post("/out", "")).await;
    let response = ada.send(&service, get("/")).await;
    assert_eq!((response.text(), response.set_cookies().len()), ("signed out", 1));
}
