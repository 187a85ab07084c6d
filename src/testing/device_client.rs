//! [`DeviceClient`]: the part of a browser that binds sessions to its device.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderName, Method, Request, Response, header};
use serde_json::{Value, json};

use crate::{
    engine::{
        device_bound::{
            browser_proof::BROWSER_PROOF_TYPE,
            headers::{CHALLENGE, REGISTRATION, RESPONSE, SESSION},
        },
        keys::{algorithm::Algorithm, key::SigningKey},
        session::device_key::{Confirmation, DeviceKey},
    },
    error::ConfigError,
};

/// The part of a browser that binds sessions to a key of its device, for tests of applications that use
/// [`device_bound`](crate::engine::SessionEngineBuilder::device_bound). It builds the requests that such a
/// browser sends by itself and reads the responses; cookies are the test's.
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// use std::error::Error;
///
/// use axum::{
///     Router,
///     body::{Body, Bytes, to_bytes},
///     http::{Request, Response, StatusCode},
///     routing::post,
/// };
/// use tower::ServiceExt as _;
/// use tower_auth_session::{
///     Algorithm, KeyRing, SessionEngine, SessionJar, SessionLayer, SignIn, SigningKey, Subject,
///     config::DeviceBound,
///     error::SignInError,
///     testing::{DeviceClient, carry_cookies},
/// };
///
/// const ORIGIN: &str = "https://app.example.com";
///
/// async fn sign_in(jar: SessionJar) -> Result<(), SignInError> {
///     let ada = Subject::new("ada").expect("a valid subject");
///     jar.sign_in(SignIn::new(ada, ())).map(drop)
/// }
///
/// async fn send(app: &Router, request: Request<Body>) -> Result<Response<Bytes>, Box<dyn Error>> {
///     let (head, body) = app.clone().oneshot(request).await?.into_parts();
///     Ok(Response::from_parts(head, to_bytes(body, 4096).await?))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), Box<dyn Error>> {
///     let keys = KeyRing::new(SigningKey::generate("test", Algorithm::Hs256)?);
///     let engine = SessionEngine::<()>::builder(keys)
///         .origin(ORIGIN)
///         .device_bound(DeviceBound::Preferred)
///         .build()?;
///     let app = Router::new().route("/sign-in", post(sign_in)).layer(SessionLayer::new(engine));
///     let form = Request::post("/sign-in").header("origin", ORIGIN).body(Body::empty())?;
///     let signed_in = send(&app, form).await?;
///
///     // The response offers the binding, and the client accepts it.
///     let mut client = DeviceClient::new(ORIGIN)?.with_audience();
///     let mut request: Request<Body> = client.register(&signed_in).expect("an offer");
///     carry_cookies(&signed_in, &mut request);
///     let bound = send(&app, request).await?;
///     client.receive(&bound);
///     let session = client.sessions().next().expect("a bound session").to_owned();
///     assert!(client.key().is_some());
///
///     // The first refresh receives a challenge, the second one has the signature. A browser that was
///     // restarted does both again.
///     for _ in 0..2 {
///         for status in [StatusCode::FORBIDDEN, StatusCode::NO_CONTENT] {
///             let mut request: Request<Body> = client.refresh(&session).expect("a bound session");
///             carry_cookies(&bound, &mut request);
///             let response = send(&app, request).await?;
///             assert_eq!(response.status(), status);
///             client.receive(&response);
///         }
///         client.restart();
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct DeviceClient {
    origin: String,
    key: SigningKey,
    states_audience: bool,
    sessions: BTreeMap<String, ClientSession>,
}

/// A session that the client has bound.
#[derive(Debug)]
struct ClientSession {
    refresh_url: String,
    challenge: Option<String>,
}

