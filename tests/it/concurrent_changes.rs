//! Overlapping changes to the sessions of one browser: within one request, between clones of a jar, and
//! between requests. Each test is for a fault that existed once.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use tower::{Layer as _, service_fn};
use tower_auth_session::{
    RequireSessionLayer, Session, SessionStatus, SignIn,
    claims::{ClaimsFuture, ClaimsRequest, ClaimsSource},
    event::SessionEvent,
    testing::cookie_of,
};

use crate::support::{
    Browser, User,
    engine::{Engine, Jar, ada, at, close, headers, name, open},
    engine_builder, get, layer, post, seconds, subject, user,
};

fn bob() -> SignIn<User> {
    SignIn::new(subject("bob"), user("Bob"))
}

/// A browser sends two requests with the same token. The response to the first, which changes the
/// claims, is sent before the server opens the second, whose cookie is from before the change.
fn check_old_cookie_after_claims_change(second: u64) {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let change = open(&engine, &t0, 20);
    change.update_claims(user("Bea")).unwrap();
    let changed = close(&engine, &change, 20).unwrap();
    assert_eq!(name(&engine, &changed, 20).as_deref(), Some("Bea"));
    let sibling = open(&engine, &t0, second);
    if let Some(cookie) = close(&engine, &sibling, second) {
        assert_eq!(name(&engine, &cookie, second).as_deref(), Some("Bea"), "{cookie:?}");
    }
}

#[test]
fn old_cookie_opened_after_a_claims_change_does_not_restore_old_claims() {
    check_old_cookie_after_claims_change(21);
}

#[test]
fn old_cookie_opened_in_the_second_of_a_claims_change_does_not_restore_old_claims() {
    check_old_cookie_after_claims_change(20);
}

/// Signing out and in within one request replaces the session, just as signing in does.
#[test]
fn cookie_removal_keeps_a_sign_in_that_followed_a_sign_out_in_one_request() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let replacing = open(&engine, &t0, 5);
    replacing.sign_out();
    let sibling = open(&engine, &t0, 5);
    replacing.sign_in(bob()).unwrap();
    close(&engine, &replacing, 5).unwrap();
    // This response is sent after the one that signed bob in.
    assert_eq!(close(&engine, &sibling, 5), None, "removes bob's cookie");
}

/// The same if the second request is opened after the response that signed in.
#[test]
fn cookie_removal_by_a_later_request_keeps_a_sign_in_that_followed_a_sign_out() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let replacing = open(&engine, &t0, 5);
    replacing.sign_out();
    replacing.sign_in(bob()).unwrap();
    close(&engine, &replacing, 5).unwrap();
    let sibling = open(&engine, &t0, 6);
    assert_eq!(close(&engine, &sibling, 6), None, "removes bob's cookie");
}

#[derive(Clone, Default)]
struct Source(Arc<Mutex<Vec<SourceCall>>>);

/// The subject, and the current claims that the source got.
type SourceCall = (String, Option<String>);

impl ClaimsSource<User> for Source {
    fn claims<'a>(&'a self, request: ClaimsRequest<'a, User>) -> ClaimsFuture<'a, User> {
        let subject = request.session.subject().to_string();
        let current = request.current.map(|user| user.name.clone());
        self.0.lock().unwrap().push((subject.clone(), current));
        Box::pin(async move { Ok(user(&subject).into()) })
    }
}

