//! Signed-in sessions for Tower services. One [`SessionLayer`] verifies the session cookie on every
//! request, slides the inactivity window, enforces a maximum lifetime and passes typed claims to your
//! handlers. It works with Axum, Hyper, Tonic and any other `tower::Service`.
//!
//! ```
//! use tower_auth_session::{Algorithm, KeyRing, SessionEngine, SessionLayer, SigningKey};
//!
//! # fn main() -> Result<(), tower_auth_session::ConfigError> {
//! let keys = KeyRing::new(SigningKey::generate("2026-11", Algorithm::Hs256)?);
//! let engine = SessionEngine::<()>::builder(keys).origin("https://app.example.com").build()?;
//! let layer = SessionLayer::new(engine); // router.layer(layer), ServiceBuilder, Server::builder()
//! # Ok(()) }
//! ```
//!
//! # Request extensions
//!
//! The layer gives every request
//!
//! * [`SessionStatus`]: the signed-in user, or why there is none. It is missing only if the layer is;
//! * [`Session<C>`]: the session with your claims, if a user is signed in;
//! * [`SessionJar<C>`], by [`SessionStatus::jar`]: signs in and out, and changes claims.
//!
//! `C` is the type of your claims, `()` by default. With the `axum` feature all three are extractors.
//! So are [`SessionIdentity`](engine::SessionIdentity), the session without its claims, for code that does
//! not know their type, and [`SessionManager<C>`], which lists and revokes the sessions in the store:
//!
//! | extractor | signed in | signed out, account selection, pending | mismatch, unavailable | layer missing |
//! |---|---|---|---|---|
//! | `Session<C>`, `SessionIdentity` | the session | refused | refused | 500 |
//! | `Option<Session<C>>`, `Option<SessionIdentity>` | `Some` | `None` | refused | 500 |
//! | `SessionJar<C>`, `SessionStatus` | the value | the value | the value | 500 |
//! | `Option<SessionJar<C>>` | `Some` | `Some` | `Some` | `None` |
//! | `SessionManager<C>` | the value | the value | the value | 500 |
//!
//! Without a store, `SessionManager<C>` is refused with 500 and `Option<SessionManager<C>>` is `None`.
//!
//! A request is refused as each client expects: a redirect to sign in for browsers, 401 for scripts
//! ([`Rejection`]).
//!
#![cfg_attr(feature = "axum", doc = "```")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use serde::{Deserialize, Serialize};
//! use tower_auth_session::{Session, SessionJar, SignIn, Subject, error::SignInError};
//!
//! #[derive(Serialize, Deserialize)]
//! struct User {
//!     name: String,
//!     admin: bool,
//! }
//!
//! async fn sign_in(jar: SessionJar<User>) -> Result<&'static str, SignInError> {
//!     // After your own authentication:
//!     let subject = Subject::new("user-1815").expect("a valid subject");
//!     jar.sign_in(SignIn::new(subject, User { name: "Ada".into(), admin: false }))?;
//!     Ok("welcome")
//! }
//!
//! async fn home(session: Option<Session<User>>) -> String {
//!     session.map_or("hello".into(), |session| format!("hello, {}", session.claims().name))
//! }
//! # let _: axum::Router = axum::Router::new()
//! #     .route("/in", axum::routing::post(sign_in)).route("/", axum::routing::get(home));
//! ```
//!
//! Guard whole routes with [`RequireSessionLayer`], inside the session layer: navigations and forms are
//! redirected to the sign-in page, scripts get 401, gRPC clients get a status ([`guide::clients`]). A
//! guard can require roles and permissions, and predicates over the request ([`guide::guards`]).
//!
//! # Layer order
//!
//! Put `SessionLayer` outside every layer and handler that uses the session. In Axum the **last**
//! `.layer` is the outermost, in `ServiceBuilder` and Tonic the **first**. `merge` other routers
//! before `.layer`: it does not apply to routes that are added after it.
//!
//! The layer answers the requests to its endpoints itself, and replaces a response whose sign-in
//! failed. Layers that these responses need as well go outside of `SessionLayer`: CORS, tracing,
//! compression, security headers.
//!
//! # Endpoints
//!
//! | method, default path | purpose |
//! |---|---|
//! | `POST /sign-out` | signs out; parameters `scope` (`this`, `browser` or `everywhere`), `session_id`, `redirect_url` |
//! | `GET /session` | lists the accounts of this browser as JSON, without tokens; does not count as activity |
//! | `POST /session/token` | issues a [bearer token](guide::bearer_tokens) of the session as JSON; counts as activity |
//! | `POST /session/touch` | records activity and renews the session |
//! | `POST /session/bound/register` | binds a session to a key of the browser's device; browsers call it by themselves |
//! | `POST /session/bound/refresh` | renews the proof of a bound session; browsers call it by themselves; does not count as activity |
//! | `POST /session/switch` | makes `session_id` the active account; only with several accounts |
//! | `GET /.well-known/jwks.json` | the public keys, for services that verify tokens; only if a key is asymmetric |
//! | `GET /sign-in/choose` | the account chooser, a page without script; only with several accounts; with a `sign_in_url`, at `/choose` below it |
//!
//! [`Endpoints`](config::Endpoints) moves and disables them. The POST endpoints refuse cross-site
//! requests. They answer with a redirect, in the form that the [client](guide::clients) follows. A `redirect_url`
//! is followed only to paths of this origin and to
//! [allowed origins](engine::SessionEngineBuilder::allowed_redirect_origins); handlers that sign in
//! check theirs with [`redirect_target`](SessionEngine::redirect_target).
//!
//! The endpoints work where the layer sees every path: on the outermost router or around it, not under
//! `route_layer`, in a nested router or on a method router. In those places use
//! [`SessionLayer::endpoints`], which is a service of its own, or `SessionLayer::router` (feature
//! `axum-router`), which is an Axum `Router`.
//!
//! # Several accounts in one browser
//!
//! [`multi_session(true)`](engine::SessionEngineBuilder::multi_session) gives each session its own
//! cookie, and one more cookie names the active account. A sign-in adds an account and makes it active;
//! [`SessionJar::switch_to`] switches, [`SessionJar::accounts`] lists. Signing out of the active
//! account activates no other one: the browser has to select an account. A request that names its
//! session in the header `session-id` is served as that account or refused (409), so that a tab keeps
//! its account while another tab switches.
//!
//! The guide [`guide::several_accounts`] covers the limits, what each sign-out ends and where it
//! redirects, account selection, turning several accounts on and off, and concurrent requests.
//!
//! # Lifetime
//!
//! | setting | default | the session expires |
//! |---|---|---|
//! | [`inactivity_timeout`](SessionLifetime::inactivity_timeout) | 7 days | this long after the last activity |
//! | [`maximum_lifetime`](SessionLifetime::maximum_lifetime) | 7 days | this long after signing in |
//!
//! Once a token is [`renew_after`](SessionLifetime::renew_after) old, the next response carries a new
//! one. Requests with `session-activity: none`, and those that the
//! [`activity_filter`](engine::SessionEngineBuilder::activity_filter) excludes, are not activity. A
//! sign-in can have its own lifetime ([`SignIn::lifetime`]), and a cookie that the browser may drop when
//! it closes ([`SignIn::persistent`]): a shorter lifetime is the safe way to forget a user. Browsers keep a cookie for at most 400 days without a renewal
//! (RFC 6265bis §5.5).
//!
//! # Claims
//!
//! Claims come from [`SignIn::new`], and from a [`ClaimsSource`](claims::ClaimsSource) if the layer has
//! one. The source is queried at sign-in and at every renewal, so that a changed role reaches the token
//! within `renew_after`.
//!
//! A sign-in can also require [tasks](SignIn::with_tasks) before it takes effect,
//! [impersonate](SignIn::impersonated_by) another user, or be
//! [re-verified](SessionJar::mark_verified) later: [`guide::pending_step_up_impersonation`].
//!
//! # Sign-out without a store
//!
//! The process that handles the sign-out remembers the session's id and rejects every copy of its
//! cookie. Other processes, and this one after a restart, do not know of it: they accept a **copied**
//! cookie until its session expires. The browser's own cookie is removed in any case.
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `aws-lc-rs` | cryptography by AWS-LC: fast, few dependencies, needs a C compiler | yes |
//! | `rust-crypto` | cryptography by RustCrypto: pure Rust; used if `aws-lc-rs` is off | |
//! | `axum` | extractors and `IntoResponse`, through `axum-core` only | yes |
//! | `axum-router` | the layer's endpoints as an Axum `Router`, for nested routers | |
//! | `serde` | [`SessionOptions`] from configuration files | |
//! | `tracing` | reasons for rejections and failures as events; session ids as keyed hashes | yes |
//! | `memory` | `MemoryStore`: sessions in this process | |
//! | `redis` | `RedisStore`: sessions in Redis 6.2 or Valkey; 51 more crates | |
//! | `redis-cluster` | `RedisStore` for Redis Cluster | |
//! | `redis-tls` | TLS to Redis, by rustls with AWS-LC | |
//! | `sqlite` | `SqliteStore`: sessions in a file, with SQLite compiled in; needs Rust 1.94 because of sqlx | |
//! | `postgres` | `PostgresStore`: sessions in PostgreSQL 12 or later; needs Rust 1.94 because of sqlx | |
//! | `postgres-tls` | TLS to PostgreSQL, by rustls; other TLS features of sqlx work too | |
//! | `jwks-http` | `HttpJwksFetcher`: key sets of other issuers over HTTPS, by hyper and rustls | |
//! | `user-agent` | device labels from the `User-Agent` header | |
//! | `test-util` | the `testing` module: `ManualClock`, `SeededRandom`, signed-in requests for your tests | |
//!
//! Features are additive; where both back ends are on, `aws-lc-rs` is used. Without any,
//! [`build`](engine::SessionEngineBuilder::build) returns an error that says so.
//!
//! # MSRV
//!
//! 1.88 for the default features, 1.94 with `sqlite` or `postgres` (sqlx 0.9). Raising it is a minor
//! release.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod bearer;
pub mod claims;
mod claims_source;
pub mod config;
mod endpoints;
pub mod engine;
pub mod error;
#[cfg(feature = "axum")]
mod error_responses;
pub mod event;
#[cfg(feature = "axum")]
mod extract;
pub mod flow;
mod key_sources;
pub mod keys;
pub mod middleware;
mod pages;
mod random;
mod rejection;
pub mod store;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
pub mod time;
mod user_agent;
pub mod verify_only;

