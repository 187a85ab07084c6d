//! Faults that a security review found. Each test describes the fault and asserts the right behaviour.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, OnceLock, mpsc},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};
use tower_auth_session::{
    KeyRing, RequireSessionLayer, Session, SessionEngine, SessionLayer, SessionStatus, SignIn,
    claims::ClaimsSourceError,
    config::CookieConfig,
    engine::SessionIdentity,
    event::SessionEvent,
    testing::{ManualClock, SeededRandom, cookie_of},
    time::Timestamp,
};

use crate::support::{
    Browser, COOKIE, START, User,
    engine::{Jar, ada, at, close, name, open, pair},
    engine_builder, get, key, layer, post, seconds, subject,
    token_forge::{TokenForge, claims_with},
    user,
};

// 1. Security

/// A thief with a copy of T0 keeps renewing. The owner comes back after T0 itself has expired and signs
/// out. The expired token still identifies the session, which must be revoked for the thief too.
#[test]
fn sign_out_with_an_expired_token_revokes_the_renewed_session() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let thief = open(&engine, &t0, 50);
    let t1 = close(&engine, &thief, 50).unwrap();
    let owner = open(&engine, &t0, 101);
    owner.sign_out();
    close(&engine, &owner, 101);
    assert_eq!(
        name(&engine, &t1, 120),
        None,
        "signed out, but the thief's cookie is still accepted"
    );
}

/// The same if the owner signs in again, which replaces the previous session.
#[test]
fn sign_in_over_an_expired_token_revokes_the_renewed_session() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let thief = open(&engine, &t0, 50);
    let t1 = close(&engine, &thief, 50).unwrap();
    let owner = open(&engine, &t0, 101);
    owner.sign_in(ada()).unwrap();
    close(&engine, &owner, 101);
    assert_eq!(name(&engine, &t1, 120), None);
}

/// The clock was set back by a minute: the sign-out removed the cookie and did not revoke the session.
#[tokio::test]
async fn sign_out_with_a_token_that_is_not_yet_valid_revokes_the_session() {
    let (layer, clock, _) = layer();
    let service = layer.layer(service_fn(current_user));
    let mut browser = Browser::signed_in(&layer, ada());
    let mut copy = browser.clone();
    clock.set(Timestamp::from_unix_seconds(START - 60));
    let response = browser.send(&service, post("/sign-out", "")).await;
    assert_eq!((response.status, browser.cookies.len()), (StatusCode::SEE_OTHER, 0));
    clock.set(at(1));
    assert_eq!(copy.send(&service, get("/")).await.text(), "signed out");
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Staff {
    role: String,
}

/// Two layers and one guard: the predicate used the staff session and the freshness requirement the
/// user session, so a recent sign-in as a user counted for an old staff session.
#[tokio::test]
async fn guard_checks_freshness_and_claims_of_the_same_session() {
    let clock = ManualClock::at(at(0));
    let staff_engine = SessionEngine::<Staff>::builder(KeyRing::new(key("staff")))
        .cookie(CookieConfig::new("staff"))
        .random(SeededRandom::new(2))
        .build()
        .unwrap();
    let staffs = SessionLayer::new(staff_engine).clock(clock.clone());
    let users = SessionLayer::new(engine_builder().0.build().unwrap()).clock(clock.clone());
    let guard = RequireSessionLayer::new()
        .claims(|staff: &Staff| staff.role == "auditor")
        .first_factor_within(seconds(60));
    let service = staffs.layer(users.layer(guard.layer(service_fn(|_: Request<Full<Bytes>>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::from("the vault"))))
    }))));

    let bob = SignIn::new(subject("bob"), Staff { role: "auditor".to_owned() });
    let mut browser = Browser::signed_in(&staffs, bob);
    clock.advance(seconds(3_600));
    assert_eq!(browser.send(&service, get("/")).await.status, StatusCode::UNAUTHORIZED);
    let user = cookie_of(users.engine(), ada(), at(3_600)).unwrap();
    let (name, value) = user.to_str().unwrap().split_once('=').unwrap();
    browser.cookies.insert(name.to_owned(), value.to_owned());
    let response = browser.send(&service, get("/")).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED, "{}", response.text());
}

