//! [`CircuitBreaker`]: stops calls to a store that does not respond, and probes it from time to time.

use std::time::Duration;

/// Five failures within ten seconds open the circuit. Then one call per second may probe the store; the
/// first success closes the circuit. Time is monotonic.
#[derive(Debug, Default)]
pub(crate) struct CircuitBreaker {
    failures: u32,
    first_failure: Duration,
    /// While the circuit is open, when the next call may probe the store.
    retry_at: Option<Duration>,
}

const FAILURES: u32 = 5;
const WINDOW: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);

impl CircuitBreaker {
    /// Whether the circuit is open and no probe is allowed yet.
    pub(crate) fn is_open(&self, now: Duration) -> bool {
        self.retry_at.is_some_and(|at| now < at)
    }

    /// Acquires permission for a call. While the circuit is open, one per second gets it.
    pub(crate) fn try_acquire(&mut self, now: Duration) -> bool {
        match self.retry_at {
            None => true,
            Some(at) if now >= at => {
                self.retry_at = Some(now + PAUSE);
                true
            }
            Some(_) => false,
        }
    }

    /// Whether there were no recent failures.
    pub(crate) const fn is_closed(&self) -> bool {
        self.failures == 0
    }

    pub(crate) fn record_success(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn record_failure(&mut self, now: Duration) {
        if self.failures == 0 || now.saturating_sub(self.first_failure) > WINDOW {
            (self.failures, self.first_failure) = (0, now);
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES || self.retry_at.is_some() {
            self.retry_at = Some(now + PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::middleware::store_client::circuit_breaker::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn circuit_breaker_opens_after_five_failures_and_admits_one_probe_a_second() {
        let mut breaker = CircuitBreaker::default();
        for n in 0..5 {
            assert!(breaker.try_acquire(ms(n)));
            breaker.record_failure(ms(n));
        }
        assert!(!breaker.try_acquire(ms(5)) && !breaker.try_acquire(ms(1_003)));
        assert!(breaker.try_acquire(ms(1_004)), "one may try");
        assert!(!breaker.try_acquire(ms(1_005)), "and no other meanwhile");
        breaker.record_failure(ms(1_300));
        assert!(!breaker.try_acquire(ms(2_299)) && breaker.try_acquire(ms(2_300)));
        breaker.record_success();
        assert!(breaker.try_acquire(ms(2_301)) && breaker.is_closed());
    }

    #[test]
    fn circuit_breaker_with_occasional_failures_stays_closed() {
        let mut breaker = CircuitBreaker::default();
        for n in 0..50 {
            breaker.record_failure(ms(n * 11_000));
            assert!(breaker.try_acquire(ms(n * 11_000 + 1)));
        }
        for _ in 0..50 {
            breaker.record_failure(ms(600_000));
            breaker.record_success();
        }
        assert!(breaker.try_acquire(ms(600_000)));
    }
}
