use std::convert::Infallible;

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{SessionLayer, SessionStatus, bearer::CredentialKind};
use tower_http::csrf::CsrfLayer;

/// Refuses forms and scripts of other sites, except for requests with a bearer token: no browser adds
/// one by itself.
async fn same_origin(status: SessionStatus, request: Request, next: Next) -> Response {
    if status.credential() == CredentialKind::BearerToken {
        return next.run(request).await;
    }
    let handlers = service_fn(move |request| {
        let next = next.clone();
        async move { Ok::<_, Infallible>(next.run(request).await) }
    });
    CsrfLayer::new().layer(handlers).oneshot(request).await.into_response()
}

pub(super) fn notes(sessions: SessionLayer) -> Router {
    Router::new()
        .route("/notes", get(|| async { "all notes" }))
        .route("/notes", post(|| async { "saved" }))
        .layer(from_fn(same_origin))
        .layer(sessions) // outside: it knows the credential
}
