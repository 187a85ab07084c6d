//! Claims from the application's claims source, at sign-in and at every renewal.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer as _, Service, service_fn};
use tower_auth_session::{
    Session, SessionLayer, SessionStatus, SignIn,
    claims::ClaimsSourceError,
    engine::SessionIdentity,
    error::{CommitError, SignInError},
    event::SessionEvent,
    testing::ManualClock,
};

use crate::support::{Browser, Events, User, get, layer, post, seconds, subject, user};

/// What the source returns next.
#[derive(Debug, Clone)]
enum SourceResult {
    Claims(&'static str),
    Large,
    Fails,
    Hangs,
}

/// A layer whose claims come from `result`, and the number of calls of its source.
fn with_source(
    result: &Arc<Mutex<SourceResult>>,
) -> (SessionLayer<User>, ManualClock, Events, Arc<AtomicUsize>) {
    let (layer, clock, events) = layer();
    let calls = Arc::new(AtomicUsize::new(0));
    let (result, count) = (Arc::clone(result), Arc::clone(&calls));
    let source = move |_: SessionIdentity| {
        count.fetch_add(1, Ordering::SeqCst);
        let result = result.lock().unwrap().clone();
        async move {
            match result {
                SourceResult::Claims(name) => Ok(user(name)),
                SourceResult::Large => Ok(user(&"x".repeat(4_000))),
                SourceResult::Fails => {
                    Err(ClaimsSourceError::from(io::Error::other("the database")))
                }
                SourceResult::Hangs => std::future::pending().await,
            }
        }
    };
    (layer.claims_source(source), clock, events, calls)
}

/// `/in` signs in with claims, `/in-from-source` without, `/commit` likewise and commits early.
async fn app(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
    let mut text = request
        .extensions()
        .get::<Session<User>>()
        .map_or_else(|| "signed out".to_owned(), |session| session.claims().name.clone());
    match request.uri().path() {
        "/in" => {
            jar.sign_in(SignIn::new(subject("ada"), user("as signed in"))).unwrap();
        }
        "/in-from-source" => {
            jar.sign_in(SignIn::from_claims_source(subject("ada"))).unwrap();
        }
        "/commit" => {
            jar.sign_in(SignIn::from_claims_source(subject("ada"))).unwrap();
            text = match jar.commit().await {
                Ok(()) => format!("committed {}", jar.session().unwrap().claims().name),
                Err(CommitError::ClaimsSource) => "no source".to_owned(),
                Err(CommitError::SignIn(SignInError::TooLarge { .. })) => "too large".to_owned(),
                Err(error) => error.to_string(),
            };
        }
        _ => {}
    }
    Ok(Response::new(Full::from(text)))
}

async fn sign_in<S>(service: &S) -> Browser
where
    S: Service<
            Request<Full<Bytes>>,
            Response = Response<tower_auth_session::middleware::SessionBody<Full<Bytes>>>,
        > + Clone,
    S::Error: std::fmt::Debug,
{
    let mut ada = Browser::default();
    let response = ada.send(service, post("/in", "")).await;
    assert_eq!((response.status, response.set_cookies().len()), (StatusCode::OK, 1));
    ada
}

#[tokio::test(start_paused = true)]
async fn claims_source_is_called_at_sign_in_and_renewal_only() {
    let result = Arc::new(Mutex::new(SourceResult::Claims("one")));
    let (layer, clock, _, calls) = with_source(&result);
    let service = layer.layer(service_fn(app));
    let mut ada = sign_in(&service).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    *result.lock().unwrap() = SourceResult::Claims("two");
    clock.advance(seconds(9));
    assert_eq!(ada.send(&service, get("/")).await.text(), "one");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    clock.advance(seconds(1));
    assert_eq!(ada.send(&service, get("/")).await.text(), "two", "before the handler runs");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(ada.send(&service, get("/")).await.text(), "two");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn renewal_keeps_the_claims_and_reports_when_the_source_fails_or_hangs() {
    for failure in [SourceResult::Fails, SourceResult::Hangs] {
        let result = Arc::new(Mutex::new(SourceResult::Claims("one")));
        let (layer, clock, events, _) = with_source(&result);
        let service = layer.layer(service_fn(app));
        let mut ada = sign_in(&service).await;
        *result.lock().unwrap() = failure.clone();
        clock.advance(seconds(10));
        events.take();
        let response = ada.send(&service, get("/")).await;
        assert_eq!(
            (response.text(), response.set_cookies().len()),
            ("one", 1),
            "renewed with the old claims"
        );
        let reported = events.take();
        assert!(
            matches!(
                reported[..],
                [SessionEvent::ClaimsSourceFailed { .. }, SessionEvent::Renewed { .. }]
            ),
            "{reported:?}"
        );
        // A sign-in with claims keeps them too.
        assert_eq!(sign_in(&service).await.send(&service, get("/")).await.text(), "as signed in");
    }
}

#[tokio::test(start_paused = true)]
async fn renewal_keeps_the_claims_when_the_new_ones_are_too_large() {
    let result = Arc::new(Mutex::new(SourceResult::Claims("one")));
    let (layer, clock, events, _) = with_source(&result);
    let service = layer.layer(service_fn(app));
    let mut ada = sign_in(&service).await;
    *result.lock().unwrap() = SourceResult::Large;
    clock.advance(seconds(10));
    events.take();
    let response = ada.send(&service, get("/")).await;
    assert_eq!((response.text(), response.set_cookies().len()), ("one", 1));
    let reported = events.take();
    assert!(matches!(reported[0], SessionEvent::ClaimsSourceFailed { .. }), "{reported:?}");
}

#[tokio::test(start_paused = true)]
async fn sign_in_without_claims_fails_when_the_source_fails() {
    for (failure, status, committed) in [
        (SourceResult::Claims("one"), 200, "committed one"),
        (SourceResult::Fails, 503, "no source"),
        (SourceResult::Hangs, 503, "no source"),
        (SourceResult::Large, 500, "too large"),
    ] {
        let result = Arc::new(Mutex::new(failure));
        let (layer, _, events, _) = with_source(&result);
        let service = layer.layer(service_fn(app));

        let mut ada = Browser::default();
        let response = ada.send(&service, post("/in-from-source", "")).await;
        assert_eq!(response.status, status, "the layer commits, and replaces the response");
        assert_eq!(response.set_cookies().len(), usize::from(status == 200));
        if status == 503 {
            assert_eq!(response.header("retry-after"), "5");
        }

        let mut ada = Browser::default();
        events.take();
        let response = ada.send(&service, post("/commit", "")).await;
        assert_eq!(
            (response.status, response.text()),
            (StatusCode::OK, committed),
            "an early commit"
        );
        assert_eq!(response.set_cookies().len(), usize::from(status == 200));
        let signed_in = |event: &SessionEvent| matches!(event, SessionEvent::SignedIn { .. });
        assert_eq!(events.take().iter().any(signed_in), status == 200);
    }
}

/// The response that the layer sends instead fits the client's protocol.
#[tokio::test(start_paused = true)]
async fn failed_sign_in_is_a_grpc_status_for_grpc_clients() {
    for (content_type, response_type) in [
        ("application/grpc+proto", "application/grpc"),
        ("application/grpc-web-text", "application/grpc-web"),
    ] {
        let (layer, _, _, _) = with_source(&Arc::new(Mutex::new(SourceResult::Fails)));
        let service = layer.layer(service_fn(app));
        let mut request = post("/in-from-source", "");
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
        let response = Browser::default().send(&service, request).await;
        assert_eq!((response.status, response.header("grpc-status")), (StatusCode::OK, "14"));
        assert_eq!((response.header("content-type"), response.text()), (response_type, ""));
    }
}

#[tokio::test]
async fn sign_in_without_claims_fails_when_there_is_no_source() {
    let (layer, _, _) = layer();
    let service = layer.layer(service_fn(app));
    let response = Browser::default().send(&service, post("/in-from-source", "")).await;
    assert_eq!(
        (response.status, response.set_cookies().len()),
        (StatusCode::INTERNAL_SERVER_ERROR, 0)
    );
}
