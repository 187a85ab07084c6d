//! [`PerThread`]: one copy of the context for each thread that can run in parallel.
//!
//! Every request holds a reference to the context and its engine. With one shared reference counter,
//! processors would contend for its cache line. On two processors the copies make no measurable
//! difference. But the line moves twice for each request, and for all processors one after another: at
//! about 70 ns for a move, any number of processors would serve at most 7 million requests a second, which
//! is what sixteen of them can serve without a shared counter.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::context::LayerContext;

/// The maximum number of copies; more would not repay their memory.
const MAX_COPIES: usize = 64;

pub(super) struct PerThread<C>(Arc<PerThreadInner<C>>);

struct PerThreadInner<C> {
    first: Arc<LayerContext<C>>,
    others: Vec<Arc<LayerContext<C>>>,
}

impl<C> PerThread<C> {
    pub(super) fn new(context: &Arc<LayerContext<C>>) -> Self {
        let count = thread::available_parallelism().map_or(1, |count| count.get().min(MAX_COPIES));
        // The given context is the first copy.
        let others = (1..count).map(|_| Arc::new(context.clone_with_own_count())).collect();
        Self(Arc::new(PerThreadInner { first: Arc::clone(context), others }))
    }

    /// The copy of the current thread.
    #[inline]
    pub(super) fn get(&self) -> &Arc<LayerContext<C>> {
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
