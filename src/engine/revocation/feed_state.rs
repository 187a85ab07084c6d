//! [`FeedState`]: which tokens may be accepted without the store, as far as revocations by other
//! processes are concerned.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use crate::time::{ClockReading, Timestamp};

/// How old the last read of the feed may be. The feed is read at least three times in that time.
const MAX_FEED_AGE: Duration = Duration::from_secs(60);

/// Without a feed no revocations are received, and tokens are accepted by their age.
#[derive(Debug, Default)]
pub(crate) struct FeedState {
    /// Whether there is a store that can confirm sessions.
    has_store: AtomicBool,
    /// Tokens issued before this second since 1970 need the store's confirmation.
    trusted_since: AtomicU64,
    /// Whether a task reads the feed.
    is_followed: AtomicBool,
    /// Earlier revocations are still being read: until then all tokens need confirmation.
    catching_up: AtomicBool,
    /// How often earlier knowledge was discarded.
    generation: AtomicU64,
    /// The monotonic second of the last read, plus one; 0 if there was none.
    last_read: AtomicU64,
}

/// The time between two losses of knowledge. What the store confirmed in one generation does not
/// count in the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Generation(u64);

impl FeedState {
    pub(crate) fn set_has_store(&self) {
        self.has_store.store(true, Ordering::Release);
    }

    /// Whether a store can confirm what this process does not know.
    pub(crate) fn has_store(&self) -> bool {
        self.has_store.load(Ordering::Acquire)
    }

    /// A task reads the feed from now on.
    pub(crate) fn set_followed(&self) {
        self.is_followed.store(true, Ordering::Release);
    }

    pub(crate) fn is_followed(&self) -> bool {
        self.is_followed.load(Ordering::Acquire)
    }

    /// A revocation before `instant` may be unknown.
    pub(crate) fn require_store_before(&self, instant: Timestamp) {
        self.trusted_since.fetch_max(instant.as_unix_seconds(), Ordering::AcqRel);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn set_catching_up(&self, is_catching_up: bool) {
        if self.catching_up.swap(is_catching_up, Ordering::AcqRel) != is_catching_up
            && is_catching_up
        {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// The revocations by other processes until `now` are known.
    pub(crate) fn mark_read(&self, now: ClockReading) {
        self.last_read.store(nonzero_second(now), Ordering::Release);
    }

    /// Whether the feed was read recently.
    pub(crate) fn is_feed_current(&self, now: ClockReading) -> bool {
        let last_read = self.last_read.load(Ordering::Acquire);
        last_read > 0 && nonzero_second(now) <= last_read.saturating_add(MAX_FEED_AGE.as_secs())
    }

    /// Whether, as far as this process knows, it missed no revocation since `issued_at`.
    pub(crate) fn covers(&self, issued_at: Timestamp) -> bool {
        issued_at.as_unix_seconds() >= self.trusted_since.load(Ordering::Acquire)
            && !self.catching_up.load(Ordering::Acquire)
    }
}

const fn nonzero_second(now: ClockReading) -> u64 {
    now.monotonic().as_secs().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use crate::engine::revocation::feed_state::*;

    fn after(seconds: u64) -> ClockReading {
        ClockReading::new(Timestamp::EPOCH, Duration::from_secs(seconds))
    }

    #[test]
    fn feed_is_current_for_a_minute_after_each_read() {
        let state = FeedState::default();
        assert!(!state.is_feed_current(after(0)) && !state.is_feed_current(after(5)), "never read");
        state.mark_read(after(0));
        assert!(state.is_feed_current(after(0)) && state.is_feed_current(after(60)));
        assert!(!state.is_feed_current(after(61)));
        state.mark_read(after(61));
        assert!(state.is_feed_current(after(121)) && !state.is_feed_current(after(122)));
    }

    #[test]
    fn tokens_issued_before_a_gap_or_while_catching_up_are_not_covered() {
        let (state, at) = (FeedState::default(), Timestamp::from_unix_seconds);
        assert!(state.covers(at(0)));
        state.require_store_before(at(100));
        assert!(!state.covers(at(99)) && state.covers(at(100)));
        state.require_store_before(at(50));
        assert!(!state.covers(at(99)), "an earlier gap shortens no later one");
        state.set_catching_up(true);
        assert!(!state.covers(at(100)));
        state.set_catching_up(false);
        assert!(!state.covers(at(99)) && state.covers(at(100)));
    }

    #[test]
    fn generation_changes_with_each_loss_of_knowledge_only() {
        let state = FeedState::default();
        let mut known = state.generation();
        let mut changes =
            || std::mem::replace(&mut known, state.generation()) != state.generation();
        state.set_catching_up(false);
        assert!(!changes());
        state.set_catching_up(true);
        assert!(changes());
        state.set_catching_up(true);
        state.set_catching_up(false);
        assert!(!changes());
        state.require_store_before(Timestamp::from_unix_seconds(9));
        assert!(changes());
        assert!(!changes());
    }
}