pub use self::{
    config::options::SessionOptions,
    engine::{
        jar::SessionJar,
        keys::{algorithm::Algorithm, key::SigningKey, key_ring::KeyRing},
        request::session::{Session, SessionStatus},
        session::{
            id::{SessionId, Subject},
            lifetime::SessionLifetime,
        },
        session_engine::SessionEngine,
        sign_in::SignIn,
    },
    error::config::ConfigError,
    middleware::{guard::RequireSessionLayer, layer::SessionLayer, sessions::SessionManager},
    rejection::Rejection,
};

pub mod guide {
    //! Guides to topics that need more than a reference page.
    //!
    //! | to | read |
    //! |---|---|
    //! | start | [`quick_start`], [`settings`], [`testing`], [`production`] |
    //! | build | [`sign_in_with_oidc`], [`guards`], [`what_goes_where`], [`clients`], [`custom_claims`], [`several_accounts`], [`pending_step_up_impersonation`], [`bearer_tokens`], [`other_issuers`] |
    //! | operate | [`stores`], [`keys`], [`operating`], [`caches`], [`copied_cookies`], [`device_bound_sessions`], [`events`], [`upgrading`], [`troubleshooting`] |
    //! | decide, migrate | [`comparison`], [`migration`], [`coming_from_clerk`], [`auditing`], [`design`] |

