//! Sign-in with a password.
//!
//! * `users.rs`: users in SQLite, passwords as argon2id hashes, the claims source;
//! * `attempts.rs`: how often a password may be tried;
//! * `pages.rs`: the handlers and their HTML.

mod attempts;
mod pages;
mod users;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;
use tower_auth_session::{
    ConfigError, KeyRing, RequireSessionLayer, SessionEngine, SessionLayer, SessionLifetime,
    claims::Roles,
    config::{CookieConfig, RedirectUrls},
    engine::SessionIdentity,
    store::SqliteStore,
    time::Clock,
};
use tower_http::csrf::CsrfLayer;

pub use crate::{
    attempts::{Attempts, TooManyAttempts},
    users::{NewUserError, Users},
};

/// What the token of a session states about its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user's name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Uses the site.
    Member,
    /// Disables and enables users too.
    Admin,
}

impl Roles for Claims {
    type Role = Role;

    fn has_role(&self, role: &Role) -> bool {
        self.role == *role
    }
}

/// What the handlers share.
#[derive(Debug, Clone)]
struct App {
    users: Users,
    attempts: Arc<Attempts>,
    engine: SessionEngine<Claims>,
}

/// The session layer of the site at `origin`. Spawn its `background()` once.
///
/// # Errors
///
/// When a setting is invalid, such as an origin that is not `http://127.0.0.1:3000` or `https://…`.
pub fn sessions(
    keys: KeyRing,
    origin: &str,
    pool: &SqlitePool,
    clock: impl Clock,
) -> Result<SessionLayer<Claims>, ConfigError> {
    let mut cookie = CookieConfig::default();
    if origin.starts_with("http://") {
        // On this machine only: Safari keeps no Secure cookies over http.
        cookie = cookie.insecure_for_development();
    }
    let engine = SessionEngine::<Claims>::builder(keys)
        .origin(origin)
        .cookie(cookie)
        .redirect_urls(RedirectUrls::new().sign_in_url("/sign-in"))
        .lifetime(
            SessionLifetime::new()
                .inactivity_timeout(Duration::from_secs(3600))
                .maximum_lifetime(Duration::from_secs(12 * 3600)),
        )
        .build()?;
    let users = Users::new(pool.clone());
    Ok(SessionLayer::new(engine)
        .clock(clock)
        .store(SqliteStore::from_pool(pool.clone()))
        // Queried at the sign-in, and then once a minute for each session in use. A user who was deleted
        // or disabled is not found, and the session is revoked.
        .claims_source(move |session: SessionIdentity| {
            let users = users.clone();
            async move { users.claims(session.subject()).await }
        }))
}

/// Creates the tables of users and sessions.
///
/// # Errors
///
/// When the database fails.
pub async fn migrate(pool: &SqlitePool) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Users::new(pool.clone()).migrate().await?;
    Ok(SqliteStore::from_pool(pool.clone()).migrate().await?)
}

/// The site.
pub fn site(sessions: SessionLayer<Claims>, pool: SqlitePool, attempts: Arc<Attempts>) -> Router {
    let app = App { users: Users::new(pool), attempts, engine: sessions.engine().clone() };
    let account = Router::new()
        .route("/account", get(pages::account))
        .route("/account/password", post(pages::change_password))
        .route_layer(RequireSessionLayer::for_claims::<Claims>());
    let admin = Router::new()
        .route("/admin/users", get(pages::list_users))
        .route("/admin/users/{id}", post(pages::set_disabled))
        .route_layer(RequireSessionLayer::new().role::<Claims>(Role::Admin));
    Router::new()
        .route("/", get(pages::home))
        .route("/sign-in", get(pages::sign_in_form).post(pages::sign_in))
        .merge(account)
        .merge(admin)
        .with_state(app)
        // Forms of other sites are refused. The session layer does that for its own endpoints only.
        .layer(CsrfLayer::new())
        .layer(sessions)
}