/// While the claims of Ada are fetched, the application signs in Bob in the same jar. Ada's claims
/// went into Bob's token.
#[tokio::test]
async fn fetched_claims_are_used_only_for_their_subject() {
    let (called, may_return) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (source_called, source_may_return) = (Arc::clone(&called), Arc::clone(&may_return));
    let source = move |session: SessionIdentity| {
        let (called, may_return) = (Arc::clone(&source_called), Arc::clone(&source_may_return));
        async move {
            if session.subject().as_str() == "ada" {
                called.notify_one();
                may_return.notified().await;
            }
            Ok::<_, ClaimsSourceError>(user(&format!("claims of {}", session.subject())))
        }
    };
    let layer = layer().0.claims_source(source);
    let service = layer.layer(service_fn(move |request: Request<Full<Bytes>>| {
        let (called, may_return) = (Arc::clone(&called), Arc::clone(&may_return));
        async move {
            let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
            jar.sign_in(SignIn::from_claims_source(subject("ada"))).unwrap();
            let commit = tokio::spawn(jar.commit());
            called.notified().await;
            jar.sign_in(SignIn::from_claims_source(subject("bob"))).unwrap();
            may_return.notify_one();
            commit.await.unwrap().unwrap();
            jar.commit().await.unwrap();
            let session = jar.session().unwrap();
            let text = format!("{}: {}", session.subject(), session.claims().name);
            Ok::<_, Infallible>(Response::new(Full::from(text)))
        }
    }));
    let response = Browser::default().send(&service, post("/", "")).await;
    assert_eq!(response.text(), "bob: claims of bob");
}

/// A renewal that was opened after a claims update, but with the old token, undid the update.
#[test]
fn concurrent_renewal_does_not_restore_old_claims() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let update = open(&engine, &t0, 50);
    let poll = open(&engine, &t0, 51);
    update.update_claims(user("demoted")).unwrap();
    let mut stored = close(&engine, &update, 52).unwrap();
    if let Some(newer) = close(&engine, &poll, 53) {
        stored = newer;
    }
    assert_eq!(name(&engine, &stored, 54).as_deref(), Some("demoted"));
}

/// `update_claims` returned `Ok`, and a renewal that did not have the update replaced it.
#[test]
fn claims_update_is_written_despite_a_concurrent_renewal() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let update = open(&engine, &t0, 50);
    update.update_claims(user("demoted")).unwrap();
    let poll = open(&engine, &t0, 51);
    let mut stored = close(&engine, &poll, 51).unwrap();
    if let Some(newer) = close(&engine, &update, 52) {
        stored = newer;
    }
    assert_eq!(name(&engine, &stored, 54).as_deref(), Some("demoted"));
}

/// Whether to remove an expired cookie was decided when the request was opened. Another request renewed
/// the session before the response was sent, and the removal hit the new token.
#[test]
fn cookie_removal_keeps_a_token_that_was_renewed_meanwhile() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let in_time = open(&engine, &t0, 99);
    let late = open(&engine, &t0, 100);
    close(&engine, &in_time, 104).expect("renewed");
    assert_eq!(close(&engine, &late, 105), None, "renewed 6 s ago, renew_after is 10 s");
}

/// The slow response to an expired cookie removed the cookie of a later sign-in, although the request
/// of the sign-in had presented the same token and was closed 3 s earlier.
#[test]
fn cookie_removal_keeps_the_cookie_of_a_new_sign_in() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let long_poll = open(&engine, &t0, 101);
    let sign_in = open(&engine, &t0, 102);
    sign_in.sign_in(ada()).unwrap();
    close(&engine, &sign_in, 102).expect("signed in");
    assert_eq!(close(&engine, &long_poll, 105), None);
}

