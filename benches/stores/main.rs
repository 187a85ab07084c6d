//! How many operations a second each store completes with 16 clients, and how long the slowest of a
//! hundred takes: `scripts/servers run cargo bench --bench stores --all-features`. Without a server
//! its store is left out.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

mod clients;

use std::{env, fs, sync::Arc, time::Duration};

use tower_auth_session::{
    SessionId, Subject,
    engine::OsRandom,
    store::{
        MemoryStore, PostgresStore, RedisStore, RenewRequest, Revoke, SessionRecord, SessionStore,
        SqliteStore,
    },
    time::Timestamp,
};

use clients::{DURATION, run};

const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

const INTRODUCTION: &str = "## Stores

Operations a second with 16 clients, and in brackets the 99th percentile of their duration. The
servers run on the same machine. The stores of tower-sessions are used as their documentation shows:
`save` is measured as a renewal and `delete` as a revocation. Not all stores promise the same. Those of
this crate keep revoked sessions in a feed for other processes, and their SQLite and PostgreSQL stores
answer a write when it is on disk.
";

#[tokio::main]
async fn main() {
    // `cargo test --benches` passes no argument: it shows that the operations work.
    let is_bench = env::args().any(|argument| argument == "--bench");
    let duration = if is_bench { DURATION } else { Duration::from_millis(20) };
    let path = env::temp_dir().join(format!("stores-{}.db", std::process::id()));
    let sqlite = SqliteStore::open(&path).await.expect("a file");
    sqlite.migrate().await.expect("tables");
    println!("{INTRODUCTION}");
    println!("| | create | renew | load | list | revoke |\n|---|--:|--:|--:|--:|--:|");
    measure("memory", Arc::new(MemoryStore::new()), duration).await;
    measure("SQLite", Arc::new(sqlite), duration).await;
    if let Ok(url) = env::var("TEST_POSTGRES_URL") {
        let url = format!("{url}?sslmode=disable");
        let store = PostgresStore::connect(&url).await.expect("a server").prefix("bench_");
        let store = store.expect("a prefix");
        store.migrate().await.expect("tables");
        measure("PostgreSQL", Arc::new(store), duration).await;
    }
    if let Ok(url) = env::var("TEST_REDIS_URL") {
        let store = RedisStore::connect(&url).await.expect("a server").with_prefix("bench:");
        measure("Redis", Arc::new(store), duration).await;
    }
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

/// Prints a row: operations a second, and the 99th percentile of their duration.
async fn measure(name: &str, store: Arc<dyn SessionStore>, duration: Duration) {
    let sessions: Arc<Vec<_>> = Arc::new((0..2_000).map(session).collect());
    for session in sessions.iter() {
        store.create(session, None).await.expect("a new session");
    }
    let revoked: Arc<Vec<_>> = Arc::new((0..100_000).map(|n| session(1_000_000 + n)).collect());
    let create = run(&store, duration, |store, n| async move {
        store.create(&session(10_000 + n), None).await.map(drop)
    });
    let create = create.await;
    let all = Arc::clone(&sessions);
    let renew = run(&store, duration, move |store, n| {
        let key = all[n % all.len()].key();
        let now = START.saturating_add(Duration::from_secs(60));
        let expires_at = now.saturating_add(Duration::from_secs(3_600));
        async move { store.renew(&key, RenewRequest::new(now, now, expires_at)).await.map(drop) }
    });
    let renew = renew.await;
    let all = Arc::clone(&sessions);
    let load = run(&store, duration, move |store, n| {
        let key = all[n % all.len()].key();
        async move { store.load(&[key], START).await.map(drop) }
    });
    let load = load.await;
    let list = run(&store, duration, move |store, n| {
        let subject = sessions[n % sessions.len()].subject.clone();
        async move { store.list(&subject, START, None, 50).await.map(drop) }
    });
    let list = list.await;
    let revoke = run(&store, duration, move |store, n| {
        let key = revoked[n % revoked.len()].key();
        let until = START.saturating_add(Duration::from_secs(3_600));
        async move { store.revoke(&key, Revoke::new(START, until)).await }
    });
    let revoke = revoke.await;
    println!("| this crate, {name} | {create} | {renew} | {load} | {list} | {revoke} |");
}

fn session(n: usize) -> SessionRecord {
    let id = SessionId::generate(&OsRandom::default()).expect("randomness");
    let subject = Subject::new(format!("user-{n:07}")).expect("a subject");
    SessionRecord::new(id, subject, START, START.saturating_add(Duration::from_secs(3_600)))
}
