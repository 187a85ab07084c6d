//! The services that other JWT libraries are tested with: an issuer for each algorithm, which signs in
//! every client, and a service that only verifies tokens, of these issuers and of `INTEROP_ISSUERS`.
//!
//! Prints their addresses in one line of JSON, and ends when its standard input ends.

use std::{
    error::Error,
    io,
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower_auth_session::{
    Algorithm, KeyRing, Session, SessionEngine, SessionJar, SessionLayer, SignIn, SigningKey,
    Subject,
    config::CookieConfig,
    error::SignInError,
    event::SessionEvent,
    verify_only::{HttpJwksFetcher, TrustedIssuer},
};

/// The audience and the authorized party of other libraries' tokens.
const AUDIENCE: &str = "https://api.example.com";
const PARTY: &str = "https://app.example.com";

#[derive(Clone, Serialize, Deserialize)]
struct Claims {
    name: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut issuers, mut trusted) = (serde_json::Map::new(), Vec::new());
    for key in keys()? {
        let (algorithm, socket, url) = (key.algorithm(), listen()?, String::new());
        let url = url + &format!("http://{}", socket.local_addr()?);
        serve(socket, issuer(&url, key)?)?;
        trusted.push(
            TrustedIssuer::new(&url).algorithms([algorithm]).authorized_parties([url.as_str()]),
        );
        issuers.insert(algorithm.to_string(), json!(url));
    }
    let others = std::env::var("INTEROP_ISSUERS")?;
    for url in others.split(',').filter(|url| !url.is_empty()) {
        trusted.push(
            TrustedIssuer::new(url)
                .audience(AUDIENCE)
                .authorized_parties([PARTY])
                .min_refetch_interval(std::time::Duration::from_secs(1)),
        );
    }
    let socket = listen()?;
    let verifier = format!("http://{}", socket.local_addr()?);
    serve(socket, service(trusted)?)?;
    println!("{}", json!({ "issuers": issuers, "verifier": verifier }));
    // Blocks a separate thread until the parent process has ended.
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    Ok(())
}

fn keys() -> Result<[SigningKey; 4], Box<dyn Error>> {
    let rsa = include_str!("../vectors/keys/rsa2048.pem");
    Ok([
        SigningKey::from_pem(
            "ed-1",
            Algorithm::EdDsa,
            include_str!("../vectors/keys/ed25519.pem"),
        )?,
        SigningKey::from_pem("ec-1", Algorithm::Es256, include_str!("../vectors/keys/p256.pem"))?,
        SigningKey::from_pem("rs-1", Algorithm::Rs256, rsa)?,
        SigningKey::from_pem("ps-1", Algorithm::Ps256, rsa)?,
    ])
}

/// Signs in every client. The layer's own endpoints serve the token and the key set.
fn issuer(url: &str, key: SigningKey) -> Result<Router, Box<dyn Error>> {
    let engine = SessionEngine::<Claims>::builder(KeyRing::new(key))
        .origin(url)
        .issuer(url)
        .cookie(CookieConfig::new("session").insecure_for_development())
        .build()?;
    Ok(Router::new().route("/sign-in", post(sign_in)).layer(SessionLayer::new(engine)))
}

async fn sign_in(jar: SessionJar<Claims>) -> Result<StatusCode, SignInError> {
    let subject = Subject::new("user_1").map_err(|_| SignInError::Random)?;
    jar.sign_in(SignIn::new(subject, Claims { name: "Ada".to_owned() }))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Responds with the user's name, or with the reason of the rejection, which a real service keeps secret.
fn service(trusted: Vec<TrustedIssuer>) -> Result<Router, Box<dyn Error>> {
    let reason_of_rejection = Arc::new(Mutex::new(String::new()));
    let recorded = Arc::clone(&reason_of_rejection);
    let engine = SessionEngine::<Claims>::verify_only(trusted)
        .on_event(move |event| {
            if let SessionEvent::CredentialRejected { reason, .. } = event {
                *recorded.lock().unwrap_or_else(PoisonError::into_inner) = reason.to_string();
            }
        })
        .build()?;
    let handler = move |session: Option<Session<Claims>>, _: HeaderMap| async move {
        match session {
            Some(session) => (StatusCode::OK, session.claims().name.clone()),
            None => {
                let reason =
                    reason_of_rejection.lock().unwrap_or_else(PoisonError::into_inner).clone();
                (StatusCode::UNAUTHORIZED, reason)
            }
        }
    };
    let layer = SessionLayer::new(engine).jwks_fetcher(HttpJwksFetcher::new()?);
    Ok(Router::new().route("/", get(handler)).layer(layer))
}

fn listen() -> io::Result<TcpListener> {
    let socket = TcpListener::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn serve(socket: TcpListener, app: Router) -> io::Result<()> {
    let socket = tokio::net::TcpListener::from_std(socket)?;
    tokio::spawn(async move { axum::serve(socket, app).await });
    Ok(())
}
