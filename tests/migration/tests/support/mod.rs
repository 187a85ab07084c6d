//! A browser with cookies of several layers, the new layer, and what holds whatever the old layer is.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;

use axum::{
    Router,
    body::Body,
    http::{
        Request, StatusCode,
        header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE},
    },
    routing::{get, post},
};
use http_body_util::BodyExt as _;
use migration_tests::{User, axum_login_claims::Claims};
use serde::{Serialize, de::DeserializeOwned};
use tower::ServiceExt as _;
use tower_auth_session::{
    KeyRing, RequireSessionLayer, Session, SessionEngine, SessionJar, SessionLayer, SignIn,
    SigningKey, Subject, config::RedirectUrls, error::SignInError, store::MemoryStore,
};

/// The cookie of this crate.
pub const NEW: &str = "__Host-session";
const SITE: &str = "https://app.example.com";

/// The claims of an application.
pub trait AppClaims: Serialize + DeserializeOwned + Send + Sync + 'static {
    fn name(&self) -> &str;
    fn sign_in(subject: Subject, name: &str) -> SignIn<Self>;
}

impl AppClaims for User {
    fn name(&self) -> &str {
        &self.name
    }

    fn sign_in(subject: Subject, name: &str) -> SignIn<Self> {
        SignIn::new(subject, Self { name: name.to_owned() })
    }
}

impl AppClaims for Claims {
    fn name(&self) -> &str {
        &self.name
    }

    fn sign_in(subject: Subject, _: &str) -> SignIn<Self> {
        SignIn::from_claims_source(subject)
    }
}

/// This crate's layer, with a store.
pub fn sessions<C: AppClaims>() -> SessionLayer<C> {
    let keys = KeyRing::new(SigningKey::hs256("1", "a key of 32 bytes for these tests").unwrap());
    let engine = SessionEngine::<C>::builder(keys)
        .origin(SITE)
        .redirect_urls(RedirectUrls::new().sign_in_url("/sign-in").redirect_param("next"))
        .build();
    SessionLayer::new(engine.unwrap()).store(MemoryStore::new())
}

/// Routes that know this crate only: `/account` behind `guard`, `/hello` for all, and a sign-in.
pub fn new_routes<C: AppClaims>(guard: RequireSessionLayer) -> Router {
    async fn account<C: AppClaims>(session: Session<C>) -> String {
        format!("{} {}", session.subject(), session.claims().name())
    }
    async fn hello<C: AppClaims>(session: Option<Session<C>>) -> String {
        session.map_or_else(|| "hello".to_owned(), |it| format!("hello {}", it.claims().name()))
    }
    async fn sign_in<C: AppClaims>(jar: SessionJar<C>) -> Result<(), SignInError> {
        let subject = Subject::new("2").expect("a valid subject");
        jar.sign_in(C::sign_in(subject, "Grace")).map(drop)
    }
    async fn own_sign_out<C: AppClaims>(jar: SessionJar<C>) {
        jar.sign_out();
    }
    Router::new()
        .route("/account", get(account::<C>))
        .layer(guard)
        .route("/hello", get(hello::<C>))
        .route("/bye", get(own_sign_out::<C>))
        .route("/new-sign-in", post(sign_in::<C>))
}

#[derive(Debug, Clone, Default)]
pub struct Browser {
    pub cookies: BTreeMap<String, String>,
}

#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub location: String,
    pub text: String,
    /// The fields `Set-Cookie`.
    pub set_cookies: Vec<String>,
}