/// The claims of one account are no starting point for another's.
#[tokio::test]
async fn claims_source_does_not_get_the_claims_of_another_account() {
    let (layer, _clock, _events) = layer();
    let source = Source::default();
    let layer = layer.claims_source(source.clone());
    let mut browser = Browser::signed_in(&layer, ada());
    let service = layer.layer(service_fn(async |request: Request<Full<Bytes>>| {
        let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
        jar.sign_in(SignIn::from_claims_source(subject("bob"))).unwrap();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    browser.send(&service, post("/in", "")).await;
    assert_eq!(*source.0.lock().unwrap(), [("bob".to_owned(), None)]);
}

/// A status from the request's extensions never names the account that was signed out.
#[test]
fn status_does_not_return_to_a_signed_out_session() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let jar = open(&engine, &t0, 5);
    let status = jar.status();
    jar.sign_out();
    assert!(!status.is_signed_in());
    jar.sign_in(bob()).unwrap();
    let named = status.identity().map(|identity| identity.subject().to_string());
    assert_ne!(named.as_deref(), Some("ada"), "ada is signed out");
}

#[test]
fn jar_is_signed_out_after_signing_out_in_and_out() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let jar = open(&engine, &t0, 5);
    let status = jar.status();
    jar.sign_out();
    jar.sign_in(bob()).unwrap();
    jar.sign_out();
    assert!(jar.session().is_none());
    assert!(!status.is_signed_in() && !jar.status().is_signed_in());
}

/// A sign-in without claims has no session yet; the extractor must not return the previous one.
#[cfg(feature = "axum")]
#[tokio::test]
async fn extractor_does_not_return_the_account_that_a_sign_in_replaces() {
    use axum::extract::FromRequestParts as _;

    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let jar = open(&engine, &t0, 5);
    jar.sign_in(SignIn::from_claims_source(subject("bob"))).unwrap();
    assert!(jar.session().is_none());
    let mut request = get("/");
    request.extensions_mut().insert(jar.clone());
    let mut parts = request.into_parts().0;
    let found = Session::<User>::from_request_parts(&mut parts, &()).await;
    assert_eq!(found.ok().map(|session| session.subject().to_string()), None);
}

/// As documented for `close`: a second call writes the other changes of the request.
#[test]
fn second_close_after_a_failed_sign_in_writes_the_sign_out_only() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let jar = open(&engine, &t0, 5);
    jar.sign_out();
    jar.sign_in(bob()).unwrap();
    let mut cached = Response::new(());
    cached.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    assert!(engine.close(&jar, &mut cached, at(5)).is_err());
    let cookie = close(&engine, &jar, 5).unwrap();
    assert_eq!(cookie, "__Host-session=", "an error response must not sign bob in");
}

#[test]
fn second_close_after_a_sign_in_without_claims_writes_the_sign_out() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let jar = open(&engine, &t0, 5);
    jar.sign_out();
    jar.sign_in(SignIn::from_claims_source(subject("bob"))).unwrap();
    assert!(engine.close(&jar, &mut Response::new(()), at(5)).is_err());
    let mut second = Response::new(());
    assert_eq!(engine.close(&jar, &mut second, at(5)), Ok(()));
}

fn in_request(browser: &mut Browser, engine: &Engine, second: u64, act: impl FnOnce(&Jar)) {
    let mut request = get("/");
    if let Some(cookies) = browser.cookie_header() {
        request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
    }
    let jar = engine.open(&request, at(second));
    act(&jar);
    browser.store(&headers(engine, &jar, second));
}

/// One clone of the jar verifies the other accounts while another one signs all of them out.
#[test]
fn sign_out_of_all_revokes_accounts_that_are_being_verified() {
    let armed = Arc::new(AtomicBool::new(false));
    let (reached, is_reached) = mpsc::channel::<()>();
    let (release, is_released) = mpsc::channel::<()>();
    let waits = Mutex::new((reached, is_released));
    let hook = Arc::clone(&armed);
    let engine = engine_builder()
        .0
        .multi_session(true)
        .on_event(move |event| {
            if matches!(event, SessionEvent::CredentialRejected { .. })
                && hook.swap(false, Ordering::SeqCst)
            {
                let waits = waits.lock().unwrap();
                waits.0.send(()).unwrap();
                waits.1.recv().unwrap();
            }
        })
        .build()
        .unwrap();
    let mut browser = Browser::default();
    in_request(&mut browser, &engine, 0, |jar| drop(jar.sign_in(ada()).unwrap()));
    in_request(&mut browser, &engine, 0, |jar| drop(jar.sign_in(bob()).unwrap()));
    let copy = browser.clone();
    // A cookie that cannot be verified, so that the verification emits an event.
    browser.cookies.insert("__Host-session".to_owned(), "a.b.c".to_owned());

    let mut request = get("/");
    request.headers_mut().insert(header::COOKIE, browser.cookie_header().unwrap().parse().unwrap());
    let jar = engine.open(&request, at(1));
    armed.store(true, Ordering::SeqCst);
    let clone = jar.clone();
    let reader = std::thread::spawn(move || clone.accounts().len());
    is_reached.recv().unwrap();
    jar.sign_out_all();
    release.send(()).unwrap();
    reader.join().unwrap();
    close(&engine, &jar, 1);

    let mut thief = copy;
    let mut left = 0;
    in_request(&mut thief, &engine, 2, |jar| left = jar.accounts().len());
    assert_eq!(left, 0, "sessions that are still valid after signing out of all");
}

