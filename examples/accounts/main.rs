//! A small site with accounts: sign in, a guarded page, a JSON API, a list of devices, sign out. Only
//! `/react/` uses script: it is the page of `examples/react`, which describes how to build it.
//!
//! `cargo run --example accounts --features sqlite,user-agent`, then open the address that it prints.
//! Settings come from the environment:
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | address and port; port 0 is a free one | `127.0.0.1:3000` |
//! | `SESSION_SECRET` | the HS256 key: 32 random bytes or more | kept beside the SQLite file, otherwise a new one each run |
//! | `SESSION_ALGORITHM` | `HS256`, `EdDSA`, `ES256`, `RS256` or `PS256` | `HS256` |
//! | `SESSION_KEY_FILE` | the private key of all but HS256, PEM; its key id is its thumbprint | as for `SESSION_SECRET` |
//! | `SESSION_EVENTS` | prints what happens to sessions: `plain` in words, `log` as `event device_bound session=…`; or `off` | `plain` |
//! | `SESSION_PAGE_LANGUAGE` | the language of the library's pages: `en` or `de` | `en` |
//! | `SESSION_BEARER` | `on`: `Authorization: Bearer` signs in, with tokens of `POST /session/token` | `off` |
//! | `SESSION_INSECURE_COOKIES` | `on`: cookies without `Secure`, which Safari needs over http; an error with an https origin | `on` on loopback without `SESSION_ORIGIN`, else `off` |
//! | `SESSION_INACTIVITY_TIMEOUT` | `30m`, `7d`, `off` | `7d` |
//! | `SESSION_MAXIMUM_LIFETIME` | `12h`, `7d`, `off` | `7d` |
//! | `SESSION_RENEW_AFTER` | `60s` | `60s` |
//! | `SESSION_MULTI` | `on`: several accounts in one browser, five at most; `off`: one | `on` |
//! | `SESSION_ORIGIN` | how browsers reach the site, `https://app.example.com` | from `LISTEN` |
//! | `SESSION_ALLOWED_REDIRECT_ORIGINS` | other origins that a `redirect_url` may name, separated by commas | none |
//! | `SESSION_SIGN_IN_URL` | where guards send browsers; accounts are chosen at `/choose` below it | `/sign-in` |
//! | `SESSION_TASKS_URL` | where guards send browsers whose sign-in takes one more step | `/sign-in/second-factor` |
//! | `SESSION_REVERIFY_URL` | where guards send browsers for a re-verification | `/confirm` |
//! | `SESSION_NOT_BEFORE` | `2026-11-23T22:00:00Z`: sessions that signed in before are revoked | none |
//! | `SESSION_DEVICE_BOUND` | bind sessions to the device: `off`, `preferred` or `required`; needs an https origin | `preferred` with an https `SESSION_ORIGIN`, else `off` |
//! | `SESSION_BOUND_FOR` | how long a proof of the device counts | `10m` |
//! | `SESSION_BINDING_TOLERANCE` | how long tokens from before the binding are accepted | `60s` |
//! | `SESSION_COPIED_COOKIES` | when a session's cookie was copied: `off`, `report`, `step_up` or `end` | `report` with a store |
//! | `SESSION_COPIED_COOKIES_GRACE` | how late a response may arrive, at most `60s` | `10s` |
//! | `SESSION_AFTER_SIGN_OUT_URL` | redirect target after a sign-out | `/` |
//! | `SESSION_AFTER_MULTI_SESSION_SINGLE_SIGN_OUT_URL` | the same while others stay signed in | `/sign-in/choose` |
//! | `SESSION_STORE`, or `STORE` | where sessions are kept, see below | a file, memory or `none` |
//! | `SESSION_MAX_PER_SUBJECT` | how many sessions a person may have in all browsers | any number |
//! | `SESSION_MAX_PER_SUBJECT_POLICY` | what one more does: `end-oldest`, or `refuse` it | `end-oldest` |
//! | `SESSION_OUTAGE_GRACE` | how long tokens that are due are still accepted while the store is down, at most `15m` | `off` |
//!
//! | `SESSION_STORE` | feature | meaning |
//! |---|---|---|
//! | `none` | | no store: each process knows only its own sign-outs, and no list of devices |
//! | `memory` | `memory` | this process |
//! | `sqlite:FILE` | `sqlite` | a file, which several processes may share |
//! | `postgres://USER:PASSWORD@HOST/DATABASE` | `postgres` | a database, for a fleet |
//! | `redis://HOST:PORT` | `redis` | a server, for a fleet |
//! | `redis://HOST:PORT,redis://HOST:PORT` | `redis-cluster` | a cluster, by some of its nodes |
//!
//! The default is `accounts.sqlite` beside the built example if the feature `sqlite` is on, else memory
//! if that feature is on. The demo creates the store's tables when it starts; an application may leave
//! that to its deployment. A generated key is kept beside an SQLite file, so that sessions outlive the
//! process; with another store, set `SESSION_SECRET` for that.
//! With the feature `user-agent` devices have names.
//!
//! Invalid settings are all reported at once, and the exit code is 2.
//!
//! With `SESSION_BEARER=on`, and `$COOKIE` what a browser that is signed in sends as `Cookie`:
//!
//! ```sh
//! SITE=http://127.0.0.1:3000
//! curl -X POST $SITE/session/token -H "Origin: $SITE" -H "Cookie: $COOKIE"
//! curl $SITE/api/me -H "Authorization: Bearer $TOKEN"
//! ```
//!
//! How each file uses the library:
//!
//! * here: one `SessionLayer` around the whole application, a guard in front of the API, and one in front of
//!   `/me/device` that makes the browser confirm the device of a bound session;
//! * `sign_in.rs`: from a form to a session;
//! * `second_factor.rs`: a sign-in that takes one more step, for Margaret; until then it is pending;
//! * `support.rs`: Ada re-verifies her identity, then impersonates another user;
//! * `pages.rs`, `api.rs`: extractors, for people and for programs;
//! * `events.rs`: what happens to sessions, as lines in the terminal;
//! * `devices.rs`: all sessions of a person in every browser, and how to revoke them;
//! * `stream.rs`: a response that outlives its request, and ends with the session;
//! * `visitor.rs`: the signed-in user, and the forms that switch between accounts and sign out;
//! * `people.rs`: the claims, and the source that supplies them again at every renewal;
//! * `settings.rs`: operators' settings, checked together; `stores.rs`: those of the session store;
//!   `signing.rs`: those of the key that signs;
//! * `react.rs`: the built React page, which has all it knows from the library's own endpoints.

