//! Both layers in one router: no user of axum_session is signed out.

mod support;

use axum::{
    Router,
    middleware::from_fn,
    routing::{get, post},
};
use axum_session::{Session, SessionConfig, SessionLayer, SessionNullPool, SessionStore};
use migration_tests::{
    User,
    from_axum_session::{sign_out_of_both, take_over},
};
use tower_auth_session::RequireSessionLayer;

use self::support::{Browser, check_migration, check_sign_out, new_routes, sessions};

type OldSession = Session<SessionNullPool>;

/// As before the migration, and as after it, with the same store.
async fn sites() -> (Router, Router) {
    let config = SessionConfig::default().with_session_name("old");
    let store = SessionStore::<SessionNullPool>::new(None, config).await.unwrap();
    let login = |session: OldSession| async move {
        session.set("user_id", 1_i64);
        session.set("user_name", "Ada");
        session.set("cart", 3);
    };
    let user =
        |session: OldSession| async move { format!("{}", session.get::<i64>("user_id").is_some()) };
    let cart = |session: OldSession| async move { format!("{:?}", session.get::<i32>("cart")) };
    let old_routes = Router::new()
        .route("/login", post(login))
        .route("/old-user", get(user))
        .route("/cart", get(cart));
    let before = old_routes.clone().layer(SessionLayer::new(store.clone()));
    let after = new_routes::<User>(RequireSessionLayer::new())
        .merge(old_routes)
        .layer(from_fn(take_over::<SessionNullPool>))
        .layer(sessions::<User>())
        .layer(from_fn(sign_out_of_both::<SessionNullPool>))
        .layer(SessionLayer::new(store));
    (before, after)
}

async fn ada(before: &Router) -> Browser {
    let mut ada = Browser::default();
    ada.post(before, "/login").await;
    ada
}

#[tokio::test]
async fn users_of_axum_session_stay_signed_in() {
    let (before, after) = sites().await;
    let mut ada = ada(&before).await;
    let is_signed_in =
        async |browser: &Browser| browser.clone().get(&before, "/old-user").await.text == "true";
    check_migration(&after, ada.clone(), is_signed_in).await;

    // Other data of the old session stays.
    assert_eq!(ada.get(&after, "/cart").await.text, "Some(3)");
}

#[tokio::test]
async fn sign_out_ends_both_sessions() {
    let (before, after) = sites().await;
    let is_signed_in =
        async |browser: &Browser| browser.clone().get(&before, "/old-user").await.text == "true";
    check_sign_out(&after, async || ada(&before).await, is_signed_in).await;
}