/// RFC 9213: a CDN obeys `CDN-Cache-Control` and not the layer's `Cache-Control`.
#[test]
fn response_that_a_cdn_may_cache_carries_no_cookie() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    for field in ["cdn-cache-control", "surrogate-control"] {
        let jar = open(&engine, &t0, 50);
        let mut response = Response::new(());
        response.headers_mut().insert(field, HeaderValue::from_static("max-age=3600"));
        engine.close(&jar, &mut response, at(50)).unwrap();
        let still_cacheable = response.headers().contains_key(field);
        assert!(pair(response.headers()).is_none() || !still_cacheable, "{field}");
    }
}

/// Most middleware checks whether the extensions have a session, and that was not recorded as a read.
#[tokio::test]
async fn session_lookup_in_extensions_sets_vary() {
    let (layer, ..) = layer();
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| {
        let page = match request.extensions().get::<Session<User>>() {
            Some(_) => "members only",
            None => "please sign in",
        };
        let response = Response::builder().header("cache-control", "max-age=60");
        std::future::ready(Ok::<_, Infallible>(response.body(Full::from(page)).unwrap()))
    }));
    let response = Browser::signed_in(&layer, ada()).send(&service, get("/")).await;
    assert_eq!((response.text(), response.header("vary")), ("members only", "Cookie"));
}

/// Without a configured issuer, a token of another issuer with a shared key was accepted, although
/// without a configured audience a token for another audience was rejected.
#[test]
fn token_with_an_issuer_is_rejected_when_none_is_configured() {
    let engine = engine_builder().0.build().unwrap();
    let token = |member: &str| {
        let claims = claims_with(member, serde_json::Value::from("https://other.example"));
        format!("{COOKIE}={}", TokenForge::new("k1").session(&claims)).parse().unwrap()
    };
    assert_eq!(name(&engine, &token("aud"), 1), None);
    assert_eq!(name(&engine, &token("iss"), 1), None);
}

/// A middleware signed Ada out, and the handler's extractor still returned her session.
#[cfg(feature = "axum")]
#[tokio::test]
async fn extractor_rejects_a_session_that_middleware_signed_out() {
    let (layer, ..) = layer();
    let ban = tower::util::MapRequestLayer::new(|request: axum::extract::Request| {
        request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap().sign_out();
        request
    });
    let app = axum::Router::new()
        .route(
            "/",
            axum::routing::get(async |session: Session<User>| session.claims().name.clone()),
        )
        .layer(ban)
        .layer(layer.clone());
    let response = Browser::signed_in(&layer, ada()).send(&app, get("/")).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED, "{}", response.text());
}

// 2. Documented behaviour

/// A renewal that a public response could not carry counted as written, so that a concurrent page was
/// not renewed either.
#[test]
fn withheld_renewal_does_not_prevent_another_one() {
    let (builder, events) = engine_builder();
    let engine = builder.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let page = open(&engine, &t0, 50);
    let logo = open(&engine, &t0, 51);
    let mut public = Response::new(());
    public.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    events.take();
    engine.close(&logo, &mut public, at(51)).unwrap();
    assert_eq!(public.headers().get(header::SET_COOKIE), None);
    let reported = events.take_names();
    let stored = close(&engine, &page, 52);
    assert!(stored.is_some(), "the page's renewal was dropped in favour of a withheld one");
    assert_eq!(reported, ["CookieWithheld"], "nothing was renewed");
}

