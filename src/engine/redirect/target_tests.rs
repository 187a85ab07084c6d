use proptest::prelude::*;
use serde::Deserialize;
use url::Url;

use super::target::RedirectError::{
    Character, Empty, Escape, Form, Origin as OtherOrigin, Path, TooLong,
};
use super::{origin::Origin, target::*};

#[derive(Deserialize)]
struct Vectors {
    self_origin: String,
    allowed_origins: Vec<String>,
    cases: Vec<RedirectCase>,
}

#[derive(Deserialize)]
struct RedirectCase {
    input: String,
    verdict: String,
    why: String,
}

const OWN: &str = "https://app.example.com";
const ALLOWED: [&str; 5] = [
    "https://accounts.example.com",
    "https://app.example.com:8443",
    "http://localhost:3000",
    "http://[::1]:3000",
    "https://[2001:db8::1]",
];

fn policy() -> RedirectPolicy {
    let origin = |text: &str| Origin::parse(text).unwrap();
    RedirectPolicy::new(Some(origin(OWN)), ALLOWED.map(origin).to_vec())
}

/// What a browser makes of an accepted `input` on a page of `own`, by an implementation of the
/// WHATWG URL standard that shares nothing with ours.
fn assert_safe_in_browsers(own: &str, allowed: &[&str], input: &str) {
    let url = Url::parse(own).unwrap().join(input).unwrap();
    assert!(matches!(url.scheme(), "http" | "https"), "{input}");
    assert_eq!((url.username(), url.password()), ("", None), "{input}");
    assert!(!url.path().starts_with("//"), "{input}");
    let origin = url.origin().ascii_serialization();
    if input.starts_with('/') {
        assert_eq!(origin, own, "{input}");
    } else {
        assert!(input.starts_with(&origin), "{input}");
        assert!(origin == own || allowed.contains(&origin.as_str()), "{input}");
    }
    // No segment was dropped or folded on the way.
    let said = input.strip_prefix(&origin).unwrap_or(input);
    let said = said.split(['?', '#']).next().unwrap();
    assert_eq!(url.path(), if said.is_empty() { "/" } else { said }, "{input}");
}

#[test]
fn redirect_vectors_match_the_expected_verdicts() {
    let text = include_str!("../../../tests/vectors/redirect_cases.json");
    let vectors: Vectors = serde_json::from_str(text).unwrap();
    assert_eq!(vectors.cases.len(), 67);
    let allowed: Vec<&str> = vectors.allowed_origins.iter().map(String::as_str).collect();
    let policy = RedirectPolicy::new(
        Some(vectors.self_origin.parse().unwrap()),
        allowed.iter().map(|origin| origin.parse().unwrap()).collect(),
    );
    for case in &vectors.cases {
        let result = policy.check(&case.input);
        assert_eq!(result.is_ok(), case.verdict == "accept", "{:?}: {}", case.input, case.why);
        if let Ok(target) = result {
            assert_eq!(target.as_str(), case.input);
            assert_eq!(target.to_header_value(), case.input);
            assert_safe_in_browsers(&vectors.self_origin, &allowed, &case.input);
        }
    }
}