impl Browser {
    pub async fn send(&mut self, site: &Router, mut request: Request<Body>) -> Page {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, it)| format!("{name}={it}")).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert(COOKIE, cookies.join("; ").parse().unwrap());
        }
        let response = site.clone().oneshot(request).await.unwrap();
        let set_cookies = response.headers().get_all(SET_COOKIE);
        let set_cookies: Vec<_> =
            set_cookies.iter().map(|it| it.to_str().unwrap().to_owned()).collect();
        for set in &set_cookies {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            match set.contains("Max-Age=0") || value.is_empty() {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        let status = response.status();
        let location = response.headers().get(LOCATION).map(|it| it.to_str().unwrap().to_owned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Page { status, location: location.unwrap_or_default(), text, set_cookies }
    }

    pub async fn get(&mut self, site: &Router, path: &str) -> Page {
        let request = Request::get(path).header("sec-fetch-mode", "navigate");
        self.send(site, request.body(Body::empty()).unwrap()).await
    }

    /// As a browser follows a link on another site.
    pub async fn follow_link(&mut self, site: &Router, path: &str) -> Page {
        let request = Request::get(path)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-site", "cross-site");
        self.send(site, request.body(Body::empty()).unwrap()).await
    }

    pub async fn post(&mut self, site: &Router, path: &str) -> Page {
        self.post_from(site, SITE, path).await
    }

    /// As a browser sends the fields of a form.
    pub async fn post_form(&mut self, site: &Router, path: &str, fields: &'static str) -> Page {
        let request = Request::post(path)
            .header(ORIGIN, SITE)
            .header("sec-fetch-mode", "navigate")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(site, request.body(Body::from(fields)).unwrap()).await
    }

    pub async fn post_from(&mut self, site: &Router, origin: &str, path: &str) -> Page {
        let request =
            Request::post(path).header(ORIGIN, origin).header("sec-fetch-mode", "navigate");
        self.send(site, request.body(Body::empty()).unwrap()).await
    }
}

/// What a migration promises. `old` is a browser that signed in as user 1, "Ada", before, and
/// `is_signed_in_before` returns whether a browser is still signed in for the old layer.
pub async fn check_migration(
    site: &Router,
    old: Browser,
    is_signed_in_before: impl AsyncFn(&Browser) -> bool,
) {
    assert!(is_signed_in_before(&old).await);
    assert!(!old.cookies.contains_key(NEW));

    // The first request is served, by the guard too, and brings the new cookie.
    let mut browser = old.clone();
    let page = browser.get(site, "/account").await;
    assert_eq!((page.status, &*page.text), (StatusCode::OK, "1 Ada"));
    assert!(browser.cookies.contains_key(NEW));
    // Requests of the same moment come with the old cookie only.
    for path in ["/account", "/hello"] {
        let page = old.clone().get(site, path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.text.ends_with("Ada"), "{}", page.text);
    }
    assert_eq!(old.clone().follow_link(site, "/account").await.text, "1 Ada");
    // A form of another site is refused, and signs no user in.
    let mut attacked = old.clone();
    let page = attacked.post_from(site, "https://evil.example", "/new-sign-in").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(!attacked.cookies.contains_key(NEW));
    // The next one shows that the new cookie has arrived: the old session ends.
    assert!(is_signed_in_before(&browser).await);
    assert_eq!(browser.get(site, "/account").await.text, "1 Ada");
    assert!(!is_signed_in_before(&browser).await);
    assert_eq!(browser.get(site, "/account").await.text, "1 Ada");

    // Signed out means signed out of both.
    let page = browser.post(site, "/sign-out").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert!(!browser.cookies.contains_key(NEW));
    let page = browser.get(site, "/account").await;
    assert_eq!((page.status, &*page.location), (StatusCode::SEE_OTHER, "/sign-in?next=%2Faccount"));
    assert_eq!(browser.get(site, "/hello").await.text, "hello");

    // New sign-ins use the new layer only.
    let mut grace = Browser::default();
    grace.post(site, "/new-sign-in").await;
    assert_eq!(grace.get(site, "/account").await.text, "2 Grace");
    assert!(!is_signed_in_before(&grace).await);
}

/// A sign-out by the endpoint or by a handler of the application, of a browser that has both sessions or
/// the old one only. `new_browser` signs in as user 1, "Ada", before the migration.
pub async fn check_sign_out(
    site: &Router,
    new_browser: impl AsyncFn() -> Browser,
    is_signed_in_before: impl AsyncFn(&Browser) -> bool,
) {
    for (path, has_both) in
        [("/sign-out", true), ("/sign-out", false), ("/bye", true), ("/bye", false)]
    {
        let mut browser = new_browser().await;
        if has_both {
            browser.get(site, "/account").await;
        }
        assert!(is_signed_in_before(&browser).await);
        match path {
            "/bye" => browser.get(site, path).await,
            _ => browser.post(site, path).await,
        };
        assert!(!is_signed_in_before(&browser).await, "{path}, both: {has_both}");
        let page = browser.get(site, "/account").await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}, both: {has_both}");
        assert!(!browser.cookies.contains_key(NEW), "{path}, both: {has_both}");
    }
}
