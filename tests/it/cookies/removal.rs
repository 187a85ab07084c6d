//! Browsers store the session cookie and remove it when they should, with every cookie configuration.

use http::{Request, StatusCode};
use proptest::prelude::*;
use tower_auth_session::{
    SessionLifetime, SignIn,
    config::{CookieConfig, CookiePrefix, Endpoint, Endpoints, LifetimeOverride, SameSite},
};

use crate::support::{
    TestResponse, User, engine_builder,
    probe::{Probe, ProbeResult},
    seconds, subject,
    token_forge::payload,
    user,
    user_agent::UserAgent,
};

/// A browser at a service.
struct Visit {
    probe: Probe<User>,
    browser: UserAgent,
    scheme: &'static str,
    host: &'static str,
}

impl Visit {
    fn new(config: CookieConfig, scheme: &'static str, sign_out_path: &str) -> Self {
        let host = "app.example.com";
        let origin = format!("{scheme}://{host}");
        let builder = engine_builder().0.origin(origin).cookie(config).endpoints(
            Endpoints::new()
                .path(Endpoint::SignOut, sign_out_path)
                .disable(Endpoint::Sessions)
                .disable(Endpoint::Token)
                .disable(Endpoint::Touch),
        );
        Self { probe: Probe::new(builder), browser: UserAgent::default(), scheme, host }
    }

    fn request(&self, method: &str, path: &str) -> Request<http_body_util::Full<bytes::Bytes>> {
        let origin = format!("{}://{}", self.scheme, self.host);
        let mut request = Request::builder().method(method).uri(path).header("origin", origin);
        if let Some(cookies) = self.browser.header(self.scheme, self.host, path) {
            request = request.header("cookie", cookies);
        }
        request.body(Default::default()).unwrap()
    }

    fn send(&mut self, method: &str, path: &str, handler: fn(&Jar)) -> ProbeResult<User> {
        let result = self.probe.run_handler(self.request(method, path), move |jar, _| handler(jar));
        self.store(path, &result.response);
        result
    }

    fn store(&mut self, path: &str, response: &TestResponse) {
        for set in response.set_cookies() {
            let lower = set.to_ascii_lowercase();
            // RFC 6265bis §5.6.7.2: without `SameSite`, a cross-site POST carries a new cookie.
            assert_eq!(lower.matches("; samesite=").count(), 1, "{set}");
            assert_eq!(lower.matches("; httponly").count(), 1, "{set}");
            assert_eq!(lower.matches("; path=/").count(), 1, "{set}");
            assert!(!lower.contains("expires"), "{set}");
        }
        self.browser.store(self.scheme, self.host, path, &response.headers);
    }

    fn advance(&mut self, by: u64) {
        self.probe.clock.advance(seconds(by));
        self.browser.now += i64::try_from(by).unwrap();
    }
}

type Jar = tower_auth_session::SessionJar<User>;

fn sign_in(jar: &Jar) {
    jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
}

fn sign_in_not_persistent(jar: &Jar) {
    jar.sign_in(SignIn::new(subject("ada"), user("Ada")).persistent(false)).unwrap();
}

fn configurations() -> Vec<(CookieConfig, &'static str)> {
    let mut all = Vec::new();
    for same_site in [SameSite::Strict, SameSite::Lax, SameSite::None] {
        for domain in [None, Some("example.com"), Some("app.example.com")] {
            for path in ["/", "/app"] {
                for prefix in [None, Some(CookiePrefix::None), Some(CookiePrefix::Secure)] {
                    let mut config = CookieConfig::new("s").same_site(same_site).path(path);
                    if let Some(domain) = domain {
                        config = config.domain(domain);
                    }
                    if let Some(prefix) = prefix {
                        config = config.prefix(prefix);
                    }
                    if same_site != SameSite::None {
                        all.push((config.clone().insecure_for_development(), "http"));
                    }
                    all.push((config, "https"));
                }
            }
        }
    }
    all
}