mod api;
mod devices;
mod events;
mod html;
mod pages;
mod people;
mod react;
mod second_factor;
mod serve;
mod settings;
mod sign_in;
mod signing;
mod stores;
mod stream;
mod support;
mod visitor;

use std::{io, process::ExitCode};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, header},
    middleware::map_response,
    response::Response,
    routing::{get, post},
};
use tower_auth_session::{RequireSessionLayer, SessionEngine, SessionLayer, SessionManager};
use tower_http::csrf::CsrfLayer;

use crate::{
    people::{Claims, People},
    serve::Stop,
    settings::Settings,
};

/// What handlers share.
#[derive(Clone)]
struct App {
    engine: SessionEngine<Claims>,
    people: People,
    /// Whether a browser may have several accounts.
    several: bool,
    /// The sessions of all users, if there is a store.
    sessions: Option<SessionManager<Claims>>,
    stop: Stop,
}

/// What the content security policy of a page with its own script allows in addition.
const SCRIPTED: &str =
    "; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'";

#[tokio::main]
async fn main() -> ExitCode {
    // The library's warnings name what is wrong, and the remedy.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(io::stderr)
        .init();
    let settings = match Settings::from_env().await {
        Ok(settings) => settings,
        Err(problems) => {
            eprintln!("accounts: {problems}");
            return ExitCode::from(2);
        }
    };
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("accounts: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> io::Result<()> {
    for warning in &settings.warnings {
        eprintln!("warning: {warning}");
    }
    let people = People::default();
    let mut sessions = SessionLayer::new(settings.engine.clone()).claims_source(people.source());
    if let Some(stored) = &settings.stored {
        sessions = stored.put_into(sessions);
    }
    // Receives revocations of other processes, and deletes expired records.
    let background = tokio::spawn(sessions.background());
    let stop = serve::stop_requested()?;
    let app = application(&settings, sessions, people, stop.clone());
    let served = serve::until_stopped(settings, app, stop).await;
    background.abort();
    served
}

fn application(
    settings: &Settings,
    sessions: SessionLayer<Claims>,
    people: People,
    stop: Stop,
) -> Router {
    let policy = settings.content_security_policy("");
    let scripted = settings.content_security_policy(SCRIPTED);
    // Where a browser has one account there is nothing to switch.
    let several = settings.engine.endpoint_paths().any(|path| path == "/session/switch");

    // Personal pages are closed to impersonated sessions.
    let own = RequireSessionLayer::new().deny_impersonated();
    // SameSite=Lax keeps other sites' posts out, but not those of other ports of this host.
    let changes = Router::new()
        .route("/api/role", post(api::set_role))
        .route("/api/devices/end", post(devices::end))
        .route("/api/devices/end-others", post(devices::end_others))
        .route("/api/password", post(devices::change_password))
        .route_layer(own.clone())
        .route_layer(CsrfLayer::new());
    let support = Router::new()
        .route("/support", get(support::form).post(support::begin))
        .route_layer(support::guard())
        .route("/support/end", post(support::end))
        .route("/confirm", get(support::ask).post(support::confirm))
        .route_layer(CsrfLayer::new());
    let fresh_device = RequireSessionLayer::new().device_within(pages::FRESH_DEVICE);
    let guarded_api = Router::new()
        .route("/api/me", get(api::me))
        .route("/api/slow", get(api::slow))
        .route("/api/stream", get(stream::open))
        .route("/devices", get(devices::page).route_layer(own.clone()))
        .route("/api/devices", get(devices::list).route_layer(own))
        .merge(changes)
        .route_layer(RequireSessionLayer::new());

    let engine = settings.engine.clone();
    let app = App { engine, people, several, sessions: sessions.sessions(), stop };
    Router::new()
        .route("/", get(pages::home))
        .route("/sign-in", get(sign_in::form).post(sign_in::submit))
        .route("/sign-in/made-room", get(pages::made_room))
        .route("/sign-in/second-factor", get(second_factor::form).post(second_factor::submit))
        .route("/me", get(pages::me))
        .route("/me/device", get(pages::confirm_device).route_layer(fresh_device))
        .route("/api/public", get(api::public))
        .route("/style.css", get(pages::style))
        .merge(guarded_api)
        .merge(support)
        .merge(react::router(app.clone(), scripted))
        .fallback(pages::not_found)
        .with_state(app)
        .layer(DefaultBodyLimit::max(8 * 1024))
        // Around every route and the fallback, so that it can answer POST /sign-out and
        // GET /session itself, and with several accounts the chooser and POST /session/switch.
        .layer(sessions)
        .layer(map_response(move |response| protect(response, policy.clone())))
}

async fn protect(mut response: Response, policy: HeaderValue) -> Response {
    let headers = response.headers_mut();
    // The library's chooser has a policy of its own, which allows the style that it brings along.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
