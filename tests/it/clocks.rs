//! Wall clocks that are wrong for a while: revocations and retirements stay in effect, and planned
//! retirements do not take effect early.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer as _, service_fn};
use tower_auth_session::{
    KeyRing, SessionLayer, SessionStatus, SignIn, testing::ManualClock, time::Timestamp,
};

use crate::support::{
    Browser, User, engine::at, engine_builder, get, key, layer_on, post, seconds, subject, user,
};

/// `/in` signs in; every other response names the session's user.
async fn app(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
    if request.uri().path() == "/in" {
        jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
    }
    let name =
        jar.session().map_or_else(|| "none".to_owned(), |session| session.claims().name.clone());
    Ok(Response::new(Full::from(name)))
}

async fn send(
    layer: &SessionLayer<User>,
    browser: &mut Browser,
    request: Request<Full<Bytes>>,
) -> String {
    browser.send(&layer.layer(service_fn(app)), request).await.text().to_owned()
}

/// A site with two keys, and a browser with a token of the older one.
async fn site_with_two_keys() -> (KeyRing, SessionLayer<User>, ManualClock, Browser) {
    let ring = KeyRing::new(key("old"));
    let (builder, _) = engine_builder();
    let (layer, clock) = layer_on(
        tower_auth_session::SessionEngine::<User>::builder(ring.clone())
            .origin(crate::support::ORIGIN),
    );
    drop(builder);
    let mut browser = Browser::default();
    send(&layer, &mut browser, post("/in", "")).await;
    ring.promote(key("new")).unwrap();
    (ring, layer, clock, browser)
}

#[tokio::test]
async fn retired_key_stays_retired_when_the_clock_goes_back() {
    for passes in [0, 3] {
        let (ring, layer, clock, browser) = site_with_two_keys().await;
        assert_eq!(send(&layer, &mut browser.clone(), get("/")).await, "Ada");
        clock.advance(seconds(passes));
        ring.retire("old", at(passes)).unwrap();
        if passes > 0 {
            // The key was last used before that time: the next request shows that it has come.
            assert_eq!(send(&layer, &mut browser.clone(), get("/")).await, "none");
        }
        for back in [11, 3_600] {
            clock.set(Timestamp::from_unix_seconds(crate::support::START - back));
            clock.advance(seconds(1));
            assert_eq!(
                send(&layer, &mut browser.clone(), get("/")).await,
                "none",
                "{passes} {back}"
            );
        }
        clock.set(at(0));
        assert_eq!(send(&layer, &mut browser.clone(), get("/")).await, "none", "{passes}");
    }
}

#[tokio::test]
async fn planned_retirement_does_not_come_early_by_a_clock_that_is_ahead() {
    let (ring, layer, clock, browser) = site_with_two_keys().await;
    ring.retire("old", at(1_000)).unwrap();
    assert_eq!(send(&layer, &mut browser.clone(), get("/")).await, "Ada");
    clock.set(at(2_000));
    assert_eq!(
        send(&layer, &mut browser.clone(), get("/")).await,
        "none",
        "by the time of the request"
    );
    clock.set(at(2));
    assert_eq!(send(&layer, &mut browser.clone(), get("/")).await, "Ada");
    clock.advance(seconds(1_000));
    assert_eq!(send(&layer, &mut browser.clone(), get("/")).await, "none");
    clock.set(at(2));
    assert_eq!(send(&layer, &mut browser.clone(), get("/")).await, "none", "both clocks passed it");
}

/// To a clock that is ahead by more than the session lasts, its token looks expired.
#[tokio::test]
async fn sign_out_while_the_clock_is_ahead_is_not_undone_when_it_is_corrected() {
    for (several, path) in [
        (false, "/sign-out"),
        (true, "/sign-out"),
        (true, "/sign-out?scope=browser"),
        (true, "by id"),
    ] {
        let (builder, _) = engine_builder();
        let (layer, clock) = layer_on(builder.multi_session(several));
        let mut browser = Browser::default();
        send(&layer, &mut browser, post("/in", "")).await;
        let mut copy = browser.clone();
        clock.set(at(90_000));
        let mut request = post(if path == "by id" { "/sign-out" } else { path }, "");
        if path == "by id" {
            let active = browser.cookies["__Host-session.active"].parse().unwrap();
            request.headers_mut().insert("session-id", active);
        }
        send(&layer, &mut browser, request).await;
        assert!(browser.has_no_session(), "{several} {path}: {:?}", browser.cookies);
        clock.set(at(5));
        assert_eq!(send(&layer, &mut copy, get("/")).await, "none", "{several} {path}");
    }
}