#[test]
fn redirect_target_in_common_form_is_accepted() {
    let longest = format!("/{}", "a".repeat(RedirectTarget::MAX_LENGTH - 1));
    for input in [
        "/a/",
        "/a/b/",
        "/?",
        "/#",
        "/?a=//b/../c",
        "/#//b/../c",
        "/#/a?b#c",
        "/a?b?c",
        "/a?next=%2Fb%5C..%252f%25",
        "/a?b=%e2%82%ac#%2f%252e",
        "/%41%C3%A4%ff%20",
        "/files/a%2Fb",
        "/a%2fb%2Fc?d",
        "/100%25",
        "/100%25/a",
        "/%2541",
        "/%25zz",
        "/%257f",
        "/...",
        "/..a/.b",
        "/a..",
        "/%2e%2e%2e",
        "/..;/a",
        "/@evil.com",
        "/[a]:1@b!$&'()*+,;=~-._",
        "/https:",
        "https://app.example.com",
        "https://app.example.com?a=b",
        "https://app.example.com#a",
        "https://app.example.com/",
        "https://app.example.com/a/?b#c",
        "https://app.example.com?https://evil.com/",
        "https://app.example.com:8443/",
        "http://localhost:3000",
        "http://[::1]:3000/a",
        "https://[2001:db8::1]?a",
        &longest,
    ] {
        assert_eq!(policy().check(input).as_ref().map(RedirectTarget::as_str), Ok(input));
        assert_safe_in_browsers(OWN, &ALLOWED, input);
    }
}

#[test]
fn redirect_target_is_rejected_by_each_rule() {
    let too_long = "/".repeat(RedirectTarget::MAX_LENGTH + 1);
    for (input, reason) in [
        ("", Empty),
        (too_long.as_str(), TooLong),
        // Characters, wherever they stand.
        ("/a\tb", Character),
        ("/a\0", Character),
        ("/?a b", Character),
        ("/#a\\b", Character),
        ("/?\u{e4}", Character),
        ("/#\u{feff}", Character),
        ("/?\"", Character),
        ("/#{}", Character),
        ("/^`", Character),
        ("/\u{ff0f}evil.com", Character),
        ("\u{b}/a", Character),
        ("/a ", Character),
        // Escapes, wherever they stand.
        ("/%", Escape),
        ("/a%2", Escape),
        ("/%%41", Escape),
        ("/?%zz", Escape),
        ("/#%4", Escape),
        ("/%+f", Escape),
        ("/?a=%0d%0aSet-Cookie:a", Escape),
        ("/#%00", Escape),
        ("/?%7F", Escape),
        ("/%1f", Escape),
        ("/%09/evil.com", Escape),
        // Forms.
        ("a", Form),
        ("..", Form),
        ("#a", Form),
        ("*", Form),
        ("%2f", Form),
        ("http:", Form),
        ("https:/", Form),
        ("https:/app.example.com", Form),
        ("Https://app.example.com", Form),
        ("HTTP://localhost:3000/", Form),
        ("data:text/html,a", Form),
        ("blob:https://app.example.com/a", Form),
        ("wss://app.example.com/", Form),
        ("@app.example.com", Form),
        // Origins.
        ("https:////app.example.com", OtherOrigin),
        ("https://?a", OtherOrigin),
        ("http://", OtherOrigin),
        ("http://app.example.com/", OtherOrigin),
        ("https://localhost:3000/", OtherOrigin),
        ("http://localhost/", OtherOrigin),
        ("https://app.example.com:8443.evil.com/", OtherOrigin),
        ("https://app.example.com:08443/", OtherOrigin),
        ("https://app.example.com:0443/", OtherOrigin),
        ("https://app.example.com:84430/", OtherOrigin),
        ("https://app.example.com@evil.com", OtherOrigin),
        ("https://app.example.com:a@evil.com", OtherOrigin),
        ("https://@app.example.com", OtherOrigin),
        ("https://App.example.com/", OtherOrigin),
        ("https://app.example.co", OtherOrigin),
        ("https://app.example.com;evil.com/", OtherOrigin),
        ("https://evil.com?https://app.example.com/", OtherOrigin),
        ("https://[2001:DB8::1]/", OtherOrigin),
        ("https://[2001:db8:0::1]/", OtherOrigin),
        ("http://[::1]/", OtherOrigin),
        ("http://[0:0:0:0:0:0:0:1]:3000/", OtherOrigin),
        // Paths, in both forms.
        ("//", Path),
        ("//evil.com", Path),
        ("/a//", Path),
        ("/a//?b", Path),
        ("/.", Path),
        ("/..", Path),
        ("/a/.", Path),
        ("/a/..#b", Path),
        ("/./a", Path),
        ("/%2E", Path),
        ("/a/%2e%2E/b", Path),
        ("/%2E./b", Path),
        ("/a/.%2e?b", Path),
        ("/%2Fb", Path),
        ("/a%2F", Path),
        ("/a%2F/b", Path),
        ("/a/%2fb", Path),
        ("/a%2F%2Fb", Path),
        ("/a%2F..%2Fb", Path),
        ("/a%2F%2E", Path),
        ("/a%2F%5Cb", Path),
        ("/a%5Cb", Path),
        ("/%252F", Path),
        ("/%255c", Path),
        ("/%252e%252e/", Path),
        ("/%2500", Path),
        ("/%250a", Path),
        ("/%251F", Path),
        ("/%2525", Path),
        ("/%25%32f", Path),
        ("/%252%66", Path),
        ("/%25%32%65", Path),
        ("https://app.example.com//evil.com", Path),
        ("https://app.example.com/..", Path),
        ("https://app.example.com/a/%2e%2e?b", Path),
        ("https://app.example.com/.#b", Path),
        ("https://accounts.example.com/%2fevil.com", Path),
        ("https://accounts.example.com/%252fevil.com", Path),
        ("http://[::1]:3000//", Path),
    ] {
        assert_eq!(policy().check(input), Err(reason), "{input:?}");
    }
}

