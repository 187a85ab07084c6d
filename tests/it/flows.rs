//! Flows: what an application keeps in the browser until the user returns.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::Full;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tower::{Layer as _, service_fn};
use tower_auth_session::{
    Algorithm, KeyRing, SessionEngine, SessionJar, SessionStatus, SignIn, SigningKey,
    bearer::BearerTokens,
    config::{CookieConfig, RedirectTarget, SameSite},
    error::{CommitError, FinishFlowError, SignInError, StartFlowError},
    event::SessionEvent,
    flow::{FinishedFlow, Flow, FlowId},
    testing::SeededRandom,
    verify_only::TrustedIssuer,
};

use crate::support::{
    Browser, COOKIE, ORIGIN, User,
    engine::{Engine, ada, at},
    engine_builder, get, key, layer, seconds, subject, user,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Login {
    verifier: String,
}

fn login(verifier: &str) -> Login {
    Login { verifier: verifier.to_owned() }
}

fn engine() -> Engine {
    engine_builder().0.build().unwrap()
}

/// A request of `browser`, as the engine opens it.
fn open<C>(engine: &SessionEngine<C>, browser: &Browser, second: u64) -> SessionJar<C> {
    open_with(engine, browser, second, Request::get("/"))
}

fn open_with<C>(
    engine: &SessionEngine<C>,
    browser: &Browser,
    second: u64,
    mut request: http::request::Builder,
) -> SessionJar<C> {
    if let Some(cookies) = browser.cookie_header() {
        request = request.header(header::COOKIE, cookies);
    }
    engine.open(&request.body(()).unwrap(), at(second))
}

/// Sends the response of `jar` to `browser`.
fn close<C>(
    engine: &SessionEngine<C>,
    jar: &SessionJar<C>,
    browser: &mut Browser,
    second: u64,
) -> HeaderMap {
    let mut response = Response::new(());
    engine.close(jar, &mut response, at(second)).unwrap();
    browser.store(response.headers());
    response.into_parts().0.headers
}

fn start(
    engine: &Engine,
    browser: &mut Browser,
    second: u64,
    flow: Flow<Login>,
) -> (FlowId, HeaderMap) {
    let jar = open(engine, browser, second);
    let id = jar.start_flow(flow).unwrap();
    (id, close(engine, &jar, browser, second))
}

fn finish(
    engine: &Engine,
    browser: &mut Browser,
    second: u64,
    state: impl AsRef<str>,
) -> Result<FinishedFlow<Login>, FinishFlowError> {
    let jar = open(engine, browser, second);
    let finished = jar.finish_flow::<Login>(state);
    close(engine, &jar, browser, second);
    finished
}

fn flow_cookies(browser: &Browser) -> Vec<&str> {
    let names = browser.cookies.keys().map(String::as_str);
    names.filter(|name| name.starts_with("__Host-session.flow.")).collect()
}

#[test]
fn flow_is_finished_once_with_its_data_and_return_target() {
    let (builder, events) = engine_builder();
    let engine = builder.build().unwrap();
    let mut browser = Browser::default();
    let target = engine.redirect_target("/me?tab=2");
    let (id, headers) =
        start(&engine, &mut browser, 0, Flow::new(login("secret-verifier")).return_to(target));

    let set = headers.get(header::SET_COOKIE).unwrap();
    assert!(set.is_sensitive());
    let (pair, attributes) = set.to_str().unwrap().split_once(';').unwrap();
    let (name, value) = pair.split_once('=').unwrap();
    assert_eq!(name, format!("{COOKIE}.flow.{id}"));
    assert_eq!(attributes, " HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=600");
    assert!(!value.contains("secret-verifier") && value.len() < 200, "{value}");
    assert_eq!(headers.get(header::CACHE_CONTROL).unwrap(), "private, no-store");

    let copy = browser.clone();
    let finished = finish(&engine, &mut browser, 5, id).unwrap();
    assert_eq!(finished.data, login("secret-verifier"));
    assert_eq!(finished.return_to.unwrap().as_str(), "/me?tab=2");
    assert_eq!(browser.cookies, BTreeMap::new());
    let unknown = Some(FinishFlowError::Unknown);
    assert_eq!(finish(&engine, &mut browser, 6, id).err(), unknown);
    assert_eq!(finish(&engine, &mut copy.clone(), 6, id).err(), unknown, "a copy of the cookie");
    assert_eq!(events.take_names(), ["FlowRejected", "FlowRejected"]);
    // Another process does not know that the flow is finished.
    assert!(finish(&self::engine(), &mut { copy }, 6, id).is_ok());
}

#[test]
fn flow_ends_with_its_time() {
    let engine = engine();
    let minute = |browser: &mut Browser| {
        start(&engine, browser, 100, Flow::new(login("v")).expires_in(seconds(60)))
    };
    for (second, expected) in [
        (99, None),
        (100, None),
        (159, None),
        (160, Some(FinishFlowError::Expired)),
        (9_999, Some(FinishFlowError::Expired)),
    ] {
        let mut browser = Browser::default();
        let (id, headers) = minute(&mut browser);
        let set = headers.get(header::SET_COOKIE).unwrap().to_str().unwrap();
        assert!(set.ends_with("; Max-Age=60"), "{set}");
        assert_eq!(finish(&engine, &mut browser, second, id).err(), expected, "{second}");
        assert_eq!(flow_cookies(&browser), [""; 0], "{second}");
    }
    // The time that the handler took counts.
    let jar = open(&engine, &Browser::default(), 0);
    jar.start_flow(Flow::new(login("v")).expires_in(seconds(60))).unwrap();
    let headers = close(&engine, &jar, &mut Browser::default(), 20);
    assert!(headers[header::SET_COOKIE].to_str().unwrap().ends_with("; Max-Age=40"));
}

#[test]
fn flow_that_cannot_work_is_refused_at_its_start() {
    let plain = engine_builder().0.cookie(CookieConfig::new("s").insecure_for_development());
    let plain = plain.origin("http://localhost:3000").build().unwrap();
    let secure = engine();
    let flow = || Flow::new(login("v"));
    let large = |length: usize| Flow::new(login(&"v".repeat(length)));
    let table = [
        (&secure, flow().expires_in(Duration::from_millis(999)), Some(StartFlowError::ExpiresIn)),
        (&secure, flow().expires_in(seconds(1)), None),
        (&secure, flow().expires_in(Flow::MAX_LIFETIME), None),
        (&secure, flow().expires_in(seconds(86_401)), Some(StartFlowError::ExpiresIn)),
        (&secure, flow().same_site(SameSite::None), None),
        (&plain, flow().same_site(SameSite::None), Some(StartFlowError::InsecureCookie)),
        (&plain, flow().same_site(SameSite::Strict), None),
        (&secure, large(2_800), None),
        (&secure, large(3_000), Some(StartFlowError::TooLarge { size: 4_124, limit: 4_000 })),
    ];
    for (engine, flow, expected) in table {
        let jar = open(engine, &Browser::default(), 0);
        let message = format!("{flow:?}");
        assert_eq!(jar.start_flow(flow).err(), expected, "{message}");
        assert!(!message.contains("vvv") && !message.contains("verifier"), "{message}");
    }
    let request = Request::get("/").header("authorization", "Bearer x");
    let bearer = engine_builder().0.bearer_tokens(BearerTokens::new().accept(true));
    let bearer = bearer.build().unwrap();
    let jar = open_with(&bearer, &Browser::default(), 0, request);
    assert_eq!(jar.start_flow(flow()), Err(StartFlowError::BearerToken));
    let public = SigningKey::generate("k", Algorithm::EdDsa).unwrap().verifying_key();
    let issuer = TrustedIssuer::new(ORIGIN).keys(KeyRing::verify_only().with_key(public));
    let reader = SessionEngine::<User>::verify_only([issuer]).build().unwrap();
    let jar = open(&reader, &Browser::default(), 0);
    assert_eq!(jar.start_flow(flow()), Err(StartFlowError::VerifiesOnly));

    let jar = open(&plain, &Browser::default(), 0);
    close(&plain, &jar, &mut Browser::default(), 0);
    assert_eq!(jar.start_flow(flow()), Err(StartFlowError::Closed));
    assert_eq!(jar.finish_flow::<Login>("x").unwrap_err(), FinishFlowError::Unknown);
}

#[test]
fn flow_cookie_has_its_own_same_site() {
    let strict = engine_builder().0.cookie(CookieConfig::default().same_site(SameSite::Strict));
    let strict = strict.build().unwrap();
    for (engine, same_site, text) in [
        (&engine(), SameSite::Lax, "Lax"),
        (&engine(), SameSite::None, "None"),
        (&strict, SameSite::Lax, "Lax"),
        (&strict, SameSite::Strict, "Strict"),
    ] {
        let mut browser = Browser::default();
        let flow = Flow::new(login("v")).same_site(same_site);
        let (id, headers) = start(engine, &mut browser, 0, flow);
        let set = |headers: &HeaderMap| headers[header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(set(&headers).contains(&format!("; SameSite={text}; Secure;")));
        // The removal repeats it: a frame of another site stores no other cookie.
        let jar = open(engine, &browser, 1);
        jar.finish_flow::<Login>(id).unwrap();
        let headers = close(engine, &jar, &mut browser, 1);
        assert!(set(&headers).contains(&format!("=; HttpOnly; SameSite={text}; Secure;")));
        assert!(set(&headers).ends_with("; Max-Age=0"));
    }
}

#[test]
fn oldest_flow_leaves_when_there_are_too_many() {
    let engine = engine();
    let mut browser = Browser::default();
    let ids: Vec<_> = (0..7)
        .map(|second| start(&engine, &mut browser, second, Flow::new(login("v"))).0)
        .collect();
    assert_eq!(flow_cookies(&browser).len(), Flow::MAX_AT_A_TIME);
    for (index, id) in ids.into_iter().enumerate() {
        let finished = finish(&engine, &mut browser, 10, id);
        assert_eq!(finished.is_ok(), index >= 2, "{index}");
    }
}

#[test]
fn oldest_flow_leaves_when_they_are_too_long() {
    let engine = engine();
    let mut browser = Browser::default();
    let large = |letter: &str| Flow::new(login(&letter.repeat(1_200)));
    let (first, _) = start(&engine, &mut browser, 0, large("a"));
    let (second, _) = start(&engine, &mut browser, 1, large("b"));
    assert_eq!(flow_cookies(&browser).len(), 2);
    let (third, _) = start(&engine, &mut browser, 2, large("c"));
    assert_eq!(flow_cookies(&browser).len(), 2);
    assert!(finish(&engine, &mut browser, 3, first).is_err());
    assert!(finish(&engine, &mut browser, 3, second).is_ok());
    assert!(finish(&engine, &mut browser, 3, third).is_ok());
}

/// A sibling domain cannot set cookies with the prefix; without it, it could.
#[test]
fn cookie_that_is_not_a_flow_of_this_engine_is_rejected() {
    let own = engine();
    let mut browser = Browser::default();
    let (id, _) = start(&own, &mut browser, 0, Flow::new(login("v")));
    let flow = browser.cookies[&format!("{COOKIE}.flow.{id}")].clone();

    let signed_in = open(&own, &Browser::default(), 0);
    signed_in.sign_in(ada()).unwrap();
    let mut session = Browser::default();
    close(&own, &signed_in, &mut session, 0);
    let token = session.cookies[COOKIE].clone();

    // The same keys, but another cookie name, audience or issuer; and the same names with other keys.
    let builder = || engine_builder().0;
    let other_name = builder().cookie(CookieConfig::new("visitor")).build().unwrap();
    let others = [
        builder().audience("b").build().unwrap(),
        builder().issuer("https://b.example").build().unwrap(),
        SessionEngine::<User>::builder(KeyRing::new(key("k2"))).build().unwrap(),
    ];
    let cookie = |name: String, value: &str| Browser { cookies: [(name, value.into())].into() };
    let unknown = Some(FinishFlowError::Unknown);
    for other in &others {
        assert_eq!(finish(other, &mut browser.clone(), 1, id).err(), unknown);
    }
    let renamed = || cookie(format!("__Host-visitor.flow.{id}"), &flow);
    assert_eq!(finish(&other_name, &mut renamed(), 1, id).err(), unknown);
    let (other_id, _) = start(&own, &mut Browser::default(), 0, Flow::new(login("w")));
    for (name, value, state) in [
        // Of another flow, of a session, of nothing.
        (format!("{COOKIE}.flow.{other_id}"), flow.as_str(), other_id.as_str()),
        (format!("{COOKIE}.flow.{id}"), token.as_str(), id.as_str()),
        (format!("{COOKIE}.flow.{id}"), "", id.as_str()),
        (format!("{COOKIE}.flow."), flow.as_str(), ""),
        (format!("{COOKIE}.flow.{id}"), flow.as_str(), ""),
        (format!("{COOKIE}.flow.{id}"), flow.as_str(), "x"),
    ] {
        let mut browser = cookie(name.clone(), value);
        assert_eq!(finish(&own, &mut browser, 1, state).err(), unknown, "{name} {state}");
    }
    // A flow is no session, whatever its cookie's name.
    for name in [COOKIE.to_owned(), format!("{COOKIE}.{id}")] {
        assert!(open(&own, &cookie(name, &flow), 1).session().is_none());
    }
    assert!(finish(&own, &mut browser, 1, id).is_ok());
}

#[test]
fn data_of_one_type_is_not_finished_as_another() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Confirmation {
        verifier: String,
    }
    let engine = engine();
    let mut browser = Browser::default();
    let (id, _) = start(&engine, &mut browser, 0, Flow::new(login("v")));
    let jar = open(&engine, &browser, 1);
    let error = jar.finish_flow::<Confirmation>(id).unwrap_err();
    assert_eq!(error, FinishFlowError::OtherType);
    // It stays for the handler that it belongs to.
    assert_eq!(jar.finish_flow::<Login>(id).unwrap().data, login("v"));
}

#[test]
fn flow_outlives_the_rotation_of_keys() {
    let asymmetric = |kid: &str| SigningKey::generate(kid, Algorithm::EdDsa).unwrap();
    for new_key in [key as fn(&str) -> SigningKey, asymmetric] {
        let (one, two, three) = (new_key("one"), new_key("two"), new_key("three"));
        let ring = KeyRing::new(one);
        let builder = SessionEngine::<User>::builder(ring.clone()).random(SeededRandom::new(1));
        let engine = builder.build().unwrap();
        let mut browser = Browser::default();
        let mut begin = |second| start(&engine, &mut browser, second, Flow::new(login("v"))).0;
        let first = begin(0);
        // The public part is known before the private one, as in a rotation of several nodes.
        let public = match two.verifying_key().public_jwk() {
            Some(jwk) => tower_auth_session::keys::VerifyingKey::from_jwk(&jwk).unwrap(),
            None => two.verifying_key(),
        };
        ring.publish(public).unwrap();
        ring.promote(two).unwrap();
        let (second, third) = (begin(1), begin(2));
        ring.promote(three).unwrap();
        let fourth = begin(3);
        ring.retire("two", at(100)).unwrap();
        for (id, now, expected) in [
            (first, 99, None),
            (second, 99, None),
            (third, 100, Some(FinishFlowError::Unknown)),
            (fourth, 101, None),
        ] {
            assert_eq!(finish(&engine, &mut browser, now, id).err(), expected, "{id} at {now}");
        }
    }
}

#[test]
fn replaced_ring_opens_flows_of_the_keys_that_it_keeps() {
    let (one, two) = (key("one"), SigningKey::generate("two", Algorithm::Es256).unwrap());
    let ring = KeyRing::new(two.clone());
    let engine = SessionEngine::<User>::builder(ring.clone()).build().unwrap();
    let mut browser = Browser::default();
    let (id, _) = start(&engine, &mut browser, 0, Flow::new(login("v")));
    ring.replace(&KeyRing::new(one.clone()).with_key(two.verifying_key())).unwrap();
    let copy = browser.clone();
    assert!(finish(&engine, &mut browser, 1, id).is_ok());
    ring.replace(&KeyRing::new(one)).unwrap();
    assert!(finish(&engine, &mut { copy }, 1, id).is_err());
}

#[test]
fn flow_key_lets_nodes_with_different_signing_keys_finish_flows() {
    let secrets = ["a flow key with 32 or more bytes", "another flow key, also long enough"];
    let node = |kid: &str, secrets: &[&str]| {
        let signing = SigningKey::generate(kid, Algorithm::EdDsa).unwrap();
        let ring = KeyRing::new(signing);
        let ring = secrets.iter().fold(ring, |ring, secret| ring.with_flow_key(secret));
        SessionEngine::<User>::builder(ring).build().unwrap()
    };
    let mut browser = Browser::default();
    let (id, _) = start(&node("a", &secrets[..1]), &mut browser, 0, Flow::new(login("v")));
    for (secrets, is_known) in [
        (&secrets[..1], true),
        (&secrets[1..], false),
        (&secrets[..0], false),
        // A rotation: the new key seals, and the previous one opens.
        (&[secrets[1], secrets[0]], true),
    ] {
        let finished = finish(&node("b", secrets), &mut browser.clone(), 1, id);
        assert_eq!(finished.is_ok(), is_known, "{secrets:?}");
    }
    // Flows of before the key was set are finished too.
    let ring = KeyRing::new(key("k1"));
    let (id, _) = start(&engine(), &mut browser, 0, Flow::new(login("v")));
    let later = SessionEngine::<User>::builder(ring.with_flow_key(secrets[0])).build().unwrap();
    assert!(finish(&later, &mut browser, 1, id).is_ok());

    for (secret, value) in [("too short", "9 bytes"), (&"s".repeat(40), "a placeholder")] {
        let ring = KeyRing::new(key("k1")).with_flow_key(secret);
        let error = SessionEngine::<User>::builder(ring).build().unwrap_err().to_string();
        assert!(error.contains("flow key") && error.contains(value), "{error}");
        assert!(!error.contains(secret), "{error}");
    }
}

#[test]
fn ring_without_a_signing_key_starts_no_flow() {
    let signing = SigningKey::generate("k", Algorithm::EdDsa).unwrap();
    let ring = KeyRing::verify_only().with_key(signing.verifying_key());
    let engine = SessionEngine::<User>::builder(ring).build().unwrap();
    let jar = open(&engine, &Browser::default(), 0);
    assert_eq!(jar.start_flow(Flow::new(login("v"))), Err(StartFlowError::NoKey));
}

#[test]
fn finished_flow_allows_the_sign_in_of_a_form_from_another_site() {
    let engine = engine();
    let mut browser = Browser::default();
    let flow = Flow::new(login("v")).same_site(SameSite::None);
    let (id, _) = start(&engine, &mut browser, 0, flow);
    let form = || Request::post("/callback").header("origin", "https://provider.example");
    let is_refused =
        |result: Result<_, SignInError>| matches!(result.err(), Some(SignInError::CrossOrigin(_)));
    // What another site sends without knowing the flow is refused as before.
    let jar = open_with(&engine, &browser, 1, form());
    assert!(is_refused(jar.sign_in(ada())));
    assert!(jar.finish_flow::<Login>("AAAAAAAAAAAAAAAAAAAAAA").is_err());
    assert!(is_refused(jar.sign_in(ada())));
    close(&engine, &jar, &mut browser, 1);

    let jar = open_with(&engine, &browser, 2, form());
    jar.finish_flow::<Login>(id).unwrap();
    jar.sign_in(ada()).unwrap();
    close(&engine, &jar, &mut browser, 2);
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), [COOKIE]);

    // For that request alone.
    let jar = open_with(&engine, &browser, 3, form());
    assert!(is_refused(jar.sign_in(ada())));
    // And not in a browser that did not start it: login CSRF.
    let jar = open_with(&engine, &Browser::default(), 3, form());
    assert!(jar.finish_flow::<Login>(id).is_err());
    assert!(is_refused(jar.sign_in(ada())));
}

