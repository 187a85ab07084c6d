//! A cluster of six servers.

use std::time::Duration;

use tower_auth_session::store::{
    FeedStart, RedisStore, RenewOutcome, Revocation, Revoke, SessionStore as _, StoreError,
};

use super::{
    at, check_contract, check_revocation_of_all, command, prefix, renewal, server, session,
};

/// Tests that change the cluster run one at a time.
static CLUSTER: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn cluster_store() -> RedisStore {
    let nodes = server("TEST_REDIS_CLUSTER");
    let store = RedisStore::connect_cluster(nodes.split(',')).await.unwrap();
    store.with_prefix(&prefix())
}

#[tokio::test]
async fn redis_store_fulfils_the_contract_on_a_cluster() {
    let _alone = CLUSTER.lock().await;
    check_contract([cluster_store().await, cluster_store().await]).await;
}

#[tokio::test]
async fn revocation_of_all_applies_on_every_node_of_a_cluster() {
    let _alone = CLUSTER.lock().await;
    check_revocation_of_all(cluster_store().await, cluster_store().await).await;
}

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
