//! The layer in a hyper server without any framework: real sockets, HTTP/1.1 and HTTP/2.

mod multi_session;

use std::{
    convert::Infallible,
    error::Error,
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, channel::mpsc};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_auth_session::{
    KeyRing, RequireSessionLayer, Session, SessionEngine, SessionStatus, SignIn, flow::Flow,
};
use tower_http::{compression::CompressionLayer, trace::TraceLayer};

use crate::support::{
    Browser, COOKIE, TestResponse, User, get, key, layer, layer_on, post, seconds, subject, user,
};

type BoxError = Box<dyn Error + Send + Sync>;
type OutBody = BoxBody<Bytes, hyper::Error>;

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// A server on a loopback port, for both versions of HTTP.
struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    /// Receives a message for each connection that is closed.
    closed: mpsc::UnboundedReceiver<()>,
}

impl Server {
    async fn start<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (connection_closed, closed) = mpsc::unbounded();
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                stream.set_nodelay(true).ok();
                let (service, connection_closed) =
                    (TowerToHyperService::new(service.clone()), connection_closed.clone());
                tokio::spawn(async move {
                    // Errors are due to the client.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    connection_closed.unbounded_send(()).ok();
                });
            }
        });
        Self { address, accepted, closed }
    }

    /// A client with its own connection, which it keeps alive.
    fn client<B>(
        &self,
        version: Version,
    ) -> impl Service<
        Request<B>,
        Response = Response<Incoming>,
        Error = hyper_util::client::legacy::Error,
        Future: Send,
    > + Clone
    + use<B>
    where
        B: Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .http2_only(version == Version::HTTP_2)
            .build::<_, B>(connector);
        let address = self.address;
        client.map_request(move |mut request: Request<B>| {
            *request.uri_mut() = format!("http://{address}{}", request.uri()).parse().unwrap();
            *request.version_mut() = version;
            request
        })
    }
}

fn full(text: impl Into<Bytes>) -> OutBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

/// `/in` signs Ada in and sets two cookies of the application, `/start` and `/finish` start and finish a
/// flow, `/echo` responds with the request's body, `/claimless` signs in without claims, and other paths
/// return the signed-in user.
async fn app(request: Request<Incoming>) -> Result<Response<OutBody>, Infallible> {
    let jar =
        request.extensions().get::<SessionStatus>().expect("the layer").jar::<User>().unwrap();
    let is_head = request.method() == Method::HEAD;
    let lines = request.headers().get_all(header::COOKIE).iter().count();
    let mut response = match request.uri().path() {
        "/in" => {
            jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
            let mut response = Response::new(full("welcome"));
            for cookie in ["theme=dark", "lang=en"] {
                let value = HeaderValue::from_static(cookie);
                response.headers_mut().append(header::SET_COOKIE, value);
            }
            response
        }
        "/claimless" => {
            jar.sign_in(SignIn::from_claims_source(subject("ada"))).unwrap();
            Response::new(full(""))
        }
        "/start" => Response::new(full(jar.start_flow(Flow::new(7_u32)).unwrap().to_string())),
        "/finish" => {
            let state = request.uri().query().unwrap_or_default();
            Response::new(full(match jar.finish_flow::<u32>(state) {
                Ok(flow) => flow.data.to_string(),
                Err(error) => error.to_string(),
            }))
        }
        "/echo" => Response::new(request.into_body().boxed()),
        _ => {
            let session = request.extensions().get::<Session<User>>();
            let who = session.map_or("signed out", |session| &*session.claims().name);
            Response::new(full(who.to_owned()))
        }
    };
    if is_head {
        // In HTTP/2 the service must do this, not hyper.
        *response.body_mut() = full("");
    }
    response.headers_mut().insert("x-cookie-lines", lines.into());
    Ok(response)
}

#[tokio::test]
async fn session_works_over_one_connection_of_each_http_version() {
    for version in VERSIONS {
        let (layer, clock, events) = layer();
        let server = Server::start(layer.layer(service_fn(app))).await;
        let client = server.client(version);
        let mut ada = Browser::default();
        assert_eq!(ada.send(&client, get("/")).await.text(), "signed out");

        let response = ada.send(&client, post("/in", "")).await;
        let set = response.set_cookies();
        assert_eq!(set[..2], ["theme=dark", "lang=en"], "the application's cookies come first");
        assert!(set[2].starts_with(COOKIE) && set.len() == 3, "{set:?}");

        clock.advance(seconds(10));
        let response = ada.send(&client, get("/")).await;
        assert_eq!((response.text(), response.set_cookies().len()), ("Ada", 1));

        let copy = ada.clone();
        let response = ada.send(&client, post("/sign-out", "redirect_url=%2Fbye")).await;
        assert_eq!((response.status, response.header("location")), (StatusCode::SEE_OTHER, "/bye"));
        assert_eq!(ada.cookies.keys().collect::<Vec<_>>(), ["lang", "theme"]);
        assert_eq!(copy.clone().send(&client, get("/")).await.text(), "signed out");

        assert_eq!(events.take_names(), ["SignedIn", "Renewed", "SignedOut", "CredentialRejected"]);
        assert_eq!(server.accepted.load(Ordering::Relaxed), 1, "the connection is kept alive");
    }
}

