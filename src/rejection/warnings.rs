//! Warnings about wiring that makes every request fail. Each is logged at most once a minute, with its
//! remedy.

use crate::engine::logging::warnings::{LoggedWarnings, warning, warning_once};

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

/// A handler extracts the sessions of a layer that has no store.
#[cfg(feature = "axum")]
pub(crate) fn missing_store(claims: &'static str) {
    warning!(
        "missing_store",
        claims,
        claims,
        "a handler extracts SessionManager and its SessionLayer has no store: set one with \
         SessionLayer::store, or extract Option<SessionManager>"
    );
}

/// A guard refused a navigation and has no page to redirect it to.
pub(crate) fn no_sign_in_url(path: &str, engine: &LoggedWarnings) {
    #[cfg(not(feature = "tracing"))]
    let _ = path;
    warning_once!(
        "no_sign_in_url",
        engine.no_sign_in_url,
        path,
        "a guard refused a navigation and no sign_in_url is configured: set \
         RedirectUrls::sign_in_url, so that browsers are redirected to the sign-in page"
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
