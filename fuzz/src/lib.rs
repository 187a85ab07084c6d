//! What the targets have in common: an engine, an instant and a token that is valid at it.

use std::sync::LazyLock;

use http::{Request, Response, header};
use tower_auth_session::{
    KeyRing, SessionEngine, SessionId, SignIn, SigningKey, Subject,
    flow::{Flow, FlowId},
    testing::SeededRandom,
    time::Timestamp,
};

pub const COOKIE: &str = "__Host-session";
pub const KID: &str = "k1";
pub const SECRET: &[u8] = b"the key of the fuzzer, of any length above 32";
pub const ORIGIN: &str = "https://app.example.com";
pub const FRIEND: &str = "https://accounts.example.net";
pub const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

pub type Engine = SessionEngine<serde_json::Map<String, serde_json::Value>>;

pub static ENGINE: LazyLock<Engine> = LazyLock::new(engine);

/// One that has seen no sign-out yet.
pub fn engine() -> Engine {
    let key = SigningKey::hs256(KID, SECRET).expect("a key");
    SessionEngine::builder(KeyRing::new(key))
        .origin(ORIGIN)
        .allowed_redirect_origins([FRIEND])
        .random(SeededRandom::new(1))
        .build()
        .expect("an engine")
}

/// A session's id and its token.
pub static SIGNED_IN: LazyLock<(SessionId, String)> = LazyLock::new(|| {
    let jar = ENGINE.open(&Request::new(()), NOW);
    let subject = Subject::new("ada").expect("a subject");
    let outcome = jar.sign_in(SignIn::new(subject, Default::default())).expect("a session");
    let mut response = Response::new(());
    ENGINE.close(&jar, &mut response, NOW).expect("a response");
    let cookie = response.headers()[header::SET_COOKIE].to_str().expect("ASCII");
    let pair = cookie.split(';').next().expect("a pair");
    (outcome.session_id, pair[COOKIE.len() + 1..].to_owned())
});

/// A flow's id and the value of its cookie.
pub static FLOW: LazyLock<(FlowId, String)> = LazyLock::new(|| {
    let jar = ENGINE.open(&Request::new(()), NOW);
    let id = jar.start_flow(Flow::new("data".to_owned())).expect("a flow");
    let mut response = Response::new(());
    ENGINE.close(&jar, &mut response, NOW).expect("a response");
    let cookie = response.headers()[header::SET_COOKIE].to_str().expect("ASCII");
    let (_, value) = cookie.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
    (id, value.to_owned())
});
