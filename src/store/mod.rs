//! [`SessionStore`]: what decides, beside the signed token, whether a session lives.
//!
//! A store is asked once for each session and `renew_after`, never for each request: a token younger
//! than that is believed on its signature alone. What stores promise:
//!
//! 1. **Nothing ever brings an ended session back.** An ended id is remembered until no token of it
//!    can be alive, `create` inserts and never replaces, and `renew` changes what lives only.
//! 2. Every operation is atomic, and done when its future is: after `Ok` a crash loses nothing that
//!    the store's own durability keeps.
//! 3. Time comes in as a value. No store reads a clock to decide about a session.
//! 4. What cannot be read is [`StoreError::Corrupt`]: never overwritten, never taken for unknown.
//!
//! The claims are not here: they are in the token, and come from the application.
//!
//! Which store to take, devices, limits and what an outage does: [the guide](crate::guide::stores).
//!
#![cfg_attr(feature = "test-util", doc = "[`contract`] tests any store for all of it.")]

#[cfg(any(test, feature = "test-util"))]
pub mod contract;
pub(crate) mod error;
pub(crate) mod feed;
#[cfg(feature = "memory")]
pub(crate) mod memory;
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
    record::{SessionKey, SessionRecord},
    types::{
        CreateOutcome, PageCursor, RenewOutcome, RenewRequest, Revoke, RevokeScope, SessionPage,
        SubjectLimit, SubjectLimitPolicy,
    },
};
use crate::{engine::session::id::Subject, time::Timestamp};

/// What an operation of a store gives back.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Where sessions are kept. Implementations are handles that share one pool or connection.
///
/// Futures may be dropped at any time: an operation then happens or does not, never by half.
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Keeps a session that signs in at `session.signed_in_at`.
    ///
    /// With a `limit`, counting the sessions of the subject that live at `session.signed_in_at`,
    /// ending those that are too many and inserting this one are one step.
    ///
    /// With [`in_place_of`](SessionRecord::replaces) it is kept only if that session of the subject
    /// lives at `session.signed_in_at`, in the same step. That one is not counted, and goes on; what
    /// `session.device` does not say is as it was there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when there is or was a session of this id.
    fn create<'a>(
        &'a self,
        session: &'a SessionRecord,
        limit: Option<SubjectLimit>,
    ) -> StoreFuture<'a, CreateOutcome>;

    /// Which of the sessions live at `now`, in the order asked.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn load<'a>(
        &'a self,
        keys: &'a [SessionKey],
        now: Timestamp,
    ) -> StoreFuture<'a, Vec<Option<SessionRecord>>>;

    /// Records activity of a session, if it lives: one atomic round trip.
    ///
    /// `last_active_at` and `expires_at` only ever grow, whichever order renewals arrive in.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn renew<'a>(
        &'a self,
        key: &'a SessionKey,
        renewal: RenewRequest,
    ) -> StoreFuture<'a, RenewOutcome>;

    /// Ends a session, known or not, and tells the feed. Revoke twice is no error.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn revoke<'a>(&'a self, key: &'a SessionKey, ending: Revoke) -> StoreFuture<'a, ()>;

    /// Ends the sessions that `ends` names, and lets none of them be created any more. Gives back
    /// how many it ended by their records; of everybody's none is counted.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn revoke_many<'a>(&'a self, ends: &'a RevokeScope) -> StoreFuture<'a, u64>;

    /// The sessions of `subject` that live at `now`, the newest sign-in first, at most `limit` of
    /// them, from `after` on.
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

    /// Deletes up to `limit` records that nobody needs any more at `now`, and what the feed need not
    /// tell any more. Gives back how many records went; less than `limit` says that none is left.
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

    /// What has ended from `from` on, in the order of the feed. While there is nothing it waits, for
    /// up to `wait`, and then gives back an empty page.
    ///
    /// An entry may be told twice, and none is left out: where some are gone, the page says so.
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

/// How long a feed keeps what it told: longer than any node believes a token without asking
/// (`renew_after + outage_grace + 2 × clock_skew`). Where that is set to more, a node that starts finds
/// a gap and believes nobody unasked until their tokens are renewed.
pub const FEED_RETENTION: Duration = Duration::from_secs(3600);

/// How long a store remembers that the sessions of a subject were all ended, so that a sign-in which
/// was on its way at that moment cannot slip through.
pub const SUBJECT_REVOCATION_RETENTION: Duration = Duration::from_secs(24 * 3600);
