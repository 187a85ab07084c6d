//! Connections: a shared one for all operations, and separate ones for blocking commands.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
};
#[cfg(feature = "redis-cluster")]
use redis::{
    cluster::{ClusterClient, ClusterConfig},
    cluster_async::ClusterConnection,
};
use tokio::sync::OnceCell;

use super::error::failure;
use crate::store::error::StoreError;

/// How long connecting and a response may take on connections that are opened here.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection of any kind. Clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    /// Reconnects by itself.
    Managed(ConnectionManager),
    /// Does not reconnect: for blocking commands.
    Plain(MultiplexedConnection),
    #[cfg(feature = "redis-cluster")]
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Managed(link) => link.req_packed_command(cmd),
            Self::Plain(link) => link.req_packed_command(cmd),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(link) => link.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Managed(link) => link.req_packed_commands(pipeline, offset, count),
            Self::Plain(link) => link.req_packed_commands(pipeline, offset, count),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(link) => link.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Managed(link) => link.get_db(),
            Self::Plain(link) => link.get_db(),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(link) => link.get_db(),
        }
    }
}

/// Opens further connections.
pub(super) enum RedisServer {
    One(Box<Client>),
    #[cfg(feature = "redis-cluster")]
    Cluster(Box<ClusterClient>),
}

impl RedisServer {
    /// A connection without a response timeout.
    async fn open(&self) -> RedisResult<Connection> {
        match self {
            Self::One(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_TIMEOUT))
                    .set_response_timeout(None);
                let link = client.get_multiplexed_async_connection_with_config(&config).await?;
                Ok(Connection::Plain(link))
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(client) => {
                let config = ClusterConfig::new().set_connection_timeout(CONNECT_TIMEOUT);
                Ok(Connection::Cluster(client.get_async_connection_with_config(config).await?))
            }
        }
    }
}

/// All connections of a store.
pub(super) struct Connections {
    server: RedisServer,
    shared: Connection,
    waiting: OnceCell<Connection>,
    idle: Mutex<Option<Connection>>,
}

impl Connections {
    pub(super) fn new(server: RedisServer, shared: Connection) -> Self {
        Self { server, shared, waiting: OnceCell::new(), idle: Mutex::new(None) }
    }

    /// The connection that all operations share. Blocking commands must not use it.
    pub(super) fn shared(&self) -> Connection {
        self.shared.clone()
    }

    /// The connection for `WAIT`: waiting commands delay one another, and no other command.
    pub(super) async fn waiting(&self) -> Result<Connection, StoreError> {
        let open = async || match &self.server {
            RedisServer::One(client) => {
                let config = config().set_response_timeout(None);
                Ok(Connection::Managed(ConnectionManager::new_lazy_with_config(
                    Client::clone(client),
                    config,
                )?))
            }
            #[cfg(feature = "redis-cluster")]
            cluster @ RedisServer::Cluster(_) => cluster.open().await,
        };
        let link = self.waiting.get_or_try_init(open).await;
        link.cloned().map_err(|error: redis::RedisError| failure(&error))
    }

    /// A connection for one blocking command, and whether it was used before.
    pub(super) async fn blocking(&self) -> Result<(Connection, bool), StoreError> {
        if let Some(link) = self.idle().take() {
            return Ok((link, true));
        }
        let link = self.server.open().await.map_err(|error| failure(&error))?;
        Ok((link, false))
    }

    /// Stores a connection without a pending command for the next blocking command.
    pub(super) fn return_idle(&self, link: Connection) {
        self.idle().replace(link);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Option<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For connections that are opened here: after a failure the next operation tries again, so that none
/// waits for a server that is not available.
pub(super) fn config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CONNECT_TIMEOUT))
        .set_number_of_retries(1)
        .set_max_delay(Duration::from_millis(100))
}

/// The same for a cluster: a failover may take a second to become visible, and misdirected operations
/// are sent again meanwhile.
#[cfg(feature = "redis-cluster")]
pub(super) fn cluster_client(nodes: impl Iterator<Item = String>) -> RedisResult<ClusterClient> {
    ClusterClient::builder(nodes)
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(CONNECT_TIMEOUT)
        .overall_response_timeout(None)
        .retries(5)
        .max_retry_wait(200)
        .build()
}
