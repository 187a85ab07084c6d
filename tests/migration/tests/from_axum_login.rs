//! Both layers in one router: no user of axum-login is signed out.

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{
    Router,
    middleware::from_fn,
    routing::{get, post},
};
use axum_login::{AuthManagerLayer, AuthManagerLayerBuilder, AuthSession, AuthnBackend as _};
use axum_messages::{Messages, MessagesManagerLayer};
use migration_tests::{
    axum_login_claims::Claims,
    from_axum_login::{sign_out_of_both, take_over},
    users::Backend,
};
use tower_auth_session::{
    RequireSessionLayer, SessionLayer, testing::ManualClock, time::Timestamp,
};
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use self::support::{Browser, NEW, Page, check_migration, check_sign_out, new_routes, sessions};

/// The application before, during and after the migration, with the same stores and users.
struct Sites {
    backend: Backend,
    clock: ManualClock,
    before: Router,
    both: Router,
    after: Router,
}

impl Sites {
    fn new() -> Self {
        let backend = Backend::new();
        let manager = SessionManagerLayer::new(MemoryStore::default());
        let old = AuthManagerLayerBuilder::new(backend.clone(), manager.clone()).build();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let clock = ManualClock::at(Timestamp::from_unix_seconds(now));
        let new = sessions::<Claims>().claims_source(backend.clone()).clock(clock.clone());
        Self {
            backend,
            clock,
            before: old_routes().layer(old.clone()),
            both: both(new.clone(), old),
            // tower-sessions stays for messages and carts.
            after: app().layer(MessagesManagerLayer).layer(manager).layer(new),
        }
    }

    /// A browser with an old session of this user.
    async fn browser(&self, path: &str) -> Browser {
        let mut browser = Browser::default();
        browser.post(&self.before, path).await;
        assert!(self.is_signed_in_before(&browser).await);
        browser
    }

    async fn is_signed_in_before(&self, browser: &Browser) -> bool {
        browser.clone().get(&self.before, "/old-user").await.text == "true"
    }
}

fn old_routes() -> Router {
    async fn login(auth: &mut AuthSession<Backend>, id: i64) {
        let user = auth.backend.authenticate(id).await.unwrap().unwrap();
        auth.login(&user).await.unwrap();
    }
    let ada = |mut auth: AuthSession<Backend>, session: Session| async move {
        login(&mut auth, 1).await;
        session.insert("cart", 3).await.unwrap();
    };
    let remembered_ada = |mut auth: AuthSession<Backend>, session: Session| async move {
        login(&mut auth, 1).await;
        session.insert("remember", true).await.unwrap();
    };
    let grace = |mut auth: AuthSession<Backend>| async move { login(&mut auth, 2).await };
    let user = |auth: AuthSession<Backend>| async move { format!("{}", auth.user.is_some()) };
    Router::new()
        .route("/login", post(ada))
        .route("/login-remembered", post(remembered_ada))
        .route("/login-grace", post(grace))
        .route("/old-user", get(user))
}

/// The routes that stay after the migration.
fn app() -> Router {
    let cart = |session: Session| async move { format!("{:?}", session.get::<i32>("cart").await) };
    let write = |messages: Messages| async move { drop(messages.info("saved")) };
    let read = |messages: Messages| async move {
        messages.into_iter().map(|it| it.message).collect::<String>()
    };
    let users = Router::new()
        .route("/users", get(|| async {}))
        .layer(RequireSessionLayer::new().permission::<Claims>("users"));
    new_routes::<Claims>(RequireSessionLayer::new())
        .merge(users)
        .route("/cart", get(cart))
        .route("/messages", get(read).post(write))
}

/// Both layers, as the guide orders them.
fn both(new: SessionLayer<Claims>, old: AuthManagerLayer<Backend, MemoryStore>) -> Router {
    app()
        .layer(MessagesManagerLayer)
        .layer(from_fn(take_over))
        .layer(new)
        .layer(from_fn(sign_out_of_both))
        .layer(old)
}

