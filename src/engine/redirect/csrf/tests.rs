use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use crate::engine::redirect::csrf::*;

const OWN: &str = "https://app.example.com";
const TRUSTED: &str = "https://accounts.example.com";
const EVIL: &str = "https://evil.example";

fn policy() -> OriginPolicy {
    OriginPolicy::new(
        Some(Origin::parse(OWN).unwrap()),
        vec![Origin::parse(TRUSTED).unwrap(), Origin::parse("http://localhost:3000").unwrap()],
    )
}

fn headers<'a>(lines: impl IntoIterator<Item = (&'static str, &'a str)>) -> HeaderMap {
    let line = |(name, value): (&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    // `collect` replaces repeated names.
    let mut map = HeaderMap::new();
    for (name, value) in lines.into_iter().map(line) {
        map.append(name, value);
    }
    map
}

fn verdict(policy: &OriginPolicy, lines: &[(&'static str, &str)]) -> Result<(), CrossOriginReason> {
    let mut lines = headers(lines.iter().copied());
    if !lines.contains_key("host") {
        lines.insert("host", HeaderValue::from_static("app.example.com"));
    }
    policy.verdict(&Uri::from_static("/sign-out"), &lines, true)
}

#[test]
fn origin_policy_matches_the_24_row_table() {
    let suffix = "https://app.example.com.evil.com";
    for (row, site, origin, referer, cookie, expected) in [
        (1, &["same-origin"][..], Some(OWN), None, true, Ok(())),
        (2, &["none"], None, None, true, Ok(())),
        (3, &["cross-site"], Some(EVIL), None, true, Err(CrossOriginReason::Site)),
        (
            4,
            &["same-site"],
            Some("https://blog.example.com"),
            None,
            true,
            Err(CrossOriginReason::Site),
        ),
        (5, &["same-site"], Some(TRUSTED), None, true, Ok(())),
        (6, &["cross-site"], Some(TRUSTED), None, true, Ok(())),
        (7, &[], Some(OWN), None, true, Ok(())),
        (8, &[], Some("http://app.example.com"), None, true, Err(CrossOriginReason::Origin)),
        (9, &[], Some(EVIL), None, true, Err(CrossOriginReason::Origin)),
        (10, &[], Some("null"), None, true, Err(CrossOriginReason::Origin)),
        (11, &["same-origin"], Some("null"), None, true, Ok(())),
        (12, &[], None, None, true, Err(CrossOriginReason::NoSignal)),
        (13, &[], None, Some("https://app.example.com/account"), true, Ok(())),
        (14, &[], None, Some("https://evil.example/"), true, Err(CrossOriginReason::Referer)),
        // The completion of a sign-in asks with `true`, as in row 12.
        (15, &[], None, None, false, Ok(())),
        (16, &["SAME-ORIGIN"], Some(EVIL), None, true, Err(CrossOriginReason::Origin)),
        (
            17,
            &["same-origin", "cross-site"],
            Some(OWN),
            None,
            true,
            Err(CrossOriginReason::Repeated),
        ),
        (18, &["cross-site"], Some(suffix), None, true, Err(CrossOriginReason::Site)),
        (19, &["none"], Some(EVIL), None, true, Err(CrossOriginReason::Origin)),
        // Rows 20 and 23 are 405 by their method, which the endpoints test; this is the rest.
        (20, &["cross-site"], None, None, true, Err(CrossOriginReason::Site)),
        // Rows 21 and 22 are WebSocket handshakes, which the same verdict decides.
        (21, &["cross-site"], Some(EVIL), None, true, Err(CrossOriginReason::Site)),
        (22, &["same-origin"], Some(OWN), None, true, Ok(())),
        (23, &["same-origin"], Some(OWN), None, true, Ok(())),
        (24, &["cross-site"], Some(EVIL), None, true, Err(CrossOriginReason::Site)),
    ] {
        let lines = site.iter().map(|site| ("sec-fetch-site", *site));
        let lines = lines.chain(origin.map(|origin| ("origin", origin)));
        let mut lines = headers(lines.chain(referer.map(|referer| ("referer", referer))));
        if row == 24 {
            lines.insert("x-http-method-override", HeaderValue::from_static("GET"));
        }
        let verdict = policy().verdict(&Uri::from_static("/sign-out"), &lines, cookie);
        assert_eq!(verdict, expected, "row {row}");
    }
}

#[test]
fn repeated_or_non_ascii_origin_headers_are_rejected() {
    for (lines, reason) in [
        (&[("origin", OWN), ("origin", OWN)][..], CrossOriginReason::Repeated),
        (
            &[("sec-fetch-site", "same-origin"), ("origin", OWN), ("origin", EVIL)],
            CrossOriginReason::Repeated,
        ),
        (
            &[("sec-fetch-site", "none"), ("sec-fetch-site", "none"), ("origin", OWN)],
            CrossOriginReason::Repeated,
        ),
        (
            &[("sec-fetch-site", "same-origin, cross-site"), ("origin", OWN)],
            CrossOriginReason::Repeated,
        ),
        (&[("sec-fetch-site", "same-origin\u{e4}"), ("origin", OWN)], CrossOriginReason::NotAscii),
        (&[("sec-fetch-site", "same-origin"), ("origin", "\u{e4}")], CrossOriginReason::NotAscii),
        (&[("referer", OWN), ("referer", OWN)], CrossOriginReason::Repeated),
        (&[("referer", "https://app.example.com/\u{e4}")], CrossOriginReason::NotAscii),
    ] {
        assert_eq!(verdict(&policy(), lines), Err(reason), "{lines:?}");
    }
}

#[test]
fn sec_fetch_site_header_decides_the_verdict() {
    let refused = Err(CrossOriginReason::Site);
    for (site, origin, expected) in [
        ("none", Some(OWN), Ok(())),
        // A trusted page does not make requests that come from no page.
        ("none", Some(TRUSTED), Err(CrossOriginReason::Origin)),
        ("none", Some("null"), Err(CrossOriginReason::Origin)),
        // Our own pages are never another site: one of the two lines is not the browser's.
        ("same-site", Some(OWN), refused),
        ("cross-site", Some(OWN), refused),
        ("same-site", None, refused),
        ("cross-site", Some("null"), refused),
        ("cross-site", Some("http://localhost:3000"), Ok(())),
        ("cross-site", Some("http://localhost:3001"), refused),
        // Unknown values are no values.
        ("", Some(OWN), Ok(())),
        ("same-party", Some(TRUSTED), Ok(())),
        ("same-party", Some(EVIL), Err(CrossOriginReason::Origin)),
        ("None", None, Err(CrossOriginReason::NoSignal)),
        (" same-origin", None, Err(CrossOriginReason::NoSignal)),
    ] {
        let mut lines = vec![("sec-fetch-site", site)];
        lines.extend(origin.map(|origin| ("origin", origin)));
        assert_eq!(verdict(&policy(), &lines), expected, "{lines:?}");
    }
}

#[test]
fn origin_header_that_differs_in_one_byte_is_rejected() {
    for origin in [
        "",
        "https://app.example.com/",
        "https://app.example.com:443",
        "https://APP.example.com",
        "HTTPS://app.example.com",
        "https://app.example.com.",
        "https://user@app.example.com",
        "https://app.example.com https://evil.example",
        "https://app.example.com, https://evil.example",
        "https://x.app.example.com",
        "app.example.com",
        "//app.example.com",
        "https://accounts.example.com:8443",
    ] {
        let refused = Err(CrossOriginReason::Origin);
        assert_eq!(verdict(&policy(), &[("origin", origin)]), refused, "{origin}");
        // A good referer does not help a bad origin.
        assert_eq!(verdict(&policy(), &[("origin", origin), ("referer", OWN)]), refused);
    }
}

#[test]
fn referer_header_is_compared_by_its_origin() {
    let refused = Err(CrossOriginReason::Referer);
    for (referer, expected) in [
        (OWN, Ok(())),
        ("https://app.example.com?a=b", Ok(())),
        ("https://app.example.com/a/../b?https://evil.example#c", Ok(())),
        ("https://accounts.example.com/", Ok(())),
        ("", refused),
        ("about:blank", refused),
        ("/account", refused),
        ("app.example.com/", refused),
        ("https://", refused),
        ("https:///app.example.com/", refused),
        ("http://app.example.com/", refused),
        ("https://app.example.com:8443/", refused),
        ("https://app.example.com@evil.example/", refused),
        ("https://evil.example@app.example.com/", refused),
        ("https://app.example.com\\.evil.example/", refused),
        ("https://app.example.com.evil.example/", refused),
        ("https://evil.example/https://app.example.com/", refused),
        ("https://evil.example?https://app.example.com/", refused),
        ("https://evil.example#https://app.example.com/", refused),
    ] {
        assert_eq!(verdict(&policy(), &[("referer", referer)]), expected, "{referer}");
    }
}

#[test]
fn origin_policy_without_own_origin_compares_the_target_host() {
    let policy = OriginPolicy::new(None, vec![Origin::parse(TRUSTED).unwrap()]);
    let check = |uri: &'static str, hosts: &[&str], name, value: &str| {
        let lines = hosts.iter().map(|host| ("host", *host)).chain([(name, value)]);
        policy.verdict(&Uri::from_static(uri), &headers(lines), true).is_ok()
    };
    for (uri, hosts, value, expected) in [
        ("/", &["app.example.com"][..], "https://app.example.com", true),
        ("/", &["app.example.com"], "http://app.example.com", true),
        ("/", &["App.Example.com"], "https://app.example.com", true),
        ("/", &["localhost:3000"], "http://localhost:3000", true),
        ("/", &["my_host:8080"], "http://my_host:8080", true),
        ("/", &["[::1]:3000"], "http://[::1]:3000", true),
        ("/", &["localhost:3000"], "http://localhost:3001", false),
        ("/", &["localhost:3000"], "http://localhost", false),
        ("/", &["app.example.com"], "https://app.example.com:8443", false),
        ("/", &["app.example.com"], EVIL, false),
        ("/", &["app.example.com"], "https://app.example.com.evil.example", false),
        ("/", &["app.example.com"], "null", false),
        ("/", &["app.example.com"], TRUSTED, true),
        // No host, several, or none of the form that the origin has.
        ("/", &[], "https://app.example.com", false),
        ("/", &["app.example.com", "app.example.com"], "https://app.example.com", false),
        ("/", &["\u{e4}"], "https://\u{e4}", false),
        ("/", &[""], "https://", false),
        ("/", &["null"], "null", false),
        ("/", &["a@evil.example"], "https://a@evil.example", false),
        // The authority outranks `Host`.
        ("https://app.example.com/", &[], "https://app.example.com", true),
        ("https://app.example.com/", &["evil.example"], "https://app.example.com", true),
        ("https://app.example.com/", &["evil.example"], EVIL, false),
        ("app.example.com:443", &[], "https://app.example.com:443", true),
        ("https://a@app.example.com/", &[], "https://app.example.com", false),
    ] {
        assert_eq!(check(uri, hosts, "origin", value), expected, "{uri} {hosts:?} {value}");
        assert_eq!(check(uri, hosts, "referer", value), expected, "{uri} {hosts:?} {value}");
    }
    assert!(check("/", &["app.example.com"], "referer", "https://app.example.com/a?b"));
}

#[test]
fn forwarded_headers_do_not_change_the_verdict() {
    let forwarded = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-original-host", "evil.example"),
        ("host", "app.example.com"),
    ];
    for policy in [policy(), OriginPolicy::default()] {
        for (name, value) in [("origin", EVIL), ("referer", EVIL)] {
            let lines = headers(forwarded.into_iter().chain([(name, value)]));
            assert!(policy.verdict(&Uri::from_static("/"), &lines, true).is_err());
        }
        let lines = headers(forwarded.into_iter().chain([("origin", OWN)]));
        assert_eq!(policy.verdict(&Uri::from_static("/"), &lines, true), Ok(()));
    }
}