#[test]
fn redirect_policy_without_own_origin_accepts_only_paths() {
    let policy = RedirectPolicy::default();
    assert!(policy.check("/a").is_ok());
    assert_eq!(policy.check("//a"), Err(Path));
    assert_eq!(policy.check("https://app.example.com/"), Err(OtherOrigin));
}

#[test]
fn configured_redirect_target_accepts_any_canonical_origin() {
    for url in
        ["/", "/sign-in?a=b#c", "https://accounts.example.net/sign-in", "http://192.0.2.1:8080"]
    {
        assert_eq!(RedirectTarget::parse(url).unwrap().as_str(), url);
    }
    for url in [
        "sign-in",
        "//example.com/",
        "https://Example.com/",
        "https://example.com:443/",
        "https://user@example.com/",
        "https://example.com./",
        "https://0x7f.1/",
        "https:///a",
        "https://example.com/a//b",
        "javascript:alert(1)",
        "/a\r\nb",
    ] {
        let error = RedirectTarget::parse(url).unwrap_err();
        assert_eq!(error.problems()[0].field(), "redirect", "{url}");
    }
}

#[test]
fn requested_page_is_normalised_and_kept() {
    let page = |path: &str| RedirectTarget::from_own_page(path).map(|it| it.to_string());
    for (requested, expected) in [
        ("/", "/"),
        ("/me?tab=a|b", "/me?tab=a%7Cb"),
        ("/p?filter={\"a\":1}", "/p?filter=%7B%22a%22:1%7D"),
        ("/p?q=`x`", "/p?q=%60x%60"),
        ("/p?re=^x$", "/p?re=%5Ex$"),
        ("/p?win=C:\\tmp", "/p?win=C:%5Ctmp"),
        ("/p?q=100%", "/p?q=100%25"),
        ("/p?q=%zz%4", "/p?q=%25zz%254"),
        ("/p?a=%7B%0A", "/p"),
        ("/p?text=a%0D%0Ab&tab=2&x=%00", "/p?tab=2"),
        ("/p?", "/p?"),
        ("/p?&a", "/p?&a"),
        ("/b\u{fc}cher?q=\u{20ac}", "/b%C3%BCcher?q=%E2%82%AC"),
        ("/a|b", "/a%7Cb"),
        ("/files/a%2Fb", "/files/a%2Fb"),
        ("/a?x=../y", "/a?x=../y"),
    ] {
        assert_eq!(page(requested).as_deref(), Ok(expected), "{requested}");
        let browser = Url::parse(OWN).unwrap().join(expected).unwrap();
        assert_eq!(browser.origin().ascii_serialization(), OWN, "{requested}");
        assert_eq!(browser.as_str(), format!("{OWN}{expected}"), "{requested}");
    }
    for path in [
        "//evil.example",
        "/\\evil.example",
        "///a",
        "/%2Fevil.example",
        "/%5cevil",
        "/%252Fa",
        "/%09/evil.example",
        "/a//b",
        "/a%0Ab",
        "",
        "*",
        "evil.example:80",
        "https://evil.example/",
        "/..//evil.example",
        "/a/%2e%2E/b",
    ] {
        assert!(page(path).is_err(), "{path}");
    }
    let long = format!("/?{}", "a".repeat(RedirectTarget::MAX_LENGTH - 2));
    assert!(page(&long).is_ok());
    assert_eq!(page(&format!("{long}a")), Err(TooLong));
}

