//! gRPC with sessions: a client is refused, signs in, and is then accepted.
//!
//! ```text
//! cargo run --example tonic
//! ```
//!
//! Server and client are one process. A gRPC client has no cookie jar: it sends the cookie as
//! metadata, and takes a renewed one from the metadata of any answer, streams included.

mod greeter;

use std::{error::Error, net::Ipv4Addr};

use futures::stream::{self, BoxStream, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{InterceptorLayer, LayerExt as _},
    transport::{Channel, Server, server::TcpIncoming},
};
use tower::ServiceBuilder;
use tower_auth_session::{
    Algorithm, KeyRing, RequireSessionLayer, Session, SessionEngine, SessionLayer, SessionStatus,
    SignIn, SigningKey, Subject,
    time::{Clock as _, SystemClock},
};

use self::greeter::{
    Count, CountDownRequest, GreetRequest, Greeter, GreeterClient, GreeterServer, Greeting,
};

/// The claims of every token.
#[derive(Serialize, Deserialize)]
struct Member {
    name: String,
}

struct Host;

#[tonic::async_trait]
impl Greeter for Host {
    async fn greet(&self, request: Request<GreetRequest>) -> Result<Response<Greeting>, Status> {
        // Behind the guard there is always a session; the check costs nothing and stays correct if
        // the guard is removed.
        let session = request.extensions().get::<Session<Member>>();
        let member = session.ok_or_else(|| Status::unauthenticated("sign in first"))?.claims();
        let text = format!("{}, {}!", request.get_ref().greeting, member.name);
        Ok(Response::new(Greeting { text }))
    }

    async fn count_down(
        &self,
        request: Request<CountDownRequest>,
    ) -> Result<Response<BoxStream<'static, Result<Count, Status>>>, Status> {
        let counts = (1..=request.get_ref().from).rev().map(|left| Ok(Count { left }));
        Ok(Response::new(stream::iter(counts).boxed()))
    }
}

/// An interceptor can name the caller without the claims type: status and identity have no type
/// parameter.
fn audit(request: Request<()>) -> Result<Request<()>, Status> {
    match request.extensions().get::<SessionStatus>().and_then(SessionStatus::identity) {
        Some(caller) => println!("server: a call by {}", caller.subject()),
        None => println!("server: a call by nobody"),
    }
    Ok(request)
}

/// Signs a user in and returns the cookie. In a real service a web page or another method does it with
/// the same call, on the jar of its request.
fn sign_in(engine: &SessionEngine<Member>) -> Result<MetadataValue<Ascii>, Box<dyn Error>> {
    let now = SystemClock::new().now();
    let jar = engine.open(&http::Request::new(()), now);
    jar.sign_in(SignIn::new(Subject::new("member-1")?, Member { name: "Ada".to_owned() }))?;
    let mut response = http::Response::new(());
    engine.close(&jar, &mut response, now)?;
    let set_cookie = response.headers().get("set-cookie").ok_or("no cookie")?.to_str()?;
    // Name and value: the attributes are for browsers.
    Ok(set_cookie.split(';').next().unwrap_or_default().parse()?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // A generated key: a real service loads one, so that its sessions survive a restart.
    let keys = KeyRing::new(SigningKey::generate("example", Algorithm::EdDsa)?);
    let engine =
        SessionEngine::<Member>::builder(keys).origin("https://app.example.com").build()?;

    // Guarded is this one service; on the server, `layer(RequireSessionLayer::new())` would guard
    // all of them.
    let greeter = ServiceBuilder::new()
        .layer(InterceptorLayer::new(audit))
        .layer(RequireSessionLayer::new())
        .named_layer(GreeterServer::new(Host));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = Server::builder()
        // The first layer is the outermost: everything that uses the session comes after it.
        .layer(SessionLayer::new(engine.clone()))
        .add_service(greeter)
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);

    let mut client = GreeterClient::new(Channel::from_shared(url)?.connect().await?);
    let hello = || Request::new(GreetRequest { greeting: "Hello".to_owned() });
    match client.greet(hello()).await {
        Err(status) => println!("client: refused: {:?}: {}", status.code(), status.message()),
        Ok(_) => return Err("let in without a session".into()),
    }

    let cookie = sign_in(&engine)?;
    let mut request = hello();
    request.metadata_mut().insert("cookie", cookie.clone());
    println!("client: let in: {}", client.greet(request).await?.into_inner().text);

    let mut request = Request::new(CountDownRequest { from: 3 });
    request.metadata_mut().insert("cookie", cookie);
    let mut counts = client.count_down(request).await?.into_inner();
    while let Some(count) = counts.message().await? {
        println!("client: {}", count.left);
    }
    Ok(())
}
