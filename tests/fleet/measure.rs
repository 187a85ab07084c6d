//! Measurements of the fleet without outages.

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

/// The time from a sign-out on one node to the first rejection by another.
pub(crate) async fn revocation(fleet: &Arc<Fleet>, name: &str) {
    const TIMES: usize = 50;
    let web = Web::new(fleet.origin());
    let (mut rejection_times, mut sign_out_times) = (Vec::new(), Vec::new());
    for number in 0..TIMES {
        let (first_node, second_node) = (fleet.node(number % 3), fleet.node((number + 1) % 3));
        let (id, jar) = sign_in(&web, &first_node).await;
        let copy = jar.clone();
        assert_eq!(web.get(&second_node, "/api/me", &copy).await.status, 200);
        let start = Instant::now();
        let rejected = async {
            loop {
                let reply = web.get(&second_node, "/api/me", &copy).await;
                if reply.status == 401 {
                    return reply.sent.saturating_duration_since(start);
                }
                assert!(start.elapsed() < Duration::from_secs(10), "it is still accepted");
                sleep(Duration::from_millis(1)).await;
            }
        };
        let sign_out = web.post(&first_node, "/sign-out", &jar, format!("session_id={id}"));
        let (sign_out, rejected) = tokio::join!(sign_out, rejected);
        assert_eq!(sign_out.status, 303);
        rejection_times.push(rejected);
        sign_out_times.push(sign_out.took);
    }
    rejection_times.sort();
    sign_out_times.sort();
    let (min, median, max) =
        (rejection_times[0], rejection_times[TIMES / 2], rejection_times[TIMES - 1]);
    println!(
        "  {name}: signed out on one node, rejected by another after {min:.1?} minimum, {median:.1?} \
         median, {max:.1?} maximum, {TIMES} times; the sign-out itself took {:.1?}",
        sign_out_times[TIMES / 2]
    );
    // Without the feed it would take one to two seconds.
    assert!(median < Duration::from_secs(1), "{median:?}");
}

/// The store commands for a thousand requests of one active session, alternating between all nodes.
pub(crate) async fn commands(fleet: &Arc<Fleet>, cluster: &Cluster) {
    const REQUESTS: u64 = 1_000;
    let web = Web::new(fleet.origin());
    let (_, mut jar) = sign_in(&web, &fleet.proxy).await;
    let (before, start) = (cluster.command_counts().await, Instant::now());
    for _ in 0..REQUESTS {
        let reply = web.get(&fleet.proxy, "/api/me", &jar).await;
        assert_eq!(reply.status, 200);
        jar.store(&reply.set);
        sleep(Duration::from_millis(3)).await;
    }
    let (after, elapsed) = (cluster.command_counts().await, start.elapsed());
    let (scripts, reads) = (after.scripts - before.scripts, after.reads - before.reads);
    let waits = after.waits - before.waits;
    println!(
        "  {REQUESTS} requests of one session in {elapsed:.1?}: {scripts} scripts, {reads} reads and \
         {waits} waits of the feed and of replicas; one query per request would be: {REQUESTS}"
    );
    // Two per `renew_after`; and each node reads the feed before and after waiting for 20 s.
    let periods = elapsed.as_secs().div_ceil(RENEW_AFTER.as_secs()) + 1;
    let feed = 3 * 2 * (elapsed.as_secs() / 20 + 1);
    assert!(scripts <= 2 * periods + feed, "{scripts} in {elapsed:?}");
    assert!(reads <= feed && waits == 0, "{reads} {waits}");
}

async fn sign_in(web: &Web, to: &str) -> (String, Jar) {
    let mut jar = Jar::default();
    let reply = web.post(to, "/sign-in", &jar, "user=ada".to_owned()).await;
    assert_eq!(reply.status, 303);
    jar.store(&reply.set);
    (reply.session_started(&Jar::default()).unwrap(), jar)
}
