//! A site on hyper without a framework: the layer around one function.
//!
//! ```text
//! cargo run --example hyper                      # http://127.0.0.1:3001
//! LISTEN=127.0.0.1:8080 cargo run --example hyper
//! ```
//!
//! Any name is accepted: authentication belongs to the application, and this example shows what comes
//! after it. The cookie is not `Secure`, because WebKit (Safari) keeps no such cookie over plain http.

use std::{convert::Infallible, env, error::Error};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{
    Algorithm, KeyRing, RequireSessionLayer, Session, SessionEngine, SessionLayer, SessionStatus,
    SignIn, SigningKey, Subject,
    config::{CookieConfig, RedirectUrls},
    error::SignInError,
};

/// The application's claims: signed, not encrypted, so they contain no secret.
#[derive(Serialize, Deserialize)]
struct Member {
    name: String,
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn site(request: Request<Incoming>) -> Result<Answer, Infallible> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => Ok(answer(StatusCode::OK, "text/html; charset=utf-8", HOME)),
        (&Method::POST, "/sign-in") => Ok(sign_in(request).await),
        // The guard is a service. It redirects a browser to the sign-in page, with the requested page
        // in `redirect_url`, and answers 401 to a script.
        (&Method::GET, "/me") => {
            let guarded = RequireSessionLayer::new().layer(service_fn(me));
            Ok(guarded.oneshot(request).await?.map(BodyExt::boxed))
        }
        // No body, so that it answers HEAD too: in HTTP/2 hyper would send it.
        _ => Ok(text(StatusCode::NOT_FOUND, "")),
    }
}

async fn me(request: Request<Incoming>) -> Result<Answer, Infallible> {
    Ok(match request.extensions().get::<Session<Member>>() {
        Some(session) => {
            let name = &session.claims().name;
            let away = session.expires_at().saturating_since(session.last_active_at());
            let hours = away.as_secs() / 3600;
            // Plain text, because the name is user input.
            text(
                StatusCode::OK,
                format!("You are {name}, unless you stay away for {hours} hours.\n"),
            )
        }
        None => text(StatusCode::UNAUTHORIZED, "who are you?"),
    })
}

async fn sign_in(request: Request<Incoming>) -> Answer {
    // The layer always inserts it: without the layer no user can be signed in.
    let Some(jar) = request.extensions().get().and_then(SessionStatus::jar::<Member>) else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "no session layer");
    };
    let Ok(body) = Limited::new(request.into_body(), 1024).collect().await else {
        return text(StatusCode::BAD_REQUEST, "the form could not be read");
    };
    let form = body.to_bytes();
    let name = url::form_urlencoded::parse(&form)
        .find_map(|(key, value)| (key == "name").then(|| value.into_owned()))
        .unwrap_or_default();
    let Ok(subject) = Subject::new(&name) else {
        return text(StatusCode::UNPROCESSABLE_ENTITY, "a name, please");
    };
    match jar.sign_in(SignIn::new(subject, Member { name })) {
        Ok(_) => {
            let mut response = text(StatusCode::SEE_OTHER, "");
            response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/me"));
            response
        }
        Err(SignInError::CrossOrigin(_)) => text(StatusCode::FORBIDDEN, "not from that page"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain; charset=utf-8", body)
}

fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Signing out needs no route: the layer answers `POST /sign-out`.
const HOME: &str = r#"<!doctype html><html lang="en"><title>hyper</title>
<form method="post" action="/sign-in"><label>Name <input name="name" required></label>
<button>Sign in</button></form>
<p><a href="/me">Who am I?</a></p>
<form method="post" action="/sign-out"><button>Sign out</button></form></html>
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3001".to_owned());
    // A generated key: a real site loads one, so that its sessions survive a restart.
    let keys = KeyRing::new(SigningKey::generate("example", Algorithm::Hs256)?);
    let engine = SessionEngine::<Member>::builder(keys)
        .redirect_urls(RedirectUrls::new().sign_in_url("/"))
        // A real site is served over https, without this line.
        .cookie(CookieConfig::default().insecure_for_development())
        // Without an origin, 127.0.0.1 and localhost both work. A real site sets its own:
        // `.origin("https://app.example.com")`.
        .build()?;
    let service = SessionLayer::new(engine).layer(service_fn(site));

    let listener = TcpListener::bind(&listen).await?;
    println!("http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            // HTTP/1.1 and HTTP/2. An error on a connection concerns only its client.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
