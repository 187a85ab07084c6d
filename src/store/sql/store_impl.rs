//! What is the same in all public stores.

/// The methods of a public store around an [`Sql`](crate::store::sql::Sql).
macro_rules! sql_store {
    ($store:ident) => {
        const _: () = {
            use std::time::Duration;

            use $crate::{
                ConfigError, Subject,
                store::{
                    CreateOutcome, FeedPage, FeedStart, PageCursor, RenewOutcome, RenewRequest,
                    Revoke, RevokeScope, SessionKey, SessionPage, SessionRecord, SessionStore,
                    StoreError, StoreFuture, SubjectLimit,
                    sql::{revoke, sessions},
                },
                time::Timestamp,
            };

            impl $store {
                /// The store of the tables whose names start with `prefix`, in the same database:
                /// `auth_` unless told otherwise. 1 to 32 of `a`-`z`, `0`-`9` and `_`.
                ///
                /// # Errors
                ///
                /// When `prefix` is none.
                pub fn prefix(&self, prefix: &str) -> Result<Self, ConfigError> {
                    self.0.prefix(prefix).map(Self)
                }

                /// Makes the tables, or brings them up to date: runs the files under `migrations/`
                /// of this crate that have not been run, in one transaction. Several nodes may call
                /// it at once. What is up to date, or newer, stays as it is.
                ///
                /// Nothing is made before. The files can be run by hand instead, for one by a role
                /// that may create tables while the service's may not.
                ///
                /// # Errors
                ///
                /// [`StoreError::Unavailable`] with what the database said. Nothing has changed then.
                pub async fn migrate(&self) -> Result<(), StoreError> {
                    self.0.migrate().await
                }
            }

            impl SessionStore for $store {
                fn create<'a>(
                    &'a self,
                    session: &'a SessionRecord,
                    limit: Option<SubjectLimit>,
                ) -> StoreFuture<'a, CreateOutcome> {
                    Box::pin(async move {
                        let work = self.0.begin(Some(&session.subject)).await?;
                        sessions::create(work, session, limit)
                            .await
                            .map(|created| self.0.tell(created))
                    })
                }

                fn load<'a>(
                    &'a self,
                    keys: &'a [SessionKey],
                    now: Timestamp,
                ) -> StoreFuture<'a, Vec<Option<SessionRecord>>> {
                    Box::pin(async move { sessions::load(self.0.read().await?, keys, now).await })
                }

                fn renew<'a>(
                    &'a self,
                    key: &'a SessionKey,
                    renewal: RenewRequest,
                ) -> StoreFuture<'a, RenewOutcome> {
                    Box::pin(
                        async move { sessions::renew(self.0.write().await?, key, renewal).await },
                    )
                }

                fn revoke<'a>(
                    &'a self,
                    key: &'a SessionKey,
                    ending: Revoke,
                ) -> StoreFuture<'a, ()> {
                    Box::pin(async move {
                        revoke::revoke(self.0.begin_revoke().await?, key, ending)
                            .await
                            .map(|()| self.0.tell(()))
                    })
                }

                fn revoke_many<'a>(&'a self, ends: &'a RevokeScope) -> StoreFuture<'a, u64> {
                    Box::pin(async move {
                        let work = self.0.begin(revoke::subject_of(ends)).await?;
                        revoke::revoke_many(work, ends).await.map(|count| self.0.tell(count))
                    })
                }

                fn list<'a>(
                    &'a self,
                    subject: &'a Subject,
                    now: Timestamp,
                    after: Option<PageCursor>,
                    limit: usize,
                ) -> StoreFuture<'a, SessionPage> {
                    Box::pin(async move {
                        sessions::list(self.0.read().await?, subject, now, after, limit).await
                    })
                }

                fn delete_expired(&self, now: Timestamp, limit: usize) -> StoreFuture<'_, u64> {
                    Box::pin(async move {
                        revoke::delete_expired(self.0.begin(None).await?, now, limit).await
                    })
                }

                fn may_lose_acknowledged_writes(&self) -> bool {
                    false
                }

                fn poll_revocations<'a>(
                    &'a self,
                    from: &'a FeedStart,
                    wait: Duration,
                ) -> StoreFuture<'a, FeedPage> {
                    Box::pin(self.0.follow(from, wait))
                }
            }
        };
    };
}

pub(in crate::store) use sql_store;
