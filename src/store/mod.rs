//! [`SessionStore`]: decides, beside the signed token, whether a session is active.
//!
//! A store is queried once for each session and `renew_after`, not for each request: a younger token is
//! accepted by its signature alone. What stores guarantee:
//!
//! 1. **Nothing restores a revoked session.** A revoked id is remembered until its last token has
//!    expired, `create` inserts and never replaces, and `renew` changes only active sessions.
//! 2. Every operation is atomic, and complete when its future is: after `Ok`, a crash loses nothing
//!    beyond what the store's own durability permits.
//! 3. Time is a parameter. No store reads a clock to decide about a session.
//! 4. An unreadable record is [`StoreError::Corrupt`]. It is never overwritten, and never treated as
//!    unknown.
//!
//! A store holds no claims: they are in the token, and come from the application.
//!
//! For the choice of a store, devices, limits and outages, see [the guide](crate::guide::stores).
//!
#![cfg_attr(feature = "test-util", doc = "[`contract`] tests any store for these guarantees.")]

#[cfg(any(test, feature = "test-util"))]
pub mod contract;
pub(crate) mod error;
pub(crate) mod feed;
#[cfg(feature = "memory")]
pub(crate) mod memory;
pub(crate) mod pointer;
pub(crate) mod record;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod sql;
pub(crate) mod types;

use std::{fmt, future::Future, pin::Pin, time::Duration};

#[cfg(feature = "memory")]
pub use self::memory::MemoryStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
#[cfg(feature = "postgres")]
pub use self::sql::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use self::sql::sqlite::SqliteStore;
pub use self::{
    error::StoreError,
    feed::{FeedCursor, FeedPage, FeedStart, Revocation},
    record::{SessionKey, SessionKind, SessionRecord},
    types::{
        CreateOutcome, PageCursor, RenewOutcome, RenewRequest, Revoke, RevokeScope, SessionPage,
        SubjectLimit, SubjectLimitPolicy,
    },
};
pub use crate::engine::session::device_key::DeviceBinding;
pub use crate::engine::session::lineage::{
    InvalidLineageId, Lineage, LineageId, LineageRequest, OnCopy,
};
use crate::{engine::session::id::Subject, time::Timestamp};

/// The future of a store operation.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Stores sessions. Implementations are handles that share one pool or connection.
///
/// Futures may be dropped at any time: the operation then takes place completely or not at all.
///
/// Stores are opened asynchronously. A future of a store is not a store:
///
/// ```compile_fail,E0277
/// # use tower_auth_session::{SessionLayer, store::MemoryStore};
/// async fn connect() -> MemoryStore {
///     MemoryStore::new()
/// }
///
/// fn with_store(layer: SessionLayer) -> SessionLayer {
///     layer.store(connect()) // connect().await
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a session store",
    note = "`connect` and `open` of the stores are asynchronous: `.await` them"
)]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Stores a session that signs in at `session.signed_in_at`.
    ///
    /// With a `limit`, the store counts the active sessions of the subject that have the same
    /// [kind](SessionRecord::kind), revokes those beyond the limit and inserts this one in one atomic
    /// step. So a pending session takes the place of pending ones only. It always takes the place of
    /// the oldest, whatever the policy: a refusal would let an attacker who knows the password lock
    /// the user out.
    ///
    /// With [`replaces`](SessionRecord::replaces) it is stored only if that session of the subject is
    /// active at `session.signed_in_at`, in the same step. That session is not counted, and stays
    /// active; missing fields of `session.device` are copied from it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if there is or was a session with this id.
    fn create<'a>(
        &'a self,
        session: &'a SessionRecord,
        limit: Option<SubjectLimit>,
    ) -> StoreFuture<'a, CreateOutcome>;

    /// The sessions that are active at `now`, in the order of `keys`; `None` for the others.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn load<'a>(
        &'a self,
        keys: &'a [SessionKey],
        now: Timestamp,
    ) -> StoreFuture<'a, Vec<Option<SessionRecord>>>;

    /// Records activity of a session if it is active, in one atomic round trip.
    ///
    /// `last_active_at` and `expires_at` never decrease, whatever the order in which renewals arrive.
    ///
    /// With a [`lineage`](RenewRequest::lineage), the store applies it to the record in the same step,
    /// by the rule of [`LineageRequest`], and returns the record after it. A store that ignores it
    /// detects no copied cookies.
    ///
    /// With a [`device_key`](RenewRequest::device_key), an unbound session is bound to it in the same step.
    /// A renewal without the key of a bound session, or with another one, changes nothing
    /// ([`RenewOutcome::KeyMismatch`]). A store that ignores the key binds no session.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn renew<'a>(
        &'a self,
        key: &'a SessionKey,
        renewal: RenewRequest,
    ) -> StoreFuture<'a, RenewOutcome>;

    /// Revokes a session, known or not, and publishes it in the feed. Revoking twice is not an error.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn revoke<'a>(&'a self, key: &'a SessionKey, ending: Revoke) -> StoreFuture<'a, ()>;

    /// Revokes the sessions in the scope, and rejects later attempts to create them. Returns how many
    /// records it revoked; those of [`RevokeScope::All`] are not counted.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn revoke_many<'a>(&'a self, ends: &'a RevokeScope) -> StoreFuture<'a, u64>;

    /// The sessions of `subject` that are active at `now`, the newest sign-in first, at most `limit`
    /// of them, starting after `after`.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn list<'a>(
        &'a self,
        subject: &'a Subject,
        now: Timestamp,
        after: Option<PageCursor>,
        limit: usize,
    ) -> StoreFuture<'a, SessionPage>;

    /// Deletes up to `limit` records that are no longer needed at `now`, and old entries of the feed.
    /// Returns how many records it deleted; fewer than `limit` means that none are left.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn delete_expired(&self, now: Timestamp, limit: usize) -> StoreFuture<'_, u64>;

    /// Whether a failover of the store may lose writes that it has acknowledged, as with asynchronous
    /// replication. A process then remembers its own revocations until the last token of the session
    /// has expired; otherwise only until no process accepts a token without the store.
    fn may_lose_acknowledged_writes(&self) -> bool {
        true
    }

    /// Whether the store found tables of an earlier version, and has logged what these do not record.
    /// The layer then logs no warning of its own about it.
    fn has_outdated_schema(&self) -> bool {
        false
    }

    /// The next page of revocations after `from`, in the order of the feed. If there are none, it
    /// waits for up to `wait`, and then returns an empty page.
    ///
    /// An entry may appear twice, and none is left out: if entries were deleted before they could be
    /// read, the page [has a gap](FeedPage::has_gap).
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn poll_revocations<'a>(
        &'a self,
        from: &'a FeedStart,
        wait: Duration,
    ) -> StoreFuture<'a, FeedPage>;
}

/// How long a feed retains its entries: longer than any node accepts a token without the store
/// (`renew_after + outage_grace + 2 × clock_skew`). If that is configured to be longer, a node that
/// starts finds a gap, and confirms every session with the store until its token is renewed.
pub const FEED_RETENTION: Duration = Duration::from_secs(3600);

/// How long a store remembers that all sessions of a subject were revoked, so that a sign-in that was
/// in progress at that moment is rejected.
pub const SUBJECT_REVOCATION_RETENTION: Duration = Duration::from_secs(24 * 3600);
