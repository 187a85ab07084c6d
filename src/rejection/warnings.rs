//! Warnings about wiring that makes every request fail. Each is logged at most once a minute, with its
//! remedy.

#[cfg(feature = "tracing")]
use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

#[cfg(feature = "tracing")]
use crate::time::{Clock as _, SystemClock};

/// How long the same warning stays silent after it was logged.
#[cfg(feature = "tracing")]
const INTERVAL: Duration = Duration::from_secs(60);

/// The maximum number of different warnings that are remembered: names of types and layers, and a few
/// origins.
#[cfg(feature = "tracing")]
const MAX_WARNINGS: usize = 256;

/// Whether the warning `kind` about `what` is due, which counts as logging it.
#[cfg(feature = "tracing")]
fn is_due(kind: &'static str, what: &str) -> bool {
    static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::new);
    static LOGGED: Mutex<Option<HashMap<(&'static str, String), Duration>>> = Mutex::new(None);
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    let logged = logged.get_or_insert_with(HashMap::new);
    let (now, key) = (CLOCK.now().monotonic(), (kind, what.to_owned()));
    if logged.get(&key).is_some_and(|at| now.saturating_sub(*at) < INTERVAL) {
        return false;
    }
    if logged.len() >= MAX_WARNINGS {
        logged.retain(|_, at| now.saturating_sub(*at) < INTERVAL);
        if logged.len() >= MAX_WARNINGS {
            return false;
        }
    }
    logged.insert(key, now);
    true
}

macro_rules! warning {
    ($kind:literal, $what:expr, $($fields:tt)+) => {{
        #[cfg(feature = "tracing")]
        if tracing::enabled!(target: "tower_auth_session", tracing::Level::WARN)
            && is_due($kind, $what)
        {
            tracing::warn!(target: "tower_auth_session", $($fields)+);
        }
        #[cfg(not(feature = "tracing"))]
        let _ = $what;
    }};
}

/// A guard or an extractor found no layer, or none with its claims or its name. `found` names the
/// claims of the layers that there are.
pub(crate) fn missing_layer(required: &str, found: &[&'static str]) {
    #[cfg(not(feature = "tracing"))]
    let _ = found;
    warning!(
        "missing_layer",
        required,
        required,
        ?found,
        "a guard or extractor found no SessionLayer with the required claims type or name: add the \
         layer outside of it, with the same claims type"
    );
}

/// An unnamed look-up found layers of different engines.
pub(crate) fn ambiguous_layer(required: &str, found: &[&'static str]) {
    #[cfg(not(feature = "tracing"))]
    let _ = found;
    warning!(
        "ambiguous_layer",
        required,
        required,
        ?found,
        "a guard or extractor found several SessionLayers with different engines: name the layers with \
         SessionLayer::name, and select one with RequireSessionLayer::for_layer or InLayer"
    );
}

/// A guard refused a navigation and has no page to redirect it to.
pub(crate) fn no_sign_in_url(path: &str) {
    #[cfg(not(feature = "tracing"))]
    let _ = path;
    warning!(
        "no_sign_in_url",
        "",
        path,
        "a guard refused a navigation and no sign_in_url is configured: set \
         RedirectUrls::sign_in_url, so that people are redirected to the sign-in page"
    );
}

/// A guard redirects to a page that it guards itself.
pub(crate) fn guarded_target(path: &str) {
    warning!(
        "guarded_target",
        path,
        path,
        "a guard redirects to the page that it guards, which is a redirect loop: leave the sign-in, \
         tasks and re-verification pages outside of the guard"
    );
}
