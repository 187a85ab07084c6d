//! The measurements behind the figures of the documentation.

use std::sync::Arc;

use tower_auth_session::{
    engine::Device,
    store::{RedisStore, Revoke, RevokeScope, SessionStore as _},
};

use super::{PAIR, at, command, renewal, server, session};

/// The figures for size and speed in the documentation: `cargo test --release … -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn measure_memory_and_throughput() {
    const SESSIONS: usize = 100_000;
    const TASKS: usize = 32;
    const RENEWALS: u32 = 10_000;
    let _alone = PAIR.lock().await;
    let url = server("TEST_REDIS_URL");
    let used = async || {
        let info: String = command(&url, &["INFO", "memory"]).await;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        used.parse::<usize>().unwrap()
    };
    let store = RedisStore::connect(&url).await.unwrap();
    command::<()>(&url, &["FLUSHALL"]).await;
    let before = used().await;
    let per_second = |count: usize, since: tokio::time::Instant| {
        (count as f64 / since.elapsed().as_secs_f64()) as usize
    };
    let start = tokio::time::Instant::now();
    let sessions = Arc::new(
        (0..SESSIONS)
            .map(|n| {
                let mut session = session(&format!("0193a6e2-7c1b-7d3f-8000-{n:012}"));
                session.device = Device::new(Some("Firefox on Linux"), Some([192, 0, 2, 7].into()));
                session
            })
            .collect::<Vec<_>>(),
    );
    let each = async |work: &dyn Fn(usize) -> tokio::task::JoinHandle<()>| {
        for task in (0..TASKS).map(work).collect::<Vec<_>>() {
            task.await.unwrap();
        }
    };
    each(&|task| {
        let (store, sessions) = (store.clone(), Arc::clone(&sessions));
        tokio::spawn(async move {
            for session in sessions.iter().skip(task).step_by(TASKS) {
                store.create(session, None).await.unwrap();
            }
        })
    })
    .await;
    println!("{} sign-ins a second", per_second(SESSIONS, start));
    println!("{} bytes a session", (used().await - before) / SESSIONS);
    let start = tokio::time::Instant::now();
    each(&|task| {
        let (store, sessions) = (store.clone(), Arc::clone(&sessions));
        tokio::spawn(async move {
            for n in 0..RENEWALS {
                let session = &sessions[(task * 3_001 + n as usize * 7) % SESSIONS];
                store.renew(&session.key(), renewal(1 + u64::from(n))).await.unwrap();
            }
        })
    })
    .await;
    println!("{} renewals a second", per_second(TASKS * RENEWALS as usize, start));
    let start = tokio::time::Instant::now();
    let before = used().await;
    each(&|task| {
        let (store, sessions) = (store.clone(), Arc::clone(&sessions));
        tokio::spawn(async move {
            for session in sessions.iter().skip(task).step_by(TASKS) {
                store.revoke(&session.key(), Revoke::new(at(20_000), at(30_000))).await.unwrap();
            }
        })
    })
    .await;
    println!("{} sign-outs a second", per_second(SESSIONS, start));
    let after = used().await;
    let feed: usize = command(&url, &["MEMORY", "USAGE", "session:{feed}"]).await;
    println!("{} bytes an entry of the feed", feed / SESSIONS);
    println!("{} bytes less per revoked session", (before + feed - after) / SESSIONS);
    let start = tokio::time::Instant::now();
    store.revoke_many(&RevokeScope::all(at(30_000), at(30_000))).await.unwrap();
    println!("{:?} for a revocation of all", start.elapsed());
    command::<()>(&url, &["FLUSHALL"]).await;
}