    /// Quick start: one program each for Axum, Hyper, Tonic and the engine alone.
    ///
    /// [production]: crate::guide::production
    /// [other issuers]: crate::guide::other_issuers
    ///
    #[cfg_attr(feature = "axum", doc = include_str!("../docs/quick-start.md"))]
    #[cfg_attr(
        not(feature = "axum"),
        doc = "This guide needs the feature `axum`, which its examples use."
    )]
    pub mod quick_start {}

    /// Settings of the operator with their environment variables, and Cargo features.
    ///
    /// [operating]: crate::guide::operating#settings-that-depend-on-each-other
    /// [stores]: crate::guide::stores
    ///
    #[doc = include_str!("../docs/settings.md")]
    pub mod settings {}

    /// Testing your application: signed-in requests, a clock that the test moves.
    ///
    #[cfg_attr(all(feature = "axum", feature = "test-util"), doc = include_str!("../docs/testing.md"))]
    #[cfg_attr(
        not(all(feature = "axum", feature = "test-util")),
        doc = "This guide needs the features `axum` and `test-util`, which its examples use."
    )]
    pub mod testing {}

    /// Production checklist: keys, store, proxy, cookies, several nodes, updates, backups.
    ///
    /// [keys]: crate::guide::keys
    /// [stores]: crate::guide::stores
    /// [caches]: crate::guide::caches
    /// [layer order]: crate::guide::quick_start#layer-order
    /// [audit]: crate::guide::auditing
    /// [operating]: crate::guide::operating
    /// [upgrading]: crate::guide::upgrading
    /// [claims]: crate::guide::custom_claims
    /// [events]: crate::guide::events
    ///
    #[doc = include_str!("../docs/production.md")]
    pub mod production {}

    /// Troubleshooting by symptom, and every problem code.
    ///
    /// [warnings]: crate::guide::operating#warnings
    /// [claims]: crate::guide::custom_claims#size
    /// [bearer]: crate::guide::bearer_tokens
    /// [stores]: crate::guide::stores
    ///
    #[doc = include_str!("../docs/troubleshooting.md")]
    pub mod troubleshooting {}

    /// Events, log lines, their fields, and spans.
    ///
    /// [warnings]: crate::guide::operating#warnings
    ///
    #[doc = include_str!("../docs/events.md")]
    pub mod events {}

    /// Upgrading: versions, sessions and tables of older versions, the minimum Rust version.
    ///
    /// [changelog]: crate::guide::changelog
    /// [claims]: crate::guide::custom_claims#changing-the-type
    ///
    #[doc = include_str!("../docs/upgrading.md")]
    pub mod upgrading {}

    /// ASVS 5.0 V7 requirement by requirement, and settings for NIST SP 800-63B-4.
    ///
    /// [issuers]: crate::guide::other_issuers
    /// [events]: crate::guide::events
    ///
    #[doc = include_str!("../docs/auditing.md")]
    pub mod auditing {}

    /// Comparison with alternatives: features, measured cost, dependencies.
    ///
    /// [issuers]: crate::guide::other_issuers
    ///
    #[doc = include_str!("../docs/comparison.md")]
    pub mod comparison {}

    /// Browsers, scripts, HTMX, Turbo and gRPC: who gets which response, and the pages for users.
    ///
    /// [guards]: crate::guide::guards
    ///
    #[cfg_attr(feature = "axum", doc = include_str!("../docs/clients.md"))]
    #[cfg_attr(
        not(feature = "axum"),
        doc = "This guide needs the feature `axum`, which its examples use."
    )]
    pub mod clients {}

    /// Migration from tower-sessions with axum-login, from axum_session, and from cookies or JWT by hand.
    ///
    /// [bearer]: crate::guide::bearer_tokens
    /// [clerk]: crate::guide::coming_from_clerk
    /// [copied]: crate::guide::copied_cookies
    /// [issuers]: crate::guide::other_issuers
    /// [keys]: crate::guide::keys
    /// [stores]: crate::guide::stores
    /// [testing]: crate::guide::testing
    ///
    #[doc = include_str!("../docs/migration.md")]
    pub mod migration {}

    /// Coming from Clerk: its session options, claims and components beside this crate's.
    ///
    /// [comparison]: crate::guide::comparison
    /// [issuers]: crate::guide::other_issuers
    ///
    #[doc = include_str!("../docs/coming-from-clerk.md")]
    pub mod coming_from_clerk {}

    /// Guards: signed-in routes, roles, permissions, predicates, own pages.
    ///
    /// [client]: crate::guide::clients
    ///
    #[cfg_attr(feature = "axum", doc = include_str!("../docs/guards.md"))]
    #[cfg_attr(
        not(feature = "axum"),
        doc = "This guide needs the feature `axum`, which its examples use."
    )]
    pub mod guards {}

    /// Signing in with OpenID Connect: flows, providers that answer by a form, sign-out at the provider.
    ///
    /// [rotation]: crate::guide::keys#key-rotation
    /// [several]: crate::guide::several_accounts
    ///
    #[cfg_attr(feature = "axum", doc = include_str!("../docs/sign-in-with-oidc.md"))]
    #[cfg_attr(
        not(feature = "axum"),
        doc = "This guide needs the feature `axum`, which its examples use."
    )]
    pub mod sign_in_with_oidc {}

    /// What goes where: claims, flows, carts, flash messages, and requests of other sites.
    ///
    /// [claims]: crate::guide::custom_claims
    /// [flows]: crate::guide::sign_in_with_oidc#flows
    ///
    #[cfg_attr(feature = "axum", doc = include_str!("../docs/what-goes-where.md"))]
    #[cfg_attr(
        not(feature = "axum"),
        doc = "This guide needs the feature `axum`, which its examples use."
    )]
    pub mod what_goes_where {}

    /// Several accounts in one browser: switching, signing out, the account chooser, limits.
    ///
    /// [device]: crate::guide::device_bound_sessions
    ///
    #[doc = include_str!("../docs/several-accounts.md")]
    pub mod several_accounts {}

    /// Pending sessions and their tasks, step-up, and impersonation.
    ///
    #[doc = include_str!("../docs/pending-step-up-impersonation.md")]
    pub mod pending_step_up_impersonation {}

    /// Custom claims: their size, and how to change their type.
    ///
    #[doc = include_str!("../docs/custom-claims.md")]
    pub mod custom_claims {}

    /// Bearer tokens for scripts, other services and gRPC clients.
    ///
    /// [stores guide]: crate::guide::stores
    #[doc = include_str!("../docs/bearer-tokens.md")]
    pub mod bearer_tokens {}

    /// Session stores: choosing one, revoking, listing and limiting sessions, effects of an outage.
    ///
    #[doc = include_str!("../docs/stores.md")]
    pub mod stores {}

    /// Keys: creating, naming, rotating and publishing them, and what to do when one is stolen.
    ///
    #[doc = include_str!("../docs/keys.md")]
    pub mod keys {}

    /// Verify-only services, which accept the sessions of other issuers.
    ///
    #[doc = include_str!("../docs/other-issuers.md")]
    pub mod other_issuers {}

    /// Caches in front: what the layer sends, what to mark, how to configure each cache.
    ///
    #[doc = include_str!("../docs/caches.md")]
    pub mod caches {}

    /// Device-bound sessions: a copy of all cookies stops working within minutes, in browsers with DBSC.
    ///
    /// [copied]: crate::guide::copied_cookies
    /// [stores]: crate::guide::stores
    ///
    #[doc = include_str!("../docs/device-bound-sessions.md")]
    pub mod device_bound_sessions {}

    /// Copied cookies: how they are detected, what an attacker gets, and what to show the user.
    ///
    #[doc = include_str!("../docs/copied-cookies.md")]
    pub mod copied_cookies {}

    /// Operating a fleet: load, memory, capacity planning, outages and failovers.
    ///
    /// [stores guide]: crate::guide::stores
    /// [events]: crate::guide::events
    #[doc = include_str!("../docs/operating.md")]
    pub mod operating {}

    /// Design: glossary, architecture, and decisions with their reasons.
    ///
    /// [combinations]: crate::guide::operating#settings-that-depend-on-each-other
    ///
    #[doc = include_str!("../DESIGN.md")]
    pub mod design {}

    /// Changes of each release.
    ///
    /// [combinations]: crate::guide::operating#settings-that-depend-on-each-other
    /// [warnings]: crate::guide::operating#warnings
    ///
    #[doc = include_str!("../CHANGELOG.md")]
    pub mod changelog {}
}

#[cfg(all(doctest, feature = "axum", feature = "sqlite", feature = "test-util"))]
#[doc = include_str!("../README.md")]
struct Readme;
