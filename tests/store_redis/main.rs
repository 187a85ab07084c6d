//! The Redis store with real servers: a single one, one with a replica, one with TLS, and a cluster of
//! six. `scripts/servers run cargo test --features redis,redis-cluster,redis-tls,test-util` starts them.
#![cfg(all(feature = "redis", feature = "test-util"))]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::{env, sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, Client, aio::ConnectionManager, cmd};
use tower_auth_session::{
    SessionId, Subject,
    engine::OsRandom,
    store::{
        CreateOutcome, FeedStart, LineageId, LineageRequest, OnCopy, RedisStore, RenewOutcome,
        RenewRequest, Revocation, Revoke, RevokeScope, SessionRecord, SessionStore, StoreError,
        SubjectLimit, SubjectLimitPolicy, contract,
    },
    time::Timestamp,
};

#[cfg(feature = "redis-cluster")]
mod cluster;
mod measurements;
mod replication;

/// Tests that change the pair of servers or count its commands run one at a time.
static PAIR: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn server(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: scripts/servers run cargo test …"))
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
    let ada = session("ada");
    stores[0].create(&ada, None).await.unwrap();
    let next = LineageId::generate(&OsRandom::default()).unwrap();
    let lineage = LineageRequest::new(None, next, Duration::from_secs(30), OnCopy::Alarm);
    let renewed = stores[0].renew(&ada.key(), renewal(60).with_lineage(lineage)).await.unwrap();
    let RenewOutcome::Active(record) = renewed else { panic!("{renewed:?}") };
    assert_eq!(record.lineage, lineage.apply(None, at(60)), "lineages are recorded");
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
        &["HSET", "", "lr", "soon"],
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
    command::<()>(
        &url,
        &["XADD", &feed, "1000-0", "t", &at(7).as_unix_seconds().to_string(), "i", "x"],
    )
    .await;
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

/// A client may send a command twice if the connection is lost before the response.
#[tokio::test]
async fn repeated_create_with_the_same_call_id_is_idempotent() {
    let url = server("TEST_REDIS_URL");
    let code = concat!(
        include_str!("../../src/store/redis/common.lua"),
        include_str!("../../src/store/redis/create.lua"),
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
