//! The Redis store with real servers: a single one, one with a replica, one with TLS, and a cluster of
//! six. `scripts/servers run cargo test --features redis,redis-cluster,redis-tls,test-util` starts them.
#![cfg(all(feature = "redis", feature = "test-util"))]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::{collections::BTreeMap, env, sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, Client, aio::ConnectionManager, cmd};
use tower_auth_session::{
    SessionId, Subject,
    engine::{Device, OsRandom},
    store::{
        CreateOutcome, FeedStart, RedisStore, RenewOutcome, RenewRequest, Revocation, Revoke,
        RevokeScope, SessionRecord, SessionStore, StoreError, SubjectLimit, SubjectLimitPolicy,
        contract,
    },
    time::Timestamp,
};

/// Tests that change a shared server or count its commands run one at a time.
static PAIR: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
#[cfg(feature = "redis-cluster")]
static CLUSTER: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn server(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: scripts/servers run cargo test …"))
}

fn pair() -> [String; 2] {
    let urls = server("TEST_REDIS_PAIR");
    let (primary, replica) = urls.split_once(' ').unwrap();
    [primary.to_owned(), replica.to_owned()]
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(4_000_000_000 + seconds)
}

/// A prefix that is unique to this run.
fn prefix() -> String {
    format!("test {{{}}}", SessionId::generate(&OsRandom::default()).unwrap())
}

fn session(subject: &str) -> SessionRecord {
    let id = SessionId::generate(&OsRandom::default()).unwrap();
    SessionRecord::new(id, Subject::new(subject).unwrap(), at(0), at(1_000))
}

fn renewal(now: u64) -> RenewRequest {
    RenewRequest::new(at(now), at(now), at(now + 1_000))
}

async fn command<T: redis::FromRedisValue>(url: &str, words: &[&str]) -> T {
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let client = Client::open(url).unwrap();
    let mut connection =
        client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
    cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap()
}

async fn check_contract(stores: [RedisStore; 2]) {
    contract::check(async |tenant| Arc::new(stores[tenant].clone()) as Arc<dyn SessionStore>).await;
}

async fn single_server_store() -> RedisStore {
    let store = RedisStore::connect(&server("TEST_REDIS_URL")).await.unwrap();
    store.with_prefix(&prefix())
}

#[tokio::test]
async fn redis_store_fulfils_the_contract_on_one_server() {
    check_contract([single_server_store().await, single_server_store().await]).await;
}

#[tokio::test]
async fn redis_store_fulfils_the_contract_between_separate_clients() {
    let prefixes = [prefix(), prefix()];
    contract::check(async |tenant| {
        let client = Client::open(server("TEST_REDIS_URL")).unwrap();
        let manager = ConnectionManager::new(client.clone()).await.unwrap();
        Arc::new(RedisStore::new(client, manager).with_prefix(&prefixes[tenant])) as _
    })
    .await;
}

#[cfg(feature = "redis-cluster")]
async fn cluster_store() -> RedisStore {
    let nodes = server("TEST_REDIS_CLUSTER");
    let store = RedisStore::connect_cluster(nodes.split(',')).await.unwrap();
    store.with_prefix(&prefix())
}

#[cfg(feature = "redis-cluster")]
#[tokio::test]
async fn redis_store_fulfils_the_contract_on_a_cluster() {
    let _alone = CLUSTER.lock().await;
    check_contract([cluster_store().await, cluster_store().await]).await;
}

#[cfg(feature = "redis-cluster")]
#[tokio::test]
async fn revocation_of_all_applies_on_every_node_of_a_cluster() {
    let _alone = CLUSTER.lock().await;
    check_revocation_of_all(cluster_store().await, cluster_store().await).await;
}

