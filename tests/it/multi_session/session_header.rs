//! Requests with a `session-id` header or query parameter.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use tower::{Layer as _, service_fn};
use tower_auth_session::{RequireSessionLayer, Session, SignIn};

use super::{ACTIVE_COOKIE, MISMATCH, Site, with_session_header};
use crate::support::{Browser, SID_A, User, engine_builder, get, layer_on, subject, user};

#[test]
fn request_with_a_session_header_gets_that_session_or_a_mismatch() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let (a, b) = (ada.to_string(), bob.to_string());
    assert_eq!(
        (site.session_with_header(&a), site.session_with_header(&b), site.current_session()),
        (Ok(ada), Ok(bob), Ok(bob))
    );
    assert_eq!(site.session_for(with_session_header(&[&a, &a])), Ok(ada), "equal headers");
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
        assert_eq!(site.session_for(with_session_header(names)), MISMATCH, "{names:?}");
    }
    let mut request = get("/");
    let bytes = header::HeaderValue::from_bytes(b"\xff").unwrap();
    request.headers_mut().insert("session-id", bytes);
    assert_eq!(site.session_for(request), MISMATCH);
    site.post(|jar| jar.sign_out_session(ada));
    assert_eq!(site.session_with_header(&a), MISMATCH, "no other account is used");
}

#[tokio::test]
async fn guard_responds_to_a_mismatch_with_409_and_to_account_selection_with_401() {
    let (builder, _) = engine_builder();
    let (layer, _) = layer_on(builder.multi_session(true));
    let mut browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("ada")));
    let guarded = RequireSessionLayer::new().layer(service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("private")))
    }));
    let service = layer.layer(guarded);
    assert_eq!(browser.send(&service, get("/")).await.status, StatusCode::OK);
    let response = browser.send(&service, with_session_header(&[SID_A])).await;
    assert_eq!(response.status, StatusCode::CONFLICT);
    assert!(response.text().contains("session_mismatch"), "{}", response.text());
    browser.cookies.insert(ACTIVE_COOKIE.to_owned(), "none".to_owned());
    let response = browser.send(&service, get("/")).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert!(response.text().contains("choose"), "{}", response.text());
}

#[test]
fn query_parameter_selects_the_session_if_configured() {
    let mut site = Site::with(|builder| builder.session_query_param("s"));
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    assert_eq!(site.session_for(get(&format!("/?x=1&s={ada}&y"))), Ok(ada));
    assert_eq!(site.session_for(get(&format!("/?S={ada}&ss={ada}"))), Ok(bob));
    for query in
        [format!("s={ada}&s={bob}"), "s=".to_owned(), "s".to_owned(), format!("s=%41{ada}")]
    {
        assert_eq!(site.session_for(get(&format!("/?{query}"))), MISMATCH, "{query}");
    }
    let mut request = with_session_header(&[ada.as_str()]);
    *request.uri_mut() = format!("/?s={bob}").parse().unwrap();
    assert_eq!(site.session_for(request), MISMATCH, "header and query disagree");

    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    assert_eq!(
        site.session_for(get(&format!("/?s={ada}&session-id={ada}&session_id={ada}"))),
        Ok(bob)
    );
}

#[test]
fn session_header_is_ignored_without_multi_session() {
    let mut site = Site::with(|builder| builder.multi_session(false).session_query_param("s"));
    let ada = site.sign_in("ada");
    assert_eq!(site.session_with_header(SID_A), Ok(ada));
    assert_eq!(site.session_for(get(&format!("/?s={SID_A}"))), Ok(ada));
}

#[tokio::test]
async fn response_varies_by_the_session_header() {
    let (builder, _) = engine_builder();
    let (layer, _) = layer_on(builder.multi_session(true));
    let mut browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("ada")));
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        let session = request.extensions().get::<Session<User>>().unwrap();
        let response = Response::builder().header("cache-control", "private, max-age=60");
        Ok::<_, Infallible>(response.body(Full::<Bytes>::from(session.id().to_string())).unwrap())
    }));
    let response = browser.send(&service, get("/")).await;
    let vary = response.header("vary").to_ascii_lowercase();
    assert!(vary.contains("session-id"), "two tabs send the same cookies: {vary}");
}
