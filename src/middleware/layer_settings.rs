//! Settings of a layer that contradict each other or its engine. `docs/operating.md` has the table. The
//! methods of a layer return no errors, so each problem is logged as a warning, once for each layer.

use std::time::Duration;

use super::context::LayerContext;
use crate::{engine::logging::warnings, error::ConfigProblem};

impl<C> LayerContext<C> {
    /// Logs what is wrong with the settings, the first time that the layer wraps a service.
    pub(super) fn check_settings(&self) {
        self.settings_checked.call_once(|| {
            self.setting_warnings().iter().for_each(warnings::setting);
        });
    }

    fn setting_warnings(&self) -> Vec<ConfigProblem> {
        let mut found = Vec::new();
        let mut warn = |field: &'static str, value: String, remedy: &'static str| {
            found.push(ConfigProblem::new(field, value, remedy));
        };
        let (policy, engine) = (&self.policy, &self.engine);
        if self.store.is_none() {
            if !policy.grace.is_zero() {
                let remedy =
                    "without a store it has no effect: set SessionLayer::store, or remove it";
                warn("outage_grace", format!("{:?}", policy.grace), remedy);
            }
            if let Some(limit) = policy.limit {
                let remedy = "without a store sessions are not counted, and the limit is not enforced: \
                              set SessionLayer::store";
                warn("max_sessions_per_subject", limit.max.to_string(), remedy);
            }
        }
        if self.store.is_none() && engine.lineage_policy().is_some() {
            let remedy = "without a store each process compares only its own renewals: set \
                          SessionLayer::store to compare those of all processes";
            warn("copied_cookies", engine.copied_cookies().to_string(), remedy);
        }
        if let Some(renew_after) = engine.renewal_of_unsaved_cookies() {
            let remedy = "browsers write cookies to the disk about every 30 s, and one that crashed \
                          before looks like a copy: set at least 30 s, or set copied_cookies to off";
            warn("renew_after", format!("{renew_after:?}"), remedy);
        }
        for (field, value, remedy) in [
            ("store_timeout", policy.deadline, "every call of the store fails: set at least 1 ms"),
            (
                "claims_timeout",
                self.claims_deadline,
                "every call of the claims source fails: set at least 1 ms",
            ),
            (
                "endpoint_body_timeout",
                self.body_timeout,
                "slow requests to the endpoints fail: set some seconds",
            ),
        ] {
            if value < Duration::from_millis(1) {
                warn(field, format!("{value:?}"), remedy);
            }
        }
        let fetches_keys = engine.remote_issuers().next().is_some();
        if self.fetcher.is_some() && !fetches_keys {
            let remedy = "the engine has no trusted issuer whose keys are fetched: remove it, or use \
                          SessionEngine::verify_only";
            warn("jwks_fetcher", "set".to_owned(), remedy);
        }
        if engine.verifies_only() && self.store.is_some() && !engine.shares_store() {
            let remedy = "no trusted issuer shares this store, so it contains none of their sessions: \
                          set TrustedIssuer::shares_store, or remove the store";
            warn("store", "set".to_owned(), remedy);
        }
        if engine.verifies_only() && self.claims_source.is_some() {
            let remedy =
                "a verify-only engine takes the claims from the issuer's tokens: remove it";
            warn("claims_source", "set".to_owned(), remedy);
        }
        let not_before = engine.revokes_signed_in_before();
        if not_before > self.clock.now().timestamp() {
            let remedy =
                "the instant is in the future: until then every sign-in is revoked at once";
            warn("revoke_signed_in_before", not_before.to_string(), remedy);
        }
        found
    }
}

/// Logs that the grace of an outage is longer than its maximum.
pub(super) fn report_long_grace(grace: Duration) {
    let remedy = "at most 15 minutes, which are used instead: sessions that were revoked elsewhere are \
                  accepted for that long during an outage";
    warnings::setting(&ConfigProblem::new("outage_grace", format!("{grace:?}"), remedy));
}

/// The warning about a layer without an `origin`.
pub(super) fn no_origin() -> ConfigProblem {
    let remedy = "set it: requests from other sites are recognised by the Host header only, which is as \
                  reliable as the proxy in front of the service, and pages on another origin \
                  cannot redirect back";
    ConfigProblem::new("origin", "none", remedy)
}