#[cfg(feature = "redis-cluster")]
#[tokio::test]
async fn promoted_replica_has_every_confirmed_change() {
    let _alone = CLUSTER.lock().await;
    let store = cluster_store().await;
    let sessions: Vec<_> = (0..60).map(|n| session(&format!("user {n}"))).collect();
    for session in &sessions {
        store.create(session, None).await.unwrap();
    }
    let ending = Revoke::new(at(1), at(2_000));
    for session in &sessions[..30] {
        store.revoke(&session.key(), ending).await.unwrap();
    }
    let from =
        store.poll_revocations(&FeedStart::At(at(0)), Duration::ZERO).await.unwrap().position;
    let nodes = server("TEST_REDIS_CLUSTER");
    let role = async |url: &str| {
        let info: String = command(url, &["INFO", "replication"]).await;
        let has_replication =
            info.contains("state=online") || info.contains("master_link_status:up");
        (info.contains("role:master"), has_replication)
    };
    let mut promoted = Vec::new();
    for url in nodes.split(',') {
        if !role(url).await.0 {
            command::<()>(url, &["CLUSTER", "FAILOVER", "FORCE"]).await;
            promoted.push(url);
        }
    }
    assert_eq!(promoted.len(), 3);
    for (n, session) in sessions.iter().enumerate() {
        let mut tries = 0;
        let renewed = loop {
            match store.renew(&session.key(), renewal(2)).await {
                Ok(renewed) => break renewed,
                Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}"),
            }
            tries += 1;
            assert!(tries < 20, "the cluster does not recover");
        };
        assert_eq!(matches!(renewed, RenewOutcome::Active(_)), n >= 30, "{n}: {renewed:?}");
    }
    // A write that replicas cannot confirm during the failover can be confirmed soon after it.
    let last = &sessions[59];
    let mut tries = 0;
    while let Err(error) = store.revoke(&last.key(), ending).await {
        assert!(matches!(error, StoreError::Unavailable(_)) && tries < 500, "{error:?}");
        tries += 1;
    }
    let from = FeedStart::After(from);
    let page = store.poll_revocations(&from, Duration::from_secs(20)).await.unwrap();
    assert!(page.has_gap || page.revocations.contains(&Revocation::Session(last.id)));

    // Restores a complete cluster for the next test. A replica that was not elected tries again.
    for url in promoted {
        let mut tries = 0;
        while !role(url).await.0 {
            tries += 1;
            assert!(tries < 20_000, "a replica was not promoted");
            if tries % 1_000 == 0 {
                command::<()>(url, &["CLUSTER", "FAILOVER", "FORCE"]).await;
            }
        }
    }
    for url in nodes.split(',') {
        let mut tries = 0;
        while !role(url).await.1 {
            tries += 1;
            assert!(tries < 20_000, "a primary has no replica");
        }
    }
}

#[tokio::test]
async fn revocation_of_all_applies_to_all_subjects_of_one_tenant() {
    check_revocation_of_all(single_server_store().await, single_server_store().await).await;
}

async fn check_revocation_of_all(store: RedisStore, other_tenant: RedisStore) {
    let old: Vec<_> = (0..40).map(|n| session(&format!("user {n}"))).collect();
    for session in &old {
        store.create(session, None).await.unwrap();
        other_tenant.create(session, None).await.unwrap();
    }
    let later = create_later_session(&store).await;
    store.revoke_many(&RevokeScope::all(at(1), at(5))).await.unwrap();
    for session in &old {
        assert_eq!(store.renew(&session.key(), renewal(6)).await.unwrap(), RenewOutcome::Revoked);
        assert_eq!(store.load(&[session.key()], at(6)).await.unwrap(), [None]);
        let page = store.list(&session.subject, at(6), None, 9).await.unwrap();
        assert!(page.sessions.is_empty());
        let renewed = other_tenant.renew(&session.key(), renewal(6)).await.unwrap();
        assert!(matches!(renewed, RenewOutcome::Active(_)));
    }
    let late = session("another user");
    assert_eq!(store.create(&late, None).await.unwrap(), CreateOutcome::SubjectRevoked);
    assert!(matches!(
        store.renew(&later.key(), renewal(6)).await.unwrap(),
        RenewOutcome::Active(_)
    ));
    let page = store.poll_revocations(&FeedStart::At(at(1)), Duration::ZERO).await.unwrap();
    assert_eq!(page.revocations, [Revocation::all(at(5))]);
}

