//! Any query, body and Referer of a sign-out: wherever it leads, a browser ends up at our own origin
//! or at the one that is allowed. The first byte chooses the kind of request, line feeds part the
//! rest.
#![no_main]

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use libfuzzer_sys::fuzz_target;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{SessionLayer, testing::ManualClock};
use tower_auth_session_fuzz::{COOKIE, FRIEND, NOW, ORIGIN, SIGNED_IN, engine};
use url::Url;

fuzz_target!(|data: &[u8]| {
    let [kind, data @ ..] = data else { return };
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (query, referer, body) = (part(), part(), part());
    let Ok(uri) = Uri::try_from([b"/sign-out?", query].concat()) else { return };
    let Ok(referer) = HeaderValue::from_bytes(referer) else { return };

    let mut request = Request::post(uri)
        .header(header::ORIGIN, ORIGIN)
        .header(header::COOKIE, format!("{COOKIE}={}", SIGNED_IN.1));
    if !referer.is_empty() {
        request = request.header(header::REFERER, referer);
    }
    let types = ["application/x-www-form-urlencoded", "application/json", "text/plain"];
    if let Some(kind) = types.get(usize::from(kind & 3)) {
        request = request.header(header::CONTENT_TYPE, *kind);
    }
    if kind & 4 != 0 {
        request = request.header(header::ACCEPT, "application/json");
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).expect("a request");

    let layer = SessionLayer::new(engine()).clock(ManualClock::at(NOW));
    let inner = service_fn(async |_| -> Result<Response<Full<Bytes>>, Infallible> {
        unreachable!("the layer answers")
    });
    let Ok(response) = ready(layer.layer(inner).oneshot(request));
    let (status, headers) = (response.status(), response.headers().clone());
    let body = ready(response.into_body().collect()).expect("a body").to_bytes();
    let target = match status {
        StatusCode::SEE_OTHER => headers[header::LOCATION].to_str().expect("ASCII").to_owned(),
        StatusCode::OK => {
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            body["redirect_url"].as_str().expect("a target").to_owned()
        }
        other => return assert!(other.is_client_error(), "{other}"),
    };
    let own = Url::parse(ORIGIN).expect("our origin");
    let friend = Url::parse(FRIEND).expect("the other one");
    let leads_to = own.join(&target).expect("a URL");
    assert!(
        leads_to.origin() == own.origin() || leads_to.origin() == friend.origin(),
        "{target:?} leads to {leads_to}"
    );
});

/// The answer of a future that has nothing to wait for.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits"),
    }
}
