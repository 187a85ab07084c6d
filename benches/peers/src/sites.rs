//! The same small application with each session library: a page that shows a name.

#[path = "../../cost/used_process.rs"]
mod used_process;

use std::{
    collections::HashMap,
    convert::Infallible,
    hint::black_box,
    net::SocketAddr,
    sync::{Arc, RwLock},
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use axum_login::{AuthUser, AuthnBackend, UserId};
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CONTENT_TYPE, COOKIE, SET_COOKIE},
};
use jsonwebtoken::{Algorithm as Alg, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tower::{Layer as _, Service, service_fn};
use tower_auth_session::{
    Algorithm, KeyRing, Session, SessionEngine, SessionLayer, SessionStatus, SignIn, SigningKey,
    Subject,
    engine::SessionEngineBuilder,
    testing::cookie_of,
    time::{Clock as _, SystemClock},
};

use crate::measure::{Body, SIGN_IN, now, request};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) name: String,
    email: String,
    roles: Vec<String>,
}

pub(crate) fn ada() -> User {
    User {
        name: "Ada Lovelace".into(),
        email: "ada@example.com".into(),
        roles: vec!["admin".into(), "author".into()],
    }
}

pub(crate) type Answered = Result<Response<Body>, Infallible>;

fn page(user: Option<&User>) -> Response<Body> {
    page_with(user.map(|user| user.name.as_str()))
}

fn page_with(name: Option<&str>) -> Response<Body> {
    let mut response = Response::new(Body::new());
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    if let Some(name) = name {
        black_box(name);
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    response
}

pub(crate) async fn bare<B>(_: Request<B>) -> Answered {
    Ok(page(None))
}

/// The minimum that a session layer does: it finds the cookie, looks the user up in a map, and passes the
/// user to the handler.
#[derive(Clone)]
pub(crate) struct Floor(Arc<RwLock<HashMap<String, Arc<User>>>>);

impl Floor {
    /// The floor, and the cookies of `count` users: ids of 22 characters.
    pub(crate) fn new(count: usize) -> (Self, Vec<Option<String>>) {
        let id = |n| format!("{n:022}");
        let users = (0..count).map(|n| (id(n), Arc::new(ada())));
        let cookie = |n| Some(format!("__Host-session={}", id(n)));
        (Self(Arc::new(RwLock::new(users.collect()))), (0..count).map(cookie).collect())
    }

    pub(crate) async fn answer(self, mut request: Request<Body>) -> Answered {
        let cookies = request.headers().get(COOKIE).unwrap().to_str().unwrap();
        let id = cookies.split("; ").find_map(|pair| pair.strip_prefix("__Host-session="));
        let user = id.and_then(|id| self.0.read().unwrap().get(id).cloned());
        if let Some(user) = user {
            request.extensions_mut().insert(user);
        }
        Ok(page(request.extensions().get::<Arc<User>>().map(|user| &**user)))
    }
}

pub(crate) async fn this_crate<B>(request: Request<B>) -> Answered {
    Ok(page(request.extensions().get::<Session<User>>().map(Session::claims)))
}

/// [`this_crate`], with a sign-in.
pub(crate) async fn this_crate_with_sign_in(request: Request<Body>) -> Answered {
    if request.headers().contains_key(SIGN_IN) {
        let jar = request.extensions().get().and_then(SessionStatus::jar::<User>).unwrap();
        jar.sign_in(SignIn::new(Subject::new("user-1").unwrap(), ada())).unwrap();
    }
    this_crate(request).await
}

pub(crate) async fn tower_sessions<B>(request: Request<B>) -> Answered {
    let session = request.extensions().get::<tower_sessions::Session>().unwrap();
    if request.headers().contains_key(SIGN_IN) {
        session.insert("user", ada()).await.unwrap();
    }
    Ok(page(session.get::<User>("user").await.unwrap().as_ref()))
}

/// Users that are found by id in memory.
#[derive(Debug, Clone)]
pub(crate) struct Users;

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        1
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = ();
    type Error = Infallible;

    async fn authenticate(&self, (): ()) -> Result<Option<User>, Infallible> {
        Ok(Some(ada()))
    }

    async fn get_user(&self, _: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(Some(ada()))
    }
}

pub(crate) async fn axum_login(mut request: Request<Body>) -> Answered {
    let signs_in = request.headers().contains_key(SIGN_IN);
    let auth = request.extensions_mut().get_mut::<axum_login::AuthSession<Users>>().unwrap();
    if signs_in {
        auth.login(&ada()).await.unwrap();
    }
    Ok(page(auth.user.as_ref()))
}

pub(crate) async fn axum_session(request: Request<Body>) -> Answered {
    type Null = axum_session::Session<axum_session::SessionNullPool>;
    let session = request.extensions().get::<Null>().unwrap();
    if request.headers().contains_key(SIGN_IN) {
        session.set("user", ada());
    }
    Ok(page(session.get::<User>("user").as_ref()))
}

