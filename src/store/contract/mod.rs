//! The contract of every [`SessionStore`], as a test that any implementation can call.

pub(crate) mod binding;
pub(crate) mod concurrency;
pub(crate) mod feed;
pub(crate) mod fixture;
pub(crate) mod lineage;
pub(crate) mod no_resurrection;
pub(crate) mod revocation;
pub(crate) mod sessions;
pub(crate) mod subjects;

use std::sync::Arc;

use self::fixture::Fixture;
use super::SessionStore;
use crate::time::Timestamp;

/// Runs the suite. `open` returns a handle of the store: each call is another node, and the tenants 0
/// and 1 share a database but no session, for example by a prefix. The store may contain data of earlier
/// runs: the suite uses new ids and subjects, and does not delete its own data. It needs about 200
/// operations a second.
///
/// ```
/// # #[cfg(feature = "memory")] {
/// use std::sync::Arc;
/// use tower_auth_session::store::{contract, MemoryStore, SessionStore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let tenants = [MemoryStore::new(), MemoryStore::new()];
/// contract::check(async |tenant| Arc::new(tenants[tenant].clone()) as Arc<dyn SessionStore>).await;
/// # }
/// # }
/// ```
///
/// # Panics
///
/// When the store breaks a rule, with a message that names it.
pub async fn check<F>(open: F)
where
    F: AsyncFn(usize) -> Arc<dyn SessionStore>,
{
    let stores = Fixture {
        store: open(0).await,
        other_node: open(0).await,
        other_tenant: open(1).await,
        start: Timestamp::from_unix_seconds(4_000_000_000),
    };
    sessions::check(&stores).await;
    revocation::check(&stores).await;
    lineage::check(&stores).await;
    binding::check(&stores).await;
    subjects::check(&stores).await;
    feed::check(&stores).await;
    concurrency::check(&stores).await;
    no_resurrection::check(&stores).await;
}
