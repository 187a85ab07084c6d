//! A shared cache never serves a session cookie, or a page of one session, to another client.

use std::collections::BTreeMap;

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, StatusCode,
    header::{CACHE_CONTROL, COOKIE as COOKIE_FIELD, SET_COOKIE, VARY},
};
use http_body_util::Full;
use proptest::prelude::*;
use tower_auth_session::{SignIn, config::CookieConfig, event::SessionEvent, time::Clock as _};

use crate::support::{
    COOKIE, TestResponse, User, engine_builder, get,
    probe::{Probe, with_cookies},
    seconds, subject, user,
};

const CDN: &str = "cdn-cache-control";

fn signed_in(probe: &Probe<User>, name: &'static str) -> String {
    let result = probe.run_handler(get("/"), move |jar, _| {
        jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
    });
    format!("{COOKIE}={}", result.token())
}

/// Each row: the application's caching headers, whether a renewed cookie is sent with them, and the
/// caching headers of the response that carries the cookie.
#[test]
fn caching_headers_of_the_application_decide_whether_a_cookie_is_sent() {
    let own = [("cache-control", "private, no-store")];
    let none: [(&str, &str); 0] = [];
    for (application_headers, cookie_is_sent, with_cookie) in [
        (&[][..], true, &own[..]),
        (&[("cache-control", "no-cache")], true, &own),
        (&[("cache-control", "max-age=60")], true, &own),
        (&[("cache-control", "private, max-age=60")], true, &own),
        (&[("cache-control", "no-store, no-cache, must-revalidate")], true, &own),
        (&[("cache-control", "max-age=60"), ("cache-control", "must-revalidate")], true, &own),
        (&[("cache-control", "no-cache=\"public\"")], true, &own),
        (&[("cache-control", "x-public, publicly, s-maxage-x=1")], true, &own),
        (&[("cache-control", "\u{e9}")], true, &own),
        (&[("cache-control", "public")], false, &none),
        (&[("cache-control", "PUBLIC")], false, &none),
        (&[("cache-control", "public, max-age=60")], false, &none),
        (&[("cache-control", "max-age=60,public")], false, &none),
        (&[("cache-control", "max-age=60 ,\tpublic ")], false, &none),
        (&[("cache-control", "max-age=60"), ("cache-control", "public")], false, &none),
        (&[("cache-control", "s-maxage=60")], false, &none),
        (&[("cache-control", "S-MaxAge=\"60\"")], false, &none),
        (&[("cache-control", "s-maxage=0")], false, &none),
        (&[("cache-control", "max-age=31536000, immutable")], false, &none),
        (&[("cache-control", "private, public")], false, &none),
        // RFC 9213 §2.2: a cache obeys the field that targets it instead of Cache-Control.
        (&[(CDN, "max-age=60")], false, &none),
        (&[("cache-control", "no-store"), (CDN, "max-age=60")], false, &none),
        (&[(CDN, "public, s-maxage=60")], false, &none),
        (&[(CDN, "no-cache")], false, &none),
        (&[(CDN, "")], false, &none),
        (&[("cloudflare-cdn-cache-control", "max-age=60")], false, &none),
        (&[("surrogate-control", "max-age=60, content=\"ESI/1.0\"")], false, &none),
        (&[(CDN, "no-store")], true, &own),
        (&[(CDN, "Private, max-age=60")], true, &own),
        (&[("surrogate-control", "content=\"ESI/1.0\", no-store")], true, &own),
        (&[(CDN, "no-store"), ("surrogate-control", "max-age=1")], false, &none),
        (&[(CDN, "max-age=60, private=\"x-n\"")], false, &none),
        (&[("edge-control", "max-age=60")], false, &none),
        (&[("edge-control", "no-store")], true, &own),
        (&[("x-litespeed-cache-control", "public,max-age=60")], false, &none),
        (&[("x-accel-expires", "60")], false, &none),
        (&[("x-accel-expires", "0")], true, &own),
    ] {
        let probe = Probe::new(engine_builder().0);
        let ada = signed_in(&probe, "ada");
        let run_with_headers = |probe: &Probe<User>| {
            probe.run_handler(with_cookies(&[&ada]), move |jar, response| {
                drop(jar.session());
                for (name, value) in application_headers {
                    let name: HeaderName = name.parse().unwrap();
                    response
                        .headers_mut()
                        .append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
                }
            })
        };
        let lines = |response: &TestResponse| -> Vec<(String, HeaderValue)> {
            let mut lines: Vec<_> = response
                .headers
                .iter()
                .filter(|(name, _)| *name != SET_COOKIE && *name != VARY)
                .map(|(name, value)| (name.to_string(), value.clone()))
                .collect();
            lines.sort();
            lines
        };
        let expected = |lines: &[(&str, &str)]| -> Vec<(String, HeaderValue)> {
            let mut lines: Vec<_> = lines
                .iter()
                .map(|(name, value)| {
                    ((*name).to_owned(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
                })
                .collect();
            lines.sort();
            lines
        };
        let before_renewal = run_with_headers(&probe);
        let mut before: Vec<_> = application_headers.to_vec();
        let is_private = |(name, value): &(&str, &str)| {
            *name == "cache-control" && (value.contains("private") || value.contains("no-store"))
        };
        if cookie_is_sent && !application_headers.iter().any(is_private) {
            before.push(("cache-control", "private"));
        }
        assert_eq!(
            lines(&before_renewal.response),
            expected(&before),
            "without a cookie `private` is added to a response that is not marked for shared caches"
        );
        assert_eq!(before_renewal.response.header("vary"), "Cookie");

        probe.clock.advance(seconds(10));
        let due = run_with_headers(&probe);
        assert_eq!(
            due.response.set_cookies().len(),
            usize::from(cookie_is_sent),
            "{application_headers:?}"
        );
        assert_eq!(due.response.header("vary"), "Cookie");
        let withheld =
            due.events.iter().any(|event| matches!(event, SessionEvent::CookieWithheld { .. }));
        assert_eq!(withheld, !cookie_is_sent, "{application_headers:?}");
        let mut expected_headers: Vec<_> = application_headers.to_vec();
        if cookie_is_sent {
            expected_headers.retain(|(name, _)| *name != "cache-control");
            expected_headers.extend(with_cookie);
        }
        assert_eq!(lines(&due.response), expected(&expected_headers), "{application_headers:?}");
    }
}

/// A client that only revalidates is renewed, and the 304 has the caching headers of the 200.
#[test]
fn not_modified_has_the_headers_of_a_full_response() {
    for status in [StatusCode::OK, StatusCode::NOT_MODIFIED] {
        for (application, fresh, due) in [
            (None, Some("private"), true),
            (Some("no-store"), Some("no-store"), true),
            (Some("public, max-age=60"), Some("public, max-age=60"), false),
        ] {
            let probe = Probe::new(engine_builder().0);
            let ada = signed_in(&probe, "ada");
            let send = |probe: &Probe<User>| {
                probe.run_handler(with_cookies(&[&ada]), move |_, response| {
                    *response.status_mut() = status;
                    if let Some(value) = application {
                        response.headers_mut().insert(CACHE_CONTROL, value.parse().unwrap());
                    }
                })
            };
            let is_shared = application.is_some_and(|value| value.contains("public"));
            let response = send(&probe).response;
            assert_eq!(response.headers.get(CACHE_CONTROL).map(|it| it.to_str().unwrap()), fresh);
            assert_eq!(response.headers.contains_key(VARY), !is_shared, "{status} {application:?}");
            probe.clock.advance(seconds(10));
            let response = send(&probe).response;
            assert_eq!(!response.set_cookies().is_empty(), due, "{status} {application:?}");
            if due {
                assert_eq!(response.header("cache-control"), "private, no-store");
            }
        }
    }
}

#[test]
fn responses_that_change_the_account_clear_the_pages_fetched_ahead() {
    const PAGES: &str = "\"prefetchCache\", \"prerenderCache\"";
    let probe = Probe::new(engine_builder().0);
    let ada = signed_in(&probe, "ada");
    let values = |response: &TestResponse| -> Vec<String> {
        let values = response.headers.get_all("clear-site-data").iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    let signed_in = probe.run_handler(get("/"), |jar, _| {
        jar.sign_in(SignIn::new(subject("bob"), user("bob"))).unwrap();
    });
    assert_eq!(values(&signed_in.response), [PAGES]);
    assert_eq!(values(&probe.send(with_cookies(&[&ada])).response), [""; 0]);
    probe.clock.advance(seconds(10));
    let renewed = probe.send(with_cookies(&[&ada]));
    assert_eq!((renewed.response.set_cookies().len(), values(&renewed.response).len()), (1, 0));
    let signed_out = probe.run_handler(with_cookies(&[&ada]), |jar, response| {
        response.headers_mut().insert("clear-site-data", "\"cache\"".parse().unwrap());
        jar.sign_out();
    });
    assert_eq!(values(&signed_out.response), ["\"cache\"", PAGES]);
    // The cookie of an ended session is removed.
    assert_eq!(values(&probe.send(with_cookies(&[&ada])).response), [PAGES]);

    let cookie = CookieConfig::default().insecure_for_development();
    let probe = Probe::new(engine_builder().0.origin("http://app.example.com").cookie(cookie));
    let signed_in = probe.run_handler(get("/"), |jar, _| {
        jar.sign_in(SignIn::new(subject("bob"), user("bob"))).unwrap();
    });
    assert_eq!(values(&signed_in.response), [""; 0]);
}

/// Each row: request headers, and whether the request is activity.
#[test]
fn speculative_and_declared_requests_decide_about_activity() {
    for (name, value, is_activity) in [
        ("accept", "text/html", true),
        ("sec-purpose", "prefetch", false),
        ("sec-purpose", "prefetch;prerender", false),
        ("sec-purpose", "Prefetch; anonymous-client-ip", false),
        ("purpose", "prefetch", false),
        ("x-moz", "prefetch", false),
        ("sec-purpose", "other", true),
        ("session-activity", "none", false),
        ("session-activity", "user", true),
    ] {
        for path in ["/", "/session"] {
            let probe = Probe::new(engine_builder().0);
            let ada = signed_in(&probe, "ada");
            probe.clock.advance(seconds(10));
            let mut request = with_cookies(&[&ada]);
            *request.uri_mut() = path.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
            let jar = probe.layer.engine().open(&request, probe.clock.now());
            let session = jar.session().unwrap();
            let is_recorded = session.last_active_at() == probe.clock.now().timestamp();
            let expected = is_activity && (path == "/" || value == "user");
            assert_eq!(is_recorded, expected, "{path} {name}: {value}");
        }
    }
}

#[test]
fn vary_lists_cookie_exactly_once() {
    for (values, expected) in [
        (&[][..], &["Cookie"][..]),
        (&["Accept"], &["Accept, Cookie"]),
        (&["Accept", "Origin"], &["Accept, Origin, Cookie"]),
        (&["accept , ,cookie"], &["accept , ,cookie"]),
        (&["Accept", "COOKIE"], &["Accept", "COOKIE"]),
        (&["*"], &["*"]),
        (&["Accept, *"], &["Accept, *"]),
        (&["Cookies, Set-Cookie"], &["Cookies, Set-Cookie, Cookie"]),
        (&["\u{e9}"], &["\u{e9}, Cookie"]),
    ] {
        for due in [false, true] {
            let probe = Probe::new(engine_builder().0);
            let ada = signed_in(&probe, "ada");
            if due {
                probe.clock.advance(seconds(10));
            }
            let result = probe.run_handler(with_cookies(&[&ada]), move |jar, response| {
                drop(jar.session());
                for value in values {
                    let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                    response.headers_mut().append(VARY, value);
                }
            });
            let vary: Vec<_> =
                result.response.headers.get_all(VARY).iter().map(HeaderValue::as_bytes).collect();
            let expected: Vec<_> = expected.iter().map(|text| text.as_bytes()).collect();
            assert_eq!(vary, expected, "{due}");
        }
    }
}

/// A shared cache (RFC 9111) that stores for ever whatever it is not forbidden to store.
#[derive(Default)]
struct SharedCache {
    /// Obeys `CDN-Cache-Control` (RFC 9213) if the response has one.
    is_cdn: bool,
    stored: BTreeMap<String, Vec<(HeaderMap, TestResponse)>>,
}

impl SharedCache {
    fn get(&self, request: &Request<Full<bytes::Bytes>>) -> Option<&TestResponse> {
        let variants = self.stored.get(request.uri().path())?;
        let found = variants.iter().rev().find(|(of, response)| {
            members(&response.headers, &VARY).iter().all(|name| {
                let lines = |headers: &HeaderMap| -> Vec<HeaderValue> {
                    headers.get_all(name).iter().cloned().collect()
                };
                name != "*" && lines(of) == lines(request.headers())
            })
        });
        found.map(|(_, response)| response)
    }

    fn put(&mut self, path: &str, request: HeaderMap, response: TestResponse) {
        if self.may_store(&response.headers) {
            self.stored.entry(path.to_owned()).or_default().push((request, response));
        }
    }

    fn may_store(&self, headers: &HeaderMap) -> bool {
        let cdn = HeaderName::from_static(CDN);
        let field = if self.is_cdn && headers.contains_key(&cdn) { &cdn } else { &CACHE_CONTROL };
        !members(headers, field).iter().any(|directive| {
            matches!(directive.split('=').next(), Some("no-store" | "private" | "no-cache"))
        })
    }
}

fn members(headers: &HeaderMap, field: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(field).iter().map(|line| line.to_str().unwrap());
    lines.flat_map(|line| line.split(',')).map(|one| one.trim().to_ascii_lowercase()).collect()
}

#[derive(Debug, Clone)]
struct Step {
    /// Ada, Bob, or a visitor who is signed out.
    who: usize,
    path: &'static str,
    action: Action,
    cache_control: Option<&'static str>,
    cdn: Option<&'static str>,
    vary: Option<&'static str>,
    after: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Ignore,
    Greet,
    SignIn,
    SignOut,
    Update,
}

fn step() -> impl Strategy<Value = Step> {
    use prop::sample::select;
    (
        0..3_usize,
        select(vec!["/a", "/b"]),
        select(vec![
            Action::Ignore,
            Action::Greet,
            Action::Greet,
            Action::SignIn,
            Action::SignOut,
            Action::Update,
        ]),
        prop::option::of(select(vec![
            "public",
            "public, max-age=60",
            "s-maxage=60",
            "max-age=60",
            "no-cache",
            "private",
            "max-age=60, immutable",
            "must-revalidate",
        ])),
        prop::option::weighted(0.2, select(vec!["max-age=60", "public", "no-store", "private"])),
        prop::option::of(select(vec!["Accept", "Cookie", "*", "Accept-Encoding, cookie"])),
        0..30_u64,
    )
        .prop_map(|(who, path, action, cache_control, cdn, vary, after)| Step {
            who,
            path,
            action,
            cache_control,
            cdn,
            vary,
            after,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// CVE-2023-30861 and similar faults: a shared cache in front of the service must not give the
    /// cookie of one client, or a page made for one client, to another.
    #[test]
    fn shared_cache_never_serves_one_session_to_another_client(
        steps in prop::collection::vec(step(), 1..30),
        is_cdn in any::<bool>(),
    ) {
        const NAMES: [&str; 3] = ["ada", "bob", "signed out"];
        let probe = Probe::new(engine_builder().0);
        let mut cache = SharedCache { is_cdn, ..SharedCache::default() };
        let mut cookies = [Some(signed_in(&probe, "ada")), Some(signed_in(&probe, "bob")), None];
        for Step { who, path, action, cache_control, cdn, vary, after } in steps {
            probe.clock.advance(seconds(after));
            let mut request = get(path);
            if let Some(cookie) = &cookies[who] {
                request.headers_mut().insert(COOKIE_FIELD, cookie.parse().unwrap());
            }
            if let Some(hit) = cache.get(&request) {
                let own = cookies[who].as_ref().map_or("signed out", |_| NAMES[who]);
                // A cached page of the client's own session can still name it after the session expired.
                prop_assert!(hit.text() == "page" || hit.text() == own || hit.text() == "signed out");
                prop_assert_eq!(hit.set_cookies(), [""; 0]);
                continue;
            }
            let headers = request.headers().clone();
            let name = NAMES[who];
            let result = probe.run_handler(request, move |jar, response| {
                let greet = |session: Option<tower_auth_session::Session<User>>| {
                    session.map_or_else(|| "signed out".to_owned(), |session| session.claims().name.clone())
                };
                let body = match action {
                    Action::Ignore => "page".to_owned(),
                    Action::Greet => greet(jar.session()),
                    Action::SignIn => {
                        if name != "signed out" {
                            jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
                        }
                        // Marking a page with the user's name as public would be the application's fault.
                        "page".to_owned()
                    }
                    Action::SignOut => {
                        jar.sign_out();
                        "page".to_owned()
                    }
                    Action::Update => {
                        let _ = jar.update_claims(user(name));
                        greet(jar.session())
                    }
                };
                *response.body_mut() = Full::from(body);
                let mut set = |name: &'static str, value: Option<&'static str>| {
                    if let Some(value) = value {
                        response.headers_mut().insert(name, HeaderValue::from_static(value));
                    }
                };
                set("cache-control", cache_control);
                set(CDN, cdn);
                set("vary", vary);
            });
            if let [set] = result.response.set_cookies()[..] {
                prop_assert!(!cache.may_store(&result.response.headers), "{:?}", result.response.headers);
                let pair = set.split(';').next().unwrap();
                cookies[who] = (!pair.ends_with('=')).then(|| pair.to_owned());
            }
            cache.put(path, headers, result.response);
        }
    }
}