#[test]
fn provider_form_is_continued_by_a_page_of_this_site() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Answered {
        code: String,
        login: Login,
    }
    let engine = engine();
    let mut browser = Browser::default();
    let flow = Flow::new(login("v")).same_site(SameSite::None);
    let (id, _) = start(&engine, &mut browser, 0, flow);
    let form = Request::post("/callback").header("origin", "https://provider.example");
    let jar = open_with(&engine, &browser, 1, form);
    let login = jar.finish_flow::<Login>(id).unwrap().data;
    let next = jar.start_flow(Flow::new(Answered { code: "c".to_owned(), login })).unwrap();
    close(&engine, &jar, &mut browser, 1);
    assert_eq!(flow_cookies(&browser), [format!("{COOKIE}.flow.{next}")]);

    let jar = open(&engine, &browser, 1);
    assert_eq!(jar.finish_flow::<Answered>(next).unwrap().data.code, "c");
    jar.sign_in(ada()).unwrap();
}

#[test]
fn flows_leave_before_the_budget_evicts_a_session() {
    let builder = || engine_builder().0.multi_session(true).cookie_budget(4_200);
    let (engine, roomy) = (builder().build().unwrap(), builder().cookie_budget(9_000));
    let roomy = roomy.build().unwrap();
    let sign_in = |browser: &mut Browser, second, name: &str, length: usize| {
        let jar = open(&engine, browser, second);
        let claims = user(&name.repeat(length));
        let outcome = jar.sign_in(SignIn::new(subject(name), claims)).unwrap();
        close(&engine, &jar, browser, second);
        outcome.evicted.len()
    };
    let mut browser = Browser::default();
    assert_eq!(sign_in(&mut browser, 0, "a", 900), 0);
    let large = || Flow::new(login(&"v".repeat(1_000)));
    let (first, _) = start(&engine, &mut browser, 1, large());
    let (second, _) = start(&engine, &mut browser, 2, large());
    assert_eq!((browser.cookies.len(), flow_cookies(&browser).len()), (3, 1));
    // A second account fits only without the flow.
    assert_eq!(sign_in(&mut browser, 3, "b", 900), 0);
    assert_eq!((browser.cookies.len(), flow_cookies(&browser).len()), (3, 0));
    for id in [first, second] {
        assert_eq!(finish(&engine, &mut browser, 4, id).err(), Some(FinishFlowError::Unknown));
    }
    // No session leaves for a flow that is too long.
    let jar = open(&engine, &browser, 5);
    let refused = jar.start_flow(large());
    assert!(
        matches!(refused, Err(StartFlowError::CookieBudget { budget: 4_200, .. })),
        "{refused:?}"
    );
    close(&engine, &jar, &mut browser, 5);
    assert_eq!(browser.cookies.len(), 3);
    // Flows beyond the budget, left by a higher one, evict no session either.
    for second in 6..8 {
        start(&roomy, &mut browser, second, large());
    }
    let jar = open(&engine, &browser, 9);
    assert_eq!(jar.accounts().len(), 2);
    close(&engine, &jar, &mut browser, 9);
    assert_eq!(open(&engine, &browser, 10).accounts().len(), 2);
}

