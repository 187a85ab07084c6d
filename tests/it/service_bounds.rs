//! The layer and the guard require no more traits of services, bodies, errors and claims than
//! documented: the types here implement only those.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use tokio::task::LocalSet;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_auth_session::{
    KeyRing, RequireSessionLayer, Session, SessionEngine, SessionJar, SessionLayer, SessionStatus,
    SignIn,
    middleware::{ResponseFuture, SessionBody},
};

use crate::support::{COOKIE, key, subject};

/// Claims that can only be serialized and deserialized.
#[derive(Serialize, Deserialize)]
struct MinimalClaims {
    name: String,
}

/// A request body that borrows, is not `Send`, and whose data is not `Bytes`.
struct BorrowedBody<'a> {
    chunks: std::slice::Iter<'a, &'a [u8]>,
    _not_send: Rc<()>,
}

/// A response body without `Send`, `Default` and conversions.
struct LocalBody {
    text: Option<Bytes>,
    _not_send: Rc<()>,
}

/// The error of the bodies, without `Error` and `Debug`.
struct BodyFailure;

/// The error of the service, without `Error` and `Debug`.
enum Failure {
    Teapot,
}

impl<'a> Body for BorrowedBody<'a> {
    type Data = &'a [u8];
    type Error = BodyFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<&'a [u8]>, BodyFailure>>> {
        Poll::Ready(self.chunks.next().map(|chunk| Ok(Frame::data(*chunk))))
    }
}

impl Body for LocalBody {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        Poll::Ready(self.text.take().map(|text| Ok(Frame::data(text))))
    }
}

/// A service that is not `Send`. Only the instance that was polled is ready, not its clones.
#[derive(Default)]
struct App {
    calls: Rc<Cell<u32>>,
    ready: bool,
}

impl Clone for App {
    fn clone(&self) -> Self {
        Self { calls: Rc::clone(&self.calls), ready: false }
    }
}

impl<'a> Service<Request<BorrowedBody<'a>>> for App {
    type Response = Response<LocalBody>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Response<LocalBody>, Failure>> + 'a>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<BorrowedBody<'a>>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        let calls = Rc::clone(&self.calls);
        Box::pin(async move {
            calls.set(calls.get() + 1);
            tokio::task::yield_now().await;
            let jar = request
                .extensions()
                .get::<SessionStatus>()
                .and_then(SessionStatus::jar)
                .expect("the layer");
            let jar: SessionJar<MinimalClaims> = jar;
            let claims = || MinimalClaims { name: "Ada".to_owned() };
            match request.uri().path() {
                "/in" => drop(jar.sign_in(SignIn::new(subject("ada"), claims())).ok()),
                "/fail" => {
                    jar.sign_in(SignIn::new(subject("ada"), claims())).ok();
                    return Err(Failure::Teapot);
                }
                _ => {}
            }
            assert!(request.extensions().get::<SessionStatus>().is_some());
            let who = request
                .extensions()
                .get::<Session<MinimalClaims>>()
                .map_or_else(|| "signed out".to_owned(), |session| session.claims().name.clone());
            Ok(Response::new(LocalBody { text: Some(who.into()), _not_send: Rc::default() }))
        })
    }
}

fn request<'a>(path: &str, cookie: &str, chunks: &'a [&'a [u8]]) -> Request<BorrowedBody<'a>> {
    Request::post(path)
        .header(header::COOKIE, cookie)
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(BorrowedBody { chunks: chunks.iter(), _not_send: Rc::default() })
        .unwrap()
}

async fn text(response: Response<SessionBody<LocalBody>>) -> String {
    let Ok(body) = response.into_body().collect().await else { panic!("no body") };
    String::from_utf8(body.to_bytes().into()).unwrap()
}

#[tokio::test]
async fn layer_wraps_a_service_with_minimal_bounds() {
    let engine = SessionEngine::<MinimalClaims>::builder(KeyRing::new(key("k"))).build().unwrap();
    let app = App::default();
    let service = SessionLayer::new(engine).layer(app.clone());

    let requests = async {
        // Two calls of one instance: it must be ready again for the second.
        let mut same = service.clone();
        let mut cookie = String::new();
        for path in ["/in", "/in"] {
            let Ok(ready) = same.ready().await else { panic!("not ready") };
            let future: ResponseFuture<App, BorrowedBody<'_>, MinimalClaims> =
                ready.call(request(path, "", &[]));
            let Ok(response) = future.await else { panic!("failed") };
            cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        }
        let cookie = cookie.split(';').next().unwrap();
        let Ok(response) = service.clone().oneshot(request("/", cookie, &[])).await else {
            panic!("failed")
        };
        assert_eq!(text(response).await, "Ada");

        // The service's error is returned unchanged.
        let failed = service.clone().oneshot(request("/fail", "", &[])).await;
        assert!(matches!(failed, Err(Failure::Teapot)));

        // An endpoint reads the borrowed body in pieces.
        let chunks: [&[u8]; 3] = [b"scope=th", b"is&redirect_url=", b"%2Fbye"];
        let Ok(response) = service.clone().oneshot(request("/sign-out", cookie, &chunks)).await
        else {
            panic!("failed")
        };
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()[header::LOCATION], "/bye");
        let removal = response.headers()[header::SET_COOKIE].to_str().unwrap();
        assert!(removal.starts_with(&format!("{COOKIE}=;")), "{removal}");
        assert_eq!(text(response).await, "");
        assert_eq!(app.calls.get(), 4, "the endpoint does not call the application");
    };
    LocalSet::new().run_until(requests).await;
}

#[tokio::test]
async fn guard_wraps_a_service_with_minimal_bounds() {
    let engine = SessionEngine::<MinimalClaims>::builder(KeyRing::new(key("k"))).build().unwrap();
    let app = App::default();
    let guard = RequireSessionLayer::new().claims(|bare: &MinimalClaims| bare.name == "Ada");
    let service = SessionLayer::new(engine).layer(guard.layer(app.clone()));

    let Ok(response) = service.oneshot(request("/", "", &[])).await else { panic!("failed") };
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(app.calls.get(), 0);
    // The body is wrapped by two layers and still a body of bytes.
    let Ok(body) = response.into_body().collect().await else { panic!("no body") };
    assert!(body.to_bytes().starts_with(b"{"));
}