#[test]
fn browser_stores_and_removes_the_cookie_in_every_configuration() {
    let configurations = configurations();
    assert_eq!(configurations.len(), 90);
    for (config, scheme) in configurations {
        let visit = || Visit::new(config.clone(), scheme, "/app/sign-out");
        for (persistent, start) in [(true, sign_in as fn(&Jar)), (false, sign_in_not_persistent)] {
            // The session ends by the handler, by the endpoint, by expiry, and by a revocation.
            let mut visit_one = visit();
            let result = visit_one.send("POST", "/app/in", start);
            assert_eq!(
                visit_one.browser.len(),
                1,
                "{config:?}: {:?}",
                result.response.set_cookies()
            );
            assert!(visit_one.send("GET", "/app/x", |_| {}).session.is_some(), "{config:?}");
            visit_one.send("POST", "/app/out", |jar| drop(jar.sign_out()));
            assert_eq!(visit_one.browser.len(), 0, "{config:?}");

            let mut visit_two = visit();
            visit_two.send("POST", "/app/in", start);
            visit_two.advance(20);
            assert_eq!(visit_two.send("GET", "/app/", |_| {}).response.set_cookies().len(), 1);
            assert_eq!(visit_two.browser.len(), 1, "a renewal replaces the cookie: {config:?}");
            let response = visit_two.send("POST", "/app/sign-out", |_| {}).response;
            assert_eq!(response.status, StatusCode::SEE_OTHER);
            assert_eq!(visit_two.browser.len(), 0, "{config:?}");

            let mut visit_three = visit();
            visit_three.send("POST", "/app/in", start);
            visit_three.advance(100);
            let sent = visit_three.browser.header(scheme, visit_three.host, "/app/");
            assert_eq!(sent.is_none(), persistent, "Max-Age ends with the session");
            if !persistent {
                assert!(visit_three.send("GET", "/app/", |_| {}).session.is_none());
                assert_eq!(visit_three.browser.len(), 0, "{config:?}");
            }

            let mut visit_four = visit();
            visit_four.send("POST", "/app/in", start);
            let session = visit_four.send("GET", "/app/", |_| {}).session.unwrap();
            let now = tower_auth_session::time::Clock::now(&visit_four.probe.clock);
            visit_four.probe.layer.engine().revoke_session(session.identity(), now);
            assert!(visit_four.send("GET", "/app/", |_| {}).session.is_none());
            assert_eq!(visit_four.browser.len(), 0, "{config:?}");
        }
    }
}

proptest! {
    /// RFC 6265bis §4.1.1, §5.5: `Max-Age` is written in digits and exceeds neither the time that the
    /// session has left when the response is sent nor 400 days, however the clock jumps.
    #[test]
    fn max_age_never_exceeds_the_remaining_lifetime(
        inactivity in prop_oneof![2_u64..200, 1_u64..100_000_000],
        maximum in prop_oneof![2_u64..2_000, 1_u64..2_000_000_000],
        own in prop::option::of((1_u64..50_000_000, 0_u64..50_000_000)),
        steps in prop::collection::vec((-20_i64..400, 0_u64..30, 0..6), 1..30),
    ) {
        let lifetime = SessionLifetime::new()
            .inactivity_timeout(seconds(inactivity.min(maximum)))
            .maximum_lifetime(seconds(maximum));
        let probe = Probe::new(engine_builder().0.lifetime(lifetime));
        let mut cookie = String::new();
        for (step, within, handler) in steps {
            let now = tower_auth_session::time::Clock::now(&probe.clock).timestamp().as_unix_seconds();
            let next = now.checked_add_signed(step).unwrap();
            probe.clock.set(tower_auth_session::time::Timestamp::from_unix_seconds(next));
            let mut request = crate::support::get("/");
            if !cookie.is_empty() {
                request.headers_mut().insert("cookie", cookie.parse().unwrap());
            }
            let clock = probe.clock.clone();
            let result = probe.run_handler(request, move |jar, _| {
                clock.advance(seconds(within));
                match handler {
                    0 => {
                        let mut sign_in = SignIn::new(subject("ada"), user("Ada"));
                        if let Some((inactivity, more)) = own {
                            sign_in = sign_in.lifetime(
                                LifetimeOverride::new()
                                    .inactivity_timeout(seconds(inactivity))
                                    .maximum_lifetime(seconds(inactivity + more)),
                            );
                        }
                        jar.sign_in(sign_in).unwrap();
                    }
                    1 => jar.renew_now(),
                    2 => drop(jar.update_claims(user("Eve"))),
                    _ => {}
                }
            });
            let sent = tower_auth_session::time::Clock::now(&probe.clock).timestamp().as_unix_seconds();
            let set = result.response.set_cookies();
            prop_assert!(set.len() <= 1);
            let Some(set) = set.first() else { continue };
            let max_age = set.rsplit_once("; Max-Age=").unwrap().1;
            prop_assert!(max_age.bytes().all(|byte| byte.is_ascii_digit()));
            let max_age: u64 = max_age.parse().unwrap();
            set.split(';').next().unwrap().clone_into(&mut cookie);
            let token = cookie.split_once('=').unwrap().1;
            if token.is_empty() {
                prop_assert_eq!(max_age, 0);
                cookie.clear();
                continue;
            }
            let claims = payload(token);
            let date = |name: &str| claims[name].as_u64();
            let exp = date("exp").unwrap();
            prop_assert!(exp > sent, "an expired session is not sent");
            prop_assert_eq!(max_age, (exp - sent).min(34_560_000));
            let active = date("last_active_at").or_else(|| date("iat")).unwrap();
            let ceiling = 400 * 24 * 3600;
            let inactivity =
                date("inactivity_timeout").map_or_else(|| inactivity.min(maximum), |own| own.min(ceiling));
            let maximum = date("maximum_lifetime").map_or(maximum, |own| own.min(ceiling));
            let end = (active + inactivity).min(date("auth_time").unwrap() + maximum);
            prop_assert!(exp <= end, "{} is after {}", exp, end);
        }
    }
}
