//! The layer in front of a plain tower service.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use tower::{Layer as _, service_fn};
use tower_auth_session::{Session, SessionJar, SignIn};

use crate::support::{Browser, User, get, layer, post, seconds, subject, user};

type Jar = SessionJar<User>;

/// An application: `/in` signs Ada in, `/out` signs out, other paths say who is signed in; `x-status`
/// and `x-cache` choose the status and Cache-Control of the answer.
async fn app(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let jar = request.extensions().get::<Jar>().expect("the layer").clone();
    match request.uri().path() {
        "/in" => {
            jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
        }
        "/out" => {
            jar.sign_out();
        }
        _ => {}
    }
    let who = request
        .extensions()
        .get::<Session<User>>()
        .map_or_else(|| "nobody".to_owned(), |session| session.claims().name.clone());
    let mut response = Response::new(Full::from(who));
    if let Some(status) = request.headers().get("x-status") {
        *response.status_mut() = status.to_str().unwrap().parse().unwrap();
    }
    if let Some(value) = request.headers().get("x-cache") {
        response.headers_mut().insert(header::CACHE_CONTROL, value.clone());
    }
    Ok(response)
}

#[tokio::test]
async fn a_session_from_sign_in_to_sign_out() {
    let (layer, clock, events) = layer();
    let service = layer.layer(service_fn(app));
    let mut ada = Browser::default();

    let answer = ada.send(&service, get("/")).await;
    assert_eq!((answer.text(), answer.set_cookies().len()), ("nobody", 0));

    let answer = ada.send(&service, post("/in", "")).await;
    let set = answer.set_cookies();
    assert_eq!(set.len(), 1);
    assert!(set[0].ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=100"), "{set:?}");
    assert_eq!(answer.header("cache-control"), "private, no-store");

    clock.advance(seconds(9));
    let answer = ada.send(&service, get("/")).await;
    assert_eq!((answer.text(), answer.set_cookies().len()), ("Ada", 0), "young tokens stay");
    assert_eq!(answer.header("vary"), "Cookie");

    clock.advance(seconds(1));
    let answer = ada.send(&service, post("/", "")).await;
    assert_eq!((answer.text(), answer.set_cookies().len()), ("Ada", 1), "renewed on a POST too");

    let copied = ada.clone();
    let answer = ada.send(&service, post("/out", "")).await;
    assert!(answer.set_cookies()[0].starts_with("__Host-session=; "));
    assert!(ada.cookies.is_empty());
    assert_eq!(ada.send(&service, get("/")).await.text(), "nobody");
    assert_eq!(copied.clone().send(&service, get("/")).await.text(), "nobody", "copies are dead");

    let names: Vec<_> = events
        .take()
        .iter()
        .map(|event| format!("{event:?}").split([' ', '{']).next().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["SignedIn", "Renewed", "SignedOut", "Rejected"]);
}
