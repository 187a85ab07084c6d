//! Sessions of axum_session become sessions of this crate.

use axum::{
    extract::Request,
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use axum_session::{DatabasePool, Session as OldSession};
use tower_auth_session::{SessionJar, SignIn, Subject, engine::SessionStatusKind};

use crate::User;

/// Where the application kept the id and the name of its user.
const USER_ID: &str = "user_id";
const USER_NAME: &str = "user_name";
/// The endpoint, unless your `Endpoints` give it another path or a base path.
const SIGN_OUT: &str = "/sign-out";

/// Inside both layers, outside of all guards and handlers.
pub async fn take_over<P>(
    jar: SessionJar<User>,
    old: OldSession<P>,
    request: Request,
    next: Next,
) -> Response
where
    P: DatabasePool + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    let old_id = old.get::<i64>(USER_ID);
    match (jar.status().kind(), old_id) {
        // The first request: the response brings the new cookie. Other requests of this moment still
        // come with the old one, so it is kept.
        (SessionStatusKind::SignedOut, Some(id)) => {
            let name = old.get(USER_NAME).unwrap_or_default();
            let Ok(subject) = Subject::new(id.to_string()) else {
                return next.run(request).await;
            };
            let sign_in = SignIn::new(subject, User { name });
            if let Err(error) = jar.sign_in(sign_in) {
                return error.into_response(); // 403 for a form of another site
            }
            if let Err(error) = jar.commit().await {
                return error.into_response(); // 503 while the store is unavailable
            }
        }
        // The browser has both: the old one has served its purpose.
        (SessionStatusKind::SignedIn, Some(_)) => old.remove(USER_ID),
        _ => {}
    }
    let response = next.run(request).await;
    // A handler has signed the user out: the old session must not sign the user in again.
    if old_id.is_some() && jar.status().kind() == SessionStatusKind::SignedOut {
        old.remove(USER_ID);
    }
    response
}

/// Between both layers: the sign-out endpoint ends the old session too.
pub async fn sign_out_of_both<P>(old: OldSession<P>, request: Request, next: Next) -> Response
where
    P: DatabasePool + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    let signs_out = request.method() == Method::POST && request.uri().path() == SIGN_OUT;
    let response = next.run(request).await;
    if signs_out && (response.status().is_success() || response.status().is_redirection()) {
        old.remove(USER_ID);
    }
    response
}
