//! Any signed challenge, session id and proof cookie, sent to the endpoints for devices and to a page: no
//! session is bound, and no proof is accepted or renewed. The first byte chooses the request, line feeds
//! part the rest.
#![no_main]

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{
    KeyRing, SessionEngine, SessionLayer, SessionStatus, SigningKey, SignIn, Subject,
    config::DeviceBound,
    testing::{DeviceClient, ManualClock, SeededRandom},
};
use tower_auth_session_fuzz::{COOKIE, KID, NOW, ORIGIN, SECRET};

type Body = Full<Bytes>;

/// A layer, and the tokens of an unbound and of a bound session with their ids.
struct Site {
    layer: SessionLayer,
    unbound: (String, String),
    bound: (String, String),
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let key = SigningKey::hs256(KID, SECRET).expect("a key");
    let engine = SessionEngine::<()>::builder(KeyRing::new(key))
        .origin(ORIGIN)
        .device_bound(DeviceBound::Preferred)
        .random(SeededRandom::new(1))
        .build()
        .expect("an engine");
    let layer = SessionLayer::new(engine).clock(ManualClock::at(NOW));
    let sign_in = || {
        let engine = layer.engine();
        let jar = engine.open(&Request::new(()), NOW);
        let subject = Subject::new("ada").expect("a subject");
        let id = jar.sign_in(SignIn::new(subject, ())).expect("a session").session_id;
        let mut response = Response::new(());
        engine.close(&jar, &mut response, NOW).expect("a response");
        (id.to_string(), token(&response), response)
    };
    let (id, cookie, _) = sign_in();
    let unbound = (id, cookie);
    let (id, cookie, offer) = sign_in();
    let client = DeviceClient::new(ORIGIN).expect("a client");
    let mut request: Request<Body> = client.register(&offer).expect("an offer");
    let cookie = HeaderValue::try_from(format!("{COOKIE}={cookie}")).expect("a cookie");
    request.headers_mut().insert(header::COOKIE, cookie);
    let response = send(&layer, request);
    assert_eq!(response.status(), StatusCode::OK);
    let bound = (id, token(&response));
    Site { layer, unbound, bound }
});

/// The session token that `response` sets.
fn token<B>(response: &Response<B>) -> String {
    let cookies = response.headers().get_all(header::SET_COOKIE).iter();
    let mut texts = cookies.map(|it| it.to_str().expect("ASCII"));
    let prefix = format!("{COOKIE}=");
    let cookie = texts.find_map(|text| text.strip_prefix(&prefix)).expect("a session");
    cookie.split(';').next().expect("a token").to_owned()
}

fn send(layer: &SessionLayer, request: Request<Body>) -> Response<()> {
    let page = service_fn(async |request: Request<Body>| -> Result<Response<Body>, Infallible> {
        let status = request.extensions().get::<SessionStatus>().expect("the layer");
        assert!(!status.is_signed_in(), "no proof was signed");
        Ok(Response::new(Body::default()))
    });
    let Ok(response) = ready(layer.layer(page).oneshot(request));
    response.map(drop)
}

fuzz_target!(|data: &[u8]| {
    let [kind, data @ ..] = data else { return };
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut part = || HeaderValue::from_bytes(parts.next().unwrap_or_default());
    let (Ok(signed), Ok(named), Ok(proof)) = (part(), part(), part()) else { return };
    let site = &*SITE;
    let (id, token) = if kind & 4 == 0 { &site.bound } else { &site.unbound };
    let path = match kind & 3 {
        0 => "/session/bound/refresh".to_owned(),
        1 => format!("/session/bound/register?session_id={id}"),
        // Acts as the session, which must not be unbound.
        _ => "/".to_owned(),
    };
    if path == "/" && kind & 4 != 0 {
        return;
    }
    let mut cookie = format!("{COOKIE}={token}; {COOKIE}.proof.{id}=").into_bytes();
    cookie.extend_from_slice(proof.as_bytes());
    let Ok(cookie) = HeaderValue::from_bytes(&cookie) else { return };
    let named = if kind & 8 == 0 { HeaderValue::try_from(id).expect("an id") } else { named };
    let method = if path == "/" { "GET" } else { "POST" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::ORIGIN, ORIGIN)
        .header(header::COOKIE, cookie)
        .header("secure-session-response", signed)
        .header("sec-secure-session-id", named)
        .header("secure-session-skipped", "x")
        .body(Body::default())
        .expect("a request");
    let response = send(&site.layer, request);
    let status = response.status();
    assert!(status.is_client_error() || method == "GET", "{status}");
    assert!(!response.headers().contains_key(header::SET_COOKIE), "nothing changes");
});

/// The layer has nothing to wait for.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("it waits for nothing"),
    }
}
