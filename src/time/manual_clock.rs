//! [`ManualClock`]: a clock that tests move by hand.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Clock, ClockReading, Timestamp};

/// A clock that moves only when a test advances or sets it. Clones share the time.
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{testing::ManualClock, time::{Clock as _, Timestamp}};
///
/// let clock = ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000));
/// clock.advance(Duration::from_secs(60)); // SessionLayer::new(engine).clock(clock.clone())
/// assert_eq!(clock.now().timestamp().as_unix_seconds(), 1_800_000_060);
/// let before = clock.now().monotonic();
/// clock.set(Timestamp::from_unix_seconds(1_700_000_000)); // the wall clock is corrected
/// assert_eq!(clock.now().monotonic(), before);
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Reading>>);

#[derive(Debug)]
struct Reading {
    now: ClockReading,
    /// Of the second that the wall clock shows.
    passed: Duration,
}

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        let reading = Reading { now: ClockReading::from(start), passed: Duration::ZERO };
        Self(Arc::new(Mutex::new(reading)))
    }

    /// Lets `duration` pass on both clocks.
    pub fn advance(&self, duration: Duration) {
        let Reading { now, passed } = &mut *self.lock();
        *passed = passed.saturating_add(duration);
        now.wall = now.wall.saturating_add(*passed);
        *passed = Duration::from_nanos(passed.subsec_nanos().into());
        now.monotonic = now.monotonic.saturating_add(duration);
    }

    /// Corrects the wall clock to `wall`, in either direction. The monotonic clock does not move.
    pub fn set(&self, wall: Timestamp) {
        let mut reading = self.lock();
        (reading.now.wall, reading.passed) = (wall, Duration::ZERO);
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> ClockReading {
        self.lock().now
    }
}
