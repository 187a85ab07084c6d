//! Users of a hosted service, whose tokens this service verifies, get sessions of this crate.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tower_auth_session::{
    Algorithm, ConfigError, Session, SessionEngine, SessionJar, SessionLayer, SignIn,
    engine::SessionStatusKind,
    keys::VerifyingKey,
    middleware::{InLayer, LayerName},
    verify_only::TrustedIssuer,
};

use crate::User;

/// The claims that the service's session tokens are configured to have.
#[derive(Debug, Serialize, Deserialize)]
pub struct HostedUser {
    /// The name that pages show.
    pub name: String,
}

/// The layer that verifies the service's tokens.
pub struct Hosted;

impl LayerName for Hosted {
    const NAME: &'static str = "hosted";
}

/// Verifies the tokens in the service's cookie, with the public key that its dashboard shows.
pub fn hosted_layer(pem: &str) -> Result<SessionLayer<HostedUser>, ConfigError> {
    let issuer = TrustedIssuer::new("https://clerk.example.com")
        .algorithms([Algorithm::Rs256])
        .authorized_parties(["https://app.example.com"])
        .allow_absent_azp()
        .reject_subject_prefix("mch_")
        .cookie("__session")
        .key(VerifyingKey::from_pem("hosted", Algorithm::Rs256, pem)?);
    let engine = SessionEngine::<HostedUser>::verify_only([issuer]).build()?;
    Ok(SessionLayer::new(engine).name(Hosted::NAME))
}

/// Inside both layers, outside of all guards and handlers. The service's session stays: sign out there
/// first, and then here.
pub async fn take_over(
    jar: SessionJar<User>,
    InLayer(hosted, _): InLayer<Hosted, Option<Session<HostedUser>>>,
    request: Request,
    next: Next,
) -> Response {
    if let (SessionStatusKind::SignedOut, Some(hosted)) = (jar.status().kind(), hosted) {
        let name = hosted.claims().name.clone();
        let sign_in = SignIn::new(hosted.subject().clone(), User { name });
        if let Err(error) = jar.sign_in(sign_in) {
            return error.into_response(); // 403 for a form of another site
        }
        if let Err(error) = jar.commit().await {
            return error.into_response(); // 503 while the store is unavailable
        }
    }
    next.run(request).await
}
