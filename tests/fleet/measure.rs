//! What the fleet does when all is well.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    RENEW_AFTER,
    fleet::Fleet,
    servers::Cluster,
    web::{Jar, Web},
};

/// From the request that ends a session on one node to the first refusal on another.
pub(crate) async fn revocation(fleet: &Arc<Fleet>, what: &str) {
    const TIMES: usize = 50;
    let web = Web::new(fleet.origin());
    let (mut took, mut answered) = (Vec::new(), Vec::new());
    for number in 0..TIMES {
        let (here, there) = (fleet.node(number % 3), fleet.node((number + 1) % 3));
        let (id, jar) = sign_in(&web, &here).await;
        let copy = jar.clone();
        assert_eq!(web.get(&there, "/api/me", &copy).await.status, 200);
        let start = Instant::now();
        let refused = async {
            loop {
                let reply = web.get(&there, "/api/me", &copy).await;
                if reply.status == 401 {
                    return reply.sent.saturating_duration_since(start);
                }
                assert!(start.elapsed() < Duration::from_secs(10), "it is not refused");
                sleep(Duration::from_millis(1)).await;
            }
        };
        let out = web.post(&here, "/sign-out", &jar, format!("session_id={id}"));
        let (out, refused) = tokio::join!(out, refused);
        assert_eq!(out.status, 303);
        took.push(refused);
        answered.push(out.took);
    }
    took.sort();
    answered.sort();
    let (min, median, max) = (took[0], took[TIMES / 2], took[TIMES - 1]);
    println!(
        "  {what}: ended on one node, refused by another after {min:.1?} at least, {median:.1?} \
         in the median, {max:.1?} at most, {TIMES} times; the sign-out itself took {:.1?}",
        answered[TIMES / 2]
    );
    // By the token alone it would be one to two seconds: the feed is at work.
    assert!(median < Duration::from_secs(1), "{median:?}");
}

/// What the store is asked for a thousand requests of one active session, by turns on all nodes.
pub(crate) async fn commands(fleet: &Arc<Fleet>, cluster: &Cluster) {
    const REQUESTS: u64 = 1_000;
    let web = Web::new(fleet.origin());
    let (_, mut jar) = sign_in(&web, &fleet.proxy).await;
    let (before, start) = (cluster.asked().await, Instant::now());
    for _ in 0..REQUESTS {
        let reply = web.get(&fleet.proxy, "/api/me", &jar).await;
        assert_eq!(reply.status, 200);
        jar.take(&reply.set);
        sleep(Duration::from_millis(3)).await;
    }
    let (after, took) = (cluster.asked().await, start.elapsed());
    let (scripts, reads) = (after.scripts - before.scripts, after.reads - before.reads);
    let waits = after.waits - before.waits;
    println!(
        "  {REQUESTS} requests of one session in {took:.1?}: {scripts} scripts, {reads} reads and \
         {waits} waits of the feed and of replicas; a store asked by each request: {REQUESTS}"
    );
    // Two for each `renew_after`; and each node looks at the feed before and after 20 s of waiting.
    let periods = took.as_secs().div_ceil(RENEW_AFTER.as_secs()) + 1;
    let feed = 3 * 2 * (took.as_secs() / 20 + 1);
    assert!(scripts <= 2 * periods + feed, "{scripts} in {took:?}");
    assert!(reads <= feed && waits == 0, "{reads} {waits}");
}

async fn sign_in(web: &Web, to: &str) -> (String, Jar) {
    let mut jar = Jar::default();
    let reply = web.post(to, "/sign-in", &jar, "user=ada".to_owned()).await;
    assert_eq!(reply.status, 303);
    jar.take(&reply.set);
    (reply.begun(&Jar::default()).unwrap(), jar)
}
