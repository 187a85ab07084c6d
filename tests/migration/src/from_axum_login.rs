//! Sessions of tower-sessions with axum-login become sessions of this crate.

use axum::{
    extract::Request,
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use axum_login::{AuthSession, AuthUser as _};
use tower_auth_session::{SessionJar, SignIn, Subject, engine::SessionStatusKind};

use crate::{
    axum_login_claims::{Claims, with_lifetime},
    users::Backend,
};

/// What axum-login keeps in its session. Other data, such as a cart, stays.
const OLD: &str = "axum-login.data";
/// The mark of the application in the old session: whether the user selected "remember me".
const REMEMBER: &str = "remember";
/// The endpoint, unless your `Endpoints` give it another path or a base path.
const SIGN_OUT: &str = "/sign-out";

/// Inside both layers, outside of all guards and handlers.
pub async fn take_over(
    jar: SessionJar<Claims>,
    old: AuthSession<Backend>,
    request: Request,
    next: Next,
) -> Response {
    let had_old = old.user.is_some();
    match (jar.status().kind(), old.user) {
        // The first request: the response brings the new cookie. Other requests of this moment still
        // come with the old one, so it is kept.
        (SessionStatusKind::SignedOut, Some(user)) => {
            let Ok(subject) = Subject::new(user.id().to_string()) else {
                return next.run(request).await;
            };
            let mut sign_in = SignIn::from_claims_source(subject);
            // Without the mark, the default lifetime applies.
            if let Ok(Some(remember)) = old.session.get(REMEMBER).await {
                sign_in = with_lifetime(sign_in, remember);
            }
            if let Err(error) = jar.sign_in(sign_in) {
                return error.into_response(); // 403 for a form of another site
            }
            if let Err(error) = jar.commit().await {
                return error.into_response(); // 503 while the store is unavailable
            }
        }
        // The browser has both: the old one has served its purpose.
        (SessionStatusKind::SignedIn, Some(_)) => {
            let _ = old.session.remove_value(OLD).await;
        }
        _ => {}
    }
    let response = next.run(request).await;
    // A handler has signed the user out: the old session must not sign the user in again.
    if had_old && jar.status().kind() == SessionStatusKind::SignedOut {
        let _ = old.session.remove_value(OLD).await;
    }
    response
}

/// Between both layers: the sign-out endpoint ends the old session too.
pub async fn sign_out_of_both(old: AuthSession<Backend>, request: Request, next: Next) -> Response {
    let signs_out = request.method() == Method::POST && request.uri().path() == SIGN_OUT;
    let response = next.run(request).await;
    if signs_out && (response.status().is_success() || response.status().is_redirection()) {
        let _ = old.session.remove_value(OLD).await;
    }
    response
}
