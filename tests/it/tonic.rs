//! The layer and the guard in a tonic server, called by tonic's client over a socket.

#[path = "../../examples/tonic/greeter.rs"]
mod greeter;

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use http::{StatusCode, header};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;
use tonic::{
    Code, Request, Response, Status,
    metadata::MetadataMap,
    service::{InterceptorLayer, LayerExt as _},
    transport::{Channel, Server, server::TcpIncoming},
};
use tower::{ServiceBuilder, ServiceExt as _};
use tower_auth_session::{
    RequireSessionLayer, Session, SessionLayer, SessionStatus, SignIn,
    bearer::{BearerTokenOptions, BearerTokens},
    engine::SessionIdentity,
    flow::Flow,
    testing::signed_in,
    time::Clock as _,
};
use tower_http::{compression::CompressionLayer, trace::TraceLayer};

use self::greeter::{
    Count, CountDownRequest, GreetRequest, Greeter, GreeterClient, GreeterServer, Greeting,
};
use crate::support::{
    Browser, COOKIE, ORIGIN, User, engine_builder, layer, layer_on, post, seconds, subject, user,
};

/// Greets the signed-in user. Special greetings sign Ada in or out, or make the call fail.
struct Host;

#[tonic::async_trait]
impl Greeter for Host {
    async fn greet(&self, request: Request<GreetRequest>) -> Result<Response<Greeting>, Status> {
        let extensions = request.extensions();
        let jar = extensions.get().and_then(SessionStatus::jar::<User>);
        match request.get_ref().greeting.as_str() {
            "sign in" => {
                let jar = jar.ok_or_else(|| Status::internal("no layer"))?;
                jar.sign_in(SignIn::new(subject("ada"), user("Ada")))
                    .map_err(|error| Status::internal(error.to_string()))?;
            }
            "sign out" => {
                jar.and_then(|jar| jar.sign_out());
            }
            "start a flow" => {
                let jar = jar.ok_or_else(|| Status::internal("no layer"))?;
                let state = jar
                    .start_flow(Flow::new(7_u32))
                    .map_err(|error| Status::internal(error.to_string()))?;
                return Ok(Response::new(Greeting { text: state.to_string() }));
            }
            state if state.len() == 22 => {
                let jar = jar.ok_or_else(|| Status::internal("no layer"))?;
                let flow = jar
                    .finish_flow::<u32>(state)
                    .map_err(|error| Status::failed_precondition(error.to_string()))?;
                return Ok(Response::new(Greeting { text: flow.data.to_string() }));
            }
            "fail" => return Err(Status::not_found("nothing")),
            _ => {}
        }
        let session = extensions.get::<Session<User>>();
        let name = session.map_or("signed out", |session| &session.claims().name);
        // The identity that an interceptor has added, if any.
        let caller = extensions.get::<SessionIdentity>().map(|identity| identity.subject());
        let text = format!("{} {name} {caller:?}", request.get_ref().greeting);
        Ok(Response::new(Greeting { text }))
    }

    async fn count_down(
        &self,
        request: Request<CountDownRequest>,
    ) -> Result<Response<BoxStream<'static, Result<Count, Status>>>, Status> {
        let counts = (1..=request.get_ref().from).rev().map(|left| Ok(Count { left }));
        Ok(Response::new(futures::stream::iter(counts).boxed()))
    }
}

/// Starts a server on a loopback port and returns its client.
async fn start<F>(serve: impl FnOnce(TcpIncoming) -> F) -> GreeterClient
where
    F: Future<Output = Result<(), tonic::transport::Error>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(TcpIncoming::from(listener)));
    GreeterClient::new(Channel::from_shared(url).unwrap().connect().await.unwrap())
}

fn ada(layer: &SessionLayer<User>) -> Browser {
    Browser::signed_in(layer, SignIn::new(subject("ada"), user("Ada")))
}