#[test]
fn proofs_of_devices_count_towards_the_budget_of_flows() {
    let builder = engine_builder().0.multi_session(true).cookie_budget(4_200);
    let engine = builder.build().unwrap();
    let mut browser = Browser::default();
    let mut sign_in = |name: &str, length: usize| {
        let jar = open(&engine, &browser, 0);
        let claims = user(&name.repeat(length));
        let id = jar.sign_in(SignIn::new(subject(name), claims)).unwrap().session_id;
        close(&engine, &jar, &mut browser, 0);
        id
    };
    let (id, _) = (sign_in("a", 900), sign_in("b", 1));
    for (length, is_refused) in [(400, false), (1_500, true)] {
        browser.cookies.insert(format!("{COOKIE}.proof.{id}"), "p".repeat(length));
        let jar = open(&engine, &browser, 1);
        let result = jar.start_flow(Flow::new(login(&"v".repeat(1_000))));
        let refused = matches!(result, Err(StartFlowError::CookieBudget { .. }));
        assert_eq!(refused, is_refused, "{result:?}");
    }
}

#[test]
fn flow_needs_a_response_that_may_carry_cookies() {
    let engine = engine();
    let jar = open(&engine, &Browser::default(), 0);
    jar.start_flow(Flow::new(login("v"))).unwrap();
    let mut response = Response::new(());
    response.headers_mut().insert(header::CACHE_CONTROL, "public".parse().unwrap());
    assert_eq!(engine.close(&jar, &mut response, at(0)), Err(CommitError::CookieNotAllowed));
    let mut replacement = Response::new(());
    engine.close(&jar, &mut replacement, at(0)).unwrap();
    assert!(replacement.headers().get(header::SET_COOKIE).is_none());
}

