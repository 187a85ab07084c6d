//! Both layers in one router: no user of axum-login is signed out.

mod support;

use std::convert::Infallible;

use axum::{
    Router,
    middleware::from_fn,
    routing::{get, post},
};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend};
use migration_tests::{
    User,
    from_axum_login::{sign_out_of_both, take_over},
};
use tower_auth_session::RequireSessionLayer;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use self::support::{Browser, check_migration, check_sign_out, new_routes, sessions};

#[derive(Debug, Clone)]
struct OldUser;

impl AuthUser for OldUser {
    type Id = i64;

    fn id(&self) -> i64 {
        1
    }

    fn session_auth_hash(&self) -> &[u8] {
        b"hash"
    }
}

impl From<OldUser> for User {
    fn from(OldUser: OldUser) -> Self {
        Self { name: "Ada".to_owned() }
    }
}

#[derive(Debug, Clone)]
struct Backend;

impl AuthnBackend for Backend {
    type User = OldUser;
    type Credentials = ();
    type Error = Infallible;

    async fn authenticate(&self, (): ()) -> Result<Option<OldUser>, Infallible> {
        Ok(Some(OldUser))
    }

    async fn get_user(&self, id: &i64) -> Result<Option<OldUser>, Infallible> {
        Ok((*id == 1).then_some(OldUser))
    }
}

/// As before the migration, and as after it, with the same store.
fn sites() -> (Router, Router) {
    let manager = SessionManagerLayer::new(MemoryStore::default());
    let old = AuthManagerLayerBuilder::new(Backend, manager).build();
    let login = |mut auth: AuthSession<Backend>, session: Session| async move {
        auth.login(&OldUser).await.unwrap();
        session.insert("cart", 3).await.unwrap();
    };
    let user = |auth: AuthSession<Backend>| async move { format!("{}", auth.user.is_some()) };
    let cart = |session: Session| async move { format!("{:?}", session.get::<i32>("cart").await) };
    let old_routes = Router::new()
        .route("/login", post(login))
        .route("/old-user", get(user))
        .route("/cart", get(cart));
    let before = old_routes.clone().layer(old.clone());
    let after = new_routes(RequireSessionLayer::new())
        .merge(old_routes)
        .layer(from_fn(take_over::<Backend>))
        .layer(sessions())
        .layer(from_fn(sign_out_of_both::<Backend>))
        .layer(old);
    (before, after)
}

#[tokio::test]
async fn users_of_axum_login_stay_signed_in() {
    let (before, after) = sites();
    let mut ada = Browser::default();
    ada.post(&before, "/login").await;
    let is_signed_in =
        async |browser: &Browser| browser.clone().get(&before, "/old-user").await.text == "true";
    check_migration(&after, ada.clone(), is_signed_in).await;

    // Other data of the old session stays.
    assert_eq!(ada.get(&after, "/cart").await.text, "Ok(Some(3))");
}

#[tokio::test]
async fn sign_out_ends_both_sessions() {
    let (before, after) = sites();
    let new_browser = async || {
        let mut ada = Browser::default();
        ada.post(&before, "/login").await;
        ada
    };
    let is_signed_in =
        async |browser: &Browser| browser.clone().get(&before, "/old-user").await.text == "true";
    check_sign_out(&after, new_browser, is_signed_in).await;
}