/// An update of claims is not lost when another account becomes active in the same request.
#[test]
fn claims_changed_before_a_switch_are_written() {
    let engine = engine_builder().0.multi_session(true).build().unwrap();
    let mut browser = Browser::default();
    let mut bob_id = None;
    in_request(&mut browser, &engine, 0, |jar| {
        bob_id = Some(jar.sign_in(bob()).unwrap().session_id)
    });
    in_request(&mut browser, &engine, 0, |jar| drop(jar.sign_in(ada()).unwrap()));
    in_request(&mut browser, &engine, 1, |jar| {
        jar.update_claims(user("Bea")).unwrap();
        jar.switch_to(bob_id.unwrap()).unwrap();
    });
    let mut labels = Vec::new();
    in_request(&mut browser, &engine, 2, |jar| {
        labels = jar.accounts().into_iter().map(|account| account.label).collect();
    });
    assert!(labels.contains(&"Bea".to_owned()), "{labels:?}");
}

#[derive(Clone)]
struct Large;

impl ClaimsSource<User> for Large {
    fn claims<'a>(&'a self, _: ClaimsRequest<'a, User>) -> ClaimsFuture<'a, User> {
        Box::pin(async { Ok(user(&"x".repeat(2_500)).into()) })
    }
}

/// Above the cookie budget, a server would reject all further requests with 431.
#[tokio::test]
async fn claims_from_a_source_respect_the_cookie_budget() {
    let (builder, _) = engine_builder();
    let (layer, clock) = crate::support::layer_on(builder.multi_session(true));
    let layer = layer.claims_source(Large);
    let mut browser = Browser::default();
    let service = layer.layer(service_fn(async |request: Request<Full<Bytes>>| {
        let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
        let name = request.uri().path().trim_start_matches('/');
        let _ = jar.sign_in(SignIn::from_claims_source(subject(name)));
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    for path in ["/a", "/b", "/c", "/d", "/e"] {
        browser.send(&service, post(path, "")).await;
        clock.advance(seconds(1));
    }
    let bytes = browser.cookie_header().unwrap().len();
    assert!(bytes <= 7_000, "{bytes} bytes of cookies");
}

/// The guard reads the status, which must not return to signed in.
#[tokio::test]
async fn guard_rejects_after_signing_out_in_and_out() {
    let (layer, _clock, _events) = layer();
    let mut browser = Browser::signed_in(&layer, ada());
    let guarded = RequireSessionLayer::new().layer(service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let service = layer.layer(service_fn(move |request: Request<Full<Bytes>>| {
        let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
        jar.sign_out();
        jar.sign_in(bob()).unwrap();
        jar.sign_out();
        tower::ServiceExt::oneshot(guarded.clone(), request)
    }));
    assert_eq!(browser.send(&service, post("/", "")).await.status, 401);
}

/// The response to a sign-in is sent while the handler of a sign-out is still running.
#[test]
fn slow_sign_out_keeps_the_cookie_of_a_later_sign_in() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let slow = open(&engine, &t0, 5);
    slow.sign_out();
    let next = open(&engine, &t0, 6);
    next.sign_in(bob()).unwrap();
    close(&engine, &next, 6).unwrap();
    assert_eq!(close(&engine, &slow, 7), None, "removes bob's cookie");
}

/// A change by a slow handler must not shorten a session that other requests kept active.
#[test]
fn slow_claims_change_does_not_shorten_a_session_that_was_active() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let slow = open(&engine, &t0, 1);
    let poll = open(&engine, &t0, 80);
    close(&engine, &poll, 80).unwrap();
    slow.update_claims(user("Bea")).unwrap();
    let changed = close(&engine, &slow, 81).unwrap();
    assert_eq!(
        name(&engine, &changed, 150).as_deref(),
        Some("Bea"),
        "active at 80, expires at 180"
    );
}