/// A flow of this version: later ones finish it, also during an upgrade.
#[test]
fn recorded_flow_is_finished() {
    let id = "AAAAAAAAAAAAAAAAAAAAAA";
    let value = "AQEAAAAAa0nSAAAAAABrSdRYic9rsS3S8qV-_lJy0paG3K4rMi1r83SwsYwsn-DSdy_xpPuZc7pU";
    let name = format!("{COOKIE}.flow.{id}");
    let browser = Browser { cookies: [(name, value.to_owned())].into() };
    let jar = open(&engine(), &browser, 599);
    let finished = jar.finish_flow::<String>(id).unwrap();
    assert_eq!(finished.data, "verifier");
    assert_eq!(finished.return_to.unwrap().as_str(), "/me");
}

/// The handler of any service reaches the jar through the extensions.
#[tokio::test]
async fn layer_carries_flows_and_refuses_unknown_ones() {
    let service = layer().0.layer(service_fn(async |request: Request<Full<Bytes>>| {
        let status = request.extensions().get::<SessionStatus>().unwrap();
        let jar = status.jar::<User>().unwrap();
        let text = match request.uri().query() {
            None => jar.start_flow(Flow::new(login("v"))).unwrap().to_string(),
            Some(state) => jar
                .finish_flow::<Login>(state)
                .map_or_else(|error| error.to_string(), |flow| flow.data.verifier),
        };
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
    }));
    let mut browser = Browser::default();
    let state = browser.send(&service, get("/")).await.text().to_owned();
    let callback = format!("/?{state}");
    assert_eq!(browser.send(&service, get(&callback)).await.text(), "v");
    assert_eq!(
        browser.send(&service, get(&callback)).await.text(),
        "this browser has no such flow"
    );
    assert_eq!(browser.cookies, BTreeMap::new());
}

