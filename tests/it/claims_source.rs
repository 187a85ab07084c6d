//! Claims that come from the application, at sign-in and at every renewal.

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
    ClaimsSourceError, CommitError, ManualClock, Session, SessionEvent, SessionIdentity,
    SessionLayer, SessionStatus, SignIn, engine::SignInError,
};

use crate::support::{Browser, Events, User, get, layer, post, seconds, subject, user};

/// What the source answers next.
#[derive(Debug, Clone)]
enum Answer {
    Claims(&'static str),
    Large,
    Fails,
    Hangs,
}

/// A layer whose claims come from `answer`, and how often it was asked.
fn with_source(
    answer: &Arc<Mutex<Answer>>,
) -> (SessionLayer<User>, ManualClock, Events, Arc<AtomicUsize>) {
    let (layer, clock, events) = layer();
    let asked = Arc::new(AtomicUsize::new(0));
    let (answer, count) = (Arc::clone(answer), Arc::clone(&asked));
    let source = move |_: SessionIdentity| {
        count.fetch_add(1, Ordering::SeqCst);
        let answer = answer.lock().unwrap().clone();
        async move {
            match answer {
                Answer::Claims(name) => Ok(user(name)),
                Answer::Large => Ok(user(&"x".repeat(4_000))),
                Answer::Fails => Err(ClaimsSourceError::from(io::Error::other("the database"))),
                Answer::Hangs => std::future::pending().await,
            }
        }
    };
    (layer.claims_source(source), clock, events, asked)
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
            Response = Response<tower_auth_session::SessionBody<Full<Bytes>>>,
        > + Clone,
    S::Error: std::fmt::Debug,
{
    let mut ada = Browser::default();
    let answer = ada.send(service, post("/in", "")).await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 1));
    ada
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_at_sign_in_and_at_each_renewal_and_not_between() {
    let answer = Arc::new(Mutex::new(Answer::Claims("one")));
    let (layer, clock, _, asked) = with_source(&answer);
    let service = layer.layer(service_fn(app));
    let mut ada = sign_in(&service).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    *answer.lock().unwrap() = Answer::Claims("two");
    clock.advance(seconds(9));
    assert_eq!(ada.send(&service, get("/")).await.text(), "one");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    clock.advance(seconds(1));
    assert_eq!(ada.send(&service, get("/")).await.text(), "two", "before the handler runs");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(ada.send(&service, get("/")).await.text(), "two");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn while_it_fails_or_hangs_the_old_claims_stay_and_it_is_told() {
    for trouble in [Answer::Fails, Answer::Hangs] {
        let answer = Arc::new(Mutex::new(Answer::Claims("one")));
        let (layer, clock, events, _) = with_source(&answer);
        let service = layer.layer(service_fn(app));
        let mut ada = sign_in(&service).await;
        *answer.lock().unwrap() = trouble.clone();
        clock.advance(seconds(10));
        events.take();
        let response = ada.send(&service, get("/")).await;
        assert_eq!(
            (response.text(), response.set_cookies().len()),
            ("one", 1),
            "renewed all the same"
        );
        let told = events.take();
        assert!(
            matches!(
                told[..],
                [SessionEvent::ClaimsSourceFailed { .. }, SessionEvent::Renewed { .. }]
            ),
            "{told:?}"
        );
        // A sign-in that brought claims keeps them too.
        assert_eq!(sign_in(&service).await.send(&service, get("/")).await.text(), "as signed in");
    }
}

#[tokio::test(start_paused = true)]
async fn claims_that_do_not_fit_leave_the_old_ones() {
    let answer = Arc::new(Mutex::new(Answer::Claims("one")));
    let (layer, clock, events, _) = with_source(&answer);
    let service = layer.layer(service_fn(app));
    let mut ada = sign_in(&service).await;
    *answer.lock().unwrap() = Answer::Large;
    clock.advance(seconds(10));
    events.take();
    let response = ada.send(&service, get("/")).await;
    assert_eq!((response.text(), response.set_cookies().len()), ("one", 1));
    let told = events.take();
    assert!(matches!(told[0], SessionEvent::ClaimsSourceFailed { .. }), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_without_claims_fails_with_its_source() {
    for (trouble, status, committed) in [
        (Answer::Claims("one"), 200, "committed one"),
        (Answer::Fails, 503, "no source"),
        (Answer::Hangs, 503, "no source"),
        (Answer::Large, 500, "too large"),
    ] {
        let answer = Arc::new(Mutex::new(trouble));
        let (layer, _, events, _) = with_source(&answer);
        let service = layer.layer(service_fn(app));

        let mut ada = Browser::default();
        let reply = ada.send(&service, post("/in-from-source", "")).await;
        assert_eq!(reply.status, status, "the layer commits, and replaces the response");
        assert_eq!(reply.set_cookies().len(), usize::from(status == 200));
        if status == 503 {
            assert_eq!(reply.header("retry-after"), "5");
        }

        let mut ada = Browser::default();
        events.take();
        let reply = ada.send(&service, post("/commit", "")).await;
        assert_eq!((reply.status, reply.text()), (StatusCode::OK, committed), "an early commit");
        assert_eq!(reply.set_cookies().len(), usize::from(status == 200));
        let signed_in = |event: &SessionEvent| matches!(event, SessionEvent::SignedIn { .. });
        assert_eq!(events.take().iter().any(signed_in), status == 200);
    }
}

/// A response that is replaced speaks the language of who asks.
#[tokio::test(start_paused = true)]
async fn a_grpc_client_hears_of_a_failed_sign_in_in_a_status() {
    for (content_type, answered_as) in [
        ("application/grpc+proto", "application/grpc"),
        ("application/grpc-web-text", "application/grpc-web"),
    ] {
        let (layer, _, _, _) = with_source(&Arc::new(Mutex::new(Answer::Fails)));
        let service = layer.layer(service_fn(app));
        let mut request = post("/in-from-source", "");
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
        let response = Browser::default().send(&service, request).await;
        assert_eq!((response.status, response.header("grpc-status")), (StatusCode::OK, "14"));
        assert_eq!((response.header("content-type"), response.text()), (answered_as, ""));
    }
}

#[tokio::test]
async fn without_a_source_a_sign_in_needs_claims() {
    let (layer, _, _) = layer();
    let service = layer.layer(service_fn(app));
    let response = Browser::default().send(&service, post("/in-from-source", "")).await;
    assert_eq!(
        (response.status, response.set_cookies().len()),
        (StatusCode::INTERNAL_SERVER_ERROR, 0)
    );
}
