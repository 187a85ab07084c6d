//! [`FeedState`]: how much of what ended in other processes is known in this one.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use crate::time::{ClockReading, Timestamp};

/// How long a feed may be silent: it is looked at three times in that.
const SILENCE: Duration = Duration::from_secs(60);

/// Without a feed nothing is heard, and tokens are believed by their age.
#[derive(Debug, Default)]
pub(crate) struct FeedState {
    /// Tokens issued before this second, since 1970, are believed only when a store agrees.
    trusted_since: AtomicU64,
    /// What other processes ended is being read: until then the same holds of all tokens.
    catching_up: AtomicBool,
    /// When that was last read, by the monotonic clock in seconds, and one.
    last: AtomicU64,
}

impl FeedState {
    /// Something was missed before `instant`.
    pub(crate) fn require_store_before(&self, instant: Timestamp) {
        self.trusted_since.fetch_max(instant.as_unix_seconds(), Ordering::AcqRel);
    }

    pub(crate) fn catch_up(&self, is_under_way: bool) {
        self.catching_up.store(is_under_way, Ordering::Release);
    }

    /// What ended elsewhere until `now` is known.
    pub(crate) fn mark_read(&self, now: ClockReading) {
        self.last.store(number(now), Ordering::Release);
    }

    /// Whether what ended elsewhere was read lately.
    pub(crate) fn is_feed_current(&self, now: ClockReading) -> bool {
        let last = self.last.load(Ordering::Acquire);
        last > 0 && number(now) <= last.saturating_add(SILENCE.as_secs())
    }

    /// Whether nothing that ended since `issued_at` was missed, as far as is known.
    pub(crate) fn covers(&self, issued_at: Timestamp) -> bool {
        issued_at.as_unix_seconds() >= self.trusted_since.load(Ordering::Acquire)
            && !self.catching_up.load(Ordering::Acquire)
    }
}

/// Never zero.
const fn number(now: ClockReading) -> u64 {
    now.monotonic().as_secs().saturating_add(1)
}
