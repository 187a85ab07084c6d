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
    Session, SessionStatus, SignIn,
    config::LifetimeOverride,
    engine::{SessionIdentity, SessionStatusKind},
    event::{CredentialError, SessionEvent},
    time::{Clock as _, Timestamp},
};

use crate::support::{
    Browser, ORIGIN, START, TestResponse, User, engine_builder, get, layer, layer_on, post,
    seconds, subject, user,
};

/// The application: `/in` signs Ada in, `/out` signs out, other paths return the signed-in user;
/// `x-status` and `x-cache` choose the status and the `Cache-Control` of the response.
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
async fn session_is_renewed_until_sign_out() {
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
    assert_eq!((response.text(), response.set_cookies().len()), ("Ada", 0), "no renewal is due");
    assert_eq!(response.header("vary"), "Cookie");

    clock.advance(seconds(1));
    let response = ada.send(&service, post("/", "")).await;
    assert_eq!(
        (response.text(), response.set_cookies().len()),
        ("Ada", 1),
        "POST requests are renewed too"
    );

    let copied = ada.clone();
    let response = ada.send(&service, post("/out", "")).await;
    assert!(response.set_cookies()[0].starts_with("__Host-session=; "));
    assert!(ada.cookies.is_empty());
    assert_eq!(ada.send(&service, get("/")).await.text(), "signed out");
    assert_eq!(
        copied.clone().send(&service, get("/")).await.text(),
        "signed out",
        "a copied cookie is rejected"
    );

    let names: Vec<_> = events
        .take()
        .iter()
        .map(|event| format!("{event:?}").split([' ', '{']).next().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["SignedIn", "Renewed", "SignedOut", "CredentialRejected"]);
}

