//! Both layers in one router: no user of axum-login is signed out.

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{
    Router,
    http::StatusCode,
    routing::{get, post},
};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthnBackend as _};
use axum_messages::Messages;
use migration_tests::{
    after_axum_login::{self, after, both},
    axum_login_claims::Claims,
    users::Backend,
};
use tower_auth_session::{RequireSessionLayer, testing::ManualClock, time::Timestamp};
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
            both: both(app(), new.clone(), old),
            after: after(app(), new, manager),
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
        let user = auth.backend.get_user(&id).await.unwrap().unwrap();
        auth.login(&user).await.unwrap();
    }
    let ada = |mut auth: AuthSession<Backend>, session: Session| async move {
        login(&mut auth, 1).await;
        session.insert("cart", 3).await.unwrap();
    };
    let remember = |mut auth: AuthSession<Backend>, session: Session, remember: bool| async move {
        login(&mut auth, 1).await;
        session.insert("remember", remember).await.unwrap();
    };
    let user_2 = |mut auth: AuthSession<Backend>| async move { login(&mut auth, 2).await };
    let user_3 = |mut auth: AuthSession<Backend>| async move { login(&mut auth, 3).await };
    let user = |auth: AuthSession<Backend>| async move { format!("{}", auth.user.is_some()) };
    Router::new()
        .route("/login", post(ada))
        .route("/login-remembered", post(move |auth, session| remember(auth, session, true)))
        .route("/login-not-remembered", post(move |auth, session| remember(auth, session, false)))
        .route("/login-grace", post(user_2))
        .route("/login-lin", post(user_3))
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
    for (login, status) in [("/login", 200), ("/login-grace", 403), ("/login-lin", 200)] {
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
    // Without the mark, the default lifetime applies.
    for (login, days) in
        [("/login", Some(7)), ("/login-remembered", Some(30)), ("/login-not-remembered", None)]
    {
        let mut browser = sites.browser(login).await;
        let page = browser.get(&sites.both, "/account").await;
        let cookie = cookie(&page).expect("the cookie of this crate");
        let max_age = days.map(|days: u32| format!("Max-Age={}", days * 24 * 3600));
        match &max_age {
            Some(max_age) => assert!(cookie.contains(max_age.as_str()), "{login}: {cookie}"),
            None => assert!(!cookie.contains("Max-Age"), "{login}: {cookie}"),
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

#[tokio::test]
async fn program_of_the_guide_works_beside_the_old_layer_and_without_it() {
    let backend = Backend::new();
    let sessions =
        after_axum_login::sessions("a key of 32 bytes for these tests", backend.clone()).unwrap();
    let manager = SessionManagerLayer::new(MemoryStore::default());
    let old = AuthManagerLayerBuilder::new(backend.clone(), manager.clone()).build();
    let before = old_routes().layer(old.clone());
    let routes = || after_axum_login::routes(backend.clone(), &sessions);
    let with_both = both(routes(), sessions.clone(), old);
    let with_one = after(routes(), sessions.clone(), manager);

    // A user of the old layer stays signed in, also when it is removed.
    let mut lin = Browser::default();
    lin.post(&before, "/login-lin").await;
    for site in [&with_both, &with_one] {
        assert_eq!(lin.get(site, "/users").await.text, "all users");
    }

    for site in [&with_both, &with_one] {
        let mut ada = Browser::default();
        let refused = ada.get(site, "/users").await;
        assert_eq!(
            (refused.status, &*refused.location),
            (StatusCode::SEE_OTHER, "/login?next=%2Fusers")
        );
        let login = &*refused.location;
        let wrong = ada.post_form(site, login, "name=Ada&password=wrong").await;
        assert_eq!((wrong.status, &*wrong.location), (StatusCode::SEE_OTHER, login));
        let page = ada.get(site, login).await;
        assert!(page.text.contains("The name or the password is wrong."), "{}", page.text);
        let right = ada.post_form(site, login, "name=Ada&password=lovelace&remember=on").await;
        assert_eq!((right.status, &*right.location), (StatusCode::SEE_OTHER, "/users"));
        assert!(right.set_cookies.iter().any(|it| it.contains("Max-Age=2592000")));
        assert_eq!(ada.get(site, "/users").await.text, "all users");
        let page = ada.get(site, "/").await;
        assert!(page.text.contains("You are signed in.") && page.text.contains("Hello, Ada"));
        ada.post(site, "/sign-out").await;
        assert_eq!(ada.get(site, "/").await.location, "/login?next=%2F");

        let mut grace = Browser::default();
        let login = "/login?next=//evil.example";
        let page = grace.post_form(site, login, "name=Grace&password=lovelace").await;
        assert_eq!(page.location, "/");
        assert!(page.set_cookies.iter().all(|it| !it.starts_with(NEW) || !it.contains("Max-Age")));
        assert_eq!(grace.get(site, "/users").await.status, StatusCode::FORBIDDEN);
    }
}