impl DeviceClient {
    /// A browser with a new key, on pages of `origin`.
    ///
    /// # Errors
    ///
    /// Without a cryptographic back end.
    pub fn new(origin: impl Into<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            origin: origin.into(),
            key: SigningKey::generate("device", Algorithm::Es256)?,
            states_audience: false,
            sessions: BTreeMap::new(),
        })
    }

    /// States the URL of the endpoint in what it signs, as newer browsers do.
    #[must_use]
    pub fn with_audience(mut self) -> Self {
        self.states_audience = true;
        self
    }

    /// The key as stores record it.
    #[must_use]
    pub fn key(&self) -> Option<DeviceKey> {
        self.key.verifying().public().and_then(DeviceKey::from_public)
    }

    /// The request that answers the offer in `response`; `None` without one.
    #[must_use]
    pub fn register<A, B: Default>(&self, response: &Response<A>) -> Option<Request<B>> {
        let offer = response.headers().get(REGISTRATION)?.to_str().ok()?;
        let (path, challenge) = (parameter(offer, "path")?, parameter(offer, "challenge")?);
        let jwk = serde_json::to_value(Confirmation(self.key()?)).ok()?.get("jwk")?.clone();
        let signed = self.sign(path, challenge, Some(jwk))?;
        self.request(path, &[(RESPONSE.clone(), &signed)])
    }

    /// The request that renews the proof of the bound session `session`; `None` if it is not bound.
    ///
    /// After the binding, the client has no challenge yet, and the request is not signed. The response is
    /// then 403 with a challenge: pass it to [`receive`](Self::receive), and call this method again. Later
    /// requests use this challenge until a response has another one. Browsers do the same.
    #[must_use]
    pub fn refresh<B: Default>(&self, session: &str) -> Option<Request<B>> {
        let ClientSession { refresh_url, challenge } = self.sessions.get(session)?;
        let mut fields = vec![(SESSION.clone(), session)];
        let signed = challenge.as_deref().and_then(|it| self.sign(refresh_url, it, None));
        fields.extend(signed.as_deref().map(|signed| (RESPONSE.clone(), signed)));
        self.request(refresh_url, &fields)
    }

    /// Reads the instructions and challenges in the response to one of its requests, or to any other.
    pub fn receive<A: AsRef<[u8]>>(&mut self, response: &Response<A>) {
        let json: Option<Value> = serde_json::from_slice(response.body().as_ref()).ok();
        let member = |name: &str| json.as_ref()?.get(name)?.as_str().map(str::to_owned);
        if let Some((id, refresh_url)) = member("session_identifier").zip(member("refresh_url")) {
            self.sessions.insert(id, ClientSession { refresh_url, challenge: None });
        }
        let challenges = response.headers().get_all(CHALLENGE).iter();
        for text in challenges.filter_map(|value| value.to_str().ok()) {
            let challenge = text.strip_prefix('"').and_then(|rest| rest.split_once('"'));
            if let Some(((challenge, _), id)) = challenge.zip(parameter(text, "id"))
                && let Some(session) = self.sessions.get_mut(id)
            {
                session.challenge = Some(challenge.to_owned());
            }
        }
    }

    /// The ids of the sessions that it has bound.
    pub fn sessions(&self) -> impl Iterator<Item = &str> {
        self.sessions.keys().map(String::as_str)
    }

    /// Forgets the challenges, as a browser does that was restarted.
    pub fn restart(&mut self) {
        self.sessions.values_mut().for_each(|session| session.challenge = None);
    }

    fn sign(&self, path: &str, challenge: &str, jwk: Option<Value>) -> Option<String> {
        let mut header = json!({ "alg": "ES256", "typ": BROWSER_PROOF_TYPE });
        if let (Some(jwk), Some(members)) = (jwk, header.as_object_mut()) {
            members.insert("jwk".to_owned(), jwk);
        }
        let mut payload = json!({ "jti": challenge });
        if let (true, Some(members)) = (self.states_audience, payload.as_object_mut()) {
            let path = path.split('?').next().unwrap_or_default();
            members.insert("aud".to_owned(), format!("{}{path}", self.origin).into());
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&payload));
        let signature = self.key.sign(signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn request<B: Default>(&self, path: &str, fields: &[(HeaderName, &str)]) -> Option<Request<B>> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::ORIGIN, &self.origin)
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "no-cors")
            .header("sec-fetch-dest", "empty");
        for (name, value) in fields {
            request = request.header(name, *value);
        }
        request.body(B::default()).ok()
    }
}

/// The string parameter `name` of an item.
fn parameter<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut parameters = text.split(';').skip(1).filter_map(|it| it.trim().split_once('='));
    let (_, value) = parameters.find(|(known, _)| *known == name)?;
    value.strip_prefix('"')?.strip_suffix('"')
}
