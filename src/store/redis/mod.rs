//! [`RedisStore`]: sessions in Redis or Valkey, one server or a cluster.

pub(crate) mod connection;
pub(crate) mod error;
pub(crate) mod feed;
pub(crate) mod keys;
pub(crate) mod replication;
pub(crate) mod reply;
pub(crate) mod revoke;
pub(crate) mod script;
pub(crate) mod sessions;

use std::{fmt, sync::Arc, time::Duration};

use redis::{Client, aio::ConnectionManager};
#[cfg(feature = "redis-cluster")]
use redis::{cluster::ClusterClient, cluster_async::ClusterConnection};
use tokio::task::JoinSet;

#[cfg(feature = "redis-cluster")]
use self::connection::cluster_client;
use self::{
    connection::{Connection, Connections, RedisServer, config},
    error::failure,
    keys::KeySpace,
    replication::ReplicaPolicy,
    sessions::RedisSessions,
};
use super::{
    SessionStore, StoreFuture,
    error::StoreError,
    feed::{FeedPage, FeedStart},
    record::{SessionKey, SessionRecord},
    types::{
        CreateOutcome, PageCursor, RenewOutcome, RenewRequest, Revoke, RevokeScope, SessionPage,
        SubjectLimit,
    },
};
use crate::{engine::session::id::Subject, time::Timestamp};

/// Sessions in Redis 6.2 or later, or Valkey: one server, or a cluster (feature `redis-cluster`).
///
/// ```no_run
/// use std::time::Duration;
/// use tower_auth_session::store::{RedisStore, StoreError};
///
/// # async fn store() -> Result<RedisStore, StoreError> {
/// let store = RedisStore::connect("redis://127.0.0.1:6379").await?;
/// # let _ = store;
/// // With a client and a connection manager of your own:
/// let client = redis::Client::open("redis://127.0.0.1:6379").map_err(StoreError::unavailable)?;
/// let manager = client.get_connection_manager().await.map_err(StoreError::unavailable)?;
/// let store = RedisStore::new(client, manager)
///     .with_prefix("shop")
///     .replication_timeout(Duration::from_millis(200));
/// # Ok(store)
/// # }
/// ```
///
/// * Every operation on a session is one script on keys of one hash slot, so it is atomic in a cluster
///   too; a renewal is one command. Subjects are divided into 4096 shards, which a cluster distributes
///   over its servers. Only the feed may be on a second server, when a session is revoked.
/// * The instant before which the sessions of *all* subjects are revoked is written to each shard:
///   renewals find it in their own slot, and apply it at once. If the write is incomplete,
///   [`revoke_many`](SessionStore::revoke_many) returns an error and must be retried.
/// * **Replicas.** Redis responds before its replicas have a write. If the server has an online
///   replica, creations and revocations wait until one has the write (`WAIT`), and are
///   [`StoreError::Unavailable`] if none does: a confirmed revocation survives the promotion of that
///   replica. Redis may promote another one; with more than one replica, require all to confirm. See
///   [`confirm_replicas`](Self::confirm_replicas). Renewals are not confirmed: at worst, after a
///   failover the inactivity of a session counts from its previous renewal.
/// * Records expire by themselves, ten minutes later than needed.
///   [`delete_expired`](SessionStore::delete_expired) does nothing.
/// * The server must not evict keys: `maxmemory-policy noeviction`. An evicted session is signed out,
///   and an evicted list of sessions makes "sign out everywhere" incomplete.
/// * A session takes about 520 bytes if its subject has no other, a revoked one half of that, an entry
///   of the feed 55.
/// * The feed is a stream with at least the last hour, and a million entries at most.
/// * An id is unique among the subjects of one shard only: ids have 128 random bits.
/// * Revoking all sessions of a subject, and reaching a limit, read each of its sessions: a subject with
///   a hundred thousand sessions blocks its server for about a second. Set a limit.
///
/// Handles share their connections: one for all operations, one for `WAIT`, and one for each reader
/// that waits for the feed. All reconnect by themselves.
#[derive(Clone)]
pub struct RedisStore(RedisSessions);

