//! Deadlines, on a runtime that has timers.

use std::{
    future::{Future, poll_fn},
    panic::catch_unwind,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::Duration,
};

use tokio::time::Sleep;

use crate::logging;

/// `future`, or `None` if it takes longer than `limit`. Without tokio's timers there is no deadline.
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

/// A timer of the runtime that the layer runs on, if it has one. tokio panics where a runtime was
/// built without timers and cannot be asked before, so that is tried once in a process.
fn timer(after: Duration) -> Option<Sleep> {
    static HAS_NO_TIMERS: AtomicBool = AtomicBool::new(false);
    if HAS_NO_TIMERS.load(Ordering::Relaxed) {
        return None;
    }
    let timer = tokio::runtime::Handle::try_current()
        .is_ok()
        .then(|| catch_unwind(|| tokio::time::sleep(after)));
    match timer {
        Some(Ok(timer)) => return Some(timer),
        Some(Err(_)) => HAS_NO_TIMERS.store(true, Ordering::Relaxed),
        None => {}
    }
    logging::no_runtime();
    None
}
