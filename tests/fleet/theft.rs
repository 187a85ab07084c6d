//! Stolen cookies: device-bound sessions while the nodes are updated one by one, and copied cookies.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::time::sleep;
use tower_auth_session::testing::DeviceClient;

use super::{
    RENEW_AFTER,
    browser::Random,
    fleet::{Fleet, NODES},
    is_long,
    servers::Cluster,
    web::{HttpReply, Jar, Web},
};

const BOUND_FOR: Duration = Duration::from_secs(6);
const TOLERANCE: Duration = Duration::from_secs(2);
/// Browsers renew a proof this long after the last one: before its cookie expires.
const REFRESH_AFTER: Duration = Duration::from_secs(4);
/// Tokens state whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

const USERS: [&str; 4] = ["ada", "grace", "linus", "barbara"];

/// What the browsers and the thief share.
#[derive(Clone)]
struct Shared {
    web: Web,
    fleet: Arc<Fleet>,
    stop: Arc<AtomicBool>,
    /// Copies of whole jars, and when they were made.
    stolen: Arc<Mutex<Vec<Stolen>>>,
    /// When a browser received the response that bound the session.
    bound: Arc<Mutex<BTreeMap<String, Instant>>>,
    counts: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    violations: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Stolen {
    id: String,
    jar: Jar,
    taken_at: Instant,
}

impl Shared {
    fn new(fleet: &Arc<Fleet>) -> Self {
        Self {
            web: Web::new(fleet.origin()),
            fleet: Arc::clone(fleet),
            stop: Arc::default(),
            stolen: Arc::default(),
            bound: Arc::default(),
            counts: Arc::default(),
            violations: Arc::default(),
        }
    }

    fn is_running(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
    }

    fn counted(&self, what: &'static str) -> u64 {
        self.counts.lock().unwrap().get(what).copied().unwrap_or_default()
    }

    fn record_violation(&self, text: String) {
        self.violations.lock().unwrap().push(text);
    }

    fn assert_no_violations(&self) {
        println!("{:#?}", self.counts.lock().unwrap());
        let violations = self.violations.lock().unwrap();
        assert!(violations.is_empty(), "{}: {:#?}", violations.len(), *violations);
    }
}

/// A browser that binds its sessions, and renews their proofs before each request.
struct Browser {
    shared: Shared,
    random: Random,
    jar: Jar,
    device: DeviceClient,
    session: Option<String>,
    proven_at: Option<Instant>,
}

impl Browser {
    fn new(shared: &Shared, number: u64) -> Self {
        Self {
            shared: shared.clone(),
            random: Random::new(number + 1),
            jar: Jar::default(),
            device: DeviceClient::new(shared.fleet.origin()).unwrap(),
            session: None,
            proven_at: None,
        }
    }

    async fn run(mut self) {
        while self.shared.is_running() {
            self.jar.clear();
            self.sign_in().await;
            for _ in 0..15 + self.random.below(15) {
                sleep(Duration::from_millis(150 + self.random.below(300))).await;
                if self.session.is_none() || !self.shared.is_running() {
                    break;
                }
                self.request().await;
            }
        }
    }

