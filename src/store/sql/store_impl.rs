//! The parts that all public SQL stores share.

/// The methods of a public store around an [`Sql`](crate::store::sql::Sql). `$revoke` revokes one session.
macro_rules! sql_store {
    ($store:ident, $revoke:path) => {
        const _: () = {
            use std::time::Duration;

            use $crate::{
                ConfigError, Subject,
                store::{
                    CreateOutcome, FeedPage, FeedStart, PageCursor, RenewOutcome, RenewRequest,
                    Revoke, RevokeScope, SessionKey, SessionPage, SessionRecord, SessionStore,
                    StoreError, StoreFuture, SubjectLimit,
                    sql::{WriteScope, revoke, sessions},
                },
                time::Timestamp,
            };

            impl $store {
                /// The store with the tables whose names start with `prefix`, in the same database. The
                /// default is `auth_`. 1 to 32 characters of `a`-`z`, `0`-`9` and `_`.
                ///
                /// # Errors
                ///
                /// If `prefix` is not such a name.
                pub fn prefix(&self, prefix: &str) -> Result<Self, ConfigError> {
                    self.0.prefix(prefix).map(Self)
                }

                /// Creates or updates the tables: runs the files under `migrations/` of this crate that
                /// have not been run yet, in one transaction. Several nodes may call it at the same
                /// time. Tables that are current, or newer, are not changed.
                ///
                /// The store creates no tables by itself. You can run the files by hand instead, for
                /// example with a role that may create tables. Until the latest file has been run, the
                /// features that need its columns are off, with one warning in the log.
                ///
                /// # Errors
                ///
                /// [`StoreError::Unavailable`] with the database's message. Nothing has changed then.
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
                        let statements = self.0.current_statements().await?;
                        let scope = WriteScope::Transaction { alone_with: Some(&session.subject) };
                        let session = session.clone();
                        let write = self.0.write(scope, true, move |work| {
                            Box::pin(async move {
                                sessions::create(work, statements, &session, limit).await
                            })
                        });
                        write.await
                    })
                }

                fn load<'a>(
                    &'a self,
                    keys: &'a [SessionKey],
                    now: Timestamp,
                ) -> StoreFuture<'a, Vec<Option<SessionRecord>>> {
                    Box::pin(async move {
                        let statements = self.0.statements().await?;
                        sessions::load(self.0.read().await?, statements, keys, now).await
                    })
                }

                fn renew<'a>(
                    &'a self,
                    key: &'a SessionKey,
                    renewal: RenewRequest,
                ) -> StoreFuture<'a, RenewOutcome> {
                    Box::pin(async move {
                        let statements = self.0.statements().await?;
                        let key = key.clone();
                        let write = self.0.write(WriteScope::Statement, false, move |work| {
                            Box::pin(async move {
                                sessions::renew(work, statements, &key, renewal).await
                            })
                        });
                        write.await
                    })
                }

                fn revoke<'a>(
                    &'a self,
                    key: &'a SessionKey,
                    ending: Revoke,
                ) -> StoreFuture<'a, ()> {
                    Box::pin($revoke(&self.0, key, ending))
                }

                fn revoke_many<'a>(&'a self, ends: &'a RevokeScope) -> StoreFuture<'a, u64> {
                    Box::pin(async move {
                        let alone_with = revoke::subject_of(ends);
                        let ends = ends.clone();
                        let scope = WriteScope::Transaction { alone_with };
                        let write = self.0.write(scope, true, move |work| {
                            Box::pin(async move { revoke::revoke_many(work, &ends).await })
                        });
                        write.await
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
                        let statements = self.0.statements().await?;
                        let work = self.0.read().await?;
                        sessions::list(work, statements, subject, now, after, limit).await
                    })
                }

                fn delete_expired(&self, now: Timestamp, limit: usize) -> StoreFuture<'_, u64> {
                    Box::pin(async move {
                        revoke::delete_expired(self.0.begin().await?, now, limit).await
                    })
                }

                fn may_lose_acknowledged_writes(&self) -> bool {
                    false
                }

                fn has_outdated_schema(&self) -> bool {
                    self.0.has_outdated_schema()
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