impl RedisStore {
    /// The default prefix of keys.
    pub const DEFAULT_PREFIX: &'static str = "session";

    /// The default time that replicas may take to confirm.
    pub const DEFAULT_REPLICATION_TIMEOUT: Duration = Duration::from_millis(500);

    /// Connects to the server that `url` names: `redis://user:password@host:port/database`, `rediss://`
    /// over TLS (feature `redis-tls`).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the URL is invalid or the server does not respond.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let client = Client::open(url).map_err(|error| failure(&error))?;
        Self::open(client).await
    }

    /// Connects with your own client, for example with your own certificates.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the server does not respond.
    pub async fn open(client: Client) -> Result<Self, StoreError> {
        install_default_crypto_provider();
        let manager = ConnectionManager::new_with_config(client.clone(), config()).await;
        Ok(Self::new(client, manager.map_err(|error| failure(&error))?))
    }

    /// Uses `connection` for all that does not block, and `client` to open further connections.
    #[must_use]
    pub fn new(client: Client, connection: ConnectionManager) -> Self {
        Self::with_connection(RedisServer::One(Box::new(client)), Connection::Managed(connection))
    }

    /// Connects to the cluster that contains `nodes`: URLs as for [`connect`](Self::connect), without a
    /// database.
    ///
    /// ```
    /// use tower_auth_session::store::{RedisStore, StoreError};
    ///
    /// async fn store() -> Result<RedisStore, StoreError> {
    ///     RedisStore::connect_cluster(["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"]).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if a URL is invalid or no node responds.
    #[cfg(feature = "redis-cluster")]
    pub async fn connect_cluster<T: AsRef<str>>(
        nodes: impl IntoIterator<Item = T>,
    ) -> Result<Self, StoreError> {
        install_default_crypto_provider();
        let nodes = nodes.into_iter().map(|node| node.as_ref().to_owned());
        let client = cluster_client(nodes).map_err(|error| failure(&error))?;
        let connection = client.get_async_connection().await.map_err(|error| failure(&error))?;
        Ok(Self::new_cluster(client, connection))
    }

    /// Uses `connection` for all that does not block, and `client` to open further connections.
    /// Replicas are never read, whatever the client's settings.
    ///
    /// ```no_run
    /// use redis::cluster::ClusterClient;
    /// use tower_auth_session::store::{RedisStore, StoreError};
    ///
    /// async fn store() -> Result<RedisStore, StoreError> {
    ///     let nodes = vec!["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"];
    ///     let client = ClusterClient::builder(nodes)
    ///         .username("sessions".to_owned())
    ///         .build()
    ///         .map_err(StoreError::unavailable)?;
    ///     let connection = client.get_async_connection().await.map_err(StoreError::unavailable)?;
    ///     Ok(RedisStore::new_cluster(client, connection))
    /// }
    /// ```
    #[cfg(feature = "redis-cluster")]
    #[must_use]
    pub fn new_cluster(client: ClusterClient, connection: ClusterConnection) -> Self {
        Self::with_connection(
            RedisServer::Cluster(Box::new(client)),
            Connection::Cluster(connection),
        )
    }

    fn with_connection(server: RedisServer, shared: Connection) -> Self {
        Self(RedisSessions {
            links: Arc::new(Connections::new(server, shared)),
            names: Arc::new(KeySpace::new(Self::DEFAULT_PREFIX)),
            confirm: ReplicaPolicy { replicas: None, within: Self::DEFAULT_REPLICATION_TIMEOUT },
        })
    }

    /// The same store with another prefix of keys: each prefix has its own sessions.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        self.0.names = Arc::new(KeySpace::new(prefix));
        self
    }

    /// How many replicas must confirm creations and revocations; 0 for none.
    ///
    /// The default is one if the server has an online replica, which each write checks, and none
    /// otherwise: if the last replica fails, sign-ins remain possible, and writes are then on one server
    /// only. With a number, sign-ins and sign-outs are [`StoreError::Unavailable`] as long as there are
    /// fewer online replicas.
    ///
    /// ```
    /// use tower_auth_session::store::{RedisStore, StoreError};
    ///
    /// /// A sign-out is on two servers before it is confirmed.
    /// async fn store() -> Result<RedisStore, StoreError> {
    ///     Ok(RedisStore::connect("redis://10.0.0.1:6379").await?.confirm_replicas(1))
    /// }
    /// ```
    #[must_use]
    pub const fn confirm_replicas(mut self, replicas: u16) -> Self {
        self.0.confirm.replicas = Some(replicas);
        self
    }

    /// How long replicas may take to confirm.
    #[must_use]
    pub const fn replication_timeout(mut self, within: Duration) -> Self {
        self.0.confirm.within = within;
        self
    }

    /// Completes `work` even if its caller has given up, so that revocations are published.
    fn write<T: Send + 'static>(
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        Box::pin(async move { tokio::spawn(work).await.map_err(StoreError::unavailable)? })
    }
}

