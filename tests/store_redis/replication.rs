//! A server with a replica: the commands of each operation, the confirmation by the replica, and the loss
//! of memory and of connections.

use std::{collections::BTreeMap, time::Duration};

use tower_auth_session::store::{
    FeedStart, RedisStore, RenewOutcome, Revoke, SessionStore as _, StoreError,
};

use super::{PAIR, at, command, prefix, renewal, server, session};

fn pair() -> [String; 2] {
    let urls = server("TEST_REDIS_PAIR");
    let (primary, replica) = urls.split_once(' ').unwrap();
    [primary.to_owned(), replica.to_owned()]
}

/// The commands since the last call, including those of scripts.
async fn take_command_counts(url: &str) -> BTreeMap<String, u64> {
    let info: String = command(url, &["INFO", "commandstats"]).await;
    command::<()>(url, &["CONFIG", "RESETSTAT"]).await;
    // Commands that connections and replicas send by themselves.
    let noise =
        ["info", "config", "client", "hello", "ping", "psync", "replconf", "select", "eval|"];
    let lines = info.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls = rest.split(',').next()?.parse().ok()?;
        (!noise.iter().any(|noise| name.starts_with(noise))).then(|| (name.to_owned(), calls))
    });
    lines.collect()
}

fn calls<const N: usize>(list: [(&str, u64); N]) -> BTreeMap<String, u64> {
    list.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[tokio::test]
async fn each_operation_is_one_command() {
    let _alone = PAIR.lock().await;
    let [url, _] = pair();
    let store = RedisStore::connect(&url).await.unwrap().with_prefix(&prefix());
    let without_replicas = store.clone().confirm_replicas(0);
    // The first call sends the script itself.
    for store in [&store, &without_replicas] {
        let warm = session("warm");
        store.create(&warm, None).await.unwrap();
        store.renew(&warm.key(), renewal(1)).await.unwrap();
        store.load(&[warm.key()], at(1)).await.unwrap();
        store.revoke(&warm.key(), Revoke::new(at(1), at(2_000))).await.unwrap();
    }
    take_command_counts(&url).await;

    let ada = session("ada");
    without_replicas.create(&ada, None).await.unwrap();
    let create = [
        ("evalsha", 1),
        ("hmget", 1),
        ("exists", 1),
        ("get", 2),
        ("zrandmember", 1),
        ("hset", 1),
        ("expire", 2),
        ("zadd", 1),
        ("ttl", 1),
    ];
    assert_eq!(take_command_counts(&url).await, calls(create));
    for second in 1..=3 {
        store.renew(&ada.key(), renewal(second)).await.unwrap();
        let renew =
            [("evalsha", 1), ("hmget", 1), ("get", 1), ("hset", 1), ("expire", 1), ("ttl", 1)];
        assert_eq!(take_command_counts(&url).await, calls(renew), "one command");
    }
    // Without activity nothing is written, and nothing is replicated.
    store.renew(&ada.key(), renewal(2)).await.unwrap();
    assert_eq!(take_command_counts(&url).await, calls([("evalsha", 1), ("hmget", 1), ("get", 1)]));
    without_replicas.revoke(&ada.key(), Revoke::new(at(3), at(2_000))).await.unwrap();
    let end = [
        ("evalsha", 2),
        ("hmget", 1),
        ("del", 1),
        ("hset", 1),
        ("expire", 1),
        ("zrem", 1),
        ("hsetnx", 2),
        ("xadd", 1),
        ("time", 1),
        ("xlen", 1),
        ("hget", 1),
        ("xrange", 1),
    ];
    assert_eq!(take_command_counts(&url).await, calls(end));

    // With a replica there is one more round trip of two commands.
    store.create(&session("bob"), None).await.unwrap();
    let counts = take_command_counts(&url).await;
    assert_eq!((counts["evalsha"], counts["eval"], counts["wait"]), (1, 1, 1));
}

#[tokio::test]
async fn write_without_replica_confirmation_is_unavailable() {
    let _alone = PAIR.lock().await;
    let [url, replica] = pair();
    let store = RedisStore::connect(&url).await.unwrap().with_prefix(&prefix());
    let (existing, lost) = (session("ada"), session("ada"));
    store.create(&existing, None).await.unwrap();

    let two = store.clone().confirm_replicas(2);
    assert!(matches!(two.create(&session("ada"), None).await, Err(StoreError::Unavailable(_))));
    let sleeping =
        tokio::spawn(async move { command::<()>(&replica, &["DEBUG", "SLEEP", "3"]).await });
    let with_short_timeout = store.clone().replication_timeout(Duration::from_millis(20));
    // The replica may need a moment to stop.
    let mut unconfirmed = with_short_timeout.create(&lost, None).await;
    while unconfirmed.is_ok() {
        unconfirmed = with_short_timeout.create(&session("ada"), None).await;
    }
    assert!(matches!(unconfirmed, Err(StoreError::Unavailable(_))), "{unconfirmed:?}");
    let ended = with_short_timeout.revoke(&existing.key(), Revoke::new(at(1), at(2_000))).await;
    assert!(matches!(ended, Err(StoreError::Unavailable(_))), "{ended:?}");
    // Renewals do not wait for replicas, and the unconfirmed revocation applies.
    let renewed = with_short_timeout.renew(&existing.key(), renewal(1)).await.unwrap();
    assert_eq!(renewed, RenewOutcome::Revoked);
    sleeping.await.unwrap();
    store.revoke(&existing.key(), Revoke::new(at(1), at(2_000))).await.unwrap();
}

#[tokio::test]
async fn full_server_rejects_sign_ins_and_accepts_revocations() {
    let _alone = PAIR.lock().await;
    let [url, _] = pair();
    let store = RedisStore::connect(&url).await.unwrap().with_prefix(&prefix());
    let ada = session("ada");
    store.create(&ada, None).await.unwrap();
    let ending = Revoke::new(at(1), at(2_000));
    store.revoke(&session("ada").key(), ending).await.unwrap();
    command::<()>(&url, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let created = store.create(&session("bob"), None).await;
    let renewed = store.renew(&ada.key(), renewal(1)).await;
    let ended = store.revoke(&ada.key(), ending).await;
    let after = store.renew(&ada.key(), renewal(1)).await;
    command::<()>(&url, &["CONFIG", "SET", "maxmemory", "0"]).await;
    assert!(matches!(created, Err(StoreError::Unavailable(_))), "{created:?}");
    assert!(matches!(renewed, Err(StoreError::Unavailable(_))), "{renewed:?}");
    // The feed is full, so the call fails, but the session is revoked.
    assert!(matches!(ended, Err(StoreError::Unavailable(_))), "{ended:?}");
    assert_eq!(after.unwrap(), RenewOutcome::Revoked);
    store.create(&session("bob"), None).await.unwrap();
}

#[tokio::test]
async fn lost_connection_is_reopened() {
    let _alone = PAIR.lock().await;
    let [url, _] = pair();
    let store = RedisStore::connect(&url).await.unwrap().with_prefix(&prefix());
    let ada = session("ada");
    store.create(&ada, None).await.unwrap();
    let since = FeedStart::At(at(0));
    let from = store.poll_revocations(&since, Duration::from_millis(1)).await.unwrap().position;
    command::<()>(&url, &["CLIENT", "KILL", "TYPE", "normal"]).await;
    command::<()>(&url, &["SCRIPT", "FLUSH"]).await;
    let mut tries = 0;
    while let Err(error) = store.renew(&ada.key(), renewal(1)).await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        tries += 1;
        assert!(tries < 3, "{error:?}");
    }
    let from = FeedStart::After(from);
    let page = store.poll_revocations(&from, Duration::from_millis(1)).await.unwrap();
    assert!(!page.has_gap);
    // Waiting for replicas uses another connection, which is reopened too.
    let ending = Revoke::new(at(1), at(2_000));
    while let Err(error) = store.revoke(&ada.key(), ending).await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        tries += 1;
        assert!(tries < 5, "{error:?}");
    }
}

/// `id` with another first digit.
fn other_than(id: &str) -> String {
    let first = if id.starts_with('0') { '1' } else { '0' };
    format!("{first}{}", &id[1..])
}

/// A `WAIT` on a server that was promoted in between must not confirm writes that it may not have.
#[tokio::test]
async fn changed_replication_id_confirms_nothing() {
    let url = server("TEST_REDIS_URL");
    let code = include_str!("../../src/store/redis/replication.lua");
    let info: String = command(&url, &["INFO", "replication"]).await;
    let replication_id = info.lines().find_map(|line| line.strip_prefix("master_replid:")).unwrap();
    for (replication_id, confirms) in
        [(replication_id, 1), ("", 0), (&other_than(replication_id), 0)]
    {
        let confirmed: u8 = command(&url, &["EVAL", code, "1", "nothing", replication_id]).await;
        assert_eq!(confirmed, confirms, "{replication_id}");
    }
}
