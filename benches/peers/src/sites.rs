//! The same small application with each session library: a page that shows a name.

use std::{convert::Infallible, hint::black_box, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use axum_login::{AuthUser, AuthnBackend, UserId};
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CONTENT_TYPE, SET_COOKIE},
};
use jsonwebtoken::{Algorithm as Alg, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tower_auth_session::{
    Algorithm, KeyRing, Session, SessionEngine, SessionLayer, SessionLifetime, SessionStatus,
    SignIn, SigningKey, Subject,
    testing::{ManualClock, cookie_of},
    time::{Clock as _, ClockReading, SystemClock, Timestamp},
};

use crate::measure::{Body, SIGN_IN};

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
    let mut response = Response::new(Body::new());
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    if let Some(user) = user {
        black_box(&user.name);
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    response
}

pub(crate) async fn bare(_: Request<Body>) -> Answered {
    Ok(page(None))
}

pub(crate) async fn this_crate(request: Request<Body>) -> Answered {
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

pub(crate) async fn tower_sessions(request: Request<Body>) -> Answered {
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
        let header = request.headers().get(http::header::COOKIE).unwrap().to_str().unwrap();
        let cookies = cookie::Cookie::split_parse(header).filter_map(Result::ok);
        let token = { cookies }.find(|cookie| cookie.name() == "session").unwrap();
        let validation = Validation::new(self.algorithm);
        let read = jsonwebtoken::decode::<Claims>(token.value(), &self.verify, &validation);
        Ok(page(read.ok().map(|read| read.claims.user).as_ref()))
    }
}

/// This crate's layer with the system clock, and `count` cookies of different users. A manual clock
/// has a lock, for which threads would wait.
pub(crate) fn layer_of_today(count: usize) -> (SessionLayer<User>, Vec<Option<String>>) {
    let (engine, cookies) = engine(Algorithm::Hs256, None, SystemClock::new().now(), count);
    (SessionLayer::new(engine), cookies)
}

/// This crate's engine with this `renew_after`.
pub(crate) fn engine_renewing(renew_after: Duration) -> SessionEngine<User> {
    let key = SigningKey::generate("2026-11", Algorithm::Hs256).unwrap();
    let builder = SessionEngine::builder(KeyRing::new(key));
    let lifetime = SessionLifetime::new().renew_after(renew_after);
    builder.lifetime(lifetime).origin("https://app.example.com").build().unwrap()
}

/// This crate's layer, and `count` cookies of different users that are `age` seconds old.
pub(crate) fn layer(
    algorithm: Algorithm,
    capacity: Option<usize>,
    age: u64,
    count: usize,
) -> (SessionLayer<User>, Vec<Option<String>>) {
    let start = Timestamp::from_unix_seconds(1_800_000_000);
    let (engine, cookies) = engine(algorithm, capacity, start, count);
    let clock = ManualClock::at(start);
    clock.advance(Duration::from_secs(age));
    (SessionLayer::new(engine).clock(clock), cookies)
}

pub(crate) fn engine(
    algorithm: Algorithm,
    capacity: Option<usize>,
    now: impl Into<ClockReading> + Copy,
    count: usize,
) -> (SessionEngine<User>, Vec<Option<String>>) {
    let key = SigningKey::generate("2026-11", algorithm).unwrap();
    let builder = SessionEngine::<User>::builder(KeyRing::new(key));
    let builder = match capacity {
        Some(capacity) => builder.verified_token_cache(capacity),
        None => builder,
    };
    let engine = builder.build().unwrap();
    let cookie = |n| {
        let sign_in = SignIn::new(Subject::new(format!("user-{n:07}")).unwrap(), ada());
        Some(cookie_of(&engine, sign_in, now).unwrap().to_str().unwrap().to_owned())
    };
    let cookies = (0..count).map(cookie).collect();
    (engine, cookies)
}