#[tokio::test]
async fn flow_is_finished_over_a_connection_of_each_http_version() {
    const UNKNOWN: &str = "this browser has no such flow";
    for version in VERSIONS {
        let (layer, ..) = layer();
        let client = Server::start(layer.layer(service_fn(app))).await.client(version);
        let mut ada = Browser::default();
        let state = ada.send(&client, get("/start")).await.text().to_owned();
        let finish = format!("/finish?{state}");
        let mut other = Browser::default();
        assert_eq!(other.send(&client, get(&finish)).await.text(), UNKNOWN);
        assert_eq!(ada.send(&client, get(&finish)).await.text(), "7");
        assert_eq!(ada.cookies.len(), 0, "the flow's cookie is removed");
        assert_eq!(ada.send(&client, get(&finish)).await.text(), UNKNOWN, "once");
    }
}

#[tokio::test]
async fn session_layer_works_inside_and_outside_other_layers() {
    for version in VERSIONS {
        let (layer, ..) = layer();
        let service = ServiceBuilder::new()
            .layer(TraceLayer::new_for_http())
            .layer(CompressionLayer::new())
            .layer(layer)
            .layer(CompressionLayer::new())
            .layer(TraceLayer::new_for_http())
            .service_fn(app);
        let client = Server::start(service).await.client(version);
        let mut ada = Browser::default();
        ada.send(&client, post("/in", "")).await;
        assert_eq!(ada.send(&client, get("/")).await.text(), "Ada");
    }
}

#[tokio::test]
async fn session_cookie_is_read_from_split_http2_cookie_fields() {
    let (layer, ..) = layer();
    let ada = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
    let session_cookie = ada.cookie_header().unwrap();
    let client = Server::start(layer.layer(service_fn(app))).await.client(Version::HTTP_2);
    for crumbs in [
        vec!["theme=dark", &session_cookie, "lang=en"],
        vec!["theme=dark; lang=en", &session_cookie],
        vec![&session_cookie, "a=\"", "b=\""],
    ] {
        let mut request = get("/");
        for crumb in &crumbs {
            request.headers_mut().append(header::COOKIE, crumb.parse().unwrap());
        }
        let response = TestResponse::of(client.clone().oneshot(request).await.unwrap()).await;
        assert_eq!(response.header("x-cookie-lines"), crumbs.len().to_string());
        assert_eq!(response.text(), "Ada", "{} crumbs", crumbs.len());
    }
}

/// hyper removes the body of a response to HEAD in HTTP/1.1 only; an HTTP/2 client that gets one resets
/// the stream.
#[tokio::test]
async fn layer_responses_to_head_have_a_length_and_no_body() {
    let head = |path| Request::head(path).body(Full::default()).unwrap();
    for version in VERSIONS {
        let (layer, clock, _) = layer();
        let mut ada = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
        let open = Server::start(layer.layer(service_fn(app))).await.client(version);
        let guarded = layer.layer(RequireSessionLayer::new().layer(service_fn(app)));
        let guarded = Server::start(guarded).await.client(version);

        clock.advance(seconds(10));
        let response = ada.send(&guarded, head("/")).await;
        assert_eq!((response.status, response.text()), (StatusCode::OK, ""));
        assert_eq!(response.set_cookies().len(), 1, "HEAD requests are renewed too");

        for (client, path, status) in [
            (&guarded, "/", StatusCode::UNAUTHORIZED),
            (&open, "/sign-out", StatusCode::METHOD_NOT_ALLOWED),
            (&open, "/claimless", StatusCode::INTERNAL_SERVER_ERROR),
        ] {
            let to_get = Browser::default().send(client, get(path)).await;
            let to_head = Browser::default().send(client, head(path)).await;
            assert_eq!((to_get.status, to_head.status), (status, status), "{path}");
            assert!(to_head.body.is_empty() && !to_get.body.is_empty(), "{path}");
            for name in ["content-length", "content-type", "cache-control", "allow"] {
                assert_eq!(to_head.header(name), to_get.header(name), "{path}, {name}");
            }
        }
        assert_eq!(ada.send(&open, get("/")).await.text(), "Ada");
    }
}

