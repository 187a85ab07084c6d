//! Where tokens are read: `Authorization` first, then cookies in the configured order.

use ::http::{Request, header};
use http_body_util::Full;
use serde_json::json;
use tower_auth_session::{KeyRing, verify_only::TrustedIssuer};

use super::issuer::{Site, claims, good, header as jose, known, public, request, token, with};
use crate::support::START;

fn cookies(line: &str) -> Request<Full<bytes::Bytes>> {
    request().header(header::COOKIE, line).body(Full::default()).unwrap()
}

fn token_for(name: &str, sid: &str, iat: u64) -> String {
    let claims = with(with(claims(), "name", json!(name)), "sid", json!(sid));
    token(&jose("k1"), &with(claims, "iat", json!(iat)))
}

#[tokio::test]
async fn first_configured_cookie_with_a_valid_session_is_used() {
    let issuer = known().cookie("__session_1Z8AzTQD").cookie("__session");
    let site = Site::trusting([issuer]);
    let (ada, bob) = (token_for("Ada", "sess_a", START), token_for("Bob", "sess_b", START));
    let old = with(with(claims(), "exp", json!(START - 60)), "iat", json!(START - 120));
    let old = token(&jose("k1"), &old);
    let later = token_for("Ada later", "sess_a", START + 1);
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
        assert_eq!(site.current_user(cookies(&line)).await, expected, "{line:.120}");
    }
    // Without a configured name, no cookie is read.
    assert_eq!(
        Site::trusting([known()]).current_user(cookies(&format!("__session={ada}"))).await,
        "SignedOut"
    );
}

/// A cookie is read for its own issuer only. The other issuer is trusted for the header alone.
#[tokio::test]
async fn cookie_accepts_tokens_of_its_own_issuer_only() {
    const OTHER: &str = "https://partners.example.com";
    let keys = KeyRing::verify_only().with_key(public("k1"));
    let other = TrustedIssuer::new(OTHER).keys(keys);
    let site = Site::trusting([known().cookie("__session"), other]);
    let other_token = token(&jose("k1"), &with(claims(), "iss", json!(OTHER)));
    assert_eq!(site.bearer(&other_token).await, "Ada");
    assert_eq!(site.current_user(cookies(&format!("__session={other_token}"))).await, "SignedOut");
    let both = format!("__session={other_token}; __session={}", good());
    assert_eq!(site.current_user(cookies(&both)).await, "Ada");
}

/// Another issuer can choose any session id, also one in this crate's format.
#[tokio::test]
async fn same_session_id_from_two_issuers_is_two_sessions() {
    const OTHER: &str = "https://partners.example.com";
    const SID: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    let keys = KeyRing::verify_only().with_key(public("k1"));
    let other = TrustedIssuer::new(OTHER).keys(keys).cookie("__session");
    let site = Site::trusting([known().cookie("__session"), other]);
    let own_token = token_for("Ada", SID, START);
    let other_token = with(with(claims(), "iss", json!(OTHER)), "sid", json!(SID));
    let other_token = with(with(other_token, "name", json!("Eve")), "iat", json!(START + 1));
    let other_token = token(&jose("k1"), &other_token);
    assert_eq!(site.current_user(cookies(&format!("__session={own_token}"))).await, "Ada");
    let own_id = site.result.lock().unwrap().take().unwrap().id();
    assert_eq!(site.current_user(cookies(&format!("__session={other_token}"))).await, "Eve");
    let other_id = site.result.lock().unwrap().take().unwrap().id();
    assert!(own_id != other_id && own_id.to_string() != SID && other_id.to_string() != SID);
    let both = format!("__session={own_token}; __session={other_token}");
    assert_eq!(site.current_user(cookies(&both)).await, "SignedOut");
}

#[tokio::test]
async fn authorization_header_takes_precedence_over_the_cookie() {
    let site = Site::trusting([known().cookie("__session")]);
    let bob = token_for("Bob", "sess_b", START);
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
        assert_eq!(site.current_user(request).await, expected, "{authorization:.20}");
    }
}

/// A cross-site page must not open a WebSocket with the cookie.
#[tokio::test]
async fn cross_site_websocket_handshake_has_no_session() {
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
    assert_eq!(site.current_user(handshake("https://app.example.com")).await, "Ada");
    assert!(site.current_user(handshake("https://evil.example")).await.starts_with("CrossOrigin"));
}
