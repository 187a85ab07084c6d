//! gRPC with bearer tokens: a user signs in with a cookie and requests a token, and a client without
//! cookies sends it as `authorization` metadata. A stream ends when the token or the session expires.
//!
//! `cargo run --example bearer_tonic`. It ends by itself, and fails if a step does.

#[path = "../tonic/greeter.rs"]
mod greeter;

use std::{error::Error, net::Ipv4Addr, time::Duration};

use futures::{
    future,
    stream::{self, BoxStream, StreamExt as _},
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Server, server::TcpIncoming},
};
use tower_auth_session::{
    Algorithm, KeyRing, RequireSessionLayer, Session, SessionEngine, SessionLayer, SessionStatus,
    SignIn, SigningKey, Subject,
    bearer::{BearerTokenOptions, BearerTokens},
    time::{Clock as _, SystemClock},
};

use self::greeter::{
    Count, CountDownRequest, GreetRequest, Greeter, GreeterClient, GreeterServer, Greeting,
};

type Failure = Box<dyn Error>;

/// The claims of every token.
#[derive(Serialize, Deserialize)]
struct Member {
    name: String,
}

struct Host;

fn session<M>(request: &Request<M>) -> Result<&Session<Member>, Status> {
    request.extensions().get().ok_or_else(|| Status::unauthenticated("sign in first"))
}

#[tonic::async_trait]
impl Greeter for Host {
    /// `bye` signs out the session of the bearer token.
    async fn greet(&self, request: Request<GreetRequest>) -> Result<Response<Greeting>, Status> {
        let text = format!("hello, {}", session(&request)?.claims().name);
        if request.get_ref().greeting == "bye" {
            let jar = request.extensions().get().and_then(SessionStatus::jar::<Member>);
            jar.ok_or_else(|| Status::internal("no session layer"))?.sign_out();
        }
        Ok(Response::new(Greeting { text }))
    }

    /// Counts while the caller is signed in, and stops when the token expires.
    async fn count_down(
        &self,
        request: Request<CountDownRequest>,
    ) -> Result<Response<BoxStream<'static, Result<Count, Status>>>, Status> {
        let ended = session(&request)?.ended();
        let counts = stream::unfold(request.get_ref().from, |left| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok(Count { left }), left.checked_sub(1)?))
        });
        let last = stream::once(future::ready(Err(Status::unauthenticated("no longer"))));
        Ok(Response::new(counts.take_until(ended).chain(last).boxed()))
    }
}

/// Signs a user in and issues a token of the session. In a real service a browser does it: a page
/// signs in, and its script sends `POST /session/token`.
fn token(engine: &SessionEngine<Member>, lifetime: u64) -> Result<String, Failure> {
    let now = SystemClock::new().now();
    let jar = engine.open(&http::Request::new(()), now);
    jar.sign_in(SignIn::new(Subject::new("member-1")?, Member { name: "Ada".to_owned() }))?;
    let session = jar.session().ok_or("nobody signed in")?;
    engine.close(&jar, &mut http::Response::new(()), now)?;
    let options = BearerTokenOptions::new().lifetime(Duration::from_secs(lifetime));
    let token = engine.bearer_token(&session, &options, now)?;
    Ok(token.as_str().to_owned())
}

/// What a client adds to each of its calls.
fn authorized<M>(token: &str, message: M) -> Result<Request<M>, Failure> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
    // Not in a log, and not in HTTP/2's table of headers.
    value.set_sensitive(true);
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", value);
    Ok(request)
}

fn say(greeting: &str) -> GreetRequest {
    GreetRequest { greeting: greeting.to_owned() }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    // A generated key: a real service loads one, so that its sessions survive a restart.
    let keys = KeyRing::new(SigningKey::generate("example", Algorithm::EdDsa)?);
    let engine = SessionEngine::<Member>::builder(keys)
        .origin("https://app.example.com")
        .bearer_tokens(BearerTokens::new().accept(true))
        .build()?;

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = Server::builder()
        // The first layer is the outermost.
        .layer(SessionLayer::new(engine.clone()))
        .layer(RequireSessionLayer::new())
        .add_service(GreeterServer::new(Host))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    let mut client = GreeterClient::new(Channel::from_shared(url)?.connect().await?);

    for nobody in [Request::new(say("hello")), authorized("nonsense", say("hello"))?] {
        let refused = client.greet(nobody).await.err().ok_or("let in without a session")?;
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
    println!("without a token, and with one that is none: refused");

    let ada = token(&engine, 60)?;
    let answer = client.greet(authorized(&ada, say("hello"))?).await?;
    assert_eq!(answer.get_ref().text, "hello, Ada");
    assert!(answer.metadata().get("set-cookie").is_none(), "a bearer token is never renewed");
    println!("with a token: {}", answer.get_ref().text);

    // A token of two seconds, and a stream that would take a minute.
    let brief = token(&engine, 2)?;
    let request = authorized(&brief, CountDownRequest { from: 3_000 })?;
    let (counts, end) = follow(client.count_down(request).await?).await?;
    assert!(counts > 0 && counts < 1_000, "{counts}");
    assert_eq!(end, Code::Unauthenticated);
    println!("a stream ended with its token, after {counts} messages");

    // Signed out during a stream.
    let request = authorized(&ada, CountDownRequest { from: 3_000 })?;
    let stream = client.count_down(request).await?;
    client.greet(authorized(&ada, say("bye"))?).await?;
    let (counts, end) = follow(stream).await?;
    assert!(counts < 1_000, "{counts}");
    assert_eq!(end, Code::Unauthenticated);
    println!("a stream ended with its session, after {counts} messages");

    let refused = client.greet(authorized(&ada, say("hello"))?).await.err().ok_or("still in")?;
    assert_eq!(refused.code(), Code::Unauthenticated);
    println!("the token of a session that is over: refused, though it would last a minute");
    Ok(())
}

/// How many messages came, and how the stream ended.
async fn follow(stream: Response<tonic::Streaming<Count>>) -> Result<(u32, Code), Failure> {
    let (mut stream, mut counts) = (stream.into_inner(), 0);
    loop {
        match stream.message().await {
            Ok(Some(_)) => counts += 1,
            Ok(None) => return Err("the stream ended without a word".into()),
            Err(status) => return Ok((counts, status.code())),
        }
    }
}
