//! Bearer tokens: their claims, who can request one, and which requests they authenticate.

mod accept;
mod endpoint;
mod reject;
mod session_attributes;
mod token_types;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use serde_json::Value;
use tower_auth_session::{SessionJar, SignIn, bearer::BearerTokens};

use crate::support::{
    Browser, COOKIE, ORIGIN, START, User, engine_builder, get, post,
    probe::Probe,
    seconds, subject,
    token_forge::{TokenForge, payload},
    user,
};

const AUDIENCE: &str = "https://reports.example.com";

/// A service that issues tokens for up to ten minutes, also for [`AUDIENCE`], and accepts its own.
fn probe() -> Probe<User> {
    probe_with(tokens())
}

fn tokens() -> BearerTokens {
    BearerTokens::new().max_lifetime(seconds(600)).audiences([AUDIENCE]).accept(true)
}

fn probe_with(tokens: BearerTokens) -> Probe<User> {
    Probe::new(engine_builder().0.bearer_tokens(tokens))
}

fn ada(probe: &Probe<User>) -> Browser {
    Browser::signed_in(&probe.layer, SignIn::new(subject("ada"), user("Ada")))
}

/// `request` with the cookies of `browser`.
fn from(browser: &Browser, mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let cookies = browser.cookie_header().unwrap();
    request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
    request
}

fn with_bearer(token: &str, mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

/// A bearer token for the session of `browser`, issued by the endpoint.
fn token_of(probe: &Probe<User>, browser: &Browser) -> String {
    request_token(probe, browser, "")
}

fn request_token(probe: &Probe<User>, browser: &Browser, form: &'static str) -> String {
    let result = probe.send_endpoint(from(browser, post("/session/token", form)));
    assert_eq!(result.status, 200, "{}", result.text());
    let body: Value = serde_json::from_str(result.text()).unwrap();
    body["token"].as_str().unwrap().to_owned()
}

/// The claims of a bearer token that is issued to Ada at [`START`].
fn claims() -> Value {
    serde_json::json!({
        "iss": ORIGIN, "azp": ORIGIN, "sub": "ada", "sid": crate::support::SID_A,
        "auth_time": START, "iat": START, "nbf": START - 5, "exp": START + 60,
        "jti": crate::support::SID_B, "sts": "active", "fva": [0, -1], "v": 2, "name": "Ada",
    })
}

/// A bearer token with these claims and a valid signature.
fn forge(claims: &Value) -> String {
    let header = serde_json::json!({ "alg": "HS256", "typ": "JWT", "kid": "k1" });
    TokenForge::new("k1").sign(header.to_string(), claims.to_string())
}
