//! Layers of tower-http compile and work on both sides of this crate's layers.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tower::{ServiceBuilder, service_fn};
use tower_auth_session::RequireSessionLayer;
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, cors::CorsLayer, csrf::CsrfLayer,
    limit::RequestBodyLimitLayer, normalize_path::NormalizePathLayer,
    propagate_header::PropagateHeaderLayer, sensitive_headers::SetSensitiveHeadersLayer,
    set_header::SetResponseHeaderLayer, set_status::SetStatusLayer, timeout::TimeoutLayer,
    trace::TraceLayer,
};

use crate::support::{Browser, get, layer};

async fn app<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("application")))
}

/// Sends a request without a session through `$layer` outside and inside of this crate's layers.
macro_rules! both_orders {
    ($($layer:expr),+ $(,)?) => {$({
        let (session, _, _) = layer();
        for path in ["/", "/session"] {
            let outside = ServiceBuilder::new()
                .layer($layer)
                .layer(session.clone())
                .service(service_fn(app));
            let inside = ServiceBuilder::new()
                .layer(session.clone())
                .layer($layer)
                .service(service_fn(app));
            for response in [
                Browser::default().send(&outside, get(path)).await,
                Browser::default().send(&inside, get(path)).await,
            ] {
                assert_eq!(response.status, StatusCode::OK, "{} {path}", stringify!($layer));
            }
        }
        let between = ServiceBuilder::new()
            .layer(session)
            .layer($layer)
            .layer(RequireSessionLayer::new())
            .layer($layer)
            .service(service_fn(app));
        let response = Browser::default().send(&between, get("/")).await;
        let expected = [StatusCode::UNAUTHORIZED, StatusCode::OK];
        assert!(expected.contains(&response.status), "{}", stringify!($layer));
    })+};
}

#[tokio::test]
async fn tower_http_layers_fit_on_both_sides() {
    let name = HeaderName::from_static("x-test");
    let value = HeaderValue::from_static("on");
    both_orders![
        CorsLayer::permissive(),
        TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(30)),
        TraceLayer::new_for_http(),
        CompressionLayer::new(),
        CsrfLayer::new(),
        NormalizePathLayer::trim_trailing_slash(),
        PropagateHeaderLayer::new(name.clone()),
        SetSensitiveHeadersLayer::new([header::COOKIE]),
        SetResponseHeaderLayer::overriding(name.clone(), value.clone()),
        SetStatusLayer::new(StatusCode::OK),
    ];
}

/// These layers change the type of the request's or the response's body.
#[tokio::test]
async fn tower_http_layers_that_change_bodies_fit_on_both_sides() {
    let (session, _, _) = layer();
    let limit = || RequestBodyLimitLayer::new(1_024);
    let service = ServiceBuilder::new()
        .layer(limit())
        .layer(session.clone())
        .layer(RequireSessionLayer::new())
        .service(service_fn(app));
    assert_eq!(Browser::default().send(&service, get("/")).await.status, StatusCode::UNAUTHORIZED);
    let service = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(session)
        .layer(CatchPanicLayer::new())
        .layer(limit())
        .service(service_fn(app));
    assert_eq!(Browser::default().send(&service, get("/")).await.text(), "application");
}

/// A CORS layer outside answers preflights to the layer's endpoints and marks their responses.
#[tokio::test]
async fn cors_layer_outside_covers_the_endpoints() {
    let (session, _, _) = layer();
    let service = ServiceBuilder::new()
        .layer(CorsLayer::permissive())
        .layer(session)
        .service(service_fn(app));
    let mut request = get("/session");
    request.headers_mut().insert(header::ORIGIN, "https://spa.example".parse().unwrap());
    let response = Browser::default().send(&service, request.clone()).await;
    assert_eq!(response.header("access-control-allow-origin"), "*");
    *request.method_mut() = Method::OPTIONS;
    let preflight = ("access-control-request-method", "POST");
    request.headers_mut().insert(preflight.0, preflight.1.parse().unwrap());
    *request.uri_mut() = "/session/token".parse().unwrap();
    let response = Browser::default().send(&service, request).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.header("access-control-allow-methods"), "*");
}

/// The order of the quick start: CORS, tracing and compression apply to the responses of the layer too.
#[cfg(feature = "axum")]
#[tokio::test]
async fn layers_in_the_order_of_the_quick_start_cover_responses_of_the_layer_and_of_guards() {
    const OTHER: &str = "https://spa.example.com";
    let (session, _, _) = layer();
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static(OTHER))
        .allow_methods([Method::GET, Method::POST])
        .allow_credentials(true);
    let guarded = axum::Router::new()
        .route("/me", axum::routing::get(|| async { "application" }))
        .layer(RequireSessionLayer::new());
    let app = axum::Router::new()
        .merge(guarded)
        .layer(session)
        .layer(CompressionLayer::new())
        .layer(cors)
        .layer(TraceLayer::new_for_http());
    let service = service_fn(move |request: Request<Full<Bytes>>| {
        tower::ServiceExt::oneshot(app.clone(), request.map(axum::body::Body::new))
    });

    for (path, status) in [("/session", StatusCode::OK), ("/me", StatusCode::UNAUTHORIZED)] {
        let mut request = get(path);
        request.headers_mut().insert(header::ORIGIN, OTHER.parse().unwrap());
        request.headers_mut().insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
        let response = Browser::default().send(&service, request).await;
        assert_eq!(response.status, status, "{path}");
        assert_eq!(response.header("access-control-allow-origin"), OTHER, "{path}");
        assert_eq!(response.header("access-control-allow-credentials"), "true", "{path}");
        // The list of no accounts is too short to be compressed.
        let encoding = if path == "/me" { "gzip" } else { "" };
        assert_eq!(response.header("content-encoding"), encoding, "{path}");
    }
    let mut preflight = get("/session/token");
    *preflight.method_mut() = Method::OPTIONS;
    preflight.headers_mut().insert(header::ORIGIN, OTHER.parse().unwrap());
    preflight.headers_mut().insert("access-control-request-method", "POST".parse().unwrap());
    let response = Browser::default().send(&service, preflight).await;
    assert_eq!(response.status, StatusCode::OK);
    assert!(response.header("access-control-allow-methods").contains("POST"));
}
