//! Deadlines, on a runtime that has timers.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    panic::catch_unwind,
    pin::pin,
    task::Poll,
    time::Duration,
};

use tokio::time::Sleep;

use crate::engine::logging;

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
/// built without timers and cannot be asked before, so that is tried once a thread: other runtimes of
/// the process keep their deadlines.
fn timer(after: Duration) -> Option<Sleep> {
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
    logging::no_runtime();
    None
}
