//! Where tokens are found: `Authorization`, then cookies in the order in which they were named.

use ::http::{Request, header};
use http_body_util::Full;
use serde_json::json;
use tower_auth_session::{KeyRing, TrustedIssuer};

use super::issuer::{
    Site, bearer, claims, good, header as jose, known, public, request, token, with,
};
use crate::support::START;

fn cookies(line: &str) -> Request<Full<bytes::Bytes>> {
    request().header(header::COOKIE, line).body(Full::default()).unwrap()
}

fn named(name: &str, sid: &str, iat: u64) -> String {
    let claims = with(with(claims(), "name", json!(name)), "sid", json!(sid));
    token(&jose("k1"), &with(claims, "iat", json!(iat)))
}

#[tokio::test]
async fn the_first_cookie_that_holds_a_session_counts() {
    let issuer = known().cookie("__session_1Z8AzTQD").cookie("__session");
    let site = Site::trusting([issuer]);
    let (ada, bob) = (named("Ada", "sess_a", START), named("Bob", "sess_b", START));
    let old = with(with(claims(), "exp", json!(START - 60)), "iat", json!(START - 120));
    let old = token(&jose("k1"), &old);
    let later = named("Ada later", "sess_a", START + 1);
    for (line, expected) in [
        (format!("__session={ada}"), "Ada"),
        (format!("__session_1Z8AzTQD={ada}"), "Ada"),
        (format!("__session={bob}; __session_1Z8AzTQD={ada}"), "Ada"),
        (format!("__session={bob}; __session_1Z8AzTQD={old}"), "Bob"),
        (format!("__session={bob}; __session_1Z8AzTQD="), "Bob"),
        (format!("__session_other={ada}"), "SignedOut"),
        (format!("x__session={ada}"), "SignedOut"),
        (format!("__Session={ada}"), "SignedOut"),
        (format!("__session=\"{ada}\""), "SignedOut"),
        (format!("__session={ada}; __session={bob}"), "SignedOut"),
        (format!("__session={ada}; __session={later}"), "Ada later"),
        (format!("__session={later}; __session=x; __session={ada}"), "Ada later"),
        (
            format!("__session=1; __session=2; __session=3; __session=4; __session={ada}"),
            "SignedOut",
        ),
        (format!("x={}; __session={ada}", "y".repeat(33 * 1024)), "SignedOut"),
    ] {
        assert_eq!(site.who(cookies(&line)).await, expected, "{line:.120}");
    }
    // Without a name no cookie is read.
    assert_eq!(
        Site::trusting([known()]).who(cookies(&format!("__session={ada}"))).await,
        "SignedOut"
    );
}

/// A cookie is one issuer's: nobody plants in it what another one signs, who is believed in the header
/// alone.
#[tokio::test]
async fn a_cookie_brings_tokens_of_its_own_issuer_only() {
    const OTHER: &str = "https://partners.example.com";
    let keys = KeyRing::verify_only().accept(public("k1"));
    let other = TrustedIssuer::new(OTHER).keys(keys);
    let site = Site::trusting([known().cookie("__session"), other]);
    let theirs = token(&jose("k1"), &with(claims(), "iss", json!(OTHER)));
    assert_eq!(site.bearer(&theirs).await, "Ada");
    assert_eq!(site.who(cookies(&format!("__session={theirs}"))).await, "SignedOut");
    let both = format!("__session={theirs}; __session={}", good());
    assert_eq!(site.who(cookies(&both)).await, "Ada");
}

/// The ids of this crate's sessions are taken as they are, and anybody may write one.
#[tokio::test]
async fn one_id_of_two_issuers_is_two_sessions() {
    const OTHER: &str = "https://partners.example.com";
    const SID: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    let keys = KeyRing::verify_only().accept(public("k1"));
    let other = TrustedIssuer::new(OTHER).keys(keys).cookie("__session");
    let site = Site::trusting([known().cookie("__session"), other]);
    let ours = named("Ada", SID, START);
    let theirs = with(with(claims(), "iss", json!(OTHER)), "sid", json!(SID));
    let theirs = with(with(theirs, "name", json!("Eve")), "iat", json!(START + 1));
    let theirs = token(&jose("k1"), &theirs);
    assert_eq!(site.who(cookies(&format!("__session={ours}"))).await, "Ada");
    assert_eq!(site.who(cookies(&format!("__session={theirs}"))).await, "Eve");
    let both = format!("__session={ours}; __session={theirs}");
    assert_eq!(site.who(cookies(&both)).await, "SignedOut");
}

#[tokio::test]
async fn the_header_goes_before_the_cookie() {
    let site = Site::trusting([known().cookie("__session")]);
    let bob = named("Bob", "sess_b", START);
    for (authorization, expected) in [
        (format!("Bearer {}", good()), "Ada"),
        (format!("bearer {}", good()), "Ada"),
        ("Bearer x".to_owned(), "SignedOut"),
        ("Bearer".to_owned(), "SignedOut"),
        ("Basic YTpi".to_owned(), "Bob"),
        (good(), "Bob"),
    ] {
        let mut request = cookies(&format!("__session={bob}"));
        let value = authorization.parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, value);
        assert_eq!(site.who(request).await, expected, "{authorization:.20}");
    }
}

/// A page of another site cannot use the cookie to open a WebSocket.
#[tokio::test]
async fn handshakes_of_other_sites_are_nobodys() {
    let site = Site::trusting([known().cookie("__session")]);
    let handshake = |origin: &str| {
        let mut request = cookies(&format!("__session={}", good()));
        for (name, value) in [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("origin", origin),
            ("host", "app.example.com"),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    };
    assert_eq!(site.who(handshake("https://app.example.com")).await, "Ada");
    assert!(site.who(handshake("https://evil.example")).await.starts_with("CrossOrigin"));
    // The same token in the header is nothing that a browser adds by itself.
    let _ = bearer(&good());
}