async fn create_later_session(store: &RedisStore) -> SessionRecord {
    let mut later = session("a later user");
    later.signed_in_at = at(5);
    later.last_active_at = at(5);
    store.create(&later, None).await.unwrap();
    later
}

#[cfg(feature = "redis-tls")]
#[tokio::test]
async fn redis_store_fulfils_the_contract_over_tls() {
    use redis::TlsCertificates;

    let url = server("TEST_REDIS_TLS_URL");
    let root = std::fs::read(server("TEST_REDIS_TLS_CA")).unwrap();
    let trusting_store = async || {
        // The certificates are set before the client connects.
        let root_cert = Some(root.clone());
        let certificates = TlsCertificates { client_tls: None, root_cert };
        let client = Client::build_with_tls(url.as_str(), certificates).unwrap();
        RedisStore::open(client).await.unwrap().with_prefix(&prefix())
    };
    let untrusted = RedisStore::connect(&url).await;
    assert!(matches!(untrusted, Err(StoreError::Unavailable(_))), "the certificate is not trusted");
    check_contract([trusting_store().await, trusting_store().await]).await;
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
async fn damaged_keys_are_corrupt_and_kept() {
    let url = server("TEST_REDIS_URL");
    let prefix = format!("damage {}", SessionId::generate(&OsRandom::default()).unwrap());
    let store = RedisStore::connect(&url).await.unwrap().with_prefix(&prefix);
    for damage in [
        &["HSET", "", "e", "1e9"][..],
        &["HSET", "", "i", ""],
        &["HSET", "", "a", "-5"],
        &["HDEL", "", "i"],
        &["HSET", "", "v", "2"],
        &["HDEL", "", "v"],
        &["HDEL", "", "v", "s"],
        &["HSET", "", "s", "eve"],
        &["HSET", "", "u", "soon"],
        &["HSET", "", "p", "nowhere"],
        &["HSET", "", "p", "\u{fffd}"],
        &["SET", "", "overwritten"],
        &["HSET", "", "e", "9999999999999999"],
    ] {
        let ada = session("ada");
        store.create(&ada, None).await.unwrap();
        let keys: Vec<String> = command(&url, &["KEYS", &format!("{prefix}:*{}", ada.id)]).await;
        let [key] = keys.as_slice() else { panic!("{keys:?}") };
        let mut words = damage.to_vec();
        words[1] = key;
        command::<redis::Value>(&url, &words).await;
        let before: Vec<u8> = command(&url, &["DUMP", key]).await;

        let context = format!("{damage:?}");
        let corrupt = |error: &StoreError| matches!(error, StoreError::Corrupt(_));
        let ending = Revoke::new(at(1), at(2_000));
        assert!(corrupt(&store.load(&[ada.key()], at(1)).await.unwrap_err()), "{context}");
        let page = store.list(&ada.subject, at(1), None, 9).await;
        assert!(corrupt(&page.unwrap_err()), "{context}");
        assert!(matches!(store.create(&ada, None).await, Err(StoreError::Conflict)), "{context}");
        // A damaged address, which only lists of devices need, does not prevent a sign-out.
        if words.get(2) != Some(&"p") {
            assert!(corrupt(&store.renew(&ada.key(), renewal(0)).await.unwrap_err()), "{context}");
            assert!(corrupt(&store.revoke(&ada.key(), ending).await.unwrap_err()), "{context}");
            let limit = Some(SubjectLimit::new(1, SubjectLimitPolicy::Refuse));
            let full = store.create(&session("ada"), limit).await.unwrap();
            assert_eq!(full, CreateOutcome::LimitReached, "it counts towards the limit: {context}");
            let other = session("ada");
            store.create(&other, None).await.unwrap();
            let all = RevokeScope::subject(ada.subject.clone(), at(0), None);
            assert!(corrupt(&store.revoke_many(&all).await.unwrap_err()), "{context}");
            let renewed = store.renew(&other.key(), renewal(1)).await.unwrap();
            assert_eq!(renewed, RenewOutcome::Revoked, "the other session is revoked: {context}");
        }
        let after: Vec<u8> = command(&url, &["DUMP", key]).await;
        assert_eq!(before, after, "{context}");
        command::<()>(&url, &["DEL", key]).await;
    }
}

#[tokio::test]
async fn every_key_expires_by_itself() {
    let url = server("TEST_REDIS_URL");
    let prefix = format!("ttl {}", SessionId::generate(&OsRandom::default()).unwrap());
    let store = RedisStore::connect(&url).await.unwrap().with_prefix(&prefix);
    let (ada, bob) = (session("ada"), session("bob"));
    store.create(&ada, None).await.unwrap();
    store.create(&bob, None).await.unwrap();
    store.renew(&ada.key(), RenewRequest::new(at(500), at(500), at(1_500))).await.unwrap();
    store.revoke(&bob.key(), Revoke::new(at(500), at(1_500))).await.unwrap();
    store.revoke_many(&RevokeScope::subject_before(bob.subject, at(0), at(0))).await.unwrap();
    let names: Vec<String> = command(&url, &["KEYS", &format!("{prefix}:*")]).await;
    let mut count = 0;
    for name in names.iter().filter(|name| !name.contains("{feed}")) {
        let ttl: u64 = command(&url, &["TTL", name]).await;
        let is_list = name.ends_with("of:ada") || name.ends_with("all:bob");
        let max_ttl = if is_list { 1_700 + 24 * 3_600 } else { 1_600 };
        assert!((1_000..=max_ttl).contains(&ttl), "{name}: {ttl}");
        count += 1;
    }
    assert_eq!(count, 4, "two records, an index, a watermark: {names:?}");
}

#[tokio::test]
async fn feed_that_lost_entries_has_a_gap() {
    let url = server("TEST_REDIS_URL");
    let prefix = format!("gap {}", SessionId::generate(&OsRandom::default()).unwrap());
    let store = RedisStore::connect(&url).await.unwrap().with_prefix(&prefix);
    let (feed, about) = (format!("{prefix}:{{feed}}"), format!("{prefix}:{{feed}}:about"));
    let end = async |second| {
        let ada = session("ada");
        store.revoke(&ada.key(), Revoke::new(at(second), at(2_000))).await.unwrap();
        Revocation::Session(ada.id)
    };
    let read = async |from: &FeedStart| store.poll_revocations(from, Duration::ZERO).await.unwrap();

    // An old entry by the server's clock.
    command::<()>(&url, &["XADD", &feed, "1000-0", "t", &at(7).to_string(), "i", "x"]).await;
    let start = read(&FeedStart::At(at(0))).await;
    assert!(start.has_gap, "an unreadable entry");
    let revocation = end(10).await;
    let after = read(&FeedStart::After(start.position)).await;
    assert_eq!(
        (after.revocations, after.has_gap),
        (vec![revocation.clone()], false),
        "the entry was the last one"
    );
    let length: u64 = command(&url, &["XLEN", &feed]).await;
    assert_eq!(length, 1, "the old entry was trimmed");
    assert!(read(&FeedStart::At(at(9))).await.has_gap, "earlier entries are unknown");
    let since = read(&FeedStart::At(at(10))).await;
    assert_eq!((since.revocations, since.has_gap), (vec![revocation], false));

    // A failover loses the last entry, and other entries replace it.
    let revocation = end(11).await;
    let page = read(&FeedStart::After(after.position)).await;
    assert_eq!((page.revocations, page.has_gap), (vec![revocation], false));
    let id = page.position.as_str().split_once(':').unwrap().1.to_owned();
    command::<()>(&url, &["XDEL", &feed, &id]).await;
    let from = FeedStart::After(page.position);
    let revocation = end(12).await;
    let page = read(&from).await;
    assert!(page.has_gap && page.revocations.contains(&revocation));

    // The server lost all data.
    let from = FeedStart::After(page.position);
    command::<()>(&url, &["DEL", &feed, &about]).await;
    let page = read(&from).await;
    assert!(page.has_gap && page.revocations.is_empty());
    assert!(!read(&FeedStart::After(page.position)).await.has_gap);
    assert!(read(&from).await.has_gap);
    assert!(read(&FeedStart::At(at(12))).await.has_gap);
}

#[tokio::test]
async fn waiting_for_the_feed_does_not_block_other_calls() {
    let store = single_server_store().await;
    let ada = session("ada");
    store.create(&ada, None).await.unwrap();
    let from =
        store.poll_revocations(&FeedStart::At(at(0)), Duration::ZERO).await.unwrap().position;
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let (store, from) = (store.clone(), FeedStart::After(from.clone()));
            tokio::spawn(
                async move { store.poll_revocations(&from, Duration::from_secs(60)).await },
            )
        })
        .collect();
    for second in 1..100 {
        store.renew(&ada.key(), renewal(second)).await.unwrap();
    }
    store.revoke(&ada.key(), Revoke::new(at(100), at(2_000))).await.unwrap();
    for waiting in waiting {
        let page = waiting.await.unwrap().unwrap();
        assert_eq!(page.revocations, [Revocation::Session(ada.id)]);
    }
    let from = FeedStart::After(from);
    let nothing =
        FeedStart::After(store.poll_revocations(&from, Duration::ZERO).await.unwrap().position);
    let page = store.poll_revocations(&nothing, Duration::from_millis(5)).await.unwrap();
    assert!(page.revocations.is_empty() && !page.has_gap);
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

