//! Timeouts, on a runtime that has timers.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    panic::catch_unwind,
    pin::pin,
    task::Poll,
    thread,
    time::Duration,
};

use tokio::time::Sleep;

use crate::engine::logging::warnings;

/// The output of `future`, or `None` after `limit`. Without tokio's timers there is no timeout.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let Some(timer) = timer(limit) else { return Some(future.await) };
    let mut timer = pin!(timer);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// A timer of the current runtime, if it has timers. tokio panics on a runtime that was built without
/// them and offers no way to check, so each thread tries once: other runtimes of the process keep
/// their timeouts.
pub(super) fn timer(after: Duration) -> Option<Sleep> {
    thread_local! {
        static HAS_NO_TIMERS: Cell<bool> = const { Cell::new(false) };
    }
    if HAS_NO_TIMERS.get() {
        return None;
    }
    let timer = tokio::runtime::Handle::try_current()
        .is_ok()
        .then(|| catch_unwind(|| tokio::time::sleep(after)));
    match timer {
        Some(Ok(timer)) => return Some(timer),
        Some(Err(_)) => HAS_NO_TIMERS.set(true),
        None => {}
    }
    warnings::no_runtime(thread::current().name().unwrap_or("unnamed"));
    None
}