#[tokio::test]
async fn session_cookie_is_sent_whatever_the_response_status() {
    let (layer, clock, _) = layer();
    let service = layer.layer(service_fn(app));
    for (status, carries) in [
        (200, true),
        (204, true),
        (206, true),
        (301, true),
        (303, true),
        (304, true),
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
        // A response that cannot carry the cookie of a sign-in is replaced.
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
async fn renewal_is_withheld_from_a_publicly_cacheable_response() {
    let (layer, clock, events) = layer();
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        let mut response = app(request).await?;
        // An asset, whose handler does not read the session.
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
        let response = ada.clone().send(&service, request).await;
        assert_eq!(response.set_cookies().len(), usize::from(carries), "{value}");
        let expected = if carries { "private, no-store" } else { value };
        assert_eq!(response.header("cache-control"), expected);
        let reported = events.take();
        let withheld = |event: &SessionEvent| matches!(event, SessionEvent::CookieWithheld { .. });
        assert_eq!(reported.iter().any(withheld), !carries, "{reported:?}");
    }
}

/// Expiry and `iat` use the time of the request, and `Max-Age` the time of the response.
#[tokio::test]
async fn slow_handler_does_not_prolong_the_session() {
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
    // Renewed at 50 s, so it expires at 150 s; the response is sent at 90 s.
    assert!(response.set_cookies()[0].ends_with("Max-Age=60"), "{:?}", response.set_cookies());
    clock.advance(seconds(60));
    let response = ada.send(&service, get("/")).await;
    assert_eq!(response.text(), "signed out");
    assert!(
        response.set_cookies()[0].ends_with("Max-Age=0"),
        "an expired session cookie is removed"
    );
}

#[tokio::test]
async fn sign_in_is_discarded_when_the_handler_panics_fails_or_is_dropped() {
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

/// A response that starts before a sign-out and ends after it must not restore the session.
#[tokio::test]
async fn slow_response_never_undoes_a_sign_out() {
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
    let reported = events.take();
    assert!(matches!(reported[..], [SessionEvent::RenewalSuperseded { .. }]), "{reported:?}");
}

/// The revocation list keeps a session by its own limits, because a newer token may have been copied.
#[tokio::test]
async fn sign_out_revokes_newer_tokens_of_the_session() {
    let (layer, clock, _) = layer();
    let service = layer.layer(service_fn(app));
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    let t0 = ada.clone();
    clock.advance(seconds(99));
    ada.send(&service, get("/")).await;
    let mut t1 = ada;
    assert_ne!(t0.cookies, t1.cookies);
    // Signed out with T0 in its last second; T1 expires 99 s later.
    t0.clone().send(&service, post("/out", "")).await;
    clock.advance(seconds(2));
    let response = t1.clone().send(&service, get("/")).await;
    assert_eq!(response.text(), "signed out");
    clock.advance(seconds(96));
    // Another sign-out sweeps the revocation list.
    let mut grace = Browser::default();
    grace.send(&service, post("/in", "")).await;
    grace.send(&service, post("/out", "")).await;
    assert_eq!(t1.send(&service, get("/")).await.text(), "signed out");
}

#[tokio::test]
async fn sign_in_replaces_the_session_with_a_new_id() {
    let (layer, _, events) = layer();
    let service = layer.layer(service_fn(app));
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    let before = ada.clone();
    ada.send(&service, post("/in", "")).await;
    let reported = events.take();
    let [
        SessionEvent::SignedIn { session: first, .. },
        SessionEvent::Replaced { session: old, by, .. },
        SessionEvent::SignedIn { session, replaced, .. },
    ] = &reported[..]
    else {
        panic!("{reported:?}");
    };
    assert_eq!((old.id(), *by), (first.id(), session.id()));
    assert_eq!(*replaced, Some(first.id()));
    assert_ne!(session.id(), first.id());
    assert_eq!(before.clone().send(&service, get("/")).await.text(), "signed out");
    assert_eq!(ada.send(&service, get("/")).await.text(), "Ada");
}

#[tokio::test]
async fn background_requests_do_not_count_as_activity() {
    let (builder, _) = engine_builder();
    let (layer, clock) = layer_on(builder.activity_filter(|head| head.uri.path() != "/poll"));
    let service = layer.layer(service_fn(app));
    let background = || {
        let mut request = get("/");
        request.headers_mut().insert("session-activity", "none".parse().unwrap());
        request
    };
    for poll in [background, || get("/poll")] {
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
async fn sign_in_can_set_its_own_lifetime_and_persistence() {
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
    assert!(response.set_cookies()[0].ends_with("Max-Age=1"), "the maximum from the token");
    clock.advance(seconds(1));
    assert_eq!(ada.send(&service, get("/")).await.text(), "signed out");

    let response = ada.send(&service, post("/kiosk", "")).await;
    assert!(response.set_cookies()[0].ends_with("Path=/"), "{:?}", response.set_cookies());
    clock.advance(seconds(50));
    let response = ada.send(&service, get("/")).await;
    assert!(response.set_cookies()[0].ends_with("Path=/"), "a renewal keeps the persistence");
    clock.advance(seconds(100));
    assert_eq!(ada.send(&service, get("/")).await.text(), "signed out", "the limits still apply");
}

#[tokio::test]
async fn clock_jump_backwards_does_not_sign_out() {
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
async fn cross_site_websocket_handshake_has_no_session() {
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

/// Drops the request after every number of polls, so at every await point. A dropped request must leave
/// no event and no change.
#[tokio::test(start_paused = true)]
async fn request_dropped_at_any_await_point_changes_nothing() {
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
            let reported = events.take();
            assert_eq!(reported.is_empty(), !done, "{path}, {polls} polls: {reported:?}");
            // The session is still valid unless the response to its sign-out was complete.
            let mut request = get("/").map(|_| YieldingBody(0));
            request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
            let response = TestResponse::of(service.clone().oneshot(request).await.unwrap()).await;
            let ended = done && path != "/renew";
            assert_eq!(response.text() == "Ada", !ended, "{path}, {polls} polls");
        }
    }
}

/// An empty body that is pending for the given number of polls.
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

/// The application revokes a session with the identity that it got from an event.
#[tokio::test]
async fn session_revoked_by_its_identity_is_rejected_until_it_expires() {
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
    let reported = events.take();
    let [SessionEvent::SignedIn { session, .. }] = &reported[..] else { panic!("{reported:?}") };
    engine.revoke_session(session, clock.now());
    clock.advance(seconds(49_000));
    // Another sign-out sweeps the revocation list.
    grace.send(&service, post("/in", "")).await;
    grace.send(&service, post("/out", "")).await;
    let response = ada.send(&service, get("/")).await;
    assert_eq!((response.text(), response.set_cookies().len()), ("signed out", 1));
}
