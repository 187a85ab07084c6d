//! An external issuer: its keys, its tokens, and a service that trusts it.

use std::sync::{Arc, Mutex};

use ::http::{Request, Response, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{ServiceExt as _, service_fn};
use tower_auth_session::{
    Algorithm, KeyRing, RequireSessionLayer, SessionEngine, SessionLayer, SessionStatus,
    event::SessionEvent, keys::VerifyingKey, testing::ManualClock, time::Timestamp,
    verify_only::TrustedIssuer,
};
use tower_layer::Layer as _;

use crate::support::{Events, START, TestResponse, User, token_forge::TokenForge};

pub(crate) const ISSUER: &str = "https://accounts.example.com";
pub(crate) const PAGE: &str = "https://app.example.com";
pub(crate) const PUBLIC: &str = include_str!("../../vectors/keys/ed25519.pub.pem");
pub(crate) const PRIVATE: &str = include_str!("../../vectors/keys/ed25519.pem");
pub(crate) const RSA_PUBLIC: &str = include_str!("../../vectors/keys/rsa2048.pub.pem");
pub(crate) const RSA_PRIVATE: &str = include_str!("../../vectors/keys/rsa2048.pkcs1.pem");

/// The issuer's signing key.
pub(crate) fn forge(kid: &str) -> TokenForge {
    TokenForge::ed25519(kid, PRIVATE)
}

pub(crate) fn public(kid: &str) -> VerifyingKey {
    VerifyingKey::from_pem(kid, Algorithm::EdDsa, PUBLIC).unwrap()
}

/// The issuer with a configured key, so that no JWKS is fetched.
pub(crate) fn known() -> TrustedIssuer {
    TrustedIssuer::new(ISSUER).keys(KeyRing::verify_only().with_key(public("k1")))
}

pub(crate) fn header(kid: &str) -> Value {
    json!({ "alg": "EdDSA", "typ": "JWT", "kid": kid })
}

/// The claims of a token of Ada in the format of a hosted provider, valid for 60 seconds.
pub(crate) fn claims() -> Value {
    json!({
        "azp": PAGE, "exp": START + 60, "fva": [0, -1], "iat": START, "iss": ISSUER,
        "jti": "0123", "nbf": START - 10, "sid": "sess_1", "sts": "active", "sub": "user_1", "v": 2,
        "name": "Ada",
    })
}

/// `object` with one member changed, or removed if `value` is `null`.
pub(crate) fn with(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    object
}

/// A token of the issuer.
pub(crate) fn token(header: &Value, claims: &Value) -> String {
    forge("k1").sign(header.to_string(), claims.to_string())
}

pub(crate) fn good() -> String {
    token(&header("k1"), &claims())
}

/// A service that trusts external issuers.
pub(crate) struct Site {
    pub(crate) layer: SessionLayer<User>,
    pub(crate) clock: ManualClock,
    pub(crate) events: Events,
    pub(crate) result: Arc<Mutex<Option<tower_auth_session::Session<User>>>>,
}

impl Site {
    pub(crate) fn trusting(issuers: impl IntoIterator<Item = TrustedIssuer>) -> Self {
        let events = Events::default();
        let sink = events.clone();
        let engine = SessionEngine::<User>::verify_only(issuers)
            .origin(PAGE)
            .on_event(move |event| sink.push(event))
            .build()
            .unwrap();
        let clock = ManualClock::at(Timestamp::from_unix_seconds(START));
        let layer = SessionLayer::new(engine).clock(clock.clone());
        Self { layer, clock, events, result: Arc::default() }
    }

    /// The name of the signed-in user, or the status without one.
    pub(crate) async fn current_user(&self, request: Request<Full<bytes::Bytes>>) -> String {
        let result = Arc::clone(&self.result);
        let handler = service_fn(move |request: Request<Full<bytes::Bytes>>| {
            let session = request.extensions().get::<tower_auth_session::Session<User>>().cloned();
            let status = request.extensions().get::<SessionStatus>().unwrap();
            let text = match &session {
                Some(session) => session.claims().name.clone(),
                None => format!("{:?}", status.kind()),
            };
            *result.lock().unwrap() = session;
            async { Ok::<_, std::convert::Infallible>(Response::new(Full::from(text))) }
        });
        let response = self.layer.layer(handler).oneshot(request).await.unwrap();
        assert!(!response.headers().contains_key(header::SET_COOKIE));
        TestResponse::of(response).await.text().to_owned()
    }

    /// The same for a request with `token` as its bearer token.
    pub(crate) async fn bearer(&self, token: &str) -> String {
        self.current_user(bearer(token)).await
    }

    /// The status of a guard's response to a request with `token`.
    pub(crate) async fn guarded(&self, token: &str) -> u16 {
        let handler = service_fn(|_: Request<Full<bytes::Bytes>>| async {
            Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::default()))
        });
        let service = self.layer.layer(RequireSessionLayer::new().layer(handler));
        service.oneshot(bearer(token)).await.unwrap().status().as_u16()
    }

    /// The reason of the last rejection.
    pub(crate) fn reason(&self) -> String {
        let events = self.events.take();
        let reason = events.iter().rev().find_map(|event| match event {
            SessionEvent::CredentialRejected { reason, .. } => Some(reason.to_string()),
            _ => None,
        });
        reason.unwrap_or_default()
    }
}

pub(crate) fn request() -> ::http::request::Builder {
    Request::get("/")
}

pub(crate) fn bearer(token: &str) -> Request<Full<bytes::Bytes>> {
    request()
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Full::default())
        .unwrap()
}
