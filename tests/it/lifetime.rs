//! Lifetime as a property of the issued tokens, for any sequence of requests, configurations and
//! keys.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, Request, Response, header};
use proptest::prelude::*;
use tower_auth_session::{
    KeyRing, SessionEngine, SessionLifetime, SignIn,
    config::{LifetimeOverride, TimeLimit},
    testing::cookie_of,
    time::Timestamp,
};

use crate::support::{START, User, key, subject, user};

const MAX_AGE_LIMIT: u64 = 34_560_000;

#[derive(Debug, Clone)]
struct Node {
    inactivity: Option<u64>,
    maximum: Option<u64>,
    /// Whether the second of two keys signs; both verify.
    second_key: bool,
}

impl Node {
    fn engine(&self) -> Option<SessionEngine<User>> {
        let (first, second) = (key("k1"), key("k2"));
        let (signing, other) = if self.second_key { (second, first) } else { (first, second) };
        let limit = |seconds: Option<u64>| TimeLimit::from(seconds.map(Duration::from_secs));
        SessionEngine::builder(KeyRing::new(signing).with_key(other.verifying_key()))
            .lifetime(
                SessionLifetime::new()
                    .inactivity_timeout(limit(self.inactivity))
                    .maximum_lifetime(limit(self.maximum)),
            )
            .build()
            .ok()
    }
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let limit = || prop::option::of(prop_oneof![1_u64..500, 1_u64..100_000_000, Just(u64::MAX)]);
    let node = (limit(), limit(), any::<bool>())
        .prop_map(|(inactivity, maximum, second_key)| Node { inactivity, maximum, second_key });
    prop::collection::vec(node, 1..4)
}

fn claims(cookie: &HeaderValue) -> serde_json::Value {
    let payload = cookie.to_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn tokens_and_cookies_never_outlive_the_configured_limits(
        nodes in nodes(),
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0_u64..400, any::<bool>()), 1..40),
    ) {
        let nodes: Vec<_> = nodes
            .into_iter()
            .filter_map(|node| node.engine().map(|engine| (node, engine)))
            .collect();
        prop_assume!(!nodes.is_empty());
        let mut now = START;
        let sign_in = SignIn::new(subject("ada"), user("Ada"));
        let mut cookie = cookie_of(&nodes[0].1, sign_in, Timestamp::from_unix_seconds(now)).unwrap();
        for (node, after, is_background) in steps {
            now += after;
            let at = Timestamp::from_unix_seconds(now);
            let (node, engine) = node.get(&nodes);
            let presented = claims(&cookie);
            let mut request = Request::get("/").header(header::COOKIE, &cookie);
            if is_background {
                request = request.header("session-activity", "none");
            }
            let jar = engine.open(&request.body(()).unwrap(), at);
            let is_signed_in = jar.session().is_some();
            prop_assert!(!is_signed_in || now < presented["exp"].as_u64().unwrap());
            let mut response = Response::new(());
            engine.close(&jar, &mut response, at).unwrap();
            let Some(set) = response.headers().get(header::SET_COOKIE) else { continue };
            let set = cookie::Cookie::parse(set.to_str().unwrap().to_owned()).unwrap();
            let max_age = set.max_age().unwrap().whole_seconds().unsigned_abs();
            if !is_signed_in {
                prop_assert_eq!((set.value(), max_age), ("", 0));
                break;
            }
            cookie = format!("{}={}", set.name(), set.value()).parse().unwrap();
            let renewed = claims(&cookie);
            let (exp, auth_time) =
                (renewed["exp"].as_u64().unwrap(), renewed["auth_time"].as_u64().unwrap());
            prop_assert_eq!(auth_time, presented["auth_time"].as_u64().unwrap());
            prop_assert!(exp <= auth_time.saturating_add(node.maximum.unwrap_or(u64::MAX)));
            prop_assert!(max_age <= exp - now && max_age <= MAX_AGE_LIMIT);
        }
    }

    #[test]
    fn sign_in_with_any_lifetime_sets_a_cookie_of_at_most_400_days(own in any::<Duration>()) {
        let own = own.max(Duration::from_secs(1));
        let engine = SessionEngine::builder(KeyRing::new(key("k1"))).build().unwrap();
        let at = Timestamp::from_unix_seconds(START);
        let jar = engine.open(&Request::new(()), at);
        let sign_in = SignIn::new(subject("ada"), user("Ada"));
        jar.sign_in(sign_in.lifetime(LifetimeOverride::both(own))).unwrap();
        let mut response = Response::new(());
        engine.close(&jar, &mut response, at).unwrap();
        let set = response.headers()[header::SET_COOKIE].to_str().unwrap();
        let expected = format!("; Max-Age={}", own.as_secs().min(MAX_AGE_LIMIT));
        prop_assert!(set.ends_with(&expected), "{}", set);
    }
}
