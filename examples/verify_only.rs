//! Two services: one signs users in and publishes its keys, the other issues no tokens and accepts
//! those of the first. They share no secret, no store and no code. The program ends by itself:
//! `cargo run --example verify_only --features jwks-http`.

use std::{error::Error, io};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use tower_auth_session::{
    Algorithm, KeyRing, RequireSessionLayer, Session, SessionEngine, SessionJar, SessionLayer,
    SignIn, SigningKey, Subject,
    config::CookieConfig,
    verify_only::{HttpJwksFetcher, TrustedIssuer},
};

#[derive(Clone, Serialize, Deserialize)]
struct User {
    name: String,
}

/// The service that signs users in, at `url`.
fn accounts(url: &str) -> Result<Router, Box<dyn Error>> {
    let keys = KeyRing::new(SigningKey::generate("2026-11", Algorithm::EdDsa)?);
    let engine = SessionEngine::<User>::builder(keys)
        .origin(url)
        .issuer(url)
        .cookie(CookieConfig::new("session").insecure_for_development())
        .build()?;
    let sign_in = |jar: SessionJar<User>| async move {
        let subject = Subject::new("1815").map_err(|_| StatusCode::BAD_REQUEST)?;
        let ada = User { name: "Ada".to_owned() };
        jar.sign_in(SignIn::new(subject, ada)).map_err(|_| StatusCode::BAD_REQUEST)?;
        Ok::<_, StatusCode>(StatusCode::NO_CONTENT)
    };
    // The layer answers `POST /session/token` and `GET /.well-known/jwks.json` itself.
    Ok(Router::new().route("/sign-in", post(sign_in)).layer(SessionLayer::new(engine)))
}

/// The service that issues no tokens and accepts those of `accounts`.
fn reports(accounts: &str) -> Result<(Router, SessionLayer<User>), Box<dyn Error>> {
    let issuer =
        TrustedIssuer::new(accounts).algorithms([Algorithm::EdDsa]).authorized_parties([accounts]);
    let engine = SessionEngine::<User>::verify_only([issuer]).build()?;
    let layer = SessionLayer::new(engine).jwks_fetcher(HttpJwksFetcher::new()?);
    let report = |session: Session<User>| async move {
        format!("a report for {} ({})", session.claims().name, session.subject())
    };
    let router = Router::new()
        .route("/report", get(report))
        .route_layer(RequireSessionLayer::new())
        .layer(layer.clone());
    Ok((router, layer))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let accounts = accounts(&url)?;
    let served = accounts.clone();
    let server = tokio::spawn(async move { axum::serve(listener, served).await });
    let (reports, layer) = reports(&url)?;
    // Keeps the keys of the issuer fresh.
    let background = tokio::spawn(layer.background());

    println!("without a token: {}", ask(&reports, None).await?);

    let token = token(&accounts, &url).await?;
    let answer = ask(&reports, Some(&token)).await?;
    println!("with a token of {url}: {answer}");
    if !answer.starts_with("200 OK: a report for Ada") {
        return Err("the token was refused".into());
    }

    let mut forged = token;
    forged.truncate(forged.len() - 4);
    forged.push_str("AAAA");
    println!("with a forged one: {}", ask(&reports, Some(&forged)).await?);

    background.abort();
    server.abort();
    Ok(())
}

/// Signs in as a browser does, and requests a bearer token as its script does.
async fn token(accounts: &Router, url: &str) -> Result<String, Box<dyn Error>> {
    let sign_in = Request::post("/sign-in").header(header::ORIGIN, url).body(Body::empty())?;
    let answer = accounts.clone().oneshot(sign_in).await?;
    let cookie = answer.headers().get(header::SET_COOKIE).ok_or("the sign-in set no cookie")?;
    let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
    let request = Request::post("/session/token")
        .header(header::ORIGIN, url)
        .header(header::COOKIE, pair)
        .body(Body::empty())?;
    let answer = accounts.clone().oneshot(request).await?;
    let body = to_bytes(answer.into_body(), 8 * 1024).await?;
    let token = serde_json::from_slice::<serde_json::Value>(&body)?;
    Ok(token["token"].as_str().ok_or("there is no token")?.to_owned())
}

/// The service's response to a script that sends `token`.
async fn ask(reports: &Router, token: Option<&str>) -> Result<String, Box<dyn Error>> {
    let mut request = Request::get("/report");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let answer = reports.clone().oneshot(request.body(Body::empty())?).await?;
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 8 * 1024).await?;
    let text = String::from_utf8(body.into()).map_err(io::Error::other)?;
    Ok(format!("{status}: {text}"))
}
