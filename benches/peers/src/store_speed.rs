//! The speed of the stores of tower-sessions, measured as `benches/stores` measures those of this crate.

#[path = "../../stores/clients.rs"]
mod clients;

use std::{collections::HashMap, env, fs, time::Duration};

use tower_sessions_0_14::{
    MemoryStore, SessionStore,
    session::{Id, Record},
};
use tower_sessions_redis_store::{RedisStore, fred::prelude::*};
use tower_sessions_sqlx_store::{
    PostgresStore, SqliteStore,
    sqlx::{PgPool, SqlitePool},
};

use crate::sites::ada;
use clients::{DURATION, run};

/// Prints the rows of the stores. A store without its server is left out.
pub(crate) async fn store_speed() {
    measure("memory", MemoryStore::default()).await;
    let path = env::temp_dir().join(format!("tower-sessions-{}.db", std::process::id()));
    let pool = SqlitePool::connect(&format!("sqlite:{}?mode=rwc", path.display())).await.unwrap();
    let store = SqliteStore::new(pool);
    store.migrate().await.unwrap();
    measure("SQLite", store).await;
    for suffix in ["", "-journal"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
    if let Ok(url) = env::var("TEST_POSTGRES_URL") {
        let url = format!("{url}?sslmode=disable");
        let store = PostgresStore::new(PgPool::connect(&url).await.unwrap());
        store.migrate().await.unwrap();
        measure("PostgreSQL", store).await;
    }
    if let Ok(url) = env::var("TEST_REDIS_URL") {
        let pool = Pool::new(Config::from_url(&url).unwrap(), None, None, None, 6).unwrap();
        let connected = pool.connect();
        pool.wait_for_connect().await.unwrap();
        measure("Redis", RedisStore::new(pool.clone())).await;
        pool.quit().await.unwrap();
        connected.await.unwrap().unwrap();
    }
}

async fn measure(name: &str, store: impl SessionStore + Clone) {
    let (saved, deleted) = (records(2_000), records(100_000));
    for record in &saved {
        store.create(&mut record.clone()).await.unwrap();
    }
    let create = run(&store, DURATION, |store, _| async move { store.create(&mut record()).await });
    let create = create.await;
    let all = saved.clone();
    let renew = run(&store, DURATION, move |store, n| {
        let record = all[n % all.len()].clone();
        async move { store.save(&record).await }
    });
    let renew = renew.await;
    let load = run(&store, DURATION, move |store, n| {
        let id = saved[n % saved.len()].id;
        async move { store.load(&id).await.map(drop) }
    });
    let load = load.await;
    let revoke = run(&store, DURATION, move |store, n| {
        let id = deleted[n % deleted.len()].id;
        async move { store.delete(&id).await }
    });
    let revoke = revoke.await;
    println!("| tower-sessions, {name} | {create} | {renew} | {load} | - | {revoke} |");
}

fn records(count: usize) -> Vec<Record> {
    (0..count).map(|_| record()).collect()
}

fn record() -> Record {
    let user = serde_json::to_value(ada()).unwrap();
    let expiry_date = time::OffsetDateTime::now_utc() + Duration::from_secs(3_600);
    Record { id: Id::default(), data: HashMap::from([("user".to_owned(), user)]), expiry_date }
}