#[test]
fn built_in_redirect_targets_follow_the_rules() {
    for target in [RedirectTarget::DEFAULT, RedirectTarget::CHOOSE] {
        assert_eq!(RedirectTarget::parse(target.as_str()).unwrap(), target);
    }
}

#[test]
fn redirect_target_segment_is_appended_to_the_path() {
    for (url, with_segment) in [
        ("https://example.com/sign-in", "https://example.com/sign-in/choose"),
        ("https://example.com/sign-in/", "https://example.com/sign-in/choose"),
        ("https://example.com", "https://example.com/choose"),
        ("https://example.com/", "https://example.com/choose"),
        ("https://example.com?a=/b/#/c", "https://example.com/choose?a=/b/#/c"),
        ("https://[2001:db8::1]:8443#c", "https://[2001:db8::1]:8443/choose#c"),
        ("/sign-in/?a=b", "/sign-in/choose?a=b"),
        ("/sign-in#a?b", "/sign-in/choose#a?b"),
        ("/", "/choose"),
    ] {
        let target = RedirectTarget::parse(url).unwrap().append_segment("choose");
        assert_eq!(target.as_str(), with_segment);
        assert_eq!(RedirectTarget::parse(with_segment).unwrap(), target);
    }
}

#[test]
fn redirect_target_query_parameter_precedes_the_fragment() {
    for (url, with_query) in [
        ("/sign-in", "/sign-in?redirect_url=%2Fme%3Fa%3D1%26b%23c"),
        ("/sign-in?x=y", "/sign-in?x=y&redirect_url=%2Fme%3Fa%3D1%26b%23c"),
        ("https://example.com#a?b", "https://example.com?redirect_url=%2Fme%3Fa%3D1%26b%23c#a?b"),
        ("/sign-in?", "/sign-in?redirect_url=%2Fme%3Fa%3D1%26b%23c"),
        // What the settings say yields, so that there is one.
        ("/in?redirect_url=/x&x=y", "/in?x=y&redirect_url=%2Fme%3Fa%3D1%26b%23c"),
        ("/in?redirect_url", "/in?redirect_url=%2Fme%3Fa%3D1%26b%23c"),
        ("/in?redirect_urls=1", "/in?redirect_urls=1&redirect_url=%2Fme%3Fa%3D1%26b%23c"),
    ] {
        let target = RedirectTarget::parse(url).unwrap();
        assert_eq!(target.with_query("redirect_url", "/me?a=1&b#c").as_str(), with_query);
        assert_eq!(target.with_query("redirect_url", "/me\r\nb"), target);
    }
}

