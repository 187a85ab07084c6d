//! Warnings of guards. Each is logged at most once a minute, with its remedy.

use super::PredicateError;
use crate::engine::logging::warnings::warning;

/// A predicate could not decide about a request.
pub(super) fn predicate_failed(claims: &'static str, path: &str, error: &PredicateError) {
    #[cfg(not(feature = "tracing"))]
    let _ = (path, error);
    warning!(
        "predicate_failed",
        claims,
        claims,
        path,
        %error,
        "a predicate of RequireSessionLayer::authorize_async failed and its request was answered with \
         503: check what it queries"
    );
}
