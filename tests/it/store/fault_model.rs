//! Any sequence of faults, requests, sign-ins and sign-outs on two nodes of one store: whose session
//! it is, since when and until when never changes, and no outage takes anything from anybody.

use std::{collections::BTreeMap, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use tower_auth_session::{Session, SessionJar, SignIn};

use super::fixture::Node;
use crate::support::{Browser, START, User, faulty_store::Fault, subject, user};

const PEOPLE: [&str; 3] = ["ada", "bob", "cyd"];
const RENEWAL: u64 = 10;
const LIFETIME: u64 = 1_000;
const GRACE: u64 = 25;

#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    Fault(Fault),
    /// What goes on beside requests, on both nodes.
    Background,
    Look {
        browser: usize,
        node: usize,
        renews: bool,
    },
    /// Somebody has a copy of the cookies that a browser had once.
    Replay {
        copy: usize,
        node: usize,
    },
    SignIn {
        browser: usize,
        node: usize,
        person: usize,
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
            .prop_map(|(browser, node, renews)| Step::Look { browser, node, renews }),
        5 => (0_usize..8, node.clone()).prop_map(|(copy, node)| Step::Replay { copy, node }),
        4 => (browser.clone(), node.clone(), 0..PEOPLE.len())
            .prop_map(|(browser, node, person)| Step::SignIn { browser, node, person }),
        2 => (browser, node, any::<bool>())
            .prop_map(|(browser, node, everywhere)| Step::SignOut { browser, node, everywhere }),
    ];
    prop::collection::vec(step, 10..60)
}

/// A session as it was signed in.
#[derive(Debug, Clone)]
struct Known {
    person: usize,
    browser: usize,
    signed_in_at: u64,
    /// When it ended or was meant to, and on which nodes that is known at once.
    ended: Option<(u64, usize)>,
    /// When the store said that it knows.
    confirmed: Option<u64>,
}

/// What a handler was given.
type Given = Option<(String, String, u64, u64)>;

fn given(jar: &SessionJar<User>) -> (Given, String) {
    let parts = |session: Session<User>| {
        let dates = (session.signed_in_at().as_unix_seconds(), session.expires_at());
        let id = session.id().to_string();
        (id, session.subject().to_string(), dates.0, dates.1.as_unix_seconds())
    };
    (jar.session().map(parts), format!("{:?}", jar.status().kind()))
}

struct World {
    nodes: [Node; 2],
    browsers: [Browser; 2],
    copies: Vec<Browser>,
    known: BTreeMap<String, Known>,
    now: u64,
    several: bool,
}

fn slots(browser: &Browser) -> BTreeMap<String, String> {
    let tokens = browser.cookies.iter().filter(|(name, _)| !name.ends_with(".active"));
    tokens
        .map(|(_, token)| {
            let payload = crate::support::token_forge::payload(token);
            (payload["sid"].as_str().unwrap().to_owned(), token.clone())
        })
        .collect()
}

fn runs_out(token: &str) -> u64 {
    crate::support::token_forge::payload(token)["exp"].as_u64().unwrap()
}

impl World {
    fn new(several: bool) -> Self {
        let grace = Duration::from_secs(GRACE);
        let first = Node::with(
            move |builder| builder.multi_session(several),
            move |layer| layer.outage_grace(grace),
        );
        let second = first.sibling(move |builder| builder.multi_session(several));
        Self {
            nodes: [first, second],
            browsers: Default::default(),
            copies: Vec::new(),
            known: BTreeMap::new(),
            now: START,
            several,
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
            Step::Look { browser, node, renews } => self.look(browser, node, renews).await,
            Step::Replay { copy, node } if !self.copies.is_empty() => {
                let mut copy = self.copies[copy % self.copies.len()].clone();
                let (given, _) = self.ask(node, &mut copy, false).await;
                self.judge(node, &given);
            }
            Step::Replay { .. } => {}
            Step::SignIn { browser, node, person } => self.sign_in(browser, node, person).await,
            Step::SignOut { browser, node, everywhere } => {
                self.sign_out(browser, node, everywhere).await;
            }
        }
        self.copies.extend(self.browsers.iter().filter(|b| !b.cookies.is_empty()).cloned());
        let surplus = self.copies.len().saturating_sub(8);
        self.copies.drain(..surplus);
    }

    async fn ask(&self, node: usize, browser: &mut Browser, renews: bool) -> (Given, String) {
        let response = self.nodes[node].run_handler(browser, move |jar| async move {
            if renews {
                jar.renew_now();
            }
            let (given, kind) = given(&jar);
            let given =
                given.map(|(id, subject, from, until)| format!("{id} {subject} {from} {until}"));
            format!("{kind}|{}", given.unwrap_or_default())
        });
        let response = response.await;
        assert_eq!(response.status, 200, "{}", response.text());
        let (kind, given) = response.text().split_once('|').unwrap();
        let mut parts = given.split(' ').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let given = (!given.is_empty())
            .then(|| (next(), next(), next().parse().unwrap(), next().parse().unwrap()));
        (given, kind.to_owned())
    }

    /// Whoever is served is who signed in, within the limits, and not for long after the end.
    fn judge(&self, node: usize, given: &Given) {
        let Some((id, subject, from, until)) = given else { return };
        let known = &self.known[id];
        assert_eq!((subject.as_str(), *from), (PEOPLE[known.person], known.signed_in_at));
        assert!(*until <= known.signed_in_at + LIFETIME && self.now < *until, "{known:?}");
        if let Some((at, ended_on)) = known.ended {
            assert!(ended_on != node, "ended here at {at}: {known:?}");
        }
        let grace = if node == 0 { GRACE } else { 0 };
        let is_served = known.confirmed.is_none_or(|at| self.now < at + RENEWAL + grace);
        assert!(is_served, "{} at node {node}: {known:?}", self.now);
    }