#[tokio::test]
async fn bodies_are_streamed_in_both_directions() {
    const CHUNK: usize = 64 * 1024;
    for version in VERSIONS {
        let (layer, ..) = layer();
        let client = Server::start(layer.layer(service_fn(app))).await.client(version);
        let (mut feed, chunks) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(0);
        let request = Request::post("/echo").body(StreamBody::new(chunks)).unwrap();
        // The response starts before the request's body has been sent.
        let mut body = client.oneshot(request).await.unwrap().into_body();
        for round in 0..64_u8 {
            // No buffering: each chunk is returned before the next one is sent.
            feed.send(Ok(Frame::data(vec![round; CHUNK].into()))).await.unwrap();
            let mut echoed = 0;
            while echoed < CHUNK {
                let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
                assert!(data == vec![round; data.len()]);
                echoed += data.len();
            }
            assert_eq!(echoed, CHUNK);
        }
        if version == Version::HTTP_2 {
            let trailers = HeaderMap::from_iter([(header::ETAG, HeaderValue::from_static("t"))]);
            feed.send(Ok(Frame::trailers(trailers.clone()))).await.unwrap();
            assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
        }
        drop(feed);
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn sign_out_body_above_8_kib_is_refused() {
    for version in VERSIONS {
        let (layer, ..) = layer();
        let mut ada = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
        let client = Server::start(layer.layer(service_fn(app))).await.client(version);
        let padded = |length: usize| {
            let mut request = post("/sign-out", "");
            let body = format!("scope=this&pad={}", "x".repeat(length - 15));
            assert_eq!(body.len(), length);
            *request.body_mut() = Full::from(body);
            request
        };
        let response = ada.send(&client, padded(8_193)).await;
        assert_eq!(response.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(response.set_cookies().is_empty());
        assert_eq!(ada.send(&client, get("/")).await.text(), "Ada", "still signed in");

        let response = ada.send(&client, padded(8_192)).await;
        assert_eq!(response.status, StatusCode::SEE_OTHER);
        assert!(ada.cookies.is_empty());
    }
}

/// Without a configured origin, `Origin` is compared with the target host of the request: `Host` in
/// HTTP/1.1, `:authority` in HTTP/2.
#[tokio::test]
async fn origin_defaults_to_the_requested_host() {
    for version in VERSIONS {
        let builder = SessionEngine::<User>::builder(KeyRing::new(key("k1")));
        let (layer, _) = layer_on(builder);
        let mut ada = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
        let server = Server::start(layer.layer(service_fn(app))).await;
        let client = server.client(version);
        let from = |origin: String| {
            let mut request = post("/sign-out", "");
            request.headers_mut().insert(header::ORIGIN, origin.parse().unwrap());
            request
        };
        let port = server.address.port();
        let response = ada.send(&client, from(format!("http://localhost:{port}"))).await;
        assert_eq!(response.status, StatusCode::FORBIDDEN, "{version:?}");
        let response = ada.send(&client, from(format!("http://127.0.0.1:{port}"))).await;
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{version:?}");
    }
}

/// Sends a message when it is dropped.
struct OnDrop(Option<futures::channel::oneshot::Sender<()>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            sender.send(()).ok();
        }
    }
}

#[tokio::test]
async fn client_that_disconnects_during_a_sign_in_leaves_no_session() {
    for version in VERSIONS {
        let (layer, _, events) = layer();
        let (entered, mut entries) = mpsc::unbounded();
        let service = layer.layer(service_fn(move |request: Request<Incoming>| {
            let entered = entered.clone();
            async move {
                if request.uri().path() != "/slow" {
                    return app(request).await;
                }
                let jar =
                    request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
                jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
                let (dropped, gone) = futures::channel::oneshot::channel();
                let _guard = OnDrop(Some(dropped));
                entered.unbounded_send(gone).unwrap();
                std::future::pending().await
            }
        }));
        let server = Server::start(service).await;
        let client = server.client(version);

        let request = tokio::spawn(client.clone().oneshot(post("/slow", "")));
        let gone = entries.next().await.unwrap();
        request.abort();
        // The server drops the request of the disconnected client.
        gone.await.unwrap();
        assert!(events.take().is_empty(), "{version:?}");

        // Other requests are still served.
        let client = server.client(version);
        assert_eq!(Browser::default().send(&client, get("/")).await.text(), "signed out");
    }
}

#[tokio::test]
async fn client_that_disconnects_during_a_sign_out_is_still_signed_in() {
    let (layer, _, events) = layer();
    let mut ada = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("Ada")));
    assert_eq!(events.take_names(), ["SignedIn"]);
    let mut server = Server::start(layer.layer(service_fn(app))).await;

    // Only half of the body is sent, so the sign-out is incomplete.
    let mut stream = std::net::TcpStream::connect(server.address).unwrap();
    let cookie = ada.cookie_header().unwrap();
    write!(
        stream,
        "POST /sign-out HTTP/1.1\r\nhost: x\r\nsec-fetch-site: same-origin\r\ncookie: {cookie}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: 99\r\n\r\nscope=this&"
    )
    .unwrap();
    drop(stream);
    server.closed.next().await.unwrap();
    assert!(events.take().is_empty());
    let client = server.client(Version::HTTP_11);
    assert_eq!(ada.send(&client, get("/")).await.text(), "Ada");
}