/// Texts that are nearly right: everything that is special to some parser, after a good start.
fn near_misses() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec![
        "",
        "/",
        "/a",
        "https://app.example.com",
        "https://app.example.com/",
        "http://localhost:3000/",
        "https://[2001:db8::1]",
    ]);
    let piece = prop::sample::select(vec![
        "/",
        "\\",
        ".",
        "..",
        "%2e",
        "%2E",
        "%2f",
        "%5C",
        "%25",
        "%32",
        "25",
        "2f",
        "2e",
        "%0a",
        "%",
        "%c3%a4",
        "a",
        "b/",
        "?",
        "#",
        "@",
        ":",
        ";",
        "443",
        "[",
        "]",
        "//evil.com",
        "evil.com",
        "https:",
        "https://app.example.com",
        "\t",
        "\n",
        " ",
        "\u{e4}",
        "\u{3002}",
        "\u{200b}",
    ]);
    (start, prop::collection::vec(piece, 0..6))
        .prop_map(|(start, pieces)| format!("{start}{}", pieces.concat()))
}

/// As a proxy that decodes once more than it should, and keeps what is malformed.
fn decoded_path(path: &str) -> String {
    let value = path.replace('+', "%2B").replace('&', "%26");
    url::form_urlencoded::parse(format!("={value}").as_bytes()).map(|(_, value)| value).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn accepted_redirect_target_is_safe_in_browsers_and_proxies(input in prop_oneof![4 => near_misses(), 1 => any::<String>()]) {
        let Ok(target) = policy().check(&input) else { return Ok(()) };
        prop_assert_eq!(target.as_str(), &input);
        prop_assert_eq!(target.to_header_value(), input.as_str());
        assert_safe_in_browsers(OWN, &ALLOWED, &input);

        let path = input.strip_prefix("https://").or_else(|| input.strip_prefix("http://"));
        let path = path.map_or(input.as_str(), |rest| split_before(rest, ['/', '?', '#']).1);
        let once = decoded_path(split_before(path, ['?', '#']).0);
        for text in [decoded_path(&once), once] {
            prop_assert!(!text.contains(['\\', '\n']) && !text.contains("//"), "{input}");
            prop_assert!(!text.split('/').any(|segment| matches!(segment, "." | "..")), "{input}");
        }

        for derived in [target.append_segment("choose"), target.with_query("redirect_url", &input)] {
            prop_assert_eq!(policy().check(derived.as_str()), Ok(derived));
        }
    }

    /// Whatever a client requests, the redirect back stays on this origin.
    #[test]
    fn requested_page_is_on_its_own_origin(
        input in prop_oneof![4 => near_misses(), 2 => "/[/\\\\.%25eEfF@:?#a]{0,12}", 1 => any::<String>()]
    ) {
        if let Ok(target) = RedirectTarget::from_own_page(&input) {
            let url = Url::parse(OWN).unwrap().join(target.as_str()).unwrap();
            prop_assert_eq!(url.origin().ascii_serialization(), OWN, "{}", input);
            // The sign-in page accepts what the guard writes.
            prop_assert_eq!(policy().check(target.as_str()), Ok(target), "{}", input);
        }
    }

    /// What a parameter may be, the guard writes as it is.
    #[test]
    fn accepted_path_is_a_requested_page(input in near_misses()) {
        if let Ok(target) = policy().check(&input) && input.starts_with('/') && !input.contains('#') {
            prop_assert_eq!(RedirectTarget::from_own_page(&input), Ok(target));
        }
    }

    #[test]
    fn redirect_target_query_parameter_round_trips(url in near_misses(), value in any::<String>()) {
        let Ok(target) = RedirectTarget::parse(&url) else { return Ok(()) };
        let with_query = target.with_query("redirect_url", &value);
        if with_query != target && with_query.as_str().len() <= RedirectTarget::MAX_LENGTH {
            let read = RedirectTarget::parse(with_query.as_str()).unwrap();
            let url = Url::parse(OWN).unwrap().join(read.as_str()).unwrap();
            let last = url.query_pairs().last().unwrap();
            prop_assert_eq!((&*last.0, &*last.1), ("redirect_url", value.as_str()));
        }
    }
}