/// A client may send a command twice if the connection is lost before the response.
#[tokio::test]
async fn repeated_create_with_the_same_call_id_is_idempotent() {
    let url = server("TEST_REDIS_URL");
    let code = concat!(
        include_str!("../src/store/redis/common.lua"),
        include_str!("../src/store/redis/create.lua"),
    );
    let (base, id) = (prefix(), SessionId::generate(&OsRandom::default()).unwrap().to_string());
    let keys = ["", ":of", ":all", ":everybody"].map(|end| format!("{base}{id}{end}"));
    let create = async |call| -> Vec<String> {
        let mut words = vec!["EVAL", code, "4"];
        words.extend(keys.iter().map(String::as_str));
        words.extend(["0", &base, &id, "ada", call, "end", "100", "100", "200", "0", "", ""]);
        command(&url, &words).await
    };
    assert_eq!(create("once").await, ["kept", ""]);
    assert_eq!(create("once").await, ["kept", ""]);
    assert_eq!(create("twice").await, ["taken"]);
}

/// A `WAIT` on a server that was promoted in between must not confirm writes that it may not have.
#[tokio::test]
async fn changed_replication_id_confirms_nothing() {
    let url = server("TEST_REDIS_URL");
    let code = include_str!("../src/store/redis/replication.lua");
    let info: String = command(&url, &["INFO", "replication"]).await;
    let replication_id = info.lines().find_map(|line| line.strip_prefix("master_replid:")).unwrap();
    for (replication_id, confirms) in
        [(replication_id, 1), ("", 0), (&replication_id.replace(['a', '1'], "b"), 0)]
    {
        let confirmed: u8 = command(&url, &["EVAL", code, "1", "nothing", replication_id]).await;
        assert_eq!(confirmed, confirms, "{replication_id}");
    }
}

#[tokio::test]
async fn errors_and_debug_output_hide_the_password() {
    let url = server("TEST_REDIS_URL");
    let with_password = url.replace("redis://", "redis://ada:hunter2@");
    for url in [with_password.as_str(), "redis://:hunter2@127.0.0.1:1", "hunter2://x", "hunter2"] {
        let error = RedisStore::connect(url).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap();
        let shown = format!("{error} {error:?} {cause} {cause:?}");
        assert!(
            matches!(error, StoreError::Unavailable(_)) && !shown.contains("hunter2"),
            "{shown}"
        );
    }
    #[cfg(feature = "redis-cluster")]
    {
        let error =
            RedisStore::connect_cluster(["redis://:hunter2@127.0.0.1:1"]).await.unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
    }
    assert!(!format!("{:?}", single_server_store().await).contains("127.0.0.1"));
}

/// The figures for size and speed in the documentation: `cargo test --release … -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
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
