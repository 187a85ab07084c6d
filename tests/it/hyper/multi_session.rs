//! Several accounts with the largest possible claims, on a server with hyper's defaults: HTTP/2
//! requests with more than 16 KiB of headers are rejected before any middleware.

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tower::{Layer as _, Service, service_fn};
use tower_auth_session::{
    Session, SessionLayer, SessionStatus, SignIn, config::AccountLimitPolicy,
    engine::SessionEngineBuilder, error::SignInError, testing::ManualClock, time::Timestamp,
};

use super::{OutBody, Server, VERSIONS, full};
use crate::support::{
    Browser, START, TestResponse, User, engine_builder, get, layer_on, post, seconds, subject, user,
};

const USERS: [&str; 5] = ["ada", "bob", "cyd", "dee", "eve"];

/// `/in/NAME/LENGTH` signs in with claims of that length and returns the outcome; other paths return
/// the signed-in user.
async fn app(request: Request<Incoming>) -> Result<Response<OutBody>, std::convert::Infallible> {
    let mut path = request.uri().path().split('/').skip(1);
    let outcome = match (path.next(), path.next(), path.next()) {
        (Some("in"), Some(name), Some(length)) => {
            let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
            let claims = user(&"x".repeat(length.parse().unwrap()));
            match jar.sign_in(SignIn::new(subject(name), claims)) {
                Ok(signed_in) => {
                    let made_room = signed_in.evicted.iter().map(ToString::to_string);
                    let made_room: Vec<_> = made_room.collect();
                    json!({ "in": signed_in.session_id.to_string(), "made_room": made_room })
                }
                Err(SignInError::CookieBudget { bytes, budget }) => {
                    json!({ "bytes": bytes, "budget": budget })
                }
                Err(error) => panic!("{error}"),
            }
        }
        _ => {
            let who = request.extensions().get::<Session<User>>();
            json!(who.map(|session| session.subject().to_string()))
        }
    };
    Ok(Response::new(full(outcome.to_string())))
}

fn layer(
    change: impl FnOnce(SessionEngineBuilder<User>) -> SessionEngineBuilder<User>,
) -> (SessionLayer<User>, ManualClock) {
    layer_on(change(engine_builder().0.multi_session(true)))
}

fn read(response: &TestResponse) -> Value {
    assert_eq!(response.status, StatusCode::OK, "{response:?}");
    serde_json::from_slice(&response.body).unwrap()
}

/// The maximum length of claims with which these users can sign in one after the other without an
/// eviction.
fn max_claims_length(users: &[&str]) -> usize {
    let all_fit = |length: usize| {
        let (layer, _) = layer(|builder| builder);
        let now = Timestamp::from_unix_seconds(START);
        let mut browser = Browser::default();
        users.iter().all(|name| {
            let mut request = post("/", "");
            if let Some(cookies) = browser.cookie_header() {
                request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
            }
            let jar = layer.engine().open(&request, now);
            let sign_in = SignIn::new(subject(name), user(&"x".repeat(length)));
            let fits = jar.sign_in(sign_in).is_ok_and(|outcome| outcome.evicted.is_empty());
            let mut response = Response::new(());
            layer.engine().close(&jar, &mut response, now).unwrap();
            browser.store(response.headers());
            fits
        })
    };
    let (mut good, mut bad) = (1, 4_096);
    assert!(all_fit(good) && !all_fit(bad));
    while good + 1 < bad {
        let middle = usize::midpoint(good, bad);
        *(if all_fit(middle) { &mut good } else { &mut bad }) = middle;
    }
    good
}

/// Sends the cookies in one field or, as browsers do with HTTP/2, in a field each, which adds 32 bytes
/// per field (RFC 9113 §6.5.2, §8.2.3).
async fn send<S, B>(
    browser: &mut Browser,
    client: &S,
    mut request: Request<Full<Bytes>>,
    split: bool,
) -> TestResponse
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    if !split {
        return browser.send(client, request).await;
    }
    for (name, value) in &browser.cookies {
        let cookie = format!("{name}={value}").parse().unwrap();
        request.headers_mut().append(header::COOKIE, cookie);
    }
    let response = tower::ServiceExt::oneshot(client.clone(), request).await.unwrap();
    let response = TestResponse::of(response).await;
    browser.store(&response.headers);
    response
}

