//! Settings that contradict each other. The table in `docs/operating.md` has a row for each case.
#![cfg(all(feature = "tracing", feature = "memory"))]

use std::time::Duration;

use tower::Layer as _;
use tower_auth_session::{
    Algorithm, ConfigError, KeyRing, SessionEngine, SessionLayer, SessionLifetime,
    bearer::BearerTokens,
    config::{
        CookieConfig, CookiePrefix, CopiedCookies, DeviceBound, Endpoint, Endpoints, RedirectUrls,
        SameSite, TimeLimit,
    },
    engine::SessionEngineBuilder,
    testing::ManualClock,
    time::Timestamp,
    verify_only::{JwksFetchError, JwksFuture, TrustedIssuer},
};

use crate::support::{START, key, log::Log};

type Builder = SessionEngineBuilder<()>;

/// What happens when the engine is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// `build` fails with a problem of this field.
    Error(&'static str),
    /// A warning about this setting is logged.
    Warning(&'static str),
    Fine,
}
use Outcome::{Error, Fine, Warning};

const HTTPS: &str = "https://app.example.com";

fn builder() -> Builder {
    SessionEngine::builder(KeyRing::new(key("settings"))).origin(HTTPS)
}

/// Without an origin.
fn anywhere() -> Builder {
    SessionEngine::builder(KeyRing::new(key("settings")))
}

fn verify_only() -> Builder {
    let issuer = TrustedIssuer::new("https://accounts.example.com");
    let ring = KeyRing::verify_only().with_key(key("settings").verifying_key());
    SessionEngine::verify_only([issuer.algorithms([Algorithm::Hs256]).keys(ring)])
}

fn cookie() -> CookieConfig {
    CookieConfig::default()
}

fn urls() -> RedirectUrls {
    RedirectUrls::new()
}

fn lifetime() -> SessionLifetime {
    SessionLifetime::new()
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

/// The settings of a row of the table, an example, and its outcome.
type Case = (&'static str, Builder, Outcome);

fn lifetimes() -> Vec<Case> {
    let row = "`inactivity_timeout` and `maximum_lifetime`";
    let both_off = lifetime().inactivity_timeout(TimeLimit::Off).maximum_lifetime(TimeLimit::Off);
    let inverted = lifetime().inactivity_timeout(hours(2)).maximum_lifetime(hours(1));
    let renewal = "`renew_after` and `maximum_lifetime`";
    let hourly = lifetime().inactivity_timeout(TimeLimit::Off).maximum_lifetime(hours(1));
    vec![
        (row, builder().lifetime(both_off), Error("lifetime")),
        (row, builder().lifetime(inverted), Error("lifetime.inactivity_timeout")),
        (row, builder().lifetime(lifetime().maximum_lifetime(hours(1))), Fine),
        (
            renewal,
            builder().lifetime(hourly.clone().renew_after(hours(1))),
            Error("lifetime.renew_after"),
        ),
        (renewal, builder().lifetime(hourly.clone().renew_after(hours(1) / 2)), Fine),
        (renewal, builder().lifetime(lifetime().renew_after(hours(1_000))), Fine),
        (
            renewal,
            builder().lifetime(
                lifetime()
                    .inactivity_timeout(TimeLimit::Off)
                    .maximum_lifetime(Duration::from_secs(30)),
            ),
            Fine,
        ),
        (
            "`pending_lifetime`, `impersonation_lifetime` and `maximum_lifetime`",
            builder().lifetime(hourly.pending_lifetime(hours(2)).impersonation_lifetime(hours(2))),
            Fine,
        ),
        (
            "`max_override` and the limits",
            builder().lifetime(lifetime().max_override(hours(1))),
            Fine,
        ),
    ]
}

fn cookies() -> Vec<Case> {
    let development = "`insecure_for_development` and `origin`";
    let insecure = || cookie().insecure_for_development();
    let http = || anywhere().origin("http://localhost:3000");
    let lan = || anywhere().origin("http://192.168.1.5:3000");
    let domain = "`cookie.domain` and `origin`";
    let path = "`cookie.path` and the endpoints";
    let app = || cookie().path("/app");
    let below = Endpoints::new()
        .path(Endpoint::SignOut, "/app/sign-out")
        .path(Endpoint::Sessions, "/app/session")
        .disable(Endpoint::Switch)
        .path(Endpoint::Token, "/app/session/token")
        .path(Endpoint::Touch, "/app/session/touch");
    let in_app = |urls: RedirectUrls| {
        builder().cookie(app()).endpoints(Endpoints::new().base_path("/app")).redirect_urls(urls)
    };
    let pages = "`cookie.path` and the pages";
    vec![
        (development, builder().cookie(insecure()), Error("cookie.insecure_for_development")),
        (development, http().cookie(insecure()), Warning("cookie.insecure_for_development")),
        (development, lan().cookie(insecure()), Warning("cookie.insecure_for_development")),
        (development, anywhere().cookie(insecure()), Warning("cookie.insecure_for_development")),
        (development, lan(), Error("origin")),
        (development, http(), Warning("origin")),
        (development, builder(), Fine),
        (
            "`insecure_for_development` and `prefix`",
            http().cookie(insecure().prefix(CookiePrefix::Host)),
            Warning("cookie.insecure_for_development"),
        ),
        (
            "`same_site` and `insecure_for_development`",
            http().cookie(insecure().same_site(SameSite::None)),
            Error("cookie.same_site"),
        ),
        (
            "`prefix`, `cookie.domain` and `cookie.path`",
            builder().cookie(cookie().prefix(CookiePrefix::Host).domain("example.com")),
            Error("cookie.domain"),
        ),
        (
            "`prefix`, `cookie.domain` and `cookie.path`",
            builder().cookie(cookie().prefix(CookiePrefix::Host).path("/app")),
            Error("cookie.path"),
        ),
        (domain, builder().cookie(cookie().domain("example.com")), Fine),
        (domain, builder().cookie(cookie().domain("app.example.com")), Fine),
        (domain, builder().cookie(cookie().domain("other.example")), Error("cookie.domain")),
        (domain, builder().cookie(cookie().domain("ple.com")), Error("cookie.domain")),
        (domain, anywhere().cookie(cookie().domain("other.example")), Fine),
        (path, builder().cookie(app()), Error("endpoints.sign_out")),
        (path, builder().cookie(app()).endpoints(below), Fine),
        (path, in_app(urls()), Fine),
        (path, builder().cookie(cookie().path("/ap")), Error("endpoints.sign_out")),
        (pages, in_app(urls().sign_in_url("/app/sign-in").tasks_url("/app/tasks")), Fine),
        (pages, in_app(urls().sign_in_url("/sign-in")), Warning("sign_in_url")),
        (pages, in_app(urls().sign_in_url("/sign-in")).multi_session(true), Error("sign_in_url")),
        (pages, in_app(urls().tasks_url("/tasks")), Error("tasks_url")),
        (pages, in_app(urls().reverify_url("https://app.example.com/me")), Error("reverify_url")),
        (pages, in_app(urls().after_sign_out_url("/")), Fine),
    ]
}

fn redirects() -> Vec<Case> {
    let endpoints = "the pages and the endpoints";
    let elsewhere = "the pages, `origin` and `cookie.domain`";
    let accounts = "https://accounts.example.com/sign-in";
    let strict = "`same_site` and `sign_in_url`";
    let strictly = |urls: RedirectUrls| {
        builder().cookie(cookie().same_site(SameSite::Strict)).redirect_urls(urls)
    };
    let on = |urls: RedirectUrls| builder().redirect_urls(urls);
    let chooser = Endpoints::new().path(Endpoint::Chooser, "/choose");
    vec![
        (endpoints, on(urls().sign_in_url("/session")), Error("endpoints.sessions")),
        (
            endpoints,
            on(urls().sign_in_url("https://app.example.com/sign-out?x=1")),
            Error("endpoints.sign_out"),
        ),
        (endpoints, on(urls().tasks_url("/session/token")), Error("endpoints.token")),
        (endpoints, on(urls().reverify_url("/session")), Error("endpoints.sessions")),
        (endpoints, on(urls().after_sign_out_url("/sign-out")), Error("endpoints.sign_out")),
        (
            endpoints,
            on(urls().after_multi_session_single_sign_out_url("/choose"))
                .multi_session(true)
                .endpoints(chooser),
            Fine,
        ),
        (
            endpoints,
            on(urls().sign_in_url("/session")).endpoints(Endpoints::new().base_path("/app")),
            Fine,
        ),
        (elsewhere, on(urls().sign_in_url(accounts)), Fine),
        (elsewhere, anywhere().redirect_urls(urls().sign_in_url(accounts)), Warning("sign_in_url")),
        (elsewhere, on(urls().tasks_url(accounts)), Warning("tasks_url")),
        (elsewhere, on(urls().tasks_url(accounts)).cookie(cookie().domain("example.com")), Fine),
        (
            "the pages and https",
            on(urls().sign_in_url("http://app.example.com/sign-in")),
            Warning("sign_in_url"),
        ),
        ("the pages and https", on(urls().after_sign_out_url("http://www.example.com/")), Fine),
        (
            strict,
            strictly(urls().sign_in_url("https://login.example/sign-in")),
            Warning("cookie.same_site"),
        ),
        (strict, strictly(urls().sign_in_url(accounts)), Fine),
        (strict, strictly(urls().sign_in_url("/sign-in")), Fine),
        (
            "`trusted_origins` and `origin`",
            builder().trusted_origins(["http://localhost:3000"]),
            Warning("trusted_origins"),
        ),
        (
            "`trusted_origins` and `origin`",
            builder().trusted_origins([HTTPS, "https://www.example.com"]),
            Fine,
        ),
        (
            "`session_query_param` and redirects",
            builder().multi_session(true).session_query_param("redirect_url"),
            Error("session_query_param"),
        ),
        (
            "`session_query_param` and redirects",
            builder().multi_session(true).session_query_param("session"),
            Fine,
        ),
        (
            "the settings of several accounts and `multi_session`",
            builder()
                .max_sessions_per_browser(3)
                .session_query_param("session")
                .redirect_urls(urls().after_multi_session_single_sign_out_url("/accounts")),
            Fine,
        ),
        ("the chooser and `sign_in_url`", on(urls().sign_in_url("/in")).multi_session(true), Fine),
        (
            "the chooser and `sign_in_url`",
            on(urls().sign_in_url("/in"))
                .multi_session(true)
                .endpoints(Endpoints::new().disable(Endpoint::Chooser)),
            Fine,
        ),
        (
            "the chooser and the switch endpoint",
            builder().multi_session(true).endpoints(
                Endpoints::new().path(Endpoint::Chooser, "/c").disable(Endpoint::Switch),
            ),
            Error("endpoints.chooser"),
        ),
    ]
}

fn tokens() -> Vec<Case> {
    let bearer = "`bearer_tokens` lifetimes";
    let minute = Duration::from_secs(60);
    let parties = "`accept` and `authorized_parties`";
    let accept = || BearerTokens::new().accept(true);
    let verifying = "a verify-only engine and the settings of issued tokens";
    vec![
        (
            bearer,
            builder().bearer_tokens(BearerTokens::new().lifetime(minute * 2).max_lifetime(minute)),
            Error("bearer_tokens.max_lifetime"),
        ),
        (
            parties,
            builder().bearer_tokens(accept().authorized_parties(["https://other.example"])),
            Warning("bearer_tokens.authorized_parties"),
        ),
        (
            parties,
            anywhere().bearer_tokens(accept().authorized_parties([HTTPS])),
            Warning("bearer_tokens.authorized_parties"),
        ),
        (parties, builder().bearer_tokens(accept().authorized_parties([HTTPS])), Fine),
        (verifying, verify_only().issuer("https://app.example.com"), Error("issuer")),
        (verifying, verify_only().audience("reports"), Error("audience")),
        (verifying, verify_only().reject_unbound_tokens(true), Error("reject_unbound_tokens")),
        (verifying, verify_only().bearer_tokens(accept()), Error("bearer_tokens.accept")),
        (verifying, verify_only().cookie(cookie().path("/app")), Fine),
        (
            "the keys and a verify-only ring",
            SessionEngine::builder(KeyRing::verify_only()).origin(HTTPS),
            Error("keys"),
        ),
    ]
}

fn devices() -> Vec<Case> {
    let row = "`device_bound` and `origin`";
    let times = "`bound_for` and browsers";
    let seconds = Duration::from_secs;
    let bound = |builder: Builder| builder.device_bound(DeviceBound::Preferred);
    let several = |max| bound(builder()).multi_session(true).max_sessions_per_browser(max);
    let disabled = |endpoint| Endpoints::new().disable(endpoint);
    let below = cookie().path("/app");
    let app = || Endpoints::new().base_path("/app");
    vec![
        (row, bound(builder()), Fine),
        (row, builder().device_bound(DeviceBound::Required), Fine),
        (row, bound(anywhere()), Error("device_bound")),
        (row, bound(anywhere().origin("http://localhost:3000")), Error("device_bound")),
        (row, bound(anywhere().cookie(cookie().insecure_for_development())), Error("device_bound")),
        (row, bound(builder().cookie(cookie().domain("example.com"))), Error("device_bound")),
        (
            row,
            bound(builder().endpoints(disabled(Endpoint::DeviceRegistration))),
            Error("endpoints.device_registration"),
        ),
        (row, builder().endpoints(disabled(Endpoint::DeviceRefresh)), Fine),
        (row, bound(builder().cookie(below).endpoints(app())), Fine),
        (times, bound(builder()).bound_for(seconds(3_601)), Error("bound_for")),
        (times, bound(builder()).bound_for(seconds(4)), Error("bound_for")),
        (times, bound(builder()).bound_for(Duration::from_millis(5_500)), Error("bound_for")),
        (times, bound(builder()).bound_for(seconds(299)), Warning("bound_for")),
        (times, bound(builder()).bound_for(seconds(300)), Fine),
        (times, several(3).bound_for(seconds(299)), Warning("bound_for")),
        (times, several(3).bound_for(seconds(300)), Fine),
        (times, several(4).bound_for(seconds(599)), Warning("bound_for")),
        (times, several(4).bound_for(seconds(600)), Fine),
        (times, builder().bound_for(seconds(60)), Fine),
        (times, bound(builder()).binding_tolerance(seconds(601)), Error("binding_tolerance")),
        (times, bound(builder()).binding_tolerance(Duration::ZERO), Error("binding_tolerance")),
        (times, bound(builder()).binding_tolerance(seconds(600)), Fine),
    ]
}

/// The settings in the warnings since the last call.
fn settings(log: &Log) -> Vec<String> {
    log.warnings()
        .iter()
        .inspect(|line| assert_eq!(line.target, "tower_auth_session"))
        .map(|line| {
            assert!(line.message.len() > 20, "a warning has a remedy: {line:?}");
            line.value("setting").to_owned()
        })
        .collect()
}

#[test]
fn engine_settings_that_contradict_each_other_are_reported() {
    let log = Log::start();
    let mut wrong = Vec::new();
    let cases = [lifetimes(), cookies(), redirects(), tokens(), devices()].into_iter().flatten();
    for (number, (row, builder, expected)) in cases.enumerate() {
        let built = builder.build();
        let fields = |error: &ConfigError| {
            let problems = error.problems().iter();
            problems.map(|problem| problem.field().to_owned()).collect::<Vec<_>>()
        };
        let errors = built.as_ref().err().map(fields).unwrap_or_default();
        let warnings = settings(&log);
        let as_expected = match expected {
            Error(field) => errors.iter().any(|it| it == field),
            Warning(field) => errors.is_empty() && warnings == [field],
            Fine => errors.is_empty() && warnings.is_empty(),
        };
        if !as_expected {
            wrong.push(format!("{number} {row}: {expected:?}, {errors:?}, {warnings:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_combination_of_settings_is_documented() {
    let guide = include_str!("../../docs/operating.md").replace('\n', " ");
    let cases = [lifetimes(), cookies(), redirects(), tokens(), devices()].into_iter().flatten();
    for (row, _, expected) in cases {
        let outcome = match expected {
            Error(_) => "error",
            Warning(_) => "warning",
            Fine => continue,
        };
        let line = guide.split("| ").skip_while(|cell| cell.trim_end() != row).nth(1);
        let line = line.unwrap_or_else(|| panic!("docs/operating.md has no row for {row}"));
        assert!(line.contains(outcome), "{row}: {line} does not mention {outcome:?}");
    }
}

/// Wraps a service in the layer, and returns the settings that it warns about.
fn warnings_of<C>(log: &Log, layer: &SessionLayer<C>) -> Vec<String> {
    log.take();
    for _ in 0..2 {
        let _ = layer.layer(());
    }
    settings(log)
}

#[derive(Debug)]
struct NoFetcher;

impl tower_auth_session::verify_only::JwksFetcher for NoFetcher {
    fn fetch<'a>(&'a self, _: &'a str) -> JwksFuture<'a> {
        Box::pin(async { Err(JwksFetchError::new("no network")) })
    }
}

#[test]
fn layer_settings_without_an_effect_are_logged_once() {
    use tower_auth_session::store::{MemoryStore, SubjectLimit, SubjectLimitPolicy};

    let log = Log::start();
    let layer = |builder: Builder| {
        let start = Timestamp::from_unix_seconds(START);
        SessionLayer::new(builder.build().unwrap()).clock(ManualClock::at(start))
    };
    let limit = SubjectLimit::new(3, SubjectLimitPolicy::Refuse);
    let stored_with = |builder: Builder| layer(builder).store(MemoryStore::new());
    let stored = || stored_with(builder());
    let often = || lifetime().renew_after(Duration::from_secs(29));
    let in_a_minute = Timestamp::from_unix_seconds(START + 60);
    let remote = SessionEngine::verify_only([TrustedIssuer::new("https://accounts.example.com")]);
    let sharing = TrustedIssuer::new("https://accounts.example.com").shares_store();
    let source = |_: tower_auth_session::engine::SessionIdentity| async { Ok::<_, &str>(()) };
    for (layer, expected) in [
        (layer(builder()), &[][..]),
        (layer(builder()).outage_grace(hours(0)), &[]),
        (layer(builder()).outage_grace(Duration::from_secs(60)), &["outage_grace"]),
        (stored().outage_grace(Duration::from_secs(60)), &[]),
        (layer(builder()).max_sessions_per_subject(limit), &["max_sessions_per_subject"]),
        (stored().max_sessions_per_subject(limit), &[]),
        (stored().store_timeout(Duration::ZERO), &["store_timeout"]),
        (layer(builder()).claims_timeout(Duration::ZERO), &["claims_timeout"]),
        (layer(builder()).endpoint_body_timeout(Duration::ZERO), &["endpoint_body_timeout"]),
        (layer(builder()).jwks_fetcher(NoFetcher), &["jwks_fetcher"]),
        (layer(remote).jwks_fetcher(NoFetcher), &[]),
        (layer(verify_only()).store(MemoryStore::new()), &["store"]),
        (layer(SessionEngine::verify_only([sharing])).store(MemoryStore::new()), &[]),
        (layer(verify_only()).claims_source(source), &["claims_source"]),
        (layer(builder().revoke_signed_in_before(in_a_minute)), &["revoke_signed_in_before"]),
        (layer(builder().copied_cookies(CopiedCookies::Report)), &["copied_cookies"]),
        (stored_with(builder().copied_cookies(CopiedCookies::End)), &[]),
        (stored_with(builder().lifetime(often())), &["renew_after"]),
        (stored_with(builder().lifetime(often()).copied_cookies(CopiedCookies::Off)), &[]),
        (layer(builder().lifetime(often())), &[]),
    ] {
        assert_eq!(warnings_of(&log, &layer), expected);
    }
    log.take();
    let _ = stored().outage_grace(hours(1));
    assert_eq!(settings(&log), ["outage_grace"]);
    let _ = layer(anywhere());
    assert_eq!(settings(&log), ["origin"]);
    let _ = layer(verify_only());
    assert!(settings(&log).is_empty());
}
