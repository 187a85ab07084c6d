//! [`SessionStore`] for pointers to stores, such as `Box<dyn SessionStore>` and `Arc<dyn SessionStore>`.

use std::{sync::Arc, time::Duration};

use super::{
    SessionStore, StoreFuture,
    feed::{FeedPage, FeedStart},
    record::{SessionKey, SessionRecord},
    types::{
        CreateOutcome, PageCursor, RenewOutcome, RenewRequest, Revoke, RevokeScope, SessionPage,
        SubjectLimit,
    },
};
use crate::{engine::session::id::Subject, time::Timestamp};

macro_rules! pointer_store {
    ($pointer:ident) => {
        impl<S: SessionStore + ?Sized> SessionStore for $pointer<S> {
            fn create<'a>(
                &'a self,
                session: &'a SessionRecord,
                limit: Option<SubjectLimit>,
            ) -> StoreFuture<'a, CreateOutcome> {
                (**self).create(session, limit)
            }

            fn load<'a>(
                &'a self,
                keys: &'a [SessionKey],
                now: Timestamp,
            ) -> StoreFuture<'a, Vec<Option<SessionRecord>>> {
                (**self).load(keys, now)
            }

            fn renew<'a>(
                &'a self,
                key: &'a SessionKey,
                renewal: RenewRequest,
            ) -> StoreFuture<'a, RenewOutcome> {
                (**self).renew(key, renewal)
            }

            fn revoke<'a>(&'a self, key: &'a SessionKey, revoke: Revoke) -> StoreFuture<'a, ()> {
                (**self).revoke(key, revoke)
            }

            fn revoke_many<'a>(&'a self, scope: &'a RevokeScope) -> StoreFuture<'a, u64> {
                (**self).revoke_many(scope)
            }

            fn list<'a>(
                &'a self,
                subject: &'a Subject,
                now: Timestamp,
                after: Option<PageCursor>,
                limit: usize,
            ) -> StoreFuture<'a, SessionPage> {
                (**self).list(subject, now, after, limit)
            }

            fn delete_expired(&self, now: Timestamp, limit: usize) -> StoreFuture<'_, u64> {
                (**self).delete_expired(now, limit)
            }

            fn may_lose_acknowledged_writes(&self) -> bool {
                (**self).may_lose_acknowledged_writes()
            }

            fn has_outdated_schema(&self) -> bool {
                (**self).has_outdated_schema()
            }

            fn poll_revocations<'a>(
                &'a self,
                from: &'a FeedStart,
                wait: Duration,
            ) -> StoreFuture<'a, FeedPage> {
                (**self).poll_revocations(from, wait)
            }
        }
    };
}

pointer_store!(Arc);
pointer_store!(Box);