#[tokio::test]
async fn users_of_axum_login_stay_signed_in() {
    let sites = Sites::new();
    let mut ada = sites.browser("/login").await;
    let is_signed_in = async |browser: &Browser| sites.is_signed_in_before(browser).await;
    check_migration(&sites.both, ada.clone(), is_signed_in).await;

    // Other data of the old session stays.
    assert_eq!(ada.get(&sites.both, "/cart").await.text, "Ok(Some(3))");
}

#[tokio::test]
async fn sign_out_ends_both_sessions() {
    let sites = Sites::new();
    let new_browser = async || sites.browser("/login").await;
    let is_signed_in = async |browser: &Browser| sites.is_signed_in_before(browser).await;
    check_sign_out(&sites.both, new_browser, is_signed_in).await;
}

#[tokio::test]
async fn permissions_come_from_the_backend() {
    let sites = Sites::new();
    for (login, status) in [("/login", 200), ("/login-grace", 403)] {
        let mut browser = sites.browser(login).await;
        assert_eq!(browser.get(&sites.both, "/users").await.status, status, "{login}");
    }
}

#[tokio::test]
async fn changed_password_revokes_the_new_session() {
    let sites = Sites::new();
    let mut ada = sites.browser("/login").await;
    for _ in 0..2 {
        assert_eq!(ada.get(&sites.both, "/account").await.text, "1 Ada");
        sites.clock.advance(Duration::from_secs(120));
    }
    assert_eq!(ada.get(&sites.both, "/account").await.text, "1 Ada");
    sites.backend.update(1, |ada| ada.password_version += 1);
    sites.clock.advance(Duration::from_secs(120));
    assert_eq!(ada.get(&sites.both, "/account").await.status, 303);

    // A new sign-in has the new version.
    let mut ada = sites.browser("/login").await;
    for _ in 0..2 {
        assert_eq!(ada.get(&sites.both, "/account").await.text, "1 Ada");
        sites.clock.advance(Duration::from_secs(120));
    }
}

#[tokio::test]
async fn remember_me_is_kept() {
    let cookie = |page: &Page| page.set_cookies.iter().find(|it| it.starts_with(NEW)).cloned();
    let sites = Sites::new();
    for (login, days) in [("/login", None), ("/login-remembered", Some(30))] {
        let mut browser = sites.browser(login).await;
        let page = browser.get(&sites.both, "/account").await;
        let cookie = cookie(&page).expect("the cookie of this crate");
        let max_age = days.map(|days| format!("Max-Age={}", days * 24 * 3600));
        match &max_age {
            Some(max_age) => assert!(cookie.contains(max_age.as_str()), "{cookie}"),
            None => assert!(!cookie.contains("Max-Age"), "{cookie}"),
        }
        // Half a day without a request.
        sites.clock.advance(Duration::from_secs(12 * 3600 + 60));
        browser.cookies.retain(|name, _| name == NEW);
        let status = if days.is_some() { 200 } else { 303 };
        assert_eq!(browser.get(&sites.both, "/account").await.status, status, "{login}");
    }
}

#[tokio::test]
async fn messages_and_sessions_stay_after_the_old_layer_is_removed() {
    let sites = Sites::new();
    let mut ada = sites.browser("/login").await;
    for site in [&sites.both, &sites.after] {
        assert_eq!(ada.get(site, "/account").await.text, "1 Ada");
        ada.post(site, "/messages").await;
        assert_eq!(ada.get(site, "/messages").await.text, "saved");
        assert_eq!(ada.get(site, "/messages").await.text, "");
    }
    assert_eq!(ada.get(&sites.after, "/cart").await.text, "Ok(Some(3))");
    ada.post(&sites.after, "/sign-out").await;
    assert_eq!(ada.get(&sites.after, "/account").await.status, 303);
}
