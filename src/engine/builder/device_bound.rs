//! The settings of device-bound sessions.

use std::time::Duration;

use super::{SessionEngineBuilder, combinations::Findings};
use crate::{
    config::{CookieConfig, DeviceBound, Origin},
    engine::{
        device_bound::DeviceBoundSettings,
        request::routes::{Endpoint, Paths},
    },
};

impl DeviceBoundSettings {
    const MIN_BOUND_FOR: Duration = Duration::from_secs(5);
    const MAX_BOUND_FOR: Duration = Duration::from_secs(3_600);
    const MAX_TOLERANCE: Duration = Duration::from_secs(600);

    /// The shortest lifetime of proofs that a browser with that many accounts can renew. Chromium signs at
    /// most 6 times in 9 minutes for one site, also to bind a session, and sends a signature again for 5
    /// minutes.
    const fn least_usual(accounts: usize) -> (Duration, &'static str) {
        if accounts <= 3 {
            return (
                Duration::from_secs(300),
                "5 minutes or more: browsers limit how often they sign, and then send requests without a \
                 proof for some minutes",
            );
        }
        (
            Duration::from_secs(600),
            "10 minutes or more, or max_sessions_per_browser of at most 3: browsers limit how often they \
             sign for all accounts together, and then send requests without a proof for some minutes",
        )
    }

    pub(super) fn check(
        &self,
        own: Option<&Origin>,
        cookie: &CookieConfig,
        paths: &Paths,
        accounts: usize,
        findings: &mut Findings,
    ) {
        let (lifetime, tolerance) = (self.bound_for, self.tolerance);
        let is_in_range = (Self::MIN_BOUND_FOR..=Self::MAX_BOUND_FOR).contains(&lifetime);
        if !is_in_range || lifetime.subsec_nanos() != 0 {
            let remedy =
                "5 seconds to 1 hour, in whole seconds: a copy of all cookies works this long";
            findings.problem("bound_for", format!("{lifetime:?}"), remedy);
        }
        let is_in_range = !tolerance.is_zero() && tolerance <= Self::MAX_TOLERANCE;
        if !is_in_range || tolerance.subsec_nanos() != 0 {
            let remedy = "1 second to 10 minutes, in whole seconds: the longest time that a request \
                          from before the binding takes to arrive";
            findings.problem("binding_tolerance", format!("{tolerance:?}"), remedy);
        }
        if !self.binds() {
            return;
        }
        let mode = self.mode.as_str();
        if !own.is_some_and(|own| own.as_str().starts_with("https://")) {
            let remedy = "set origin to the https origin of the application: browsers bind sessions of \
                          https origins only, and name it in what they sign";
            findings.problem("device_bound", mode, remedy);
        }
        if cookie.cookie_domain().is_some() {
            let remedy = "remove cookie.domain: a session is bound for one origin, and other hosts of the \
                          domain could not renew its proof";
            findings.problem("device_bound", mode, remedy);
        }
        for endpoint in [Endpoint::DeviceRegistration, Endpoint::DeviceRefresh] {
            if paths.of(endpoint).is_none() {
                let remedy = "do not disable it, or set device_bound to off";
                findings.problem(endpoint.field(), "disabled", remedy);
            }
        }
        let (least, remedy) = Self::least_usual(accounts);
        if is_in_range && lifetime < least {
            findings.warning("bound_for", format!("{lifetime:?}"), remedy);
        }
    }
}

impl<C> SessionEngineBuilder<C> {
    /// Whether sessions are bound to a key of the user's device, where the browser can do it; off by
    /// default. It needs an https [`origin`](Self::origin).
    ///
    /// Switch it on when all nodes run a version that knows the feature: older ones reject the tokens of
    /// bound sessions. Sessions that are bound stay bound when it is switched off.
    pub const fn device_bound(mut self, mode: DeviceBound) -> Self {
        self.device_bound.mode = mode;
        self
    }

    /// How long a device's proof counts: 10 minutes by default, 5 seconds to 1 hour. The browser renews it
    /// in time. A copy of all cookies of a bound session works at most this long.
    pub const fn bound_for(mut self, lifetime: Duration) -> Self {
        self.device_bound.bound_for = lifetime;
        self
    }

    /// How long tokens from before the binding are accepted, for requests that are in flight: 60 seconds by
    /// default, 1 second to 10 minutes. With [`DeviceBound::Required`] it is also how long after a sign-in
    /// a session may be unbound.
    pub const fn binding_tolerance(mut self, tolerance: Duration) -> Self {
        self.device_bound.tolerance = tolerance;
        self
    }
}
