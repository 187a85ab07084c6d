//! What a hostile review found: once wrong, and each a test of what ought to hold.

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
    ClaimsSourceError, CookieConfig, KeyRing, ManualClock, RequireSessionLayer, SeededRandom,
    Session, SessionEngine, SessionEvent, SessionIdentity, SessionLayer, SessionStatus, SignIn,
    Timestamp, testing::cookie_of,
};

use crate::support::{
    Browser, COOKIE, START, User,
    engine::{Jar, ada, at, close, name, open, pair},
    engine_builder, get, key, layer, post, seconds, subject,
    token_forge::{TokenForge, claims_with},
    user,
};

// 1. Security.

/// the thief of T0 keeps renewing; the owner comes back after T0's own inactivity end and
/// signs out. The token verifies and names the session, yet the session goes on for the thief.
#[test]
fn signing_out_with_an_expired_token_ends_the_session_that_a_thief_kept_alive() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let thief = open(&engine, &t0, 50);
    let t1 = close(&engine, &thief, 50).unwrap();
    let owner = open(&engine, &t0, 101);
    owner.sign_out();
    close(&engine, &owner, 101);
    assert_eq!(name(&engine, &t1, 120), None, "signed out, and still served to the thief");
}

/// the same where the owner signs in again, which "replaces whatever was there".
#[test]
fn signing_in_again_over_an_expired_token_ends_the_session_that_a_thief_kept_alive() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let thief = open(&engine, &t0, 50);
    let t1 = close(&engine, &thief, 50).unwrap();
    let owner = open(&engine, &t0, 101);
    owner.sign_in(ada()).unwrap();
    close(&engine, &owner, 101);
    assert_eq!(name(&engine, &t1, 120), None);
}

