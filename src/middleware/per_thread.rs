//! [`PerThread`]: the wiring, once for each of as many threads as run at once.
//!
//! Every request holds on to the wiring and to the engine in it. If all of them counted at one place,
//! processors would pass its cache line to and fro, and wait for it longer than the rest takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::context::LayerContext;

/// More are not worth their memory.
const MOST: usize = 64;

pub(super) struct PerThread<C>(Arc<PerThreadInner<C>>);

struct PerThreadInner<C> {
    first: Arc<LayerContext<C>>,
    others: Vec<Arc<LayerContext<C>>>,
}

impl<C> PerThread<C> {
    pub(super) fn of(wiring: &Arc<LayerContext<C>>) -> Self {
        let count = thread::available_parallelism().map_or(1, |count| count.get().min(MOST));
        // The wiring that was given is one of them.
        let others = (1..count).map(|_| Arc::new(wiring.clone_with_own_count())).collect();
        Self(Arc::new(PerThreadInner { first: Arc::clone(wiring), others }))
    }

    /// That of the current thread.
    #[inline]
    pub(super) fn local(&self) -> &Arc<LayerContext<C>> {
        let PerThreadInner { first, others } = &*self.0;
        others.get(NUMBER.with(|number| number % (others.len() + 1))).unwrap_or(first)
    }
}

thread_local! {
    static NUMBER: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

impl<C> Clone for PerThread<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
