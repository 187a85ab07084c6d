//! Changes of one browser's sessions that overlap: in one request, between clones of a jar, and across
//! requests. Each was once wrong.

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
    ClaimsFuture, ClaimsRequest, ClaimsSource, RequireSessionLayer, Session, SessionEvent,
    SessionStatus, SignIn, testing::cookie_of,
};

use crate::support::{
    Browser, User,
    engine::{Engine, Jar, ada, at, close, headers, name, open},
    engine_builder, get, layer, post, seconds, subject, user,
};

fn bob() -> SignIn<User> {
    SignIn::new(subject("bob"), user("Bob"))
}

/// Two requests sent together with one stale token. The change of claims is answered before the
/// server looks at the other request, whose cookie is from before the change.
fn after_change(second: u64) {
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
fn a_request_sent_before_a_change_and_opened_after_it_brings_no_old_claims_back() {
    after_change(21);
}

#[test]
fn nor_in_the_same_second() {
    after_change(20);
}

/// Signing out and in within one request replaces the session as signing in does.
#[test]
fn a_removal_does_not_take_a_sign_in_that_followed_a_sign_out_in_one_request() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let rotate = open(&engine, &t0, 5);
    rotate.sign_out();
    let sibling = open(&engine, &t0, 5);
    rotate.sign_in(bob()).unwrap();
    close(&engine, &rotate, 5).unwrap();
    // On the wire after the response that signed bob in.
    assert_eq!(close(&engine, &sibling, 5), None, "takes bob's cookie");
}

/// The same, where the sibling is opened after the response that signed in.
#[test]
fn nor_where_the_sibling_is_opened_later() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let rotate = open(&engine, &t0, 5);
    rotate.sign_out();
    rotate.sign_in(bob()).unwrap();
    close(&engine, &rotate, 5).unwrap();
    let sibling = open(&engine, &t0, 6);
    assert_eq!(close(&engine, &sibling, 6), None, "takes bob's cookie");
}

#[derive(Clone, Default)]
struct Source(Arc<Mutex<Vec<Asked>>>);

/// For whom, and the claims shown.
type Asked = (String, Option<String>);

impl ClaimsSource<User> for Source {
    fn claims<'a>(&'a self, request: ClaimsRequest<'a, User>) -> ClaimsFuture<'a, User> {
        let subject = request.session.subject().to_string();
        let current = request.current.map(|user| user.name.clone());
        self.0.lock().unwrap().push((subject.clone(), current));
        Box::pin(async move { Ok(user(&subject)) })
    }
}

