//! A fleet: three processes of the demo behind a proxy, on a Redis Cluster and on PostgreSQL, under the
//! load of hundreds of browsers, while processes are killed. `scripts/fleet` runs it.
//!
//! What must not happen, checked at every answer and of every session in the end:
//!
//! * somebody who did not sign out is signed out, or loses a cookie;
//! * somebody whose sign-out was acknowledged is let in later than the stated bound, by any node;
//! * a session is shown as another one, or as another person's;
//! * a request hangs.
//!
//! 503 and lost connections are what an outage looks like, and are counted.
#![cfg(all(
    unix,
    feature = "axum",
    feature = "sqlite",
    feature = "postgres",
    feature = "redis-cluster"
))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "real processes run by the real clock")]

mod browser;
mod fleet;
mod killed;
mod ledger;
mod measure;
mod servers;
#[path = "../accounts/site.rs"]
mod site;
mod web;

use std::{
    env,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use tokio::time::sleep;

use self::{
    browser::{Browser, Dice, Scene, prowl},
    fleet::{Fleet, NODES},
    ledger::{Copied, Ledger, State},
    servers::{Cluster, database, restart_postgres},
    web::Web,
};

/// How long a token is believed without asking.
pub(crate) const RENEW_AFTER: Duration = Duration::from_secs(2);

/// The stated bound: `renew_after + clock_skew`, of which the demo has the default.
pub(crate) const BOUND: Duration = Duration::from_secs(2 + 5);

/// By then a store that is back has been found to be.
const AFTER_OUTAGE: Duration = Duration::from_secs(4);

/// How much is done: `FLEET=long` for minutes, otherwise seconds.
struct Plan {
    browsers: u64,
    /// Milliseconds between two clicks of one browser.
    pause: u64,
    /// Between two events.
    calm: Duration,
    /// How often each event happens.
    rounds: u32,
    /// How many ended sessions are tried once more in the end.
    tried: usize,
    seed: u64,
}

impl Plan {
    fn get() -> Self {
        let seed = env::var("FLEET_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
        if is_long() {
            let calm = Duration::from_secs(6);
            Self { browsers: 500, pause: 900, calm, rounds: 4, tried: 3_000, seed }
        } else {
            let calm = Duration::from_secs(1);
            Self { browsers: 250, pause: 700, calm, rounds: 1, tried: 300, seed }
        }
    }
}

pub(crate) fn is_long() -> bool {
    env::var("FLEET").is_ok_and(|size| size == "long")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/fleet runs it"]
async fn redis_cluster() {
    let cluster = Cluster::find();
    let fleet = Fleet::start("redis", &cluster.store());
    let plan = Plan::get();
    let scene = run(&fleet, &plan, async |round| {
        let (folder, took) = cluster.kill_primary().await;
        println!("  round {round}: a primary killed, another in charge after {took:?}");
        sleep(plan.calm).await;
        cluster.start_again(&fleet, &folder).await;
    })
    .await;
    measure::revocation(&fleet, "Redis Cluster").await;
    measure::commands(&fleet, &cluster).await;
    check(&fleet, &scene, &plan, "Redis Cluster").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/fleet runs it"]
async fn postgres() {
    let fleet = Fleet::start("postgres", &database().await);
    let plan = Plan::get();
    let scene = run(&fleet, &plan, async |round| {
        let mode = if round % 2 == 0 { "immediate" } else { "fast" };
        let took = restart_postgres(mode).await;
        println!("  round {round}: PostgreSQL back ({mode}) after {took:?}");
    })
    .await;
    measure::revocation(&fleet, "PostgreSQL").await;
    check(&fleet, &scene, &plan, "PostgreSQL").await;
}

/// Browsers do what they do while a node is killed and started again, and `outage` happens.
async fn run<F: Future<Output = ()>>(
    fleet: &Arc<Fleet>,
    plan: &Plan,
    outage: impl Fn(u32) -> F,
) -> Scene {
    println!("\n{} browsers, FLEET_SEED={}", plan.browsers, plan.seed);
    let scene = Scene {
        web: Web::new(fleet.origin()),
        proxy: fleet.proxy.clone(),
        ledger: Arc::new(Ledger::default()),
        stop: Arc::new(AtomicBool::new(false)),
    };
    let start = Instant::now();
    let browsers = (0..plan.browsers).map(|number| Browser::new(&scene, number, plan.seed));
    let living: Vec<_> = browsers.map(|browser| tokio::spawn(browser.live(plan.pause))).collect();
    let prowling = tokio::spawn(prowl(scene.clone(), Arc::clone(fleet), plan.seed));
    for round in 0..plan.rounds {
        sleep(plan.calm).await;
        let number = (plan.seed as usize + round as usize) % NODES;
        fleet.kill_node(number);
        sleep(plan.calm).await;
        fleet.start_node(number);
        println!("  round {round}: node {number} killed, and back after {:?}", plan.calm);
        sleep(plan.calm).await;
        outage(round).await;
        let over = Instant::now();
        sleep(AFTER_OUTAGE).await;
        let away = scene.ledger.away_after(over);
        println!("  round {round}: the last 503 came {away:.1?} after the store was back");
    }
    scene.stop.store(true, Ordering::Relaxed);
    for browser in living {
        let browser = browser.await.unwrap();
        if !browser.is_as_it_was() {
            scene.ledger.wrong("a quiet browser has not what it had".to_owned());
        }
    }
    prowling.await.unwrap();
    println!("  load for {:?}", start.elapsed());
    scene
}

/// Looks at every session once more when the bound is over.
async fn check(fleet: &Fleet, scene: &Scene, plan: &Plan, what: &str) {
    let ledger = &scene.ledger;
    let copies = ledger.copies();
    let over =
        |copy: &Copied| if let State::Ended(at) = copy.state { Some(at + BOUND) } else { None };
    if let Some(last) = copies.iter().filter_map(over).max() {
        tokio::time::sleep_until(last.into()).await;
    }
    let mut dice = Dice::new(plan.seed);
    let mut tries = Vec::new();
    let mut ended = 0;
    for copy in copies {
        let nodes = match copy.state {
            State::Ended(_) if ended < plan.tried => 0..NODES,
            State::Ended(_) => continue,
            _ => {
                let node = dice.roll(NODES as u64) as usize;
                node..node + 1
            }
        };
        ended += usize::from(nodes.len() > 1);
        tries.extend(nodes.map(|node| (copy.clone(), fleet.node(node))));
    }
    stream::iter(tries)
        .for_each_concurrent(8, async |(copy, node)| {
            let mut reply = scene.web.get(&node, "/api/me", &copy.jar).await;
            // A busy machine is no outage.
            for _ in 0..20 {
                if reply.status != 503 {
                    break;
                }
                sleep(Duration::from_millis(250)).await;
                reply = scene.web.get(&node, "/api/me", &copy.jar).await;
            }
            ledger.shown(&copy.id, &reply, "in the end a node");
            ledger.count(match (copy.state, reply.status) {
                (State::Lives, 200) => "in the end: live, and in",
                (State::Ended(_), 401) => "in the end: ended, and out",
                (State::Unsure, 200) => "in the end: end not acknowledged, and in",
                (State::Unsure, 401) => "in the end: end not acknowledged, and out",
                _ => "in the end: something else",
            });
            if !matches!(reply.status, 200 | 401) {
                ledger.wrong(format!("in the end a node answers {}", reply.status));
            }
        })
        .await;
    println!("{what}\n{}", ledger.report());
    let wrongs = &ledger.book().wrongs;
    assert!(wrongs.is_empty(), "{} wrong: {:#?}", wrongs.len(), &wrongs[..wrongs.len().min(30)]);
}