/// the clock went back a minute; the sign-out takes the cookie and forgets the session.
#[tokio::test]
async fn signing_out_with_a_token_from_the_future_ends_the_session() {
    let (layer, clock, _) = layer();
    let service = layer.layer(service_fn(whoami));
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

/// two layers, one guard. The predicate looks at the staff session, the freshness at the
/// user session, so a fresh sign-in as a user steps up a stale staff session.
#[tokio::test]
async fn a_fresh_user_session_does_not_step_up_a_stale_staff_session() {
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
        .fresh_within(seconds(60));
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

/// while the source is asked for Ada, the application signs in Bob in the same jar. Ada's
/// claims go into Bob's token.
#[tokio::test]
async fn claims_are_for_whom_they_were_asked() {
    let (asked, response) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (source_asked, source_answer) = (Arc::clone(&asked), Arc::clone(&response));
    let source = move |session: SessionIdentity| {
        let (asked, response) = (Arc::clone(&source_asked), Arc::clone(&source_answer));
        async move {
            if session.subject().as_str() == "ada" {
                asked.notify_one();
                response.notified().await;
            }
            Ok::<_, ClaimsSourceError>(user(&format!("claims of {}", session.subject())))
        }
    };
    let layer = layer().0.claims_source(source);
    let service = layer.layer(service_fn(move |request: Request<Full<Bytes>>| {
        let (asked, response) = (Arc::clone(&asked), Arc::clone(&response));
        async move {
            let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
            jar.sign_in(SignIn::from_claims_source(subject("ada"))).unwrap();
            let commit = tokio::spawn(jar.commit());
            asked.notified().await;
            jar.sign_in(SignIn::from_claims_source(subject("bob"))).unwrap();
            response.notify_one();
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

/// a demotion is lost to a renewal that began after it and knew only the old claims.
#[test]
fn a_renewal_in_flight_does_not_bring_old_claims_back() {
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

/// `update_claims` said Ok, and a renewal that knew nothing of it makes it void.
#[test]
fn an_update_of_claims_is_not_dropped_for_a_mere_renewal() {
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

/// whether the cookie can go is decided when the request comes in; the session is renewed
/// before the response goes out, and the removal takes the new token.
#[test]
fn a_removal_does_not_take_a_token_that_was_renewed_meanwhile() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let in_time = open(&engine, &t0, 99);
    let late = open(&engine, &t0, 100);
    close(&engine, &in_time, 104).expect("renewed");
    assert_eq!(close(&engine, &late, 105), None, "renewed 6 s ago, renew_after is 10 s");
}

/// a slow answer to an expired cookie removes the cookie of the sign-in that came after it.
/// The process knows: the sign-in's request presented the same token and was closed 3 s earlier.
#[test]
fn a_removal_does_not_take_the_cookie_of_a_new_sign_in() {
    let engine = engine_builder().0.build().unwrap();
    let t0 = cookie_of(&engine, ada(), at(0)).unwrap();
    let long_poll = open(&engine, &t0, 101);
    let sign_in = open(&engine, &t0, 102);
    sign_in.sign_in(ada()).unwrap();
    close(&engine, &sign_in, 102).expect("signed in");
    assert_eq!(close(&engine, &long_poll, 105), None);
}

/// RFC 9213. A CDN goes by `CDN-Cache-Control` and not by our `Cache-Control`.
#[test]
fn a_response_marked_for_a_cdn_carries_no_cookie() {
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

/// whether there is a session in the extensions is what most middleware asks, and nothing
/// records it.
#[tokio::test]
async fn looking_whether_there_is_a_session_consults_it() {
    let (layer, ..) = layer();
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| {
        let page = match request.extensions().get::<Session<User>>() {
            Some(_) => "members only",
            None => "please sign in",
        };
        let response = Response::builder().header("cache-control", "max-age=60");
        std::future::ready(Ok::<_, Infallible>(response.body(Full::from(page)).unwrap()))
    }));
    let answer = Browser::signed_in(&layer, ada()).send(&service, get("/")).await;
    assert_eq!((answer.text(), answer.header("vary")), ("members only", "Cookie"));
}

/// a token of another issuer under a shared key is taken where no issuer is configured,
/// though one for another audience is not taken where no audience is.
#[test]
fn a_token_of_some_issuer_is_not_ours_where_we_have_none() {
    let engine = engine_builder().0.build().unwrap();
    let token = |member: &str| {
        let claims = claims_with(member, serde_json::Value::from("https://other.example"));
        format!("{COOKIE}={}", TokenForge::new("k1").session(&claims)).parse().unwrap()
    };
    assert_eq!(name(&engine, &token("aud"), 1), None);
    assert_eq!(name(&engine, &token("iss"), 1), None);
}

/// a middleware bans Ada and signs her out; the handler's extractor lets her in.
#[cfg(feature = "axum")]
#[tokio::test]
async fn an_extractor_does_not_see_a_session_that_was_signed_out_before_it() {
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

// 2. The text.

/// a renewal that a public response could not carry counts as written, so the page beside it
/// loses its own.
#[test]
fn a_withheld_renewal_does_not_stop_another() {
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
    let told = events.take_names();
    let stored = close(&engine, &page, 52);
    assert!(stored.is_some(), "the page's renewal was dropped for one that nobody got");
    assert_eq!(told, ["CookieWithheld"], "nothing was renewed");
}

/// the sign-in says Ok, the event says signed in, the old session is ended, no cookie is sent.
#[test]
fn a_sign_in_whose_cookie_cannot_be_sent_is_no_sign_in() {
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
        "told as {:?}, old: {:?}",
        events.take_names(),
        name(&engine, &old, 6)
    );
}

/// A source that says what it is told, and a handler that does what its path says.
fn with_source(claims: &Arc<Mutex<Option<&'static str>>>) -> (SessionLayer<User>, ManualClock) {
    let (layer, clock, _) = layer();
    let claims = Arc::clone(claims);
    let source = move |_: SessionIdentity| {
        let claims = *claims.lock().unwrap();
        std::future::ready(claims.map(user).ok_or_else(|| ClaimsSourceError::from("down")))
    };
    (layer.claims_source(source), clock)
}

async fn whoami(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let who = request.extensions().get::<Session<User>>();
    let who = who.map_or_else(|| "signed out".to_owned(), |session| session.claims().name.clone());
    let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
    match request.uri().path() {
        "/renew" => jar.renew_now(),
        "/update" => {
            jar.update_claims(user("by hand")).unwrap();
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

/// "asked at sign-in and at each renewal". After a change of role, `renew_now` signs the old
/// role again, for another `renew_after`.
#[tokio::test]
async fn the_source_is_asked_when_the_handler_renews() {
    let role = Arc::new(Mutex::new(Some("admin")));
    let (layer, clock) = with_source(&role);
    let service = layer.layer(service_fn(whoami));
    let mut browser = Browser::signed_in(&layer, ada());
    *role.lock().unwrap() = Some("demoted");
    clock.advance(seconds(5));
    browser.send(&service, post("/renew", "")).await;
    clock.advance(seconds(9));
    assert_eq!(browser.send(&service, get("/")).await.text(), "demoted");
}

/// with `commit` the source overwrites what the handler has just set, if the token was young;
/// without `commit`, or with an old token, it does not.
#[tokio::test]
async fn claims_set_by_the_handler_survive_an_early_commit() {
    for age in [20, 5] {
        let (layer, clock) = with_source(&Arc::new(Mutex::new(Some("by the source"))));
        let service = layer.layer(service_fn(whoami));
        let mut browser = Browser::signed_in(&layer, ada());
        clock.advance(seconds(age));
        browser.send(&service, post("/update", "")).await;
        assert_eq!(browser.send(&service, get("/")).await.text(), "by hand", "{age} s old");
    }
}

/// a withdrawn sign-in takes the sign-out before it along: the cookie stays, and every other
/// process believes it.
#[tokio::test]
async fn a_withdrawn_sign_in_leaves_the_sign_out_before_it() {
    let (layer, _) = with_source(&Arc::new(Mutex::new(None)));
    let service = layer.layer(service_fn(whoami));
    let mut browser = Browser::signed_in(&layer, ada());
    browser.send(&service, post("/switch", "")).await;
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies.keys());
}

// 3. Panics, locks, memory.

/// a runtime without timers panics at every renewal; the documentation and DESIGN.md say that
/// nothing panics.
#[test]
fn a_runtime_without_timers_has_no_deadline_and_no_panic() {
    let (layer, clock) = with_source(&Arc::new(Mutex::new(Some("by the source"))));
    let mut service = layer.layer(service_fn(whoami));
    let mut request = get("/");
    let cookie = cookie_of(layer.engine(), ada(), at(0)).unwrap();
    request.headers_mut().insert(header::COOKIE, cookie);
    clock.advance(seconds(20));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let response = runtime.block_on(async { service.ready().await?.call(request).await });
    assert_eq!(response.unwrap().status(), StatusCode::OK);
}

/// "Nobody who listens to events may find the jar locked."
#[test]
fn no_listener_finds_the_jar_locked() {
    let shared: Arc<OnceLock<Jar>> = Arc::default();
    let result = Arc::clone(&shared);
    let engine = engine_builder()
        .0
        .ended_capacity(1)
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

/// "the session renewed longest ago is forgotten first" is not what happens: the one that was
/// *first* seen is, although it was renewed a second ago.
#[test]
fn what_was_renewed_a_moment_ago_is_remembered() {
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

/// HTTP/2 sends each cookie in a field of its own, and all of them together were just within what is
/// looked at: joined they were beyond it, and a sign-out of all accounts left one signed in.
#[test]
fn cookies_that_were_looked_at_apart_are_looked_at_together() {
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

/// A bound that no memory can hold was taken, and the first request of somebody signed in panicked.
#[test]
fn a_cache_that_no_memory_can_hold_is_refused() {
    let error = engine_builder().0.verified_token_cache(usize::MAX).build().unwrap_err();
    let fields: Vec<_> = error.problems().iter().map(|problem| problem.field()).collect();
    assert_eq!(fields, ["verified_token_cache"]);
    engine_builder().0.verified_token_cache(10_000_000).build().unwrap();
}
