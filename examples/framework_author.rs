//! The engine in a custom framework: no async, no Tower, and a clock that is passed in as a value.
//!
//! ```text
//! cargo run --example framework_author
//! ```
//!
//! A framework calls `open` when it has received the head of a request, and `close` when the head of
//! the response is ready. In between the application uses a jar: it reads the session and requests
//! changes. Time is a value, so this program simulates a day without waiting.

use std::{error::Error, time::Duration};

use http::{Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use tower_auth_session::{
    Algorithm, KeyRing, SessionEngine, SessionJar, SessionLifetime, SignIn, SigningKey, Subject,
    time::Timestamp,
};

/// The application's part of the token.
#[derive(Serialize, Deserialize)]
struct Member {
    name: String,
}

/// The application: it sees requests and its jar, and knows nothing of cookies.
fn application(request: &Request<()>, jar: &SessionJar<Member>) -> Response<String> {
    let mut response = Response::new(String::new());
    match request.uri().path() {
        "/sign-in" => {
            // A real application has verified a password or a passkey by now.
            let subject = Subject::new("member-1").map_err(|error| error.to_string());
            let member = Member { name: "Ada".to_owned() };
            let outcome = subject.and_then(|subject| {
                jar.sign_in(SignIn::new(subject, member)).map_err(|error| error.to_string())
            });
            match outcome {
                Ok(_) => *response.body_mut() = "welcome".to_owned(),
                Err(error) => {
                    *response.status_mut() = StatusCode::FORBIDDEN;
                    *response.body_mut() = error;
                }
            }
        }
        "/sign-out" => {
            // `sign_in` refuses cross-site requests by itself; a route that signs out must check
            // `Sec-Fetch-Site` and `Origin`, as every route that changes something.
            jar.sign_out();
            *response.body_mut() = "goodbye".to_owned();
        }
        _ => match jar.session() {
            Some(session) => *response.body_mut() = format!("you are {}", session.claims().name),
            None => {
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                *response.body_mut() = "who are you?".to_owned();
            }
        },
    }
    response
}

/// The framework: what it does around every request.
fn serve(
    engine: &SessionEngine<Member>,
    request: &Request<()>,
    now: Timestamp,
) -> Response<String> {
    // Read the clock first: a token signed for this request is as old as the request.
    let jar = engine.open(request, now);
    // A framework with a claims source or a store uses `jar.driver()` here and after the handler:
    // `claims_request()` and `renewal_request()` return what to look up, `handle_claims(..)` and
    // `handle_renewal(..)` take the result.
    let mut response = application(request, &jar);
    // Read the clock again: the cookie's Max-Age counts from the moment the head is sent.
    if engine.close(&jar, &mut response, now).is_err() {
        // The application signed a user in without claims, so its response must not be sent.
        response = Response::new("this did not work".to_owned());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}

/// A browser of one cookie.
#[derive(Clone, Default)]
struct Browser(Option<String>);

impl Browser {
    fn send(
        &mut self,
        engine: &SessionEngine<Member>,
        method: &str,
        path: &str,
        now: Timestamp,
    ) -> Result<(), Box<dyn Error>> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(cookie) = &self.0 {
            request = request.header(header::COOKIE, cookie);
        }
        let response = serve(engine, &request.body(())?, now);
        println!("{method} {path}: {} {}", response.status(), response.body());
        if let Some(set_cookie) = response.headers().get(header::SET_COOKIE) {
            let set_cookie = set_cookie.to_str()?;
            let (pair, attributes) = set_cookie.split_once(';').unwrap_or((set_cookie, ""));
            let (name, token) = pair.split_once('=').unwrap_or((pair, ""));
            // The token is as good as a password: do not print it.
            println!("    {name} = {} bytes;{attributes}", token.len());
            self.0 = (!token.is_empty()).then(|| pair.to_owned());
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let keys = KeyRing::new(SigningKey::generate("example", Algorithm::Hs256)?);
    let day = Duration::from_secs(24 * 3600);
    let engine = SessionEngine::<Member>::builder(keys)
        .lifetime(SessionLifetime::new().inactivity_timeout(day).maximum_lifetime(7 * day))
        .origin("https://app.example.com")
        .build()?;

    let start = Timestamp::from_unix_seconds(1_800_000_000);
    let after = |duration| start.saturating_add(duration);
    let mut browser = Browser::default();
    browser.send(&engine, "GET", "/me", start)?;
    browser.send(&engine, "POST", "/sign-in", start)?;

    println!("\nhalf a minute later: the token is accepted without a renewal");
    browser.send(&engine, "GET", "/me", after(Duration::from_secs(30)))?;
    println!("\ntwo minutes later: it is renewed, on any method");
    browser.send(&engine, "POST", "/me", after(Duration::from_secs(120)))?;

    println!("\nsigned out: the cookie is removed, and this process rejects a copy of it");
    let mut thief = browser.clone();
    browser.send(&engine, "POST", "/sign-out", after(Duration::from_secs(180)))?;
    thief.send(&engine, "GET", "/me", after(Duration::from_secs(181)))?;

    println!("\nsigned in and inactive for a day: the session has expired");
    browser.send(&engine, "POST", "/sign-in", after(day))?;
    browser.send(&engine, "GET", "/me", after(2 * day))?;
    Ok(())
}