/// `sign_in` returned `Ok`, the event was emitted and the old session revoked, but no cookie was sent.
#[test]
fn sign_in_fails_when_its_cookie_cannot_be_sent() {
    let (builder, events) = engine_builder();
    let engine = builder.build().unwrap();
    let old = cookie_of(&engine, ada(), at(0)).unwrap();
    let jar = open(&engine, &old, 5);
    jar.sign_in(SignIn::new(subject("grace"), user("Grace"))).unwrap();
    let mut response = Response::new(());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    events.take();
    let closed = engine.close(&jar, &mut response, at(5));
    assert_eq!(pair(response.headers()), None);
    assert!(
        closed.is_err(),
        "reported as {:?}, old: {:?}",
        events.take_names(),
        name(&engine, &old, 6)
    );
}

/// A layer with a claims source that returns `claims`, or fails if there are none.
fn with_source(claims: &Arc<Mutex<Option<&'static str>>>) -> (SessionLayer<User>, ManualClock) {
    let (layer, clock, _) = layer();
    let claims = Arc::clone(claims);
    let source = move |_: SessionIdentity| {
        let claims = *claims.lock().unwrap();
        std::future::ready(claims.map(user).ok_or_else(|| ClaimsSourceError::from("down")))
    };
    (layer.claims_source(source), clock)
}

async fn current_user(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let who = request.extensions().get::<Session<User>>();
    let who = who.map_or_else(|| "signed out".to_owned(), |session| session.claims().name.clone());
    let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
    match request.uri().path() {
        "/renew" => jar.renew_now(),
        "/update" => {
            jar.update_claims(user("by the handler")).unwrap();
            jar.commit().await.unwrap();
        }
        "/switch" => {
            jar.sign_out();
            jar.sign_in(SignIn::from_claims_source(subject("grace"))).unwrap();
            assert!(jar.commit().await.is_err());
        }
        _ => {}
    }
    Ok(Response::new(Full::from(who)))
}

/// The source must be called at each renewal. After a change of role, `renew_now` signed the old role
/// again for another `renew_after`.
#[tokio::test]
async fn claims_source_is_called_when_the_handler_renews() {
    let role = Arc::new(Mutex::new(Some("admin")));
    let (layer, clock) = with_source(&role);
    let service = layer.layer(service_fn(current_user));
    let mut browser = Browser::signed_in(&layer, ada());
    *role.lock().unwrap() = Some("demoted");
    clock.advance(seconds(5));
    browser.send(&service, post("/renew", "")).await;
    clock.advance(seconds(9));
    assert_eq!(browser.send(&service, get("/")).await.text(), "demoted");
}

/// With an early `commit` and no renewal due, the source overwrote the claims that the handler had just
/// set.
#[tokio::test]
async fn claims_set_by_the_handler_are_kept_by_an_early_commit() {
    for age in [20, 5] {
        let (layer, clock) = with_source(&Arc::new(Mutex::new(Some("by the source"))));
        let service = layer.layer(service_fn(current_user));
        let mut browser = Browser::signed_in(&layer, ada());
        clock.advance(seconds(age));
        browser.send(&service, post("/update", "")).await;
        assert_eq!(browser.send(&service, get("/")).await.text(), "by the handler", "{age} s old");
    }
}

/// A withdrawn sign-in also withdrew the sign-out before it: the cookie was kept, and every other process
/// accepted it.
#[tokio::test]
async fn withdrawn_sign_in_keeps_the_sign_out_before_it() {
    let (layer, _) = with_source(&Arc::new(Mutex::new(None)));
    let service = layer.layer(service_fn(current_user));
    let mut browser = Browser::signed_in(&layer, ada());
    browser.send(&service, post("/switch", "")).await;
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies.keys());
}

// 3. Panics, locks and memory

/// In a runtime without timers every renewal panicked.
#[test]
fn renewal_in_a_runtime_without_timers_does_not_panic() {
    let (layer, clock) = with_source(&Arc::new(Mutex::new(Some("by the source"))));
    let mut service = layer.layer(service_fn(current_user));
    let mut request = get("/");
    let cookie = cookie_of(layer.engine(), ada(), at(0)).unwrap();
    request.headers_mut().insert(header::COOKIE, cookie);
    clock.advance(seconds(20));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let response = runtime.block_on(async { service.ready().await?.call(request).await });
    assert_eq!(response.unwrap().status(), StatusCode::OK);
}