/// `message` with the cookies of `browser`.
fn from<M>(browser: &Browser, message: M) -> Request<M> {
    let mut request = Request::new(message);
    if let Some(cookie) = browser.cookie_header() {
        request.metadata_mut().insert("cookie", cookie.parse().unwrap());
    }
    request
}

fn greet_request(greeting: &str) -> GreetRequest {
    GreetRequest { greeting: greeting.to_owned() }
}

fn set_cookies(metadata: &MetadataMap) -> usize {
    metadata.get_all("set-cookie").iter().count()
}

#[tokio::test]
async fn grpc_call_without_a_session_is_unauthenticated() {
    let (layer, ..) = layer();
    // The first layer is the outermost.
    let server = Server::builder()
        .layer(TraceLayer::new_for_grpc())
        .layer(CompressionLayer::new())
        .layer(layer.clone())
        .layer(CompressionLayer::new())
        .layer(TraceLayer::new_for_grpc())
        .layer(RequireSessionLayer::new())
        .add_service(GreeterServer::new(Host));
    let mut client = start(|incoming| server.serve_with_incoming(incoming)).await;

    let refused = client.greet(Request::new(greet_request("Hello"))).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, "Sign in first."));
    let headers = refused.metadata();
    assert_eq!(headers.get("cache-control").unwrap(), "no-store");
    assert!(headers.get("www-authenticate").is_none(), "bearer tokens are not accepted");
    assert_eq!(set_cookies(headers), 0);
    let refused = client.count_down(Request::new(CountDownRequest { from: 3 })).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "streams are refused before they start");

    let mut forged = ada(&layer);
    forged.cookies.get_mut(COOKIE).unwrap().push('A');
    let refused = client.greet(from(&forged, greet_request("Hello"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);

    let response = client.greet(from(&ada(&layer), greet_request("Hello"))).await.unwrap();
    assert_eq!(response.get_ref().text, "Hello Ada None");
}

#[tokio::test]
async fn grpc_calls_sign_in_renew_and_sign_out() {
    let (layer, clock, events) = layer();
    let server = Server::builder().layer(layer).add_service(GreeterServer::new(Host));
    let mut client = start(|incoming| server.serve_with_incoming(incoming)).await;
    let mut browser = Browser::default();
    let mut greet = async |browser: &mut Browser, greeting: &str| {
        let (metadata, status) = match client.greet(from(browser, greet_request(greeting))).await {
            Ok(response) => (response.metadata().clone(), response.into_inner().text),
            Err(status) => (status.metadata().clone(), format!("{:?}", status.code())),
        };
        browser.store(&metadata.clone().into_headers());
        (status, set_cookies(&metadata))
    };
    assert_eq!(greet(&mut browser, "sign in").await, ("sign in signed out None".to_owned(), 1));
    assert_eq!(greet(&mut browser, "hi").await, ("hi Ada None".to_owned(), 0));
    // The status of a failed call carries the cookie too.
    clock.advance(seconds(10));
    assert_eq!(greet(&mut browser, "fail").await, ("NotFound".to_owned(), 1));
    assert_eq!(greet(&mut browser, "sign out").await, ("sign out Ada None".to_owned(), 1));
    assert!(browser.cookies.is_empty());
    assert_eq!(greet(&mut browser, "hi").await, ("hi signed out None".to_owned(), 0));
    assert_eq!(events.take_names(), ["SignedIn", "Renewed", "SignedOut"]);
}

#[tokio::test]
async fn grpc_calls_start_and_finish_a_flow() {
    let (layer, ..) = layer();
    let server = Server::builder().layer(layer).add_service(GreeterServer::new(Host));
    let mut client = start(|incoming| server.serve_with_incoming(incoming)).await;
    let mut browser = Browser::default();
    let response = client.greet(from(&browser, greet_request("start a flow"))).await.unwrap();
    browser.store(&response.metadata().clone().into_headers());
    let state = response.into_inner().text;

    let other = client.greet(Request::new(greet_request(&state))).await.unwrap_err();
    assert_eq!(
        (other.code(), other.message()),
        (Code::FailedPrecondition, "this browser has no such flow")
    );
    let copy = browser.clone();
    let response = client.greet(from(&browser, greet_request(&state))).await.unwrap();
    browser.store(&response.metadata().clone().into_headers());
    assert_eq!((response.into_inner().text.as_str(), browser.cookies.len()), ("7", 0));
    let again = client.greet(from(&copy, greet_request(&state))).await.unwrap_err();
    assert_eq!(
        again.code(),
        Code::FailedPrecondition,
        "a copy of the cookie finishes no flow twice"
    );
}

#[tokio::test]
async fn grpc_stream_carries_the_renewed_cookie_in_its_initial_metadata() {
    let (layer, clock, _) = layer();
    let server = Server::builder()
        .layer(layer.clone())
        .layer(RequireSessionLayer::new())
        .add_service(GreeterServer::new(Host));
    let mut client = start(|incoming| server.serve_with_incoming(incoming)).await;
    let mut browser = ada(&layer);
    let old = browser.cookies.clone();

    clock.advance(seconds(10));
    let response = client.count_down(from(&browser, CountDownRequest { from: 3 })).await.unwrap();
    browser.store(&response.metadata().clone().into_headers());
    assert_ne!(browser.cookies, old);
    let mut stream = response.into_inner();
    let mut counts = Vec::new();
    while let Some(count) = stream.message().await.unwrap() {
        counts.push(count.left);
    }
    assert_eq!(counts, [3, 2, 1]);
    let trailers = stream.trailers().await.unwrap().unwrap_or_default();
    assert_eq!(set_cookies(&trailers), 0);

    // The old token has expired.
    clock.advance(seconds(95));
    assert!(client.greet(from(&browser, greet_request("Hello"))).await.is_ok());
}

#[tokio::test]
async fn grpc_rejection_has_the_status_code_of_its_reason() {
    let (layer, ..) = layer();
    let guards = [
        (RequireSessionLayer::new().claims(|user: &User| user.name == "Ada"), None),
        (
            RequireSessionLayer::new().claims(|user: &User| user.name == "Grace"),
            Some(Code::PermissionDenied),
        ),
        (RequireSessionLayer::new().claims(|_: &u8| true), Some(Code::Internal)),
    ];
    for (guard, expected) in guards {
        let server = Server::builder()
            .layer(layer.clone())
            .layer(guard)
            .add_service(GreeterServer::new(Host));
        let mut client = start(|incoming| server.serve_with_incoming(incoming)).await;
        let response = client.greet(from(&ada(&layer), greet_request("Hello"))).await;
        assert_eq!(response.err().map(|status| status.code()), expected);
    }
    // In the wrong order: the guard is outside the session layer.
    let server = Server::builder()
        .layer(RequireSessionLayer::new())
        .layer(layer.clone())
        .add_service(GreeterServer::new(Host));
    let mut client = start(|incoming| server.serve_with_incoming(incoming)).await;
    let refused = client.greet(from(&ada(&layer), greet_request("Hello"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    assert!(refused.message().contains("SessionLayer does not wrap this service"));
}

/// Adds the caller's identity to the request, without knowing the type of the claims.
fn caller(mut request: Request<()>) -> Result<Request<()>, Status> {
    let status = request.extensions().get::<SessionStatus>();
    let status = status.ok_or_else(|| Status::internal("no layer"))?;
    let identity = status.identity().cloned();
    let identity = identity.ok_or_else(|| Status::unauthenticated("from the interceptor"))?;
    request.extensions_mut().insert(identity);
    Ok(request)
}

#[tokio::test]
async fn grpc_interceptor_reads_the_callers_identity() {
    let (layer, ..) = layer();
    let server = Server::builder()
        .layer(layer.clone())
        .layer(InterceptorLayer::new(caller))
        .add_service(GreeterServer::new(Host));
    let mut client = start(|incoming| server.serve_with_incoming(incoming)).await;

    let refused = client.greet(Request::new(greet_request("Hello"))).await.unwrap_err();
    let expected = (Code::Unauthenticated, "from the interceptor");
    assert_eq!((refused.code(), refused.message()), expected);
    let response = client.greet(from(&ada(&layer), greet_request("Hello"))).await.unwrap();
    assert_eq!(response.get_ref().text, r#"Hello Ada Some(Subject("ada"))"#);
}

#[tokio::test]
async fn single_grpc_service_can_be_guarded() {
    let (layer, ..) = layer();
    let guarded = ServiceBuilder::new()
        .layer(RequireSessionLayer::new())
        .layer(InterceptorLayer::new(caller))
        .named_layer(GreeterServer::new(Host));
    let server = Server::builder().layer(layer.clone()).add_service(guarded);
    let mut client = start(|incoming| server.serve_with_incoming(incoming)).await;
    let refused = client.greet(Request::new(greet_request("Hello"))).await.unwrap_err();
    assert_eq!(refused.message(), "Sign in first.", "the guard runs before the interceptor");
    let response = client.greet(from(&ada(&layer), greet_request("Hello"))).await.unwrap();
    assert_eq!(response.get_ref().text, r#"Hello Ada Some(Subject("ada"))"#);
}

#[tokio::test]
async fn sign_out_endpoint_is_served_in_front_of_a_grpc_server() {
    let (layer, ..) = layer();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().layer(layer.clone()).add_service(GreeterServer::new(Host));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    let client = client.map_request(move |mut request: http::Request<Full<Bytes>>| {
        *request.uri_mut() = format!("http://{address}{}", request.uri()).parse().unwrap();
        request
    });
    let mut browser = ada(&layer);
    let response = browser.send(&client, post("/sign-out", "")).await;
    assert_eq!(response.status, StatusCode::SEE_OTHER);
    assert!(browser.cookies.is_empty());

    // The endpoint is for browsers: a request with a cookie must state its origin. gRPC clients sign out
    // by a method of the service, as above.
    let mut without_origin = post("/sign-out", "");
    assert_eq!(without_origin.headers_mut().remove(header::ORIGIN).unwrap(), ORIGIN);
    assert_eq!(ada(&layer).send(&client, without_origin).await.status, StatusCode::FORBIDDEN);
}

/// A client without cookies sends a bearer token as `authorization` metadata.
#[tokio::test]
async fn grpc_bearer_token_is_read_from_authorization_metadata() {
    let (builder, _) = engine_builder();
    let (layer, clock) = layer_on(builder.bearer_tokens(BearerTokens::new().accept(true)));
    let server = Server::builder()
        .layer(layer.clone())
        .layer(RequireSessionLayer::new())
        .add_service(GreeterServer::new(Host));
    let mut client = start(|incoming| server.serve_with_incoming(incoming)).await;
    let now = clock.now();
    let sign_in = SignIn::new(subject("ada"), user("Ada"));
    let request = signed_in(layer.engine(), sign_in, now, http::Request::new(())).unwrap();
    let session = layer.engine().open(&request, now).session().unwrap();
    let token = layer.engine().bearer_token(&session, &BearerTokenOptions::new(), now).unwrap();
    let call = |message| {
        let mut request = Request::new(message);
        let value = format!("bearer {}", token.as_str()).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        request
    };

    clock.advance(seconds(20));
    let response = client.greet(call(greet_request("Hello"))).await.unwrap();
    assert_eq!(
        (&*response.get_ref().text, set_cookies(response.metadata())),
        ("Hello Ada None", 0)
    );
    let response = client.greet(call(greet_request("sign out"))).await.unwrap();
    assert_eq!(set_cookies(response.metadata()), 0);
    let refused = client.greet(call(greet_request("Hello"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let challenge = refused.metadata().get("www-authenticate").unwrap();
    assert_eq!(challenge, "Bearer error=\"invalid_token\"");
    let refused = client.greet(Request::new(greet_request("Hello"))).await.unwrap_err();
    assert_eq!(refused.metadata().get("www-authenticate").unwrap(), "Cookie, Bearer");
}
