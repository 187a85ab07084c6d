//! A WebSocket outlives its request and is closed when its session ends.

use std::time::Duration;

use axum::{
    Router,
    extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    response::Response,
    routing::get as on_get,
};
use futures::{SinkExt as _, StreamExt as _};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::io::DuplexStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message as Received, client::IntoClientRequest as _},
};
use tower_auth_session::Session;

use super::fixture::Node;
use crate::support::{Browser, ORIGIN, User, subject};

/// The close code 'policy violation' of RFC 6455 §7.4.1: the client is no longer signed in.
const POLICY: u16 = 1008;

async fn open(session: Session<User>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| echo(session, socket))
}

async fn echo(session: Session<User>, mut socket: WebSocket) {
    let mut ended = std::pin::pin!(session.ended());
    loop {
        tokio::select! {
            () = &mut ended => {
                let close = CloseFrame { code: POLICY, reason: "signed out".into() };
                let _ = socket.send(Message::Close(Some(close))).await;
                return;
            }
            message = socket.recv() => match message {
                Some(Ok(message @ Message::Text(_))) => drop(socket.send(message).await),
                Some(Ok(_)) => {}
                _ => return,
            },
        }
    }
}

/// A socket to `node` that `browser` opens from a page of `origin`.
async fn connect(
    node: &Node,
    browser: &Browser,
    origin: &str,
) -> Result<WebSocketStream<DuplexStream>, Error> {
    let (client, server) = tokio::io::duplex(4096);
    let app = Router::new().route("/socket", on_get(open)).layer(node.layer.clone());
    tokio::spawn(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(server), TowerToHyperService::new(app))
            .with_upgrades(),
    );
    let mut request = "wss://app.example.com/socket".into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("origin", origin.parse().unwrap());
    if let Some(cookies) = browser.cookie_header() {
        headers.insert("cookie", cookies.parse().unwrap());
    }
    client_async(request, client).await.map(|(socket, _)| socket)
}

fn rejection_status(outcome: Result<WebSocketStream<DuplexStream>, Error>) -> u16 {
    match outcome {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn websocket_closes_within_a_second_of_a_revocation_elsewhere() {
    let node = Node::new();
    let elsewhere = node.sibling(|builder| builder);
    let background = tokio::spawn(node.layer.background());
    let browser = node.sign_in("ada").await;
    let bystander = node.sign_in("bob").await;
    let mut socket = connect(&node, &browser, ORIGIN).await.unwrap();
    let mut other = connect(&node, &bystander, ORIGIN).await.unwrap();
    for socket in [&mut socket, &mut other] {
        socket.send("hello".into()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Received::text("hello"));
    }

    let sessions = elsewhere.layer.sessions().unwrap();
    sessions.revoke_all_of(&subject("ada")).await.unwrap();
    // The paused time advances only when all tasks are idle.
    let closed = tokio::time::timeout(Duration::from_secs(1), socket.next()).await;
    let Ok(Some(Ok(Received::Close(Some(frame))))) = closed else { panic!("{closed:?}") };
    assert_eq!(u16::from(frame.code), POLICY);
    other.send("still here".into()).await.unwrap();
    assert_eq!(other.next().await.unwrap().unwrap(), Received::text("still here"));
    assert_eq!(rejection_status(connect(&node, &browser, ORIGIN).await), 401);
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn cross_site_websocket_has_no_session() {
    let node = Node::new();
    let browser = node.sign_in("ada").await;
    assert_eq!(rejection_status(connect(&node, &browser, "https://evil.example").await), 403);
    assert_eq!(rejection_status(connect(&node, &Browser::default(), ORIGIN).await), 401);
}
