//! Requests that name their session.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use tower::{Layer as _, service_fn};
use tower_auth_session::{RequireSessionLayer, Session, SignIn};

use super::{MISMATCH, POINTER, Site, naming};
use crate::support::{Browser, SID_A, User, engine_builder, get, layer_on, subject, user};

#[test]
fn a_named_session_is_served_or_nobody() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let (a, b) = (ada.to_string(), bob.to_string());
    assert_eq!((site.who_named(&a), site.who_named(&b), site.who()), (Ok(ada), Ok(bob), Ok(bob)));
    assert_eq!(site.who_at(naming(&[&a, &a])), Ok(ada), "twice the same");
    for names in [
        &[SID_A][..],
        &[&a, &b],
        &[&a, "x"],
        &["x", &a],
        &[""],
        &["none"],
        &["active"],
        &[&a[1..]],
        &[&format!("{a}, {b}")],
        &[&format!("{a}=")],
        &[&a.to_lowercase()],
    ] {
        assert_eq!(site.who_at(naming(names)), MISMATCH, "{names:?}");
    }
    let mut request = get("/");
    let bytes = header::HeaderValue::from_bytes(b"\xff").unwrap();
    request.headers_mut().insert("session-id", bytes);
    assert_eq!(site.who_at(request), MISMATCH);
    site.post(|jar| jar.sign_out_session(ada));
    assert_eq!(site.who_named(&a), MISMATCH, "never as another");
}

#[tokio::test]
async fn the_guard_answers_a_mismatch_with_409_and_choose_state_with_401() {
    let (builder, _) = engine_builder();
    let (layer, _) = layer_on(builder.multi_session(true));
    let mut browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("ada")));
    let guarded = RequireSessionLayer::new().layer(service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("private")))
    }));
    let service = layer.layer(guarded);
    assert_eq!(browser.send(&service, get("/")).await.status, StatusCode::OK);
    let response = browser.send(&service, naming(&[SID_A])).await;
    assert_eq!(response.status, StatusCode::CONFLICT);
    assert!(response.text().contains("session_mismatch"), "{}", response.text());
    browser.cookies.insert(POINTER.to_owned(), "none".to_owned());
    let response = browser.send(&service, get("/")).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert!(response.text().contains("choose"), "{}", response.text());
}

#[test]
fn a_query_names_a_session_where_that_is_configured() {
    let mut site = Site::with(|builder| builder.named_by_query("s"));
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    assert_eq!(site.who_at(get(&format!("/?x=1&s={ada}&y"))), Ok(ada));
    assert_eq!(site.who_at(get(&format!("/?S={ada}&ss={ada}"))), Ok(bob));
    for query in
        [format!("s={ada}&s={bob}"), "s=".to_owned(), "s".to_owned(), format!("s=%41{ada}")]
    {
        assert_eq!(site.who_at(get(&format!("/?{query}"))), MISMATCH, "{query}");
    }
    let mut request = naming(&[ada.as_str()]);
    *request.uri_mut() = format!("/?s={bob}").parse().unwrap();
    assert_eq!(site.who_at(request), MISMATCH, "header and query disagree");

    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    assert_eq!(site.who_at(get(&format!("/?s={ada}&session-id={ada}&session_id={ada}"))), Ok(bob));
}

#[test]
fn without_several_accounts_a_request_names_nobody() {
    let mut site = Site::with(|builder| builder.multi_session(false).named_by_query("s"));
    let ada = site.sign_in("ada");
    assert_eq!(site.who_named(SID_A), Ok(ada));
    assert_eq!(site.who_at(get(&format!("/?s={SID_A}"))), Ok(ada));
}

#[tokio::test]
async fn a_response_varies_by_the_header_that_names_the_session() {
    let (builder, _) = engine_builder();
    let (layer, _) = layer_on(builder.multi_session(true));
    let mut browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("ada")));
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        let session = request.extensions().get::<Session<User>>().unwrap();
        let response = Response::builder().header("cache-control", "private, max-age=60");
        Ok::<_, Infallible>(response.body(Full::<Bytes>::from(session.id().to_string())).unwrap())
    }));
    let answer = browser.send(&service, get("/")).await;
    let vary = answer.header("vary").to_ascii_lowercase();
    assert!(vary.contains("session-id"), "two tabs send the same cookies: {vary}");
}