/// What one account's claims say is no base for another's.
#[tokio::test]
async fn a_source_is_not_shown_another_accounts_claims() {
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

/// A status taken from the extensions never names the account that was signed out.
#[test]
fn a_status_does_not_come_back_to_a_session_that_was_signed_out() {
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
fn nobody_is_signed_in_after_signing_out_in_and_out() {
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

/// Without its claims a sign-in has nobody: not whom the request came as.
#[cfg(feature = "axum")]
#[tokio::test]
async fn an_extractor_does_not_serve_the_account_that_a_sign_in_replaces() {
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

/// The documentation of `close`: closing again writes what else the request changed.
#[test]
fn closing_again_after_a_failed_sign_in_writes_the_sign_out_and_no_sign_in() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let jar = open(&engine, &t0, 5);
    jar.sign_out();
    jar.sign_in(bob()).unwrap();
    let mut cached = Response::new(());
    cached.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    assert!(engine.close(&jar, &mut cached, at(5)).is_err());
    let cookie = close(&engine, &jar, 5).unwrap();
    assert_eq!(cookie, "__Host-session=", "a 500 that signs bob in");
}

#[test]
fn closing_again_after_a_sign_in_without_claims_writes_the_sign_out() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let jar = open(&engine, &t0, 5);
    jar.sign_out();
    jar.sign_in(SignIn::from_claims_source(subject("bob"))).unwrap();
    assert!(engine.close(&jar, &mut Response::new(()), at(5)).is_err());
    let mut second = Response::new(());
    assert_eq!(engine.close(&jar, &mut second, at(5)), Ok(()));
}

fn several(browser: &mut Browser, engine: &Engine, second: u64, act: impl FnOnce(&Jar)) {
    let mut request = get("/");
    if let Some(cookies) = browser.cookie_header() {
        request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
    }
    let jar = engine.open(&request, at(second));
    act(&jar);
    browser.store(&headers(engine, &jar, second));
}

/// One clone verifies the other accounts while another one signs all of them out.
#[test]
fn signing_out_of_all_does_not_miss_accounts_that_are_being_read() {
    let armed = Arc::new(AtomicBool::new(false));
    let (reached, is_reached) = mpsc::channel::<()>();
    let (release, is_released) = mpsc::channel::<()>();
    let waits = Mutex::new((reached, is_released));
    let hook = Arc::clone(&armed);
    let engine = engine_builder()
        .0
        .multi_session(true)
        .on_event(move |event| {
            if matches!(event, SessionEvent::Rejected { .. }) && hook.swap(false, Ordering::SeqCst)
            {
                let waits = waits.lock().unwrap();
                waits.0.send(()).unwrap();
                waits.1.recv().unwrap();
            }
        })
        .build()
        .unwrap();
    let mut browser = Browser::default();
    several(&mut browser, &engine, 0, |jar| drop(jar.sign_in(ada()).unwrap()));
    several(&mut browser, &engine, 0, |jar| drop(jar.sign_in(bob()).unwrap()));
    let copy = browser.clone();
    // One that does not verify, so that there is something to tell.
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
    several(&mut thief, &engine, 2, |jar| left = jar.accounts().len());
    assert_eq!(left, 0, "sessions that survive signing out of all");
}

/// What the application says of an account's claims goes out though another one becomes active.
#[test]
fn claims_that_were_changed_before_a_switch_go_out() {
    let engine = engine_builder().0.multi_session(true).build().unwrap();
    let mut browser = Browser::default();
    let mut bob_id = None;
    several(&mut browser, &engine, 0, |jar| bob_id = Some(jar.sign_in(bob()).unwrap().session_id));
    several(&mut browser, &engine, 0, |jar| drop(jar.sign_in(ada()).unwrap()));
    several(&mut browser, &engine, 1, |jar| {
        jar.update_claims(user("Bea")).unwrap();
        jar.switch_to(bob_id.unwrap()).unwrap();
    });
    let mut labels = Vec::new();
    several(&mut browser, &engine, 2, |jar| {
        labels = jar.accounts().into_iter().map(|account| account.label).collect();
    });
    assert!(labels.contains(&"Bea".to_owned()), "{labels:?}");
}

#[derive(Clone)]
struct Large;

impl ClaimsSource<User> for Large {
    fn claims<'a>(&'a self, _: ClaimsRequest<'a, User>) -> ClaimsFuture<'a, User> {
        Box::pin(async { Ok(user(&"x".repeat(2_500))) })
    }
}

/// Claims from a source keep the cookie budget too: beyond it a server answers 431 for ever.
#[tokio::test]
async fn claims_from_a_source_keep_the_budget() {
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

/// The guard asks the status: after signing out it must not open again.
#[tokio::test]
async fn a_guard_stays_shut_after_signing_out_in_and_out() {
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

/// A sign-out whose handler is slow, and a sign-in that was answered meanwhile.
#[test]
fn a_slow_sign_out_does_not_take_the_cookie_of_a_later_sign_in() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let slow = open(&engine, &t0, 5);
    slow.sign_out();
    let next = open(&engine, &t0, 6);
    next.sign_in(bob()).unwrap();
    close(&engine, &next, 6).unwrap();
    assert_eq!(close(&engine, &slow, 7), None, "takes bob's cookie");
}

/// An explicit change by a slow handler must not shorten a session that was active meanwhile.
#[test]
fn a_slow_change_of_claims_does_not_rewind_activity() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let slow = open(&engine, &t0, 1);
    let poll = open(&engine, &t0, 80);
    close(&engine, &poll, 80).unwrap();
    slow.update_claims(user("Bea")).unwrap();
    let changed = close(&engine, &slow, 81).unwrap();
    assert_eq!(name(&engine, &changed, 150).as_deref(), Some("Bea"), "active at 80, idle end 180");
}
