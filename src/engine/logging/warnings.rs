//! Warnings about settings and wiring that the requests of a running service reveal. Each is logged at
//! WARN with its remedy: once for each engine, or at most once a minute for each cause.

use std::sync::atomic::AtomicBool;

use crate::error::ConfigProblem;

/// Logs a warning at most once a minute for each `$what`.
macro_rules! warning {
    ($kind:literal, $what:expr, $($fields:tt)+) => {{
        #[cfg(feature = "tracing")]
        if tracing::enabled!(target: crate::engine::logging::TARGET, tracing::Level::WARN)
            && crate::engine::logging::rate_limit::is_due($kind, $what)
        {
            tracing::warn!(target: crate::engine::logging::TARGET, warning = $kind, $($fields)+);
        }
        #[cfg(not(feature = "tracing"))]
        let _ = $what;
    }};
}
pub(crate) use warning;

/// Logs a warning the first time that it is due in an engine, whose flag is `$logged`.
macro_rules! warning_once {
    ($kind:literal, $logged:expr, $($fields:tt)+) => {{
        #[cfg(feature = "tracing")]
        if tracing::enabled!(target: crate::engine::logging::TARGET, tracing::Level::WARN)
            && !$logged.swap(true, std::sync::atomic::Ordering::Relaxed)
        {
            tracing::warn!(target: crate::engine::logging::TARGET, warning = $kind, $($fields)+);
        }
        #[cfg(not(feature = "tracing"))]
        let _ = $logged;
    }};
}
pub(crate) use warning_once;

/// Which warnings an engine has logged.
#[derive(Debug, Default)]
pub(crate) struct LoggedWarnings {
    no_background: AtomicBool,
    copies_not_detected: AtomicBool,
    bindings_not_recorded: AtomicBool,
    guarded_and_public: AtomicBool,
    pub(crate) no_sign_in_url: AtomicBool,
}

/// Whether warnings are logged at all.
pub(crate) fn is_enabled() -> bool {
    #[cfg(feature = "tracing")]
    let is_enabled =
        tracing::enabled!(target: crate::engine::logging::TARGET, tracing::Level::WARN);
    #[cfg(not(feature = "tracing"))]
    let is_enabled = false;
    is_enabled
}

/// Settings that work together, but rarely as intended. Logged once for each engine or layer that is
/// built.
pub(crate) fn setting(problem: &ConfigProblem) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        target: crate::engine::logging::TARGET,
        setting = problem.field(),
        value = problem.value(),
        "{}",
        problem.remedy()
    );
    #[cfg(not(feature = "tracing"))]
    let _ = problem;
}

/// A token names one of this process's keys and was signed with another one.
pub(crate) fn other_key_of_the_same_name(kid: &str) {
    warning!(
        "other_key",
        kid,
        kid,
        "a token names this key and was signed with another one: if tokens are not forged, another \
         process, or this one before a restart, has a different key of this name. Load the same keys in \
         every process, and do not generate them at each start"
    );
}

/// The engine's store is used, and no task follows its revocation feed.
pub(crate) fn no_background(engine: &LoggedWarnings) {
    warning_once!(
        "no_background",
        engine.no_background,
        "a store is set and SessionLayer::background is not running: revocations by other processes \
         are learned only when tokens are renewed, and expired sessions are not deleted. Spawn it once \
         in each process"
    );
}

/// The engine's store records no lineage.
pub(crate) fn copies_not_detected(engine: &LoggedWarnings) {
    warning_once!(
        "copies_not_detected",
        engine.copies_not_detected,
        "copied cookies are not detected, because the store does not record the ids of tokens: call \
         `migrate()` or run the files under `migrations/`, use a store of this crate, or set \
         `copied_cookies` to off"
    );
}

/// The tables of a SQL store, whose names start with `prefix`, are of version 1.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn store_outdated(prefix: &str) {
    warning!(
        "store_outdated",
        prefix,
        prefix,
        "the store's tables are of version 1, so pending sessions count towards the limit of complete \
         ones, copied cookies are not detected, and no session is bound to a device: call `migrate()` or run the files under `migrations/`"
    );
}

/// The layer runs on a thread without a tokio runtime with timers.
pub(crate) fn no_runtime(thread: &str) {
    warning!(
        "no_runtime",
        thread,
        thread,
        "calls of the store, the claims source and the fetcher of keys have no timeout, because there is \
         no tokio runtime with timers: run the service on one, built with `enable_time` or `enable_all`"
    );
}

/// The engine's store records no device.
pub(crate) fn bindings_not_recorded(engine: &LoggedWarnings) {
    warning_once!(
        "bindings_not_recorded",
        engine.bindings_not_recorded,
        "the store does not record to which device a session is bound, so other processes accept tokens \
         from before the binding until the session ends: use a store of this crate, or apply \
         `RenewRequest::device_key`"
    );
}

/// A guard protects a response that the application marked for shared caches.
pub(crate) fn guarded_and_public(engine: &LoggedWarnings, path: Option<&str>) {
    #[cfg(not(feature = "tracing"))]
    let _ = path;
    warning_once!(
        "guarded_and_public",
        engine.guarded_and_public,
        path,
        "the response to a signed-in user is guarded and marked for shared caches, which may send it to \
         other users: remove `public`, `s-maxage`, `immutable` or the field for CDNs from its headers, \
         or the guard"
    );
}

/// An endpoint of an inner layer that no request reaches, because an outer layer answers its path.
pub(crate) fn endpoint_behind_another(path: &str) {
    warning!(
        "endpoint_behind_another",
        path,
        path,
        "two nested SessionLayers that issue sessions answer this path, and only the outer one is \
         reached: move or disable it in one of the engines with Endpoints"
    );
}

/// What the page that made a request reveals about the settings. The origin is in canonical form, so
/// it can be logged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PageWarning {
    pub(crate) origin: Box<str>,
    pub(crate) kind: PageWarningKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageWarningKind {
    /// The request is refused, because the page is of another origin.
    OtherOrigin,
    /// The page came over http, and the session cookie is Secure.
    SecureCookieOverHttp,
    /// The page came over https, and the session cookie is not Secure.
    InsecureCookieOverHttps,
}

/// A sign-in, a sign-out or another change was refused because of the page's origin.
pub(crate) fn refused_origin(page: &str, own_origin: Option<&str>) {
    let own_origin = own_origin.unwrap_or("the Host header");
    #[cfg(not(feature = "tracing"))]
    let _ = own_origin;
    warning!(
        "refused_origin",
        page,
        page,
        own_origin,
        "a request of this page was refused as cross-site: if the page is this application's, set \
         `origin` to the origin that browsers show, or add the page's origin to `trusted_origins`"
    );
}

/// The browser will drop the cookie of a sign-in.
pub(crate) fn secure_cookie_over_http(page: &str) {
    warning!(
        "secure_cookie_over_http",
        page,
        page,
        "a sign-in came from a page over http, and browsers drop its Secure session cookie there (WebKit \
         also on localhost): serve the page over https, or set CookieConfig::insecure_for_development \
         during development"
    );
}

/// The switch for development is on where pages come over https.
pub(crate) fn insecure_cookie_over_https(page: &str) {
    warning!(
        "insecure_cookie_over_https",
        page,
        page,
        "a sign-in came from a page over https, and its session cookie is sent without Secure: remove \
         CookieConfig::insecure_for_development"
    );
}