    fn is_over(&self, id: &str) -> bool {
        let known = &self.known[id];
        known.ended.is_some() || self.now >= known.signed_in_at + LIFETIME
    }

    /// What went from `browser` although nobody signed out is over.
    fn nothing_was_taken(&self, before: &BTreeMap<String, String>, browser: usize) {
        let after = slots(&self.browsers[browser]);
        for (id, token) in before {
            let may_go = self.is_over(id) || self.now >= runs_out(token);
            assert!(after.contains_key(id) || may_go, "{:?}", self.known[id]);
            if let Some(newer) = after.get(id) {
                let least = self.known[id].signed_in_at + LIFETIME;
                assert!(runs_out(newer) <= least);
            }
        }
    }

    async fn look(&mut self, browser: usize, node: usize, renews: bool) {
        let before = slots(&self.browsers[browser]);
        let mut jar = std::mem::take(&mut self.browsers[browser]);
        let (given, kind) = self.ask(node, &mut jar, renews).await;
        self.browsers[browser] = jar;
        self.judge(node, &given);
        if let Some((id, ..)) = &given {
            assert_eq!(self.known[id].browser, browser, "no account changes hands");
        }
        self.nothing_was_taken(&before, browser);
        let lives =
            |(id, token): (&String, &String)| !self.is_over(id) && self.now < runs_out(token);
        if !self.several && before.iter().any(lives) {
            assert!(given.is_some() || kind == "Unavailable", "{kind} is said of who is signed in");
        }
    }

    async fn sign_in(&mut self, browser: usize, node: usize, person: usize) {
        let before = slots(&self.browsers[browser]);
        let mut jar = std::mem::take(&mut self.browsers[browser]);
        let who = PEOPLE[person];
        let response = self.nodes[node]
            .run_handler(&mut jar, move |jar| async move {
                jar.sign_in(SignIn::new(subject(who), user(who))).unwrap();
            })
            .await;
        self.browsers[browser] = jar;
        let after = slots(&self.browsers[browser]);
        let new: Vec<_> = after.keys().filter(|id| !before.contains_key(*id)).collect();
        if response.status != 200 {
            assert_eq!(response.status, 503);
            assert_eq!(new, [""; 0], "a sign-in that failed");
            self.nothing_was_taken(&before, browser);
            return;
        }
        assert_eq!(new.len(), 1);
        let known = Known { person, browser, signed_in_at: self.now, ended: None, confirmed: None };
        self.known.insert(new[0].clone(), known);
        for id in before.keys() {
            let is_replaced = !self.several || self.known[id].person == person;
            if is_replaced {
                self.end(id, node, false);
            }
        }
        self.nothing_was_taken(&before, browser);
    }

    async fn sign_out(&mut self, browser: usize, node: usize, everywhere: bool) {
        let before = slots(&self.browsers[browser]);
        let mut copy = self.browsers[browser].clone();
        let mut jar = std::mem::take(&mut self.browsers[browser]);
        let response = self.nodes[node]
            .run_handler(&mut jar, move |jar| async move {
                if everywhere {
                    let ended = jar.sign_out_everywhere(None).unwrap();
                    ended.first().map(|session| session.subject().to_string()).unwrap_or_default()
                } else {
                    jar.sign_out();
                    String::new()
                }
            })
            .await;
        self.browsers[browser] = jar;
        let is_confirmed = response.status == 200;
        assert!(is_confirmed || response.status == 503, "{}", response.status);
        let after = slots(&self.browsers[browser]);
        for id in before.keys().filter(|id| !after.contains_key(*id)) {
            self.end(id, node, is_confirmed);
        }
        if everywhere {
            let meant: Vec<_> = self
                .known
                .iter()
                .filter(|(id, known)| {
                    before.contains_key(*id)
                        && !after.contains_key(*id)
                        && known.ended.is_some_and(|(at, _)| at == self.now)
                })
                .map(|(_, known)| known.person)
                .collect();
            let theirs: Vec<_> = self
                .known
                .iter()
                .filter(|(_, known)| meant.contains(&known.person))
                .map(|(id, _)| id.clone())
                .collect();
            for id in theirs {
                // Whoever signed in within this very second is told of one by one.
                if self.known[&id].signed_in_at < self.now || before.contains_key(&id) {
                    self.end(&id, node, is_confirmed);
                } else {
                    self.known.get_mut(&id).unwrap().ended.get_or_insert((self.now, usize::MAX));
                }
            }
        }
        copy.cookies.clear();
        self.nothing_was_taken(&before, browser);
    }

    fn end(&mut self, id: &str, node: usize, is_confirmed: bool) {
        let now = self.now;
        let known = self.known.get_mut(id).unwrap();
        known.ended.get_or_insert((now, node));
        if is_confirmed {
            known.confirmed.get_or_insert(now);
        }
    }
}

fn any_fault(several: bool, cases: u32) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[u8::from(several); 32]);
    let outcome = TestRunner::new_with_rng(config, rng).run(&steps(), |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = World::new(several);
            for step in steps {
                world.step(step).await;
            }
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn an_outage_gives_nobody_more_and_takes_nothing() {
    any_fault(false, 300);
}

#[test]
fn nor_with_several_accounts() {
    any_fault(true, 300);
}