impl SessionStore for RedisStore {
    fn create<'a>(
        &'a self,
        session: &'a SessionRecord,
        limit: Option<SubjectLimit>,
    ) -> StoreFuture<'a, CreateOutcome> {
        Self::write(self.0.clone().create(session.clone(), limit))
    }

    fn load<'a>(
        &'a self,
        keys: &'a [SessionKey],
        now: Timestamp,
    ) -> StoreFuture<'a, Vec<Option<SessionRecord>>> {
        Box::pin(async move {
            let mut loading = JoinSet::new();
            for (place, key) in keys.iter().cloned().enumerate() {
                let this = self.0.clone();
                loading.spawn(async move { (place, this.load(&key, now).await) });
            }
            let mut found = vec![None; keys.len()];
            while let Some(loaded) = loading.join_next().await {
                let (place, record) = loaded.map_err(StoreError::unavailable)?;
                if let Some(here) = found.get_mut(place) {
                    *here = record?;
                }
            }
            Ok(found)
        })
    }

    fn renew<'a>(
        &'a self,
        key: &'a SessionKey,
        renewal: RenewRequest,
    ) -> StoreFuture<'a, RenewOutcome> {
        Box::pin(self.0.renew(key, renewal))
    }

    fn revoke<'a>(&'a self, key: &'a SessionKey, ending: Revoke) -> StoreFuture<'a, ()> {
        Self::write(self.0.clone().revoke(key.clone(), ending))
    }

    fn revoke_many<'a>(&'a self, ends: &'a RevokeScope) -> StoreFuture<'a, u64> {
        Self::write(self.0.clone().revoke_many(ends.clone()))
    }

    fn list<'a>(
        &'a self,
        subject: &'a Subject,
        now: Timestamp,
        after: Option<PageCursor>,
        limit: usize,
    ) -> StoreFuture<'a, SessionPage> {
        Box::pin(self.0.list(subject, now, after, limit))
    }

    fn delete_expired(&self, _: Timestamp, _: usize) -> StoreFuture<'_, u64> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn poll_revocations<'a>(
        &'a self,
        from: &'a FeedStart,
        wait: Duration,
    ) -> StoreFuture<'a, FeedPage> {
        Box::pin(async move { self.0.feed().read(from, wait).await })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Addresses may contain passwords.
        let mut debug = f.debug_struct("RedisStore");
        debug.field("prefix", &self.0.names.prefix()).finish_non_exhaustive()
    }
}

/// rustls panics without a default provider of cryptography. If the application chose none, this installs
/// the one that the feature brings, as rustls does by itself if there is only one.
fn install_default_crypto_provider() {
    #[cfg(feature = "redis-tls")]
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}
