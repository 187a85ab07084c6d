//! Outages of the servers behind the fleet, which `scripts/servers` starts.

use std::{
    env, fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use redis::{AsyncConnectionConfig, Client, cmd};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use url::Url;

use super::fleet::Fleet;

pub(crate) fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/fleet"))
}

/// A Redis Cluster of six nodes.
pub(crate) struct Cluster(Vec<String>);

/// The number of commands that the nodes sent to the store.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct CommandCounts {
    /// Each operation on a session, and each read of the feed.
    pub(crate) scripts: u64,
    pub(crate) reads: u64,
    pub(crate) waits: u64,
}

impl Cluster {
    pub(crate) fn find() -> Self {
        let nodes = variable("TEST_REDIS_CLUSTER");
        Self(nodes.split(',').map(str::to_owned).collect())
    }

    /// The setting for the demo.
    pub(crate) fn store(&self) -> String {
        self.0.join(",")
    }

    /// Kills the primary with the most sessions, and waits until a replica is promoted. Returns the folder
    /// of the killed node and the time without a primary.
    pub(crate) async fn kill_primary(&self) -> (String, Duration) {
        let (mut largest, mut size) = (None, 0);
        for node in &self.0 {
            if is_primary(node).await {
                let keys: u64 = send_command(node, &["DBSIZE"]).await.unwrap();
                if keys >= size {
                    (largest, size) = (Some(node.clone()), keys);
                }
            }
        }
        let node = largest.expect("a cluster has primaries");
        let info: String = send_command(&node, &["INFO", "server"]).await.unwrap();
        let id: u32 = field(&info, "process_id").expect("a process").parse().unwrap();
        let folder = folder(&node).await;
        let start = Instant::now();
        kill(id);
        let _ = fs::remove_file(format!("{folder}/pid"));
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let (mut primaries, mut agreed) = (0, 0);
            for node in self.0.iter().filter(|other| **other != node) {
                primaries += u32::from(is_primary(node).await);
                let info =
                    send_command::<String>(node, &["CLUSTER", "INFO"]).await.unwrap_or_default();
                agreed += u32::from(info.contains("cluster_state:ok"));
            }
            if (primaries, agreed) == (3, 5) {
                return (folder, start.elapsed());
            }
            assert!(start.elapsed() < Duration::from_secs(30), "no replica was promoted");
        }
    }

    /// Restarts the node of this folder, which then becomes a replica.
    pub(crate) async fn restart_node(&self, fleet: &Fleet, folder: &str) {
        let log = fs::File::options().append(true).open(format!("{folder}/log")).unwrap();
        let mut command = Command::new("sh");
        command.arg(format!("{folder}/start")).stdin(Stdio::null());
        let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        fleet.add_process(process);
        let start = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut followers = 0;
            for node in &self.0 {
                let info = send_command::<String>(node, &["INFO", "replication"]).await;
                followers += u32::from(info.unwrap_or_default().contains("master_link_status:up"));
            }
            if followers == 3 {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "it does not become a replica");
        }
    }

    pub(crate) async fn command_counts(&self) -> CommandCounts {
        let mut command_counts = CommandCounts::default();
        for node in &self.0 {
            let Ok(stats) = send_command::<String>(node, &["INFO", "commandstats"]).await else {
                continue;
            };
            let calls = |command: &str| {
                let stat = field(&stats, &format!("cmdstat_{command}"));
                let calls = stat.and_then(|stat| stat.strip_prefix("calls=")?.split(',').next());
                calls.map_or(0, |calls| calls.parse::<u64>().unwrap())
            };
            command_counts.scripts += calls("evalsha") + calls("eval");
            command_counts.reads += calls("xread");
            command_counts.waits += calls("wait");
        }
        command_counts
    }
}

/// A database for the fleet whose password hash is fast in an unoptimised client: hundreds of connections
/// are opened after an outage, and each call has a timeout.
pub(crate) async fn database() -> String {
    let url = Url::parse(&variable("TEST_POSTGRES_URL")).unwrap();
    let password = url.password().unwrap();
    let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
    for statement in [
        "SET password_encryption = 'md5'".to_owned(),
        format!("CREATE ROLE fleet LOGIN PASSWORD '{password}'"),
        "CREATE DATABASE fleet OWNER fleet".to_owned(),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    let place = url.port().unwrap();
    format!("postgres://fleet:{password}@127.0.0.1:{place}/fleet")
}

/// Restarts PostgreSQL: `fast` shuts down in order, `immediate` as in a crash.
pub(crate) async fn restart_postgres(mode: &str) -> Duration {
    let start = Instant::now();
    let command = format!("cd / && {} {mode}", variable("TEST_POSTGRES_RESTART"));
    let mut restart = Command::new("sh");
    restart.args(["-c", &command]).stdin(Stdio::null());
    let status = tokio::task::spawn_blocking(move || restart.status()).await.unwrap().unwrap();
    assert!(status.success(), "PostgreSQL does not restart");
    start.elapsed()
}

/// kill -9.
fn kill(id: u32) {
    assert!(Command::new("kill").args(["-KILL", &id.to_string()]).status().unwrap().success());
}

async fn folder(node: &str) -> String {
    let response: Vec<String> = send_command(node, &["CONFIG", "GET", "dir"]).await.unwrap();
    response[1].clone()
}

async fn is_primary(node: &str) -> bool {
    let info = send_command::<String>(node, &["INFO", "replication"]).await.unwrap_or_default();
    field(&info, "role") == Some("master")
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

async fn send_command<T: redis::FromRedisValue>(
    node: &str,
    words: &[&str],
) -> redis::RedisResult<T> {
    let timeout = Some(Duration::from_secs(1));
    let config = AsyncConnectionConfig::new().set_connection_timeout(timeout);
    let config = config.set_response_timeout(timeout);
    let mut connection =
        Client::open(node)?.get_multiplexed_async_connection_with_config(&config).await?;
    cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await
}
