//! Clients that call a store at the same time.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const CLIENTS: usize = 16;
/// How long each operation is measured.
pub(crate) const DURATION: Duration = Duration::from_secs(3);

/// How many operations a second succeed, and the 99th percentile of their duration. `operation` receives
/// the store and the number of the operation.
pub(crate) async fn run<S, F, E>(
    store: &S,
    duration: Duration,
    operation: impl Fn(S, usize) -> F + Clone + Send + 'static,
) -> String
where
    S: Clone + Send + 'static,
    F: Future<Output = Result<(), E>> + Send,
    E: std::fmt::Debug,
{
    let (started, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let clients = (0..CLIENTS).map(|_| {
        let (store, operation, next) = (store.clone(), operation.clone(), Arc::clone(&next));
        tokio::spawn(async move {
            let mut times = Vec::new();
            while started.elapsed() < duration {
                let begun = Instant::now();
                let n = next.fetch_add(1, Ordering::Relaxed);
                operation(store.clone(), n).await.expect("the store works");
                times.push(begun.elapsed());
            }
            times
        })
    });
    let mut times = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        times.extend(client.await.expect("a client"));
    }
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    times.sort_unstable();
    let slow = times[times.len() * 99 / 100].as_secs_f64() * 1_000.0;
    format!("{rate:.0} ({slow:.1} ms)")
}