fn line() -> impl Strategy<Value = (&'static str, String)> {
    let name = prop::sample::select(vec!["sec-fetch-site", "origin", "referer", "host"]);
    let value = prop::sample::select(vec![
        "same-origin",
        "none",
        "same-site",
        "cross-site",
        "null",
        "app.example.com",
        "evil.example",
        OWN,
        TRUSTED,
        EVIL,
        "https://app.example.com/a",
        "https://app.example.com@evil.example/",
    ]);
    let anything = "[\\x20-\\x7e\u{e4}]{0,12}";
    (name, prop_oneof![4 => value.prop_map(str::to_owned), 1 => anything])
}

proptest! {
    #[test]
    fn accepted_request_always_has_a_matching_header(
        lines in prop::collection::vec(line(), 0..5),
        configured in any::<bool>(),
        cookie in any::<bool>(),
    ) {
        let own = configured.then(|| Origin::parse(OWN).unwrap());
        let policy = OriginPolicy::new(own, vec![Origin::parse(TRUSTED).unwrap()]);
        let map = headers(lines.iter().map(|(name, value)| (*name, value.as_str())));
        if policy.verdict(&Uri::from_static("/"), &map, cookie).is_err() {
            return Ok(());
        }
        let said = |name, value: &str| map.get(name).is_some_and(|said| said == value);
        let host = map.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let own = if configured { OWN.to_owned() } else { format!("https://{host}") };
        let from = |origin: &str| {
            said("origin", origin)
                || map.get("referer").is_some_and(|referer| {
                    let rest = referer.as_bytes().strip_prefix(origin.as_bytes());
                    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'?' | b'#')))
                })
        };
        prop_assert!(
            said("sec-fetch-site", "same-origin")
                || (said("sec-fetch-site", "none") && !map.contains_key("origin"))
                || from(&own)
                || from(TRUSTED)
                || !cookie,
            "{map:?}"
        );
    }
}