/// session-guard's layer and a session in it. A session holds no data of the application, so the page
/// shows its subject. The layer needs the address of the client, which axum adds to each request.
pub(crate) fn session_guard() -> (
    impl Service<Request<Body>, Response = axum::response::Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static,
    Option<String>,
) {
    let store = session_guard::MemoryStore::new();
    let guard = session_guard::Guard::builder(store, session_guard::GuardConfig::default());
    let guard = guard.subject::<String>().build();
    let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
    let context = guard.client_context(peer.ip(), request(None).headers());
    let session = now(guard.login(&ada().name, &context, None)).unwrap();
    let cookie = session.token.set_cookie().split(';').next().unwrap().to_owned();
    let mut layered = guard.layer().layer(service_fn(async |request: Request<Body>| {
        let session = request.extensions().get::<session_guard::AuthSession<String>>();
        let name = session.map(|session| session.subject.as_str());
        Ok::<_, Infallible>(page_with(name).map(|_| axum::body::Body::empty()))
    }));
    let service = service_fn(move |mut request: Request<Body>| {
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        layered.call(request)
    });
    (service, Some(cookie))
}

/// A token in a cookie, with the usual crates.
#[derive(Clone)]
pub(crate) struct ByHand {
    sign: EncodingKey,
    verify: DecodingKey,
    algorithm: Alg,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    #[serde(flatten)]
    user: User,
}

impl ByHand {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let (sign, verify, algorithm) = match algorithm {
            Algorithm::EdDsa => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
                let verify = DecodingKey::from_ed_der(pair.public_key().as_ref());
                (EncodingKey::from_ed_der(pkcs8.as_ref()), verify, Alg::EdDSA)
            }
            Algorithm::Es256 => {
                let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &SystemRandom::new()).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref()).unwrap();
                let verify = DecodingKey::from_ec_der(pair.public_key().as_ref());
                (EncodingKey::from_ec_der(pkcs8.as_ref()), verify, Alg::ES256)
            }
            _ => {
                let secret = [7; 32];
                let sign = EncodingKey::from_secret(&secret).unwrap();
                (sign, DecodingKey::from_secret(&secret).unwrap(), Alg::HS256)
            }
        };
        Self { sign, verify, algorithm }
    }

    pub(crate) async fn answer(self, request: Request<Body>) -> Answered {
        if request.headers().contains_key(SIGN_IN) {
            let exp = jsonwebtoken::get_current_timestamp() + 604_800;
            let claims = Claims { sub: "user-1".into(), exp, user: ada() };
            let token = jsonwebtoken::encode(&Header::new(self.algorithm), &claims, &self.sign);
            let mut response = page(None);
            let value = format!("session={}; HttpOnly", token.unwrap()).try_into().unwrap();
            response.headers_mut().insert(SET_COOKIE, value);
            return Ok(response);
        }
        let header = request.headers().get(COOKIE).unwrap().to_str().unwrap();
        let cookies = cookie::Cookie::split_parse(header).filter_map(Result::ok);
        let token = { cookies }.find(|cookie| cookie.name() == "session").unwrap();
        let validation = Validation::new(self.algorithm);
        let read = jsonwebtoken::decode::<Claims>(token.value(), &self.verify, &validation);
        Ok(page(read.ok().map(|read| read.claims.user).as_ref()))
    }
}

pub(crate) type Builder = SessionEngineBuilder<User>;

/// This crate's engine, in a process in use.
pub(crate) fn engine(
    ring: KeyRing,
    settings: impl FnOnce(Builder) -> Builder,
) -> SessionEngine<User> {
    let builder = SessionEngine::builder(ring).origin("https://app.example.com");
    let engine = settings(builder).build().unwrap();
    used_process::use_process(&engine, [(); 2].map(|()| sign_in(usize::MAX)), ada());
    engine
}

pub(crate) fn ring(algorithm: Algorithm) -> KeyRing {
    KeyRing::new(SigningKey::generate("2026-11", algorithm).unwrap())
}

/// Cookies of different users that are `age` seconds old.
pub(crate) fn cookies(engine: &SessionEngine<User>, age: u64, count: usize) -> Vec<Option<String>> {
    let signed_in_at =
        SystemClock::new().now().timestamp().saturating_sub(Duration::from_secs(age));
    let cookie = |n| cookie_of(engine, sign_in(n), signed_in_at).unwrap();
    (0..count).map(|n| Some(cookie(n).to_str().unwrap().to_owned())).collect()
}

/// This crate's layer, and `count` cookies that are `age` seconds old.
pub(crate) fn layer(
    algorithm: Algorithm,
    age: u64,
    count: usize,
    settings: impl FnOnce(Builder) -> Builder,
) -> (SessionLayer<User>, Vec<Option<String>>) {
    let engine = engine(ring(algorithm), settings);
    let cookies = cookies(&engine, age, count);
    (SessionLayer::new(engine), cookies)
}

fn sign_in(n: usize) -> SignIn<User> {
    SignIn::new(Subject::new(format!("user-{n:07}")).unwrap(), ada())
}
