//! The responses to each kind of client and route during an outage.

use http::{Method, Request, header};
use http_body_util::Full;

use super::fixture::Node;
use crate::support::{faulty_store::Fault, get};

#[tokio::test(start_paused = true)]
async fn outage_is_unavailable_and_not_signed_out_for_every_route() {
    for fault in
        [Fault::Refused, Fault::Hangs, Fault::ReadOnly, Fault::Corrupt, Fault::OtherSubject]
    {
        let node = Node::new();
        let mut browser = node.sign_in("ada").await;
        let before = browser.cookies.clone();
        node.advance(10);
        node.store.set(fault);
        for path in ["/guarded", "/required", "/optional"] {
            for method in [Method::GET, Method::HEAD] {
                let mut request = get(path);
                *request.method_mut() = method.clone();
                let response = node.send(&mut browser, request).await;
                assert_eq!(response.status, 503, "{fault:?} {method} {path}");
                assert_eq!(response.header("retry-after"), "5");
                assert_eq!(response.header("cache-control"), "no-store");
                assert_eq!(response.body.is_empty(), method == Method::HEAD);
            }
        }
        assert_eq!(node.get(&mut browser, "/status").await.text(), "Unavailable", "{fault:?}");
        assert_eq!(node.get(&mut browser, "/public").await.text(), "Unavailable", "{fault:?}");
        assert_eq!(browser.cookies, before, "{fault:?}");
        node.store.set(Fault::None);
        node.advance(1);
        assert_eq!(node.get(&mut browser, "/optional").await.text(), "ada", "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn outage_response_fits_the_clients_protocol() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    node.advance(10);
    node.store.set(Fault::Refused);
    for kind in ["application/grpc", "application/grpc-web+proto"] {
        let request = Request::post("/").header(header::CONTENT_TYPE, kind);
        let mut request = request.body(Full::default()).unwrap();
        *request.uri_mut() = "/guarded".parse().unwrap();
        let response = node.send(&mut browser, request).await;
        assert_eq!(
            (response.status.as_u16(), response.header("grpc-status")),
            (200, "14"),
            "{kind}"
        );
    }
    let mut htmx = get("/guarded");
    htmx.headers_mut().insert("hx-request", "true".parse().unwrap());
    let response = node.send(&mut browser, htmx).await;
    assert_eq!((response.status.as_u16(), response.header("hx-redirect")), (503, ""));
    let mut navigation = get("/guarded");
    navigation.headers_mut().insert("sec-fetch-mode", "navigate".parse().unwrap());
    navigation.headers_mut().insert("sec-fetch-dest", "document".parse().unwrap());
    let response = node.send(&mut browser, navigation).await;
    assert_eq!(
        (response.status.as_u16(), response.header("location")),
        (503, ""),
        "no redirect to the sign-in page"
    );
    // A gRPC client whose sign-in cannot be stored.
    let request = Request::post("/in?bob").header(header::CONTENT_TYPE, "application/grpc");
    let response = node.send(&mut browser, request.body(Full::default()).unwrap()).await;
    assert_eq!((response.status.as_u16(), response.header("grpc-status")), (200, "14"));
}

/// A claims update in an outage fails with 503 and not with a request to sign in.
#[tokio::test(start_paused = true)]
async fn claims_update_in_an_outage_is_unavailable() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    node.advance(10);
    node.store.set(Fault::Refused);
    let response = node
        .run_handler(&mut browser, |jar| async move {
            jar.update_claims(crate::support::user("eve")).unwrap_err()
        })
        .await;
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(response.set_cookies(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn request_without_a_session_does_not_query_the_store() {
    let node = Node::new();
    node.store.set(Fault::Panics);
    let mut browser = crate::support::Browser::default();
    assert_eq!(node.current_user(&mut browser).await, "SignedOut");
    assert_eq!(node.get(&mut browser, "/guarded").await.status, 401);
    assert_eq!(node.get(&mut browser, "/session").await.status, 200);
    assert_eq!(node.post(&mut browser, "/sign-out").await.status, 303);
    browser.cookies.insert(crate::support::COOKIE.to_owned(), "a.b.c".to_owned());
    assert_eq!(node.current_user(&mut browser).await, "SignedOut");
    assert_eq!(node.store.take_calls(), [""; 0]);
}
