//! A cookie of the application's own beside this crate's: no user is signed out.

mod support;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
};
use jsonwebtoken::{EncodingKey, Header};
use migration_tests::{
    User,
    from_jwt_cookie::{OldTokens, sign_out_of_both, take_over},
};
use serde::Serialize;
use tower_auth_session::RequireSessionLayer;

use self::support::{Browser, NEW, check_migration, check_sign_out, new_routes, sessions};

const SECRET: &[u8] = b"the secret that the application had";

#[derive(Serialize)]
struct Claims {
    sub: String,
    name: String,
    exp: u64,
}

/// A browser with a token that expires in an hour, or expired an hour ago.
fn browser(secret: &[u8], has_expired: bool) -> Browser {
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    let exp = if has_expired { now - hour } else { now + hour };
    let exp = exp.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = Claims { sub: "1".to_owned(), name: "Ada".to_owned(), exp };
    let key = EncodingKey::from_secret(secret).unwrap();
    let token = jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap();
    Browser { cookies: [("token".to_owned(), token)].into() }
}

fn site() -> Router {
    new_routes::<User>(RequireSessionLayer::new())
        .layer(from_fn_with_state(Arc::new(OldTokens::new(SECRET).unwrap()), take_over))
        .layer(sessions::<User>())
        .layer(from_fn(sign_out_of_both))
}

#[tokio::test]
async fn users_with_a_token_in_a_cookie_stay_signed_in() {
    let is_signed_in = async |browser: &Browser| browser.cookies.contains_key("token");
    check_migration(&site(), browser(SECRET, false), is_signed_in).await;
    check_sign_out(&site(), async || browser(SECRET, false), is_signed_in).await;
}

#[tokio::test]
async fn invalid_tokens_sign_no_user_in() {
    for mut browser in [browser(b"another secret", false), browser(SECRET, true)] {
        let page = browser.get(&site(), "/account").await;
        assert_eq!(page.status, 303);
        assert!(!browser.cookies.contains_key(NEW));
    }
}
