//! Jars that outlive the response of their request.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{Session, SessionJar, SessionLayer, SessionStatus, SignIn};

use crate::support::{Browser, User, engine_builder, get, subject, user};

/// What holds the jar of a request after its handler.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Holder {
    Jar,
    StatusInTheResponse,
    SessionInTheResponse,
    Task,
}

/// A closed jar accepts no changes, and a sign-out still revokes.
#[tokio::test]
async fn jar_that_outlives_its_response_is_closed() {
    use Holder::{Jar, SessionInTheResponse, StatusInTheResponse, Task};
    for holder in [Jar, StatusInTheResponse, SessionInTheResponse, Task] {
        let layer = SessionLayer::new(engine_builder().0.build().unwrap());
        let kept: Arc<Mutex<Option<SessionJar<User>>>> = Arc::default();
        let sink = Arc::clone(&kept);
        let service = layer.layer(service_fn(move |request: Request<Full<Bytes>>| {
            let sink = Arc::clone(&sink);
            async move {
                let status = request.extensions().get::<SessionStatus>().unwrap().clone();
                let jar = status.jar::<User>().unwrap();
                let mut response = Response::new(Full::<Bytes>::default());
                let Some(session) = request.extensions().get::<Session<User>>().cloned() else {
                    jar.sign_in(SignIn::new(subject("ada"), user("ada"))).unwrap();
                    return Ok::<_, Infallible>(response);
                };
                let keep = move |jar| *sink.lock().unwrap() = Some(jar);
                match holder {
                    Jar => keep(jar),
                    StatusInTheResponse => drop(response.extensions_mut().insert(status)),
                    SessionInTheResponse => drop(response.extensions_mut().insert(session)),
                    Task => drop(tokio::spawn(async move {
                        tokio::task::yield_now().await;
                        keep(jar);
                    })),
                }
                Ok(response)
            }
        }));
        let mut browser = Browser::default();
        assert!(browser.send(&service, get("/")).await.headers.contains_key("set-cookie"));
        let mut request = get("/");
        let cookies = browser.cookie_header().unwrap();
        request.headers_mut().insert("cookie", cookies.parse().unwrap());
        let response = service.clone().oneshot(request).await.unwrap();
        assert!(!response.headers().contains_key("set-cookie"), "{holder:?}");
        assert_eq!(response.headers()["cache-control"], "private", "{holder:?}");
        while holder == Task && kept.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        let in_response = response.extensions().get::<SessionStatus>().cloned();
        let in_response = in_response.map(|status| status.jar::<User>().unwrap());
        let Some(jar) = kept.lock().unwrap().take().or(in_response) else { continue };
        assert!(jar.update_claims(user("late")).is_err(), "{holder:?}");
        assert!(jar.sign_in(SignIn::new(subject("eve"), user("eve"))).is_err(), "{holder:?}");
        assert!(jar.sign_out().is_some(), "{holder:?}");
        // The handler signs in again.
        assert!(browser.send(&service, get("/")).await.headers.contains_key("set-cookie"));
    }
}