    async fn sign_in(&mut self) {
        let user = USERS[self.random.below(4) as usize];
        (self.session, self.proven_at) = (None, None);
        let Shared { web, fleet, .. } = &self.shared;
        let before = self.jar.clone();
        let reply = web.post(&fleet.proxy, "/sign-in", &before, format!("user={user}")).await;
        if reply.status != 303 {
            return;
        }
        self.jar.store(&reply.set);
        let Some(id) = reply.session_started(&before) else { return };
        self.session = Some(id.clone());
        self.steal(&id);
        let Some(request) = self.device.register(&reply.response()) else {
            self.shared.count("signed in without an offer");
            return;
        };
        let registration = self.send(request).await;
        match registration.status {
            200 if registration.body.starts_with(b"{\"continue\":false") => {
                self.shared.count("registrations declined");
            }
            200 => {
                self.shared.bound.lock().unwrap().insert(id, Instant::now());
                self.proven_at = Some(registration.sent);
                self.shared.count("sessions bound");
            }
            // The node was killed: the store may have the key, and the browser has discarded it.
            _ => {
                self.shared.count("registrations lost");
                self.session = None;
            }
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> HttpReply {
        let Shared { web, fleet, .. } = &self.shared;
        let reply = web.exchange(&fleet.proxy, &self.jar, request).await;
        self.jar.store(&reply.set);
        self.device.receive(&reply.response());
        reply
    }

    /// Renews the proof if it is about to expire. Returns whether the session has one, if it is bound.
    async fn refresh(&mut self, id: &str) -> bool {
        let Some(proven_at) = self.proven_at else { return true };
        if proven_at.elapsed() < REFRESH_AFTER {
            return true;
        }
        for _ in 0..2 {
            let Some(request) = self.device.refresh(id) else { return false };
            let reply = self.send(request).await;
            match reply.status {
                204 => {
                    self.proven_at = Some(reply.sent);
                    self.shared.count("proofs renewed");
                    return true;
                }
                403 => {}
                0 | 1 | 502..=504 => return false,
                status => {
                    self.shared.record_violation(format!("the refresh of {id}: {status}"));
                    return false;
                }
            }
        }
        false
    }

    async fn request(&mut self) {
        let Some(id) = self.session.clone() else { return };
        let is_proven = self.refresh(&id).await;
        let Shared { web, fleet, .. } = &self.shared;
        let reply = web.get(&fleet.proxy, "/api/me", &self.jar).await;
        self.jar.store(&reply.set);
        match reply.status {
            200 if reply.json()["session_id"] == *id => self.shared.count("requests served"),
            401 if !is_proven => self.shared.count("requests without a proof"),
            0 | 1 | 502..=504 => self.shared.count("requests in an outage"),
            status => {
                let body = String::from_utf8_lossy(&reply.body).into_owned();
                self.shared.record_violation(format!("the owner of {id}: {status} {body}"));
            }
        }
        if self.jar.value(&id).is_none() {
            self.shared.record_violation(format!("the cookie of {id} was removed"));
        }
        if self.random.below(10) == 0 {
            self.steal(&id);
        }
    }

    fn steal(&self, id: &str) {
        let (id, jar) = (id.to_owned(), self.jar.clone());
        self.shared.stolen.lock().unwrap().push(Stolen { id, jar, taken_at: Instant::now() });
    }
}

/// Presents stolen jars to random nodes.
async fn present_stolen_jars(shared: Shared) {
    let mut random = Random::new(77);
    while shared.is_running() {
        sleep(Duration::from_millis(10)).await;
        let stolen = {
            let all = shared.stolen.lock().unwrap();
            // Mostly the newest ones.
            let recent = all.len().saturating_sub(60) as u64;
            let from = if random.below(4) == 0 { 0 } else { recent };
            let Some(span) = (all.len() as u64).checked_sub(from).filter(|it| *it > 0) else {
                continue;
            };
            all[(from + random.below(span)) as usize].clone()
        };
        let node = shared.fleet.node(random.below(NODES as u64) as usize);
        let reply = shared.web.get(&node, "/api/me", &stolen.jar).await;
        if reply.status != 200 {
            shared.count("copies refused");
            continue;
        }
        shared.count("copies served");
        let until = match shared.bound.lock().unwrap().get(&stolen.id) {
            _ if stolen.jar.has_proof(&stolen.id) => stolen.taken_at + BOUND_FOR,
            Some(bound_at) => *bound_at + RENEW_AFTER.max(TOLERANCE),
            None => continue,
        };
        if reply.sent > until + ROUNDING {
            let (late, id) = (reply.sent - until, &stolen.id);
            shared.record_violation(format!("a copy of {id} was served {late:?} too late"));
        }
    }
}

/// Nodes with binding off, nodes with binding on, and back, one after the other and under load.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/fleet runs it"]
async fn stolen_jars_are_refused_while_the_nodes_are_updated() {
    let settings = |mode: &str| {
        let seconds = |time: Duration| format!("{}s", time.as_secs());
        let bound = [("BOUND_FOR", BOUND_FOR), ("BINDING_TOLERANCE", TOLERANCE)];
        let bound = bound.map(|(name, time)| (format!("SESSION_{name}"), seconds(time)));
        let mut all = vec![("SESSION_DEVICE_BOUND".to_owned(), mode.to_owned())];
        all.extend(bound);
        all
    };
    let store = Cluster::find().store();
    let fleet = Fleet::start_with("theft", "https", &store, settings("off"));
    let shared = Shared::new(&fleet);
    let browsers = (0..24).map(|number| tokio::spawn(Browser::new(&shared, number).run()));
    let browsers: Vec<_> = browsers.collect();
    let thief = tokio::spawn(present_stolen_jars(shared.clone()));
    let updates = ["preferred", "off"].repeat(if is_long() { 3 } else { 1 });
    for mode in updates {
        fleet.set(settings(mode));
        for node in 0..NODES {
            sleep(Duration::from_secs(3)).await;
            fleet.kill_node(node);
            fleet.start_node(node);
        }
        println!("  all nodes have device_bound={mode}");
        sleep(BOUND_FOR + RENEW_AFTER).await;
    }
    shared.stop.store(true, Ordering::Relaxed);
    for browser in browsers {
        browser.await.unwrap();
    }
    thief.await.unwrap();
    shared.assert_no_violations();
    for what in ["sessions bound", "signed in without an offer", "proofs renewed"] {
        assert!(shared.counted(what) > 20, "{what}: {}", shared.counted(what));
    }
    for what in ["copies served", "copies refused"] {
        assert!(shared.counted(what) > 100, "{what}: {}", shared.counted(what));
    }
}

/// The time between two renewals: more than the grace, and the token is due.
const APART: Duration = Duration::from_secs(5);

/// Browsers with parallel requests and lost responses, and some with a thief.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/fleet runs it"]
async fn copied_cookies_end_the_session_and_no_other() {
    let settings = [
        ("SESSION_DEVICE_BOUND", "off"),
        ("SESSION_COPIED_COOKIES", "end"),
        ("SESSION_COPIED_COOKIES_GRACE", "1s"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let store = Cluster::find().store();
    let fleet = Fleet::start_with("copies", "http", &store, settings.to_vec());
    let shared = Shared::new(&fleet);
    let histories = (0..24).map(|number| tokio::spawn(history(shared.clone(), number)));
    for history in histories.collect::<Vec<_>>() {
        history.await.unwrap();
    }
    shared.assert_no_violations();
    assert_eq!(shared.counted("thefts detected"), 12);
}

async fn history(shared: Shared, number: u64) {
    let Shared { web, fleet, .. } = &shared;
    let (mut random, mut jar) = (Random::new(number + 1), Jar::default());
    let user = USERS[number as usize % USERS.len()];
    let reply = web.post(&fleet.proxy, "/sign-in", &jar, format!("user={user}")).await;
    let id = reply.session_started(&jar).expect("a session");
    jar.store(&reply.set);
    let mut thief = number.is_multiple_of(2).then(|| jar.clone());
    // A theft is detected in the fourth round, later if the responses of a round are lost.
    let rounds = if is_long() { 24 } else { 8 };
    for round in 0..rounds {
        sleep(APART).await;
        let is_thief = round % 2 == 1 && thief.is_some();
        let client = if is_thief { thief.as_mut().unwrap() } else { &mut jar };
        // A page and its resources.
        let get = || web.get(&fleet.proxy, "/api/me", client);
        let (first, second, third) = tokio::join!(get(), get(), get());
        let replies = [first, second, third];
        for reply in replies.iter().filter(|_| is_thief || random.below(4) > 0) {
            client.store(&reply.set);
        }
        let is_out = replies.iter().any(|reply| reply.status == 401);
        match (is_out, thief.is_some()) {
            (true, true) => {
                sleep(RENEW_AFTER + ROUNDING).await;
                for jar in [&jar, thief.as_ref().unwrap()] {
                    let reply = web.get(&fleet.proxy, "/api/me", jar).await;
                    if reply.status != 401 {
                        let status = reply.status;
                        shared.record_violation(format!("{id} after the alarm: {status}"));
                    }
                }
                shared.count("thefts detected");
                return;
            }
            (true, false) => {
                shared.record_violation(format!("{id} was signed out without a thief"));
                return;
            }
            (false, _) => shared.count("pages served"),
        }
    }
    if thief.is_some() {
        shared.record_violation(format!("the theft of {id} was not detected"));
    }
}