/// Event listeners are never called while the jar is locked.
#[test]
fn event_listener_can_use_the_jar_without_a_deadlock() {
    let shared: Arc<OnceLock<Jar>> = Arc::default();
    let result = Arc::clone(&shared);
    let engine = engine_builder()
        .0
        .revocation_capacity(1)
        .on_event(move |event| {
            if let (SessionEvent::RevocationListFull { .. }, Some(jar)) = (event, result.get()) {
                let _ = format!("{jar:?}");
            }
        })
        .build()
        .unwrap();
    let first = cookie_of(&engine, ada(), at(0)).unwrap();
    open(&engine, &first, 1).sign_out();
    let second = cookie_of(&engine, ada(), at(2)).unwrap();
    let jar = open(&engine, &second, 3);
    jar.sign_in(ada()).unwrap();
    shared.set(jar.clone()).unwrap();
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || {
        close(&engine, &jar, 4);
        done.send(()).unwrap();
    });
    assert_eq!(wait.recv_timeout(Duration::from_secs(3)), Ok(()), "deadlock");
}

/// The session with the oldest renewal must be evicted first; the one that was seen first was evicted,
/// although it had been renewed a second ago.
#[test]
fn recently_renewed_session_is_not_evicted() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    for _ in 0..9_990 {
        cookie_of(&engine, ada(), at(1)).unwrap();
    }
    let slow = open(&engine, &t0, 50);
    let fast = open(&engine, &t0, 60);
    close(&engine, &fast, 60).expect("renewed");
    for _ in 0..20 {
        cookie_of(&engine, ada(), at(61)).unwrap();
    }
    assert_eq!(close(&engine, &slow, 62), None, "an older token over a newer one");
}

/// HTTP/2 sends each cookie in its own field. Their bytes were just within the limit, but joined they
/// exceeded it, and a sign-out of all accounts left one signed in.
#[test]
fn cookie_limit_is_the_same_for_separate_and_joined_fields() {
    let engine = engine_builder().0.multi_session(true).build().unwrap();
    let cookies = [("ada", 0), ("bob", 1)].map(|(name, second)| {
        cookie_of(&engine, SignIn::new(subject(name), user(name)), at(second)).unwrap()
    });
    let room = 32 * 1024 - cookies.iter().map(HeaderValue::len).sum::<usize>();
    let crumbs = std::iter::repeat_n(HeaderValue::from_static("c=1"), room / 3);
    let ada = cookies[0].to_str().unwrap();
    let id = ada.split_once('=').unwrap().0.rsplit_once('.').unwrap().1.to_owned();
    for known in [false, true] {
        let mut request = Request::get("/").header("session-id", &id).body(()).unwrap();
        for field in cookies.iter().cloned().chain(crumbs.clone()) {
            request.headers_mut().append(header::COOKIE, field);
        }
        let jar = engine.open(&request, at(2));
        let accounts = jar.accounts().len();
        assert!(
            matches!((jar.session(), accounts), (Some(_), 2) | (None, 0)),
            "{known} {accounts}"
        );
        assert_eq!(name(&engine, &cookies[0], 2).as_deref(), Some("ada"));
    }
}

/// A capacity that exceeds all memory was accepted, and the first signed-in request panicked.
#[test]
fn token_cache_larger_than_memory_is_a_build_error() {
    let error = engine_builder().0.verified_token_cache(usize::MAX).build().unwrap_err();
    let fields: Vec<_> = error.problems().iter().map(|problem| problem.field()).collect();
    assert_eq!(fields, ["verified_token_cache"]);
    engine_builder().0.verified_token_cache(10_000_000).build().unwrap();
}