#[tokio::test]
async fn five_accounts_with_the_largest_claims_can_do_everything() {
    let length = max_claims_length(&USERS);
    for (version, split) in
        [(Version::HTTP_11, false), (Version::HTTP_2, false), (Version::HTTP_2, true)]
    {
        let (layer, clock) = layer(|builder| builder);
        let client = Server::start(layer.layer(service_fn(app))).await.client(version);
        let mut browser = Browser::default();
        let mut ids = Vec::new();
        for name in USERS {
            let request = post(&format!("/in/{name}/{length}"), "");
            let outcome = read(&send(&mut browser, &client, request, split).await);
            assert_eq!(outcome["made_room"], json!([]), "{name}");
            ids.push(outcome["in"].as_str().unwrap().to_owned());
        }

        // A background request renews each, because its tokens are the longest.
        clock.advance(seconds(20));
        for id in &ids {
            let mut request = get("/");
            request.headers_mut().insert("session-id", id.parse().unwrap());
            request.headers_mut().insert("session-activity", "none".parse().unwrap());
            let response = send(&mut browser, &client, request, split).await;
            assert_eq!(response.set_cookies().len(), 1, "renewed");
        }
        let bytes = browser.cookie_header().unwrap().len();
        assert!((6_950..=7_000).contains(&bytes), "{bytes}: the budget is used and not exceeded");
        let list = read(&send(&mut browser, &client, get("/session"), split).await);
        assert_eq!(list["sessions"].as_array().unwrap().len(), 5);
        assert_eq!(list["active"], ids[4].as_str());

        for (id, name) in ids.iter().zip(USERS) {
            let form = post(&format!("/session/switch?session_id={id}"), "");
            let response = send(&mut browser, &client, form, split).await;
            assert_eq!(response.status, StatusCode::SEE_OTHER, "{response:?}");
            assert_eq!(read(&send(&mut browser, &client, get("/"), split).await), *name);
        }
        let page = send(&mut browser, &client, get("/sign-in/choose"), split).await;
        assert_eq!(page.text().matches("class=\"account\"").count(), 5);

        let one = post(&format!("/sign-out?session_id={}", ids[0]), "");
        let response = send(&mut browser, &client, one, split).await;
        assert_eq!(response.status, StatusCode::SEE_OTHER);
        let list = read(&send(&mut browser, &client, get("/session"), split).await);
        assert_eq!(list["sessions"].as_array().unwrap().len(), 4);
        let mut copy = browser.clone();
        let all = post("/sign-out?scope=browser", "");
        let response = send(&mut browser, &client, all, split).await;
        assert_eq!((response.status, response.set_cookies().len()), (StatusCode::SEE_OTHER, 5));
        assert!(browser.has_no_session(), "{:?}", browser.cookies);
        let list = read(&send(&mut copy, &client, get("/session"), split).await);
        assert_eq!(list["sessions"], json!([]));
    }
}

/// The least recently active accounts are evicted, the application is informed, and the next request
/// is accepted.
#[tokio::test]
async fn sign_in_beyond_the_cookie_budget_evicts_accounts() {
    let (length, largest) = (max_claims_length(&USERS), max_claims_length(&["fay"]));
    for version in VERSIONS {
        let (layer, clock) = layer(|builder| builder);
        let client = Server::start(layer.layer(service_fn(app))).await.client(version);
        let mut browser = Browser::default();
        let mut outcome = Vec::new();
        for (name, length) in USERS.iter().zip([length, length, length, length, length + 8]) {
            let request = post(&format!("/in/{name}/{length}"), "");
            outcome.push(read(&browser.send(&client, request).await));
            clock.advance(seconds(1));
        }
        assert_eq!(outcome[4]["made_room"], json!([outcome[0]["in"]]));
        // Two accounts of the maximum size do not fit together.
        for name in ["fay", "gus"] {
            let request = post(&format!("/in/{name}/{largest}"), "");
            let outcome = read(&browser.send(&client, request).await);
            assert!(!outcome["made_room"].as_array().unwrap().is_empty(), "{name}: {outcome}");
            assert_eq!(read(&browser.send(&client, get("/")).await), *name);
            assert!(browser.cookie_header().unwrap().len() <= 7_000);
            clock.advance(seconds(1));
        }
        let list = read(&browser.send(&client, get("/session")).await);
        assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn sign_in_beyond_the_cookie_budget_is_refused_with_its_sizes() {
    let refuse = AccountLimitPolicy::Refuse;
    let (layer, _) = layer(|builder| builder.account_limit_policy(refuse));
    let client = Server::start(layer.layer(service_fn(app))).await.client(Version::HTTP_2);
    let mut browser = Browser::default();
    read(&browser.send(&client, post("/in/ada/2600", "")).await);
    let before = browser.cookies.clone();
    let outcome = read(&browser.send(&client, post("/in/bob/2600", "")).await);
    let (bytes, one) = (outcome["bytes"].as_u64().unwrap(), browser.cookie_header().unwrap().len());
    assert_eq!(outcome["budget"], 7_000);
    assert!((7_001..2 * one as u64 + 100).contains(&bytes), "{bytes}, one of them {one}");
    assert_eq!(browser.cookies, before);
    assert_eq!(read(&browser.send(&client, get("/")).await), "ada");
}

/// The reason for the budget: above the server's limit every request of the browser is rejected, even a
/// sign-out.
#[tokio::test]
async fn cookie_budget_above_the_server_limit_locks_the_browser_out() {
    let (layer, _) = layer(|builder| builder.cookie_budget(32_000));
    let client = Server::start(layer.layer(service_fn(app))).await.client(Version::HTTP_2);
    let mut browser = Browser::default();
    for name in USERS {
        let response = browser.send(&client, post(&format!("/in/{name}/2700"), "")).await;
        assert_eq!(response.status, StatusCode::OK, "{name}");
    }
    assert!(browser.cookie_header().unwrap().len() > 16 * 1024);
    let response = browser.send(&client, post("/sign-out?scope=browser", "")).await;
    assert_eq!(response.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}
