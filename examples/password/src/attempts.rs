//! How often a password may be tried: for each user name, and for each client's network.
//!
//! A layer around the router sees no form, so it can count by address only. Many addresses are cheap for
//! an attacker, therefore attempts are counted by the name in the form too, before the slow hash.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::DefaultKeyedStateStore,
};

type Limiter<K, C> =
    RateLimiter<K, DefaultKeyedStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Attempts of one user name: five, and another one every five minutes.
const BY_NAME: (u32, Duration) = (5, Duration::from_secs(300));

/// Attempts from one network: 30, and another one every ten seconds. Offices share an address.
const BY_NETWORK: (u32, Duration) = (30, Duration::from_secs(10));

/// Counts attempts. This process counts by itself: several processes allow as many times more.
pub struct Attempts<C: Clock = DefaultClock> {
    by_name: Limiter<String, C>,
    by_network: Limiter<IpAddr, C>,
    clock: C,
}

/// The password may not be tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyAttempts {
    /// How long the user has to wait.
    pub wait: Duration,
}

impl Default for Attempts {
    fn default() -> Self {
        Self::new(DefaultClock::default())
    }
}

impl<C: Clock> Attempts<C> {
    fn new(clock: C) -> Self
    where
        C: Clone,
    {
        Self {
            by_name: RateLimiter::new(quota(BY_NAME), Default::default(), clock.clone()),
            by_network: RateLimiter::new(quota(BY_NETWORK), Default::default(), clock.clone()),
            clock,
        }
    }

    /// Counts an attempt to sign in as `name` from `ip`.
    ///
    /// # Errors
    ///
    /// When there were too many.
    pub fn count(&self, name: &str, ip: IpAddr) -> Result<(), TooManyAttempts> {
        // The network first: one client cannot use up the attempts of many names.
        let now = self.clock.now();
        let refused = |wait| TooManyAttempts { wait };
        self.by_network
            .check_key(&network(ip))
            .map_err(|until| refused(until.wait_time_from(now)))?;
        self.by_name
            .check_key(&name.trim().to_lowercase())
            .map_err(|until| refused(until.wait_time_from(now)))
    }

    /// Forgets names and networks whose attempts are all available again. Call it from time to time.
    pub fn forget_old(&self) {
        self.by_name.retain_recent();
        self.by_network.retain_recent();
    }
}

fn quota((burst, replenish_one_per): (u32, Duration)) -> Quota {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(replenish_one_per);
    quota.unwrap_or_else(|| Quota::per_hour(burst)).allow_burst(burst)
}

/// The network of a client: a client of IPv6 usually has 2⁶⁴ addresses.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

impl<C: Clock> fmt::Debug for Attempts<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn name_has_five_attempts_and_another_one_every_five_minutes() {
        let clock = FakeRelativeClock::default();
        let attempts = Attempts::new(clock.clone());
        for _ in 0..5 {
            assert_eq!(attempts.count("ada", ip("192.0.2.1")), Ok(()));
        }
        // From any network, however the name is written.
        let refused = attempts.count(" Ada", ip("198.51.100.1")).unwrap_err();
        assert_eq!(refused.wait.as_secs(), 300);
        assert_eq!(attempts.count("grace", ip("192.0.2.1")), Ok(()));
        clock.advance(Duration::from_secs(300));
        assert_eq!(attempts.count("ada", ip("192.0.2.1")), Ok(()));
        assert!(attempts.count("ada", ip("192.0.2.1")).is_err());
        clock.advance(Duration::from_secs(1500));
        attempts.forget_old();
        for _ in 0..5 {
            assert_eq!(attempts.count("ada", ip("192.0.2.1")), Ok(()));
        }
    }

    #[test]
    fn network_has_thirty_attempts_and_another_one_every_ten_seconds() {
        let clock = FakeRelativeClock::default();
        let attempts = Attempts::new(clock.clone());
        for number in 0..30 {
            let host = ip(&format!("2001:db8:0:1::{number:x}"));
            assert_eq!(attempts.count(&format!("user-{number}"), host), Ok(()));
        }
        assert!(attempts.count("user-30", ip("2001:db8:0:1::ffff")).is_err());
        assert_eq!(attempts.count("user-30", ip("2001:db8:0:2::1")), Ok(()));
        clock.advance(Duration::from_secs(10));
        assert_eq!(attempts.count("user-31", ip("2001:db8:0:1::1")), Ok(()));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }
}
