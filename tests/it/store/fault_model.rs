//! Random sequences of faults, requests, sign-ins and sign-outs on two nodes with one store: the subject
//! and the dates of a session never change, and an outage neither ends a session nor prolongs one.

use std::{collections::BTreeMap, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use tower_auth_session::{Session, SessionJar, SignIn};

use super::fixture::Node;
use crate::support::{Browser, START, User, faulty_store::Fault, subject, user};

const USERS: [&str; 3] = ["ada", "bob", "cyd"];
const RENEWAL: u64 = 10;
const LIFETIME: u64 = 1_000;
const GRACE: u64 = 25;

#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    Fault(Fault),
    /// The background tasks of both nodes run.
    Background,
    Request {
        browser: usize,
        node: usize,
        renews: bool,
    },
    /// A copy of cookies that a browser had earlier is sent.
    Replay {
        copy: usize,
        node: usize,
    },
    SignIn {
        browser: usize,
        node: usize,
        user_index: usize,
    },
    SignOut {
        browser: usize,
        node: usize,
        everywhere: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![
        3 => Just(Fault::None),
        1 => Just(Fault::Refused),
        1 => Just(Fault::Hangs),
        1 => Just(Fault::Slow(Duration::from_secs(1))),
        1 => Just(Fault::WritesAndHangs),
        1 => Just(Fault::WritesAndFails),
        1 => Just(Fault::ReadOnly),
        1 => Just(Fault::Corrupt),
        1 => Just(Fault::Flapping),
        1 => Just(Fault::OtherSubject),
    ];
    let (browser, node) = (0..2_usize, 0..2_usize);
    let step = prop_oneof![
        4 => prop_oneof![1_u64..10, 10_u64..40, 80_u64..120].prop_map(Step::Wait),
        4 => fault.prop_map(Step::Fault),
        2 => Just(Step::Background),
        8 => (browser.clone(), node.clone(), any::<bool>())
            .prop_map(|(browser, node, renews)| Step::Request { browser, node, renews }),
        5 => (0_usize..8, node.clone()).prop_map(|(copy, node)| Step::Replay { copy, node }),
        4 => (browser.clone(), node.clone(), 0..USERS.len())
            .prop_map(|(browser, node, user_index)| Step::SignIn { browser, node, user_index }),
        2 => (browser, node, any::<bool>())
            .prop_map(|(browser, node, everywhere)| Step::SignOut { browser, node, everywhere }),
    ];
    prop::collection::vec(step, 10..60)
}

/// The model of a session.
#[derive(Debug, Clone)]
struct StartedSession {
    user_index: usize,
    browser: usize,
    signed_in_at: u64,
    /// When it was revoked, and the node that knows it at once.
    revoked: Option<(u64, usize)>,
    /// When the store acknowledged the revocation.
    acknowledged: Option<u64>,
}

/// The session that a handler gets: id, subject, sign-in time and expiry.
type Served = Option<(String, String, u64, u64)>;

fn served(jar: &SessionJar<User>) -> (Served, String) {
    let parts = |session: Session<User>| {
        let dates = (session.signed_in_at().as_unix_seconds(), session.expires_at());
        let id = session.id().to_string();
        (id, session.subject().to_string(), dates.0, dates.1.as_unix_seconds())
    };
    (jar.session().map(parts), format!("{:?}", jar.status().kind()))
}

struct Model {
    nodes: [Node; 2],
    browsers: [Browser; 2],
    copies: Vec<Browser>,
    started: BTreeMap<String, StartedSession>,
    now: u64,
    multi_session: bool,
}

fn session_tokens(browser: &Browser) -> BTreeMap<String, String> {
    let tokens = browser.cookies.iter().filter(|(name, _)| !name.ends_with(".active"));
    tokens
        .map(|(_, token)| {
            let payload = crate::support::token_forge::payload(token);
            (payload["sid"].as_str().unwrap().to_owned(), token.clone())
        })
        .collect()
}

fn expires_at(token: &str) -> u64 {
    crate::support::token_forge::payload(token)["exp"].as_u64().unwrap()
}

impl Model {
    fn new(multi_session: bool) -> Self {
        let grace = Duration::from_secs(GRACE);
        let first = Node::with(
            move |builder| builder.multi_session(multi_session),
            move |layer| layer.outage_grace(grace),
        );
        let second = first.sibling(move |builder| builder.multi_session(multi_session));
        Self {
            nodes: [first, second],
            browsers: Default::default(),
            copies: Vec::new(),
            started: BTreeMap::new(),
            now: START,
            multi_session,
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Wait(seconds) => {
                self.now += seconds;
                self.nodes[0].advance(seconds);
            }
            Step::Fault(fault) => self.nodes[0].store.set(fault),
            Step::Background => {
                let nodes = self.nodes.each_ref();
                let tasks = nodes.map(|node| tokio::spawn(node.layer.background()));
                for _ in 0..3 {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    self.now += 1;
                    self.nodes[0].advance(1);
                }
                tasks.iter().for_each(tokio::task::JoinHandle::abort);
            }
            Step::Request { browser, node, renews } => self.request(browser, node, renews).await,
            Step::Replay { copy, node } if !self.copies.is_empty() => {
                let mut copy = self.copies[copy % self.copies.len()].clone();
                let (served, _) = self.send(node, &mut copy, false).await;
                self.check_served(node, &served);
            }
            Step::Replay { .. } => {}
            Step::SignIn { browser, node, user_index } => {
                self.sign_in(browser, node, user_index).await
            }
            Step::SignOut { browser, node, everywhere } => {
                self.sign_out(browser, node, everywhere).await;
            }
        }
        self.copies.extend(self.browsers.iter().filter(|b| !b.cookies.is_empty()).cloned());
        let surplus = self.copies.len().saturating_sub(8);
        self.copies.drain(..surplus);
    }

    async fn send(&self, node: usize, browser: &mut Browser, renews: bool) -> (Served, String) {
        let response = self.nodes[node].run_handler(browser, move |jar| async move {
            if renews {
                jar.renew_now();
            }
            let (served, kind) = served(&jar);
            let served =
                served.map(|(id, subject, from, until)| format!("{id} {subject} {from} {until}"));
            format!("{kind}|{}", served.unwrap_or_default())
        });
        let response = response.await;
        assert_eq!(response.status, 200, "{}", response.text());
        let (kind, served) = response.text().split_once('|').unwrap();
        let mut parts = served.split(' ').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let served = (!served.is_empty())
            .then(|| (next(), next(), next().parse().unwrap(), next().parse().unwrap()));
        (served, kind.to_owned())
    }

    /// Checks that a served session has its subject and dates, and is not served after its revocation.
    fn check_served(&self, node: usize, served: &Served) {
        let Some((id, subject, from, until)) = served else { return };
        let started = &self.started[id];
        assert_eq!((subject.as_str(), *from), (USERS[started.user_index], started.signed_in_at));
        assert!(*until <= started.signed_in_at + LIFETIME && self.now < *until, "{started:?}");
        if let Some((at, revoked_on)) = started.revoked {
            assert!(revoked_on != node, "revoked on this node at {at}: {started:?}");
        }
        let grace = if node == 0 { GRACE } else { 0 };
        let may_be_served = started.acknowledged.is_none_or(|at| self.now < at + RENEWAL + grace);
        assert!(may_be_served, "{} at node {node}: {started:?}", self.now);
    }

    fn has_ended(&self, id: &str) -> bool {
        let started = &self.started[id];
        started.revoked.is_some() || self.now >= started.signed_in_at + LIFETIME
    }

    /// Checks that `browser` lost only sessions that have ended.
    fn check_no_session_lost(&self, before: &BTreeMap<String, String>, browser: usize) {
        let after = session_tokens(&self.browsers[browser]);
        for (id, token) in before {
            let may_be_removed = self.has_ended(id) || self.now >= expires_at(token);
            assert!(after.contains_key(id) || may_be_removed, "{:?}", self.started[id]);
            if let Some(renewed) = after.get(id) {
                let latest_expiry = self.started[id].signed_in_at + LIFETIME;
                assert!(expires_at(renewed) <= latest_expiry);
            }
        }
    }

    async fn request(&mut self, browser: usize, node: usize, renews: bool) {
        let before = session_tokens(&self.browsers[browser]);
        let mut jar = std::mem::take(&mut self.browsers[browser]);
        let (served, kind) = self.send(node, &mut jar, renews).await;
        self.browsers[browser] = jar;
        self.check_served(node, &served);
        if let Some((id, ..)) = &served {
            assert_eq!(self.started[id].browser, browser, "a session of this browser");
        }
        self.check_no_session_lost(&before, browser);
        let is_valid =
            |(id, token): (&String, &String)| !self.has_ended(id) && self.now < expires_at(token);
        if !self.multi_session && before.iter().any(is_valid) {
            assert!(served.is_some() || kind == "Unavailable", "{kind} for a valid session");
        }
    }

    async fn sign_in(&mut self, browser: usize, node: usize, user_index: usize) {
        let before = session_tokens(&self.browsers[browser]);
        let mut jar = std::mem::take(&mut self.browsers[browser]);
        let name = USERS[user_index];
        let response = self.nodes[node]
            .run_handler(&mut jar, move |jar| async move {
                jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
            })
            .await;
        self.browsers[browser] = jar;
        let after = session_tokens(&self.browsers[browser]);
        let new: Vec<_> = after.keys().filter(|id| !before.contains_key(*id)).collect();
        if response.status != 200 {
            assert_eq!(response.status, 503);
            assert_eq!(new, [""; 0], "a sign-in that failed");
            self.check_no_session_lost(&before, browser);
            return;
        }
        assert_eq!(new.len(), 1);
        let started = StartedSession {
            user_index,
            browser,
            signed_in_at: self.now,
            revoked: None,
            acknowledged: None,
        };
        self.started.insert(new[0].clone(), started);
        for id in before.keys() {
            let is_replaced = !self.multi_session || self.started[id].user_index == user_index;
            if is_replaced {
                self.revoke(id, node, false);
            }
        }
        self.check_no_session_lost(&before, browser);
    }

    async fn sign_out(&mut self, browser: usize, node: usize, everywhere: bool) {
        let before = session_tokens(&self.browsers[browser]);
        let mut copy = self.browsers[browser].clone();
        let mut jar = std::mem::take(&mut self.browsers[browser]);
        let response = self.nodes[node]
            .run_handler(&mut jar, move |jar| async move {
                if everywhere {
                    let revoked = jar.sign_out_everywhere(None).unwrap();
                    revoked.first().map(|session| session.subject().to_string()).unwrap_or_default()
                } else {
                    jar.sign_out();
                    String::new()
                }
            })
            .await;
        self.browsers[browser] = jar;
        let is_acknowledged = response.status == 200;
        assert!(is_acknowledged || response.status == 503, "{}", response.status);
        let after = session_tokens(&self.browsers[browser]);
        for id in before.keys().filter(|id| !after.contains_key(*id)) {
            self.revoke(id, node, is_acknowledged);
        }
        if everywhere {
            let signed_out_users: Vec<_> = self
                .started
                .iter()
                .filter(|(id, started)| {
                    before.contains_key(*id)
                        && !after.contains_key(*id)
                        && started.revoked.is_some_and(|(at, _)| at == self.now)
                })
                .map(|(_, started)| started.user_index)
                .collect();
            let their_sessions: Vec<_> = self
                .started
                .iter()
                .filter(|(_, started)| signed_out_users.contains(&started.user_index))
                .map(|(id, _)| id.clone())
                .collect();
            for id in their_sessions {
                // Sessions of the same second are revoked one by one.
                if self.started[&id].signed_in_at < self.now || before.contains_key(&id) {
                    self.revoke(&id, node, is_acknowledged);
                } else {
                    self.started
                        .get_mut(&id)
                        .unwrap()
                        .revoked
                        .get_or_insert((self.now, usize::MAX));
                }
            }
        }
        copy.cookies.clear();
        self.check_no_session_lost(&before, browser);
    }

    fn revoke(&mut self, id: &str, node: usize, is_acknowledged: bool) {
        let now = self.now;
        let started = self.started.get_mut(id).unwrap();
        started.revoked.get_or_insert((now, node));
        if is_acknowledged {
            started.acknowledged.get_or_insert(now);
        }
    }
}

fn run_model(multi_session: bool, cases: u32) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[u8::from(multi_session); 32]);
    let outcome = TestRunner::new_with_rng(config, rng).run(&steps(), |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut model = Model::new(multi_session);
            for step in steps {
                model.step(step).await;
            }
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn outage_neither_prolongs_nor_ends_a_session() {
    run_model(false, 300);
}

#[test]
fn outage_neither_prolongs_nor_ends_a_session_with_several_accounts() {
    run_model(true, 300);
}
