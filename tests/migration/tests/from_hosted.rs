//! Tokens of a hosted service beside this crate's sessions: no user is signed out.

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{Router, middleware::from_fn, routing::get};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use migration_tests::{
    User,
    from_hosted::{Hosted, HostedUser, hosted_layer, take_over},
};
use serde::Serialize;
use tower_auth_session::{
    RequireSessionLayer, Session,
    middleware::{InLayer, LayerName as _},
};

use self::support::{Browser, NEW, new_routes, sessions};

/// A key of 2048 bits, which signs nothing but tokens of tests.
const PRIVATE: &[u8] = include_bytes!("../../vectors/keys/rsa2048.pem");
const PUBLIC: &str = include_str!("../../vectors/keys/rsa2048.pub.pem");

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    azp: &'a str,
    sid: &'a str,
    sub: &'a str,
    name: &'a str,
    iat: u64,
    exp: u64,
}

/// A browser with the service's cookie. Its tokens are valid for a minute.
fn browser(sub: &str, azp: &str) -> Browser {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let exp = (now + Duration::from_secs(60)).as_secs();
    let (iss, sid) = ("https://clerk.example.com", "sess_1");
    let claims = Claims { iss, azp, sid, sub, name: "Ada", iat: now.as_secs(), exp };
    let key = EncodingKey::from_rsa_pem(PRIVATE).unwrap();
    let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap();
    Browser { cookies: [("__session".to_owned(), token)].into() }
}

/// Routes of before and after the migration in one router.
fn site() -> Router {
    async fn old(InLayer(hosted, _): InLayer<Hosted, Session<HostedUser>>) -> String {
        format!("old {}", hosted.claims().name)
    }
    let old = Router::new()
        .route("/old-account", get(old))
        .layer(RequireSessionLayer::new().for_layer(Hosted::NAME));
    new_routes::<User>(RequireSessionLayer::for_claims::<User>())
        .merge(old)
        .layer(from_fn(take_over))
        .layer(sessions::<User>())
        .layer(hosted_layer(PUBLIC).unwrap())
}

#[tokio::test]
async fn users_of_a_hosted_service_stay_signed_in() {
    let site = site();
    let mut ada = browser("user_1", "https://app.example.com");
    assert_eq!(ada.get(&site, "/old-account").await.text, "old Ada");
    assert_eq!(ada.get(&site, "/account").await.text, "user_1 Ada");
    let one_session = ada.cookies[NEW].clone();
    assert_eq!(ada.follow_link(&site, "/account").await.text, "user_1 Ada");
    assert_eq!(ada.cookies[NEW], one_session, "one session");

    // The service's token has expired, or the user has signed out there: this crate's session goes on.
    ada.cookies.remove("__session");
    assert_eq!(ada.get(&site, "/account").await.text, "user_1 Ada");
    assert_eq!(ada.get(&site, "/old-account").await.status, 401);
    ada.post(&site, "/sign-out").await;
    assert_eq!(ada.get(&site, "/account").await.status, 303);
}

#[tokio::test]
async fn tokens_for_other_applications_and_machines_sign_no_user_in() {
    for (sub, azp) in
        [("user_1", "https://other.example.com"), ("mch_1", "https://app.example.com")]
    {
        let mut browser = browser(sub, azp);
        assert_eq!(browser.get(&site(), "/account").await.status, 303);
        assert!(!browser.cookies.contains_key(NEW));
    }
}
