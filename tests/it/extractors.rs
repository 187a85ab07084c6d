//! The extractors for code that does not know the claims, and for the sessions in the store.

use std::sync::Arc;

use axum::{Router, routing::get as on};
use tower_auth_session::{
    SessionManager, SessionStatus, SignIn,
    config::{CookieConfig, RedirectUrls},
    engine::{SessionIdentity, SessionTask},
    middleware::{InLayer, LayerName},
    store::MemoryStore,
};

use crate::support::{Browser, User, engine_builder, get, layer, layer_on, subject, user};

async fn required(identity: SessionIdentity) -> String {
    identity.subject().to_string()
}

async fn optional(identity: Option<SessionIdentity>) -> String {
    identity.map_or_else(|| "none".to_owned(), |identity| identity.subject().to_string())
}

fn site() -> Router {
    Router::new().route("/required", on(required)).route("/optional", on(optional))
}

#[tokio::test]
async fn identity_is_the_session_without_its_claims() {
    let (builder, _) = engine_builder();
    let (layer, clock) =
        layer_on(builder.redirect_urls(RedirectUrls::new().sign_in_url("/sign-in")));
    let ada = || SignIn::new(subject("ada"), user("Ada"));
    let app = site().layer(layer.clone());
    let pending = Browser::signed_in(&layer, ada().with_tasks([SessionTask::SECOND_FACTOR]));
    for (browser, expected) in [
        (Browser::signed_in(&layer, ada()), [(200, "ada"), (200, "ada")]),
        (Browser::default(), [(401, "signed_out"), (200, "none")]),
        (pending, [(403, "pending"), (200, "none")]),
    ] {
        for (path, (status, text)) in ["/required", "/optional"].into_iter().zip(expected) {
            let response = browser.clone().send(&app, get(path)).await;
            assert_eq!(response.status, status, "{path} {text}");
            assert!(response.text().contains(text), "{path}: {}", response.text());
            assert_eq!(response.header("vary"), "Cookie", "{path}");
        }
    }
    let mut browser = Browser::signed_in(&layer, ada());
    let response = browser.send(&app, get("/required")).await;
    assert_eq!(response.header("cache-control"), "private, no-store", "as behind a guard");
    let mut navigation = get("/required?a=1");
    navigation.headers_mut().insert("accept", "text/html".parse().unwrap());
    let response = Browser::default().send(&app, navigation).await;
    assert_eq!(response.header("location"), "/sign-in?redirect_url=%2Frequired%3Fa%3D1");
    clock.advance(std::time::Duration::from_secs(2_000));
    assert_eq!(browser.send(&app, get("/required")).await.status, 401);
}

#[tokio::test]
async fn identity_needs_one_layer_or_a_named_one() {
    struct Inner;
    impl LayerName for Inner {
        const NAME: &'static str = "inner";
    }
    let (outer, ..) = layer();
    let (builder, _) = engine_builder();
    let (inner, _) = layer_on(builder.cookie(CookieConfig::new("inner")));
    let named =
        |InLayer(it, _): InLayer<Inner, SessionIdentity>| async move { it.subject().to_string() };
    let app = site().route("/named", on(named)).layer(inner.clone().name("inner")).layer(outer);
    let mut ada = Browser::signed_in(&inner, SignIn::new(subject("ada"), user("Ada")));
    for (path, status, text) in [
        ("/required", 500, "layer_ambiguous"),
        ("/optional", 500, "layer_ambiguous"),
        ("/named", 200, "ada"),
    ] {
        let response = ada.send(&app, get(path)).await;
        assert_eq!(response.status, status, "{path}");
        assert!(response.text().contains(text), "{path}: {}", response.text());
    }
    let response = ada.send(&site(), get("/required")).await;
    assert!(response.text().contains("layer_missing"), "{}", response.text());
}

async fn count(sessions: SessionManager<User>) -> String {
    sessions.list(&subject("ada"), None, 10).await.unwrap().sessions.len().to_string()
}

async fn count_if_stored(sessions: Option<SessionManager<User>>) -> String {
    match sessions {
        Some(sessions) => count(sessions).await,
        None => "no store".to_owned(),
    }
}

async fn revoke_others(status: SessionStatus, sessions: SessionManager<User>) -> String {
    sessions.revoke_others(status.identity().unwrap()).await.unwrap().to_string()
}

#[tokio::test]
async fn session_manager_is_that_of_the_layers_store() {
    let (layer, ..) = layer();
    let store = Arc::new(MemoryStore::new());
    let sign_in = |jar: tower_auth_session::SessionJar<User>| async move {
        jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).map(drop)
    };
    let routes = Router::new()
        .route("/in", axum::routing::post(sign_in))
        .route("/count", on(count))
        .route("/count-if-stored", on(count_if_stored))
        .route("/revoke-others", on(revoke_others))
        .route("/other-claims", on(|_: SessionManager<()>| async {}));
    let stored = routes.clone().layer(layer.clone().store_arc(store));
    let (mut one, mut two) = (Browser::default(), Browser::default());
    for browser in [&mut one, &mut two] {
        browser.send(&stored, crate::support::post("/in", "")).await;
    }
    for (path, text) in [
        ("/count", "2"),
        ("/count-if-stored", "2"),
        ("/revoke-others", "1"),
        ("/count", "1"),
        ("/other-claims", "layer_missing"),
    ] {
        let response = one.send(&stored, get(path)).await;
        assert!(response.text().contains(text), "{path}: {}", response.text());
    }

    let unstored = routes.layer(layer);
    for (path, status, text) in
        [("/count", 500, "store_missing"), ("/count-if-stored", 200, "no store")]
    {
        let response = one.send(&unstored, get(path)).await;
        assert_eq!(response.status, status, "{path}");
        assert!(response.text().contains(text), "{path}: {}", response.text());
    }
}

/// For services without extractors.
#[tokio::test]
async fn session_manager_is_found_by_the_status() {
    use tower::Layer as _;
    let (layer, ..) = layer();
    let service =
        tower::service_fn(|request: http::Request<http_body_util::Full<bytes::Bytes>>| {
            let status = request.extensions().get::<SessionStatus>().unwrap();
            let found = SessionManager::<User>::from_status(status).is_some();
            let other = SessionManager::<()>::from_status(status).is_some();
            let body = http_body_util::Full::from(format!("{found} {other}"));
            async { Ok::<_, std::convert::Infallible>(http::Response::new(body)) }
        });
    let stored = layer.clone().store(MemoryStore::new()).layer(service);
    assert_eq!(Browser::default().send(&stored, get("/")).await.text(), "true false");
    assert_eq!(
        Browser::default().send(&layer.layer(service), get("/")).await.text(),
        "false false"
    );
}