#[test]
fn rejected_flow_is_reported_with_its_reason() {
    let (builder, events) = engine_builder();
    let engine = builder.build().unwrap();
    assert!(finish(&engine, &mut Browser::default(), 0, "x").is_err());
    let reported = events.take();
    assert!(matches!(
        reported.as_slice(),
        [SessionEvent::FlowRejected { reason: FinishFlowError::Unknown, .. }]
    ));
}

#[test]
fn return_target_of_any_origin_is_kept() {
    let engine = engine();
    let mut browser = Browser::default();
    for target in ["/", "/a?b=c#d", "https://other.example/x"] {
        let target = RedirectTarget::parse(target).unwrap();
        let flow = Flow::new(login("v")).return_to(target.clone());
        let (id, _) = start(&engine, &mut browser, 0, flow);
        assert_eq!(finish(&engine, &mut browser, 0, id).unwrap().return_to, Some(target));
    }
    // What a request asked for is validated before, and nothing is kept of the rest.
    let refused = engine.redirect_target("https://evil.example/");
    let (id, _) = start(&engine, &mut browser, 0, Flow::new(login("v")).return_to(refused));
    assert_eq!(finish(&engine, &mut browser, 0, id).unwrap().return_to, None);
}

#[derive(Debug, Clone)]
enum Step {
    Start { seconds: u64, length: usize },
    Finish(prop::sample::Index),
    Wait(u64),
    SignIn,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..900_u64, 0..700_usize).prop_map(|(seconds, length)| Step::Start { seconds, length }),
        2 => any::<prop::sample::Index>().prop_map(Step::Finish),
        1 => (0..400_u64).prop_map(Step::Wait),
        1 => Just(Step::SignIn),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every flow is finished exactly once, unless it expired or newer ones took its place.
    #[test]
    fn flows_of_one_browser_follow_the_model(steps in steps()) {
        let engine = engine();
        let (mut browser, mut now) = (Browser::default(), 0);
        let mut started: Vec<(FlowId, String, u64)> = Vec::new();
        // Those that the browser has, the oldest first.
        let mut held: Vec<(FlowId, usize)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(seconds) => now += seconds,
                Step::SignIn => {
                    let jar = open(&engine, &browser, now);
                    jar.sign_in(ada()).unwrap();
                    close(&engine, &jar, &mut browser, now);
                    held.retain(|(id, _)| started.iter().any(|it| it.0 == *id && now < it.2));
                }
                Step::Start { seconds, length } => {
                    // The order of flows of one second is not specified.
                    now += 1;
                    let verifier = format!("{}{}", started.len(), "x".repeat(length));
                    let flow = Flow::new(login(&verifier)).expires_in(Duration::from_secs(seconds));
                    let (id, _) = start(&engine, &mut browser, now, flow);
                    let name = format!("{COOKIE}.flow.{id}");
                    let bytes = name.len() + "=; ".len() + browser.cookies[&name].len();
                    held.retain(|(id, _)| started.iter().any(|it| it.0 == *id && now < it.2));
                    started.push((id, verifier, now + seconds));
                    held.push((id, bytes));
                    let total = |held: &[(FlowId, usize)]| held.iter().map(|it| it.1).sum::<usize>();
                    while held.len() > Flow::MAX_AT_A_TIME || total(&held) > Flow::MAX_BYTES {
                        held.remove(0);
                    }
                }
                Step::Finish(index) if !started.is_empty() => {
                    let (id, verifier, expires_at) = index.get(&started).clone();
                    let is_held = held.iter().any(|(other, _)| *other == id);
                    let expected = match is_held {
                        true if now < expires_at => Ok(verifier),
                        true => Err(FinishFlowError::Expired),
                        false => Err(FinishFlowError::Unknown),
                    };
                    let finished = finish(&engine, &mut browser, now, id);
                    prop_assert_eq!(finished.map(|flow| flow.data.verifier), expected);
                    held.retain(|(other, _)| *other != id);
                    // A response that changes flows removes those that have expired.
                    if is_held {
                        held.retain(|(id, _)| started.iter().any(|it| it.0 == *id && now < it.2));
                    }
                }
                Step::Finish(_) => {}
            }
            prop_assert_eq!(flow_cookies(&browser).len(), held.len());
        }
    }
}
