//! A fleet: three processes of the demo behind a proxy, with a Redis Cluster and with PostgreSQL, under the
//! load of hundreds of browsers, while processes are killed. `scripts/fleet` runs it.
//!
//! Violations, checked with every response and for every session at the end:
//!
//! * a session is signed out, or its cookie removed, without a sign-out;
//! * a node accepts a session later than the documented bound after its sign-out was acknowledged;
//! * a request gets another session, or another user's;
//! * a request hangs.
//!
//! [`theft`] presents stolen cookies: copies of device-bound sessions while nodes with binding on and off
//! replace each other, and copies that the fleet detects.
//!
//! 503 and lost connections are expected in an outage, and are counted.
#![cfg(all(
    unix,
    feature = "axum",
    feature = "sqlite",
    feature = "postgres",
    feature = "redis-cluster",
    feature = "test-util"
))]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(clippy::disallowed_methods, reason = "real processes use the real clock")]

mod browser;
mod fleet;
mod killed;
mod ledger;
mod measure;
mod servers;
#[path = "../accounts/site.rs"]
mod site;
mod theft;
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
    browser::{Browser, Random, Simulation, present_revoked_cookies},
    fleet::{Fleet, NODES},
    ledger::{CopiedSession, Ledger, State},
    servers::{Cluster, database, restart_postgres},
    web::Web,
};

/// The staleness window of a token.
pub(crate) const RENEW_AFTER: Duration = Duration::from_secs(2);

/// The documented bound: `renew_after` plus the default `clock_skew`.
pub(crate) const BOUND: Duration = Duration::from_secs(2 + 5);

/// The time after which all nodes have detected the end of an outage.
const AFTER_OUTAGE: Duration = Duration::from_secs(4);

/// The size of a run: minutes with `FLEET=long`, otherwise seconds.
struct Plan {
    browsers: u64,
    /// Milliseconds between two actions of one browser.
    pause: u64,
    /// The time between two events.
    calm: Duration,
    /// The number of events of each kind.
    rounds: u32,
    /// The number of revoked sessions that are presented again at the end.
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
async fn fleet_on_redis_cluster_survives_failovers_without_violations() {
    let cluster = Cluster::find();
    let fleet = Fleet::start("redis", &cluster.store());
    let plan = Plan::get();
    let simulation = run(&fleet, &plan, async |round| {
        let (folder, took) = cluster.kill_primary().await;
        println!("  round {round}: a primary killed, another in charge after {took:?}");
        sleep(plan.calm).await;
        cluster.restart_node(&fleet, &folder).await;
    })
    .await;
    measure::revocation(&fleet, "Redis Cluster").await;
    measure::commands(&fleet, &cluster).await;
    check(&fleet, &simulation, &plan, "Redis Cluster").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/fleet runs it"]
async fn fleet_on_postgres_survives_restarts_without_violations() {
    let fleet = Fleet::start("postgres", &database().await);
    let plan = Plan::get();
    let simulation = run(&fleet, &plan, async |round| {
        let mode = if round % 2 == 0 { "immediate" } else { "fast" };
        let took = restart_postgres(mode).await;
        println!("  round {round}: PostgreSQL back ({mode}) after {took:?}");
    })
    .await;
    measure::revocation(&fleet, "PostgreSQL").await;
    check(&fleet, &simulation, &plan, "PostgreSQL").await;
}

/// Runs the browsers while nodes are killed and restarted and `outage` happens.
async fn run<F: Future<Output = ()>>(
    fleet: &Arc<Fleet>,
    plan: &Plan,
    outage: impl Fn(u32) -> F,
) -> Simulation {
    println!("\n{} browsers, FLEET_SEED={}", plan.browsers, plan.seed);
    let simulation = Simulation {
        web: Web::new(fleet.origin()),
        proxy: fleet.proxy.clone(),
        ledger: Arc::new(Ledger::default()),
        stop: Arc::new(AtomicBool::new(false)),
    };
    let start = Instant::now();
    let browsers = (0..plan.browsers).map(|number| Browser::new(&simulation, number, plan.seed));
    let browser_tasks: Vec<_> =
        browsers.map(|browser| tokio::spawn(browser.run(plan.pause))).collect();
    let presenter =
        tokio::spawn(present_revoked_cookies(simulation.clone(), Arc::clone(fleet), plan.seed));
    for round in 0..plan.rounds {
        sleep(plan.calm).await;
        let number = (plan.seed as usize + round as usize) % NODES;
        fleet.kill_node(number);
        sleep(plan.calm).await;
        fleet.start_node(number);
        println!("  round {round}: node {number} killed, and back after {:?}", plan.calm);
        sleep(plan.calm).await;
        outage(round).await;
        let recovered_at = Instant::now();
        sleep(AFTER_OUTAGE).await;
        let unavailable = simulation.ledger.unavailable_after(recovered_at);
        println!("  round {round}: the last 503 came {unavailable:.1?} after the store was back");
    }
    simulation.stop.store(true, Ordering::Relaxed);
    for browser in browser_tasks {
        let browser = browser.await.unwrap();
        if !browser.has_first_session() {
            simulation
                .ledger
                .record_violation("a quiet browser has lost its first session".to_owned());
        }
    }
    presenter.await.unwrap();
    println!("  load for {:?}", start.elapsed());
    simulation
}

/// Checks every session again after the bound.
async fn check(fleet: &Fleet, simulation: &Simulation, plan: &Plan, name: &str) {
    let ledger = &simulation.ledger;
    let copies = ledger.copies();
    let bound_of = |copy: &CopiedSession| {
        if let State::Revoked(at) = copy.state { Some(at + BOUND) } else { None }
    };
    if let Some(last) = copies.iter().filter_map(bound_of).max() {
        tokio::time::sleep_until(last.into()).await;
    }
    let mut random = Random::new(plan.seed);
    let mut tries = Vec::new();
    let mut revoked = 0;
    for copy in copies {
        let nodes = match copy.state {
            State::Revoked(_) if revoked < plan.tried => 0..NODES,
            State::Revoked(_) => continue,
            _ => {
                let node = random.below(NODES as u64) as usize;
                node..node + 1
            }
        };
        revoked += usize::from(nodes.len() > 1);
        tries.extend(nodes.map(|node| (copy.clone(), fleet.node(node))));
    }
    stream::iter(tries)
        .for_each_concurrent(8, async |(copy, node)| {
            let mut reply = simulation.web.get(&node, "/api/me", &copy.jar).await;
            // A busy machine can cause 503 too.
            for _ in 0..20 {
                if reply.status != 503 {
                    break;
                }
                sleep(Duration::from_millis(250)).await;
                reply = simulation.web.get(&node, "/api/me", &copy.jar).await;
            }
            ledger.record_identity(&copy.id, &reply, "at the end a node");
            ledger.count(match (copy.state, reply.status) {
                (State::Valid, 200) => "at the end: valid, accepted",
                (State::Revoked(_), 401) => "at the end: revoked, rejected",
                (State::Unknown, 200) => "at the end: revocation not acknowledged, accepted",
                (State::Unknown, 401) => "at the end: revocation not acknowledged, rejected",
                _ => "at the end: another result",
            });
            if !matches!(reply.status, 200 | 401) {
                ledger
                    .record_violation(format!("at the end a node responds with {}", reply.status));
            }
        })
        .await;
    println!("{name}\n{}", ledger.report());
    let violations = &ledger.records().violations;
    assert!(
        violations.is_empty(),
        "{} violations: {:#?}",
        violations.len(),
        &violations[..violations.len().min(30)]
    );
}
