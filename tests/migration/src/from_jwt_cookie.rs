//! Users with a JWT in a cookie of the application's own get sessions of this crate.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, header::COOKIE, header::SET_COOKIE},
    middleware::Next,
    response::{IntoResponse, Response},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tower_auth_session::{SessionJar, SignIn, Subject, engine::SessionStatusKind};

use crate::User;

/// The old cookie is removed with the attributes that it was set with.
const REMOVE: HeaderValue = HeaderValue::from_static("token=; Path=/; Max-Age=0; HttpOnly; Secure");
/// The endpoint, unless your `Endpoints` give it another path or a base path.
const SIGN_OUT: &str = "/sign-out";

/// Verifies the old tokens, as the application did.
pub struct OldTokens {
    key: DecodingKey,
    validation: Validation,
}

#[derive(Deserialize)]
struct OldClaims {
    sub: String,
    name: String,
}

impl OldTokens {
    /// Accepts HS256 tokens that are signed with `secret`.
    pub fn new(secret: &[u8]) -> Result<Self, jsonwebtoken::errors::Error> {
        let validation = Validation::new(Algorithm::HS256); // `exp` is required and checked
        Ok(Self { key: DecodingKey::from_secret(secret)?, validation })
    }

    fn claims(&self, headers: &HeaderMap) -> Option<OldClaims> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split("; "));
        let token = pairs.find_map(|pair| pair.strip_prefix("token="))?;
        Some(jsonwebtoken::decode(token, &self.key, &self.validation).ok()?.claims)
    }
}

/// Inside the session layer, outside of all guards and handlers.
pub async fn take_over(
    State(old): State<Arc<OldTokens>>,
    jar: SessionJar<User>,
    request: Request,
    next: Next,
) -> Response {
    let old_claims = old.claims(request.headers());
    let had_old = old_claims.is_some();
    let mut remove_old = false;
    match (jar.status().kind(), old_claims) {
        // The first request: the response brings the new cookie. Other requests of this moment still
        // come with the old one, so it is kept.
        (SessionStatusKind::SignedOut, Some(OldClaims { sub, name })) => {
            let Ok(subject) = Subject::new(sub) else { return next.run(request).await };
            let sign_in = SignIn::new(subject, User { name });
            if let Err(error) = jar.sign_in(sign_in) {
                return error.into_response(); // 403 for a form of another site
            }
            if let Err(error) = jar.commit().await {
                return error.into_response(); // 503 while the store is unavailable
            }
        }
        // The browser has both: the old one has served its purpose.
        (SessionStatusKind::SignedIn, Some(_)) => remove_old = true,
        _ => {}
    }
    let mut response = next.run(request).await;
    // A handler has signed the user out: the old cookie must not sign the user in again.
    if remove_old || (had_old && jar.status().kind() == SessionStatusKind::SignedOut) {
        response.headers_mut().append(SET_COOKIE, REMOVE);
    }
    response
}

/// Outside of the session layer: the sign-out endpoint removes the old cookie too.
pub async fn sign_out_of_both(request: Request, next: Next) -> Response {
    let signs_out = request.method() == Method::POST && request.uri().path() == SIGN_OUT;
    let mut response = next.run(request).await;
    if signs_out && (response.status().is_success() || response.status().is_redirection()) {
        response.headers_mut().append(SET_COOKIE, REMOVE);
    }
    response
}
