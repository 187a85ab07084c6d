//! [`Phase`]: whether a jar was looked into, without a lock.

use std::sync::atomic::{AtomicU8, Ordering};

/// Whether anybody has looked into a jar.
pub(crate) struct Phase(AtomicU8);

impl Phase {
    const UNTOUCHED: u8 = 0;
    const TOUCHED: u8 = 1;
    /// Closed, though its state does not say so.
    const CLOSED: u8 = 2;

    /// Of a jar that holds no more than what was found out at first, or of any other.
    pub(crate) const fn new(is_untouched: bool) -> Self {
        Self(AtomicU8::new(if is_untouched { Self::UNTOUCHED } else { Self::TOUCHED }))
    }

    /// Notes that somebody looks into it; whether it has been closed.
    pub(super) fn touch(&self) -> bool {
        self.0.swap(Self::TOUCHED, Ordering::AcqRel) == Self::CLOSED
    }

    /// Closes a jar that nobody has looked into. Whether there was nothing else to be done.
    pub(super) fn close(&self) -> bool {
        let closed = self.0.compare_exchange(
            Self::UNTOUCHED,
            Self::CLOSED,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        closed.is_ok()
    }

    pub(super) fn is_untouched(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::UNTOUCHED
    }
}
