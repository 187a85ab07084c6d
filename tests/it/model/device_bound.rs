//! A browser whose sessions are bound to its device, a thief with a copy of its cookies, and several nodes
//! that are restarted with other settings and versions, while the store fails.
//!
//! 1. The owner is signed out only for a reason: a sign-out, the end of the session, or a registration
//!    whose response was lost.
//! 2. A thief with all cookies acts as a bound session until the stolen proof expires, and with cookies
//!    from before the binding until a token of that time is due everywhere.
//!
//! Requests that a browser holds back until its proof is renewed are held back here too. A node of an
//! earlier version rejects tokens with `cnf` and ignores proofs, so such cookies are not sent to it. The
//! thief does not use such a node either, because it compares no keys.

use std::collections::BTreeMap;

use http::{Request, StatusCode, header};
use http_body_util::Full;
use proptest::prelude::*;
use tower_auth_session::{
    SessionId, SessionLayer, SignIn,
    config::DeviceBound,
    engine::SessionStatusKind,
    testing::{DeviceClient, ManualClock, SeededRandom},
    time::Timestamp,
};

use super::{RENEWAL, USERS, run};
use crate::{
    device_bound::{BOUND_FOR, builder, device, http},
    support::{
        Browser, COOKIE, Events, START, TestResponse, User,
        faulty_store::{Fault, FaultyStore},
        get,
        probe::Probe,
        seconds, subject,
        token_forge::payload,
        user,
        user_agent::UserAgent,
    },
};
use SessionStatusKind::{SignedIn, Unavailable, Unproven};

/// How long tokens from before the binding are accepted for requests in flight.
const TOLERANCE: u64 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// Binds new sessions.
    Preferred,
    /// Binds none, and enforces what is bound.
    Off,
    /// Does not know the feature.
    Earlier,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    SignIn {
        node: usize,
        user: usize,
    },
    /// The browser accepts an offer. Requests that it sent earlier arrive later.
    Register {
        node: usize,
        is_lost: bool,
        later: u64,
    },
    Request {
        node: usize,
        session: usize,
        is_lost: bool,
    },
    Switch {
        node: usize,
        session: usize,
    },
    SignOut {
        node: usize,
        session: usize,
    },
    Wait(u64),
    Outage(Fault),
    Restart {
        node: usize,
        version: Version,
    },
    Steal,
    /// The thief sends a request, which may change the claims.
    Thief {
        node: usize,
        session: usize,
        changes: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (node, session) = (|| 0_usize..3, || 0_usize..4);
    let lost = || prop::bool::weighted(0.1);
    let version = prop_oneof![
        4 => Just(Version::Preferred),
        2 => Just(Version::Off),
        1 => Just(Version::Earlier),
    ];
    let outage = prop_oneof![
        3 => Just(Fault::None),
        1 => Just(Fault::Refused),
        1 => Just(Fault::WritesAndFails),
    ];
    let step = prop_oneof![
        3 => (node(), 0_usize..3).prop_map(|(node, user)| Step::SignIn { node, user }),
        4 => (node(), lost(), 0_u64..=TOLERANCE)
            .prop_map(|(node, is_lost, later)| Step::Register { node, is_lost, later }),
        12 => (node(), session(), lost())
            .prop_map(|(node, session, is_lost)| Step::Request { node, session, is_lost }),
        2 => (node(), session()).prop_map(|(node, session)| Step::Switch { node, session }),
        1 => (node(), session()).prop_map(|(node, session)| Step::SignOut { node, session }),
        6 => prop_oneof![4 => 1_u64..12, 3 => 12_u64..50, 1 => 90_u64..110].prop_map(Step::Wait),
        2 => outage.prop_map(Step::Outage),
        1 => (node(), version).prop_map(|(node, version)| Step::Restart { node, version }),
        1 => Just(Step::Steal),
        5 => (node(), session(), any::<bool>())
            .prop_map(|(node, session, changes)| Step::Thief { node, session, changes }),
    ];
    prop::collection::vec(step, 10..60)
}

#[test]
fn bound_sessions_on_several_nodes_agree_with_the_model() {
    run(600, 5, &steps(), |steps| Model::new(Some(FaultyStore::new()), 3).run_steps(steps));
}

#[test]
fn bound_sessions_without_a_store_agree_with_the_model() {
    run(200, 6, &steps(), |steps| Model::new(None, 1).run_steps(steps));
}

#[derive(Debug, Clone, Copy)]
struct KnownSession {
    user: usize,
    /// When the newest token that the browser has expires.
    expires_at: u64,
    /// When the binding was recorded: in the store, if there is one.
    bound_at: Option<u64>,
    /// Whether there is a reason for the owner to be signed out.
    has_cause: bool,
}

/// The cookies that a thief copied, and what responses to the thief changed.
struct Thief {
    jar: Browser,
    /// When the stolen proofs expire, by the name of the cookie.
    proofs: BTreeMap<String, u64>,
    /// The sessions whose stolen token names the device.
    bound: Vec<SessionId>,
}

struct Node {
    version: Version,
    probe: Probe<User>,
}

struct Model {
    store: Option<FaultyStore>,
    fault: Fault,
    clock: ManualClock,
    now: u64,
    starts: u64,
    nodes: Vec<Node>,
    browser: UserAgent,
    device: DeviceClient,
    offers: Vec<(SessionId, TestResponse)>,
    sessions: BTreeMap<SessionId, KnownSession>,
    thief: Option<Thief>,
}

impl Model {
    fn new(store: Option<FaultyStore>, nodes: usize) -> Self {
        let mut model = Self {
            store,
            fault: Fault::None,
            clock: ManualClock::at(Timestamp::from_unix_seconds(START)),
            now: START,
            starts: 0,
            nodes: Vec::new(),
            browser: UserAgent::default(),
            device: device(),
            offers: Vec::new(),
            sessions: BTreeMap::new(),
            thief: None,
        };
        for _ in 0..nodes {
            let node = model.start(Version::Preferred);
            model.nodes.push(node);
        }
        model
    }

    fn start(&mut self, version: Version) -> Node {
        self.starts += 1;
        let mode = match version {
            Version::Preferred => DeviceBound::Preferred,
            Version::Off | Version::Earlier => DeviceBound::Off,
        };
        let builder = builder(mode).multi_session(true).random(SeededRandom::new(self.starts));
        let layer = SessionLayer::new(builder.build().unwrap()).clock(self.clock.clone());
        let layer = match &self.store {
            Some(store) => layer.store(store.clone()),
            None => layer,
        };
        let probe = Probe { layer, clock: self.clock.clone(), events: Events::default() };
        Node { version, probe }
    }

    fn run_steps(mut self, steps: Vec<Step>) {
        for step in steps {
            self.step(step);
            self.check();
        }
        // When everything works again, the owner is signed in everywhere.
        self.step(Step::Outage(Fault::None));
        for node in 0..self.nodes.len() {
            for session in 0..self.sessions.len() {
                self.step(Step::Request { node, session, is_lost: false });
                self.check();
            }
        }
    }

    fn step(&mut self, step: Step) {
        let count = self.nodes.len();
        match step {
            Step::SignIn { node, user } => self.sign_in(node % count, user),
            Step::Register { node, is_lost, later } => self.register(node % count, is_lost, later),
            Step::Request { node, session, is_lost } => {
                if let Some(id) = self.nth(session) {
                    self.request(node % count, id, is_lost);
                }
            }
            Step::Switch { node, session } => {
                if let Some(id) = self.nth(session) {
                    self.run_handler(node % count, id, false, move |jar| {
                        let _ = jar.switch_to(id);
                    });
                }
            }
            Step::SignOut { node, session } => {
                if let Some(id) = self.nth(session)
                    && self.nodes[node % count].version != Version::Earlier
                {
                    self.run_handler(node % count, id, false, move |jar| {
                        jar.sign_out_session(id);
                    });
                    self.sessions.get_mut(&id).unwrap().has_cause = true;
                }
            }
            Step::Wait(pause) => self.wait(pause),
            Step::Outage(fault) => {
                self.fault = fault;
                self.store.iter().for_each(|store| store.set(fault));
                // Until the circuit breakers let calls through again.
                self.wait(2);
            }
            // Without a store a restarted process knows no binding.
            Step::Restart { node, version } if self.store.is_some() => {
                self.nodes[node % count] = self.start(version);
            }
            Step::Restart { .. } => {}
            Step::Steal => self.steal(),
            Step::Thief { node, session, changes } => self.steal_in(node % count, session, changes),
        }
    }

    fn wait(&mut self, pause: u64) {
        self.now += pause;
        self.clock.advance(seconds(pause));
        self.browser.now += i64::try_from(pause).unwrap();
    }

    /// One of the sessions that the owner must not lose.
    fn nth(&self, number: usize) -> Option<SessionId> {
        let kept: Vec<_> = self.sessions.keys().copied().filter(|id| self.is_kept(*id)).collect();
        kept.get(number % kept.len().max(1)).copied()
    }

    fn is_kept(&self, id: SessionId) -> bool {
        let session = &self.sessions[&id];
        !session.has_cause && self.now < session.expires_at
    }

    fn is_store_down(&self) -> bool {
        self.store.is_some() && self.fault != Fault::None
    }

    fn cookies(&self) -> Option<String> {
        self.browser.header("https", "app.example.com", "/")
    }

    fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.cookies()?;
        let mut pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
    }

    fn store_cookies(&mut self, response: &TestResponse) {
        self.browser.store("https", "app.example.com", "/", &response.headers);
        self.device.receive(&http(response));
        for (id, session) in &mut self.sessions {
            let cookies = self.browser.header("https", "app.example.com", "/").unwrap_or_default();
            let name = format!("{COOKIE}.{id}=");
            if let Some(token) = cookies.split("; ").find_map(|pair| pair.strip_prefix(&*name)) {
                session.expires_at = payload(token)["exp"].as_u64().unwrap();
            }
        }
    }

    fn sign_in(&mut self, node: usize, user_index: usize) {
        // A node of an earlier version cannot replace the bound sessions of the user.
        if self.nodes[node].version == Version::Earlier {
            return;
        }
        let name = USERS[user_index];
        let request = self.request_of(node, self.cookies(), None);
        let result = self.nodes[node].probe.run_handler(request, move |jar, _| {
            jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
        });
        if result.response.status != StatusCode::OK {
            return;
        }
        self.store_cookies(&result.response);
        let cookies = self.cookies().unwrap();
        let is_new = |pair: &&str| {
            let id =
                pair.split_once('=')?.0.strip_prefix(COOKIE)?.strip_prefix('.')?.parse().ok()?;
            (!self.sessions.contains_key(&id)).then_some(id)
        };
        let id: SessionId = cookies.split("; ").find_map(|pair| is_new(&pair)).unwrap();
        for session in self.sessions.values_mut().filter(|session| session.user == user_index) {
            session.has_cause = true;
        }
        let token = payload(&self.cookie(&format!("{COOKIE}.{id}")).unwrap());
        let expires_at = token["exp"].as_u64().unwrap();
        let session =
            KnownSession { user: user_index, expires_at, bound_at: None, has_cause: false };
        self.sessions.insert(id, session);
        if result.response.headers.contains_key("secure-session-registration") {
            self.offers.push((id, result.response));
        }
    }

    fn register(&mut self, node: usize, is_lost: bool, later: u64) {
        let Some((id, offer)) = self.offers.pop() else { return };
        if !self.is_kept(id) {
            return;
        }
        let request: Request<Full<_>> = self.device.register(&http(&offer)).unwrap();
        let in_flight = self.cookies();
        if self.nodes[node].version == Version::Earlier {
            return;
        }
        let response = self.send_endpoint(node, request);
        let is_bound = response.text().contains("session_identifier");
        let has_failed = response.status == StatusCode::SERVICE_UNAVAILABLE;
        let is_recorded = match self.fault {
            Fault::Refused => is_bound && self.store.is_none(),
            _ => is_bound || has_failed,
        };
        let session = self.sessions.get_mut(&id).unwrap();
        session.bound_at = is_recorded.then_some(self.now);
        // The key is recorded, and the browser has forgotten it.
        if is_lost && is_bound || (has_failed && is_recorded) {
            session.has_cause = true;
        } else {
            self.store_cookies(&response);
        }
        if !is_bound {
            let fits = matches!(response.status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE);
            assert!(fits, "{} {}", response.status, response.text());
        }
        // A request that the browser sent before the response arrived.
        self.wait(later);
        let node = (node + usize::try_from(later).unwrap()) % self.nodes.len();
        if self.nodes[node].version != Version::Earlier && self.is_kept(id) {
            let request = self.request_of(node, in_flight, Some(id));
            let kind = self.status(node, request).0;
            assert!(kind == SignedIn || self.is_store_down(), "in flight: {kind:?}");
        }
    }

    /// Renews the proofs that the browser no longer has, as it does before each request.
    fn refresh(&mut self) {
        let Some(node) = self.nodes.iter().position(|node| node.version != Version::Earlier) else {
            return;
        };
        let bound: Vec<_> = self.device.sessions().map(str::to_owned).collect();
        for id in bound {
            let is_kept = id.parse().is_ok_and(|id| self.is_kept(id));
            if !is_kept || self.cookie(&format!("{COOKIE}.proof.{id}")).is_some() {
                continue;
            }
            for _ in 0..2 {
                let request = self.device.refresh(&id).unwrap();
                let response = self.send_endpoint(node, request);
                self.store_cookies(&response);
                match response.status {
                    StatusCode::NO_CONTENT => break,
                    StatusCode::FORBIDDEN => {}
                    StatusCode::SERVICE_UNAVAILABLE if self.is_store_down() => break,
                    status => panic!("the refresh of {id}: {status}"),
                }
            }
        }
    }

    fn request(&mut self, node: usize, id: SessionId, is_lost: bool) {
        self.run_handler(node, id, is_lost, |_| {});
    }

    /// A request of the owner's, in the session `id`.
    fn run_handler(
        &mut self,
        node: usize,
        id: SessionId,
        is_lost: bool,
        handler: impl Fn(&tower_auth_session::SessionJar<User>) + Send + Sync + 'static,
    ) {
        self.refresh();
        let request = self.request_of(node, self.cookies(), Some(id));
        let kind = std::sync::Arc::new(std::sync::Mutex::new(None));
        let sink = std::sync::Arc::clone(&kind);
        let result = self.nodes[node].probe.run_handler(request, move |jar, _| {
            let owner = jar.session().map(|session| session.subject().as_str().to_owned());
            *sink.lock().unwrap() = Some((jar.status().kind(), owner));
            handler(jar);
        });
        let (kind, owner) = kind.lock().unwrap().take().unwrap();
        let session = self.sessions[&id];
        let has_proof = self.cookie(&format!("{COOKIE}.proof.{id}")).is_some();
        let is_earlier = self.nodes[node].version == Version::Earlier;
        let token = self.cookie(&format!("{COOKIE}.{id}")).unwrap();
        let is_bound = payload(&token)["cnf"].is_object();
        if is_earlier && is_bound {
            assert_ne!(kind, SignedIn, "a token that the version does not know");
        } else if is_bound && !has_proof {
            assert!(self.is_store_down() || is_earlier, "the proof could be renewed");
            assert_eq!(kind, Unproven);
        } else if self.is_store_down() {
            assert!(matches!(kind, SignedIn | Unavailable), "{kind:?}");
        } else {
            assert_eq!((kind, owner.as_deref()), (SignedIn, Some(USERS[session.user])));
        }
        let renews = result.response.set_cookies().iter().any(|set| set.contains(id.as_str()));
        if is_bound && renews && !self.is_store_down() {
            // A store that was unavailable at the registration knows the key now.
            let session = self.sessions.get_mut(&id).unwrap();
            session.bound_at = session.bound_at.or(Some(self.now));
        }
        if !is_lost {
            self.store_cookies(&result.response);
        }
    }

    /// A request to `node`, without the cookies that its version rejects or ignores.
    fn request_of(
        &self,
        node: usize,
        cookies: Option<String>,
        named: Option<SessionId>,
    ) -> Request<Full<bytes::Bytes>> {
        let is_earlier = self.nodes[node].version == Version::Earlier;
        let is_shown = |pair: &&str| {
            let (name, value) = pair.split_once('=').unwrap();
            let is_bound = || payload(value)["cnf"].is_object();
            !is_earlier || name.ends_with(".active") || !(name.contains(".proof.") || is_bound())
        };
        let mut request = get("/");
        let cookies = cookies.unwrap_or_default();
        let shown: Vec<_> =
            cookies.split("; ").filter(|it| !it.is_empty()).filter(is_shown).collect();
        if !shown.is_empty() {
            request.headers_mut().insert(header::COOKIE, shown.join("; ").parse().unwrap());
        }
        if let Some(id) = named {
            request.headers_mut().insert("session-id", id.as_str().parse().unwrap());
        }
        request
    }

    fn send_endpoint(&self, node: usize, mut request: Request<Full<bytes::Bytes>>) -> TestResponse {
        if let Some(cookies) = self.cookies() {
            request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
        }
        self.nodes[node].probe.send_endpoint(request)
    }

    fn status(
        &self,
        node: usize,
        request: Request<Full<bytes::Bytes>>,
    ) -> (SessionStatusKind, TestResponse) {
        let kind = std::sync::Arc::new(std::sync::Mutex::new(None));
        let sink = std::sync::Arc::clone(&kind);
        let result = self.nodes[node].probe.run_handler(request, move |jar, _| {
            *sink.lock().unwrap() = Some(jar.status().kind());
        });
        let kind = kind.lock().unwrap().take().unwrap();
        (kind, result.response)
    }

    fn steal(&mut self) {
        let mut jar = Browser::default();
        let cookies = self.cookies().unwrap_or_default();
        let pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
        jar.cookies.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let (mut proofs, mut bound) = (BTreeMap::new(), Vec::new());
        for (name, value) in &jar.cookies {
            if name.contains(".proof.") {
                let expires_at = payload(value)["exp"].as_u64().unwrap();
                assert!(expires_at <= self.now + BOUND_FOR, "no proof counts longer");
                proofs.insert(name.clone(), expires_at);
            } else if !name.ends_with(".active") && payload(value)["cnf"].is_object() {
                bound.push(payload(value)["sid"].as_str().unwrap().parse().unwrap());
            }
        }
        self.thief = Some(Thief { jar, proofs, bound });
    }

    /// A request of the thief.
    fn steal_in(&mut self, node: usize, session: usize, changes: bool) {
        let (now, version) = (self.now, self.nodes[node].version);
        let Some(thief) = self.thief.as_ref().filter(|_| version != Version::Earlier) else {
            return;
        };
        let stolen: Vec<SessionId> = thief
            .jar
            .cookies
            .keys()
            .filter_map(|name| name.strip_prefix(COOKIE)?.strip_prefix('.')?.parse().ok())
            .collect();
        let Some(id) = stolen.get(session % stolen.len().max(1)).copied() else { return };
        let request = self.request_of(node, thief.jar.cookie_header(), Some(id));
        let kind = std::sync::Arc::new(std::sync::Mutex::new(None));
        let sink = std::sync::Arc::clone(&kind);
        let result = self.nodes[node].probe.run_handler(request, move |jar, _| {
            *sink.lock().unwrap() = Some(jar.status().kind());
            if let Some(session) = jar.session().filter(|_| changes) {
                let _ = jar.update_claims(user(session.subject().as_str()));
            }
        });
        let kind = kind.lock().unwrap().take().unwrap();
        let thief = self.thief.as_mut().unwrap();
        if kind == SignedIn {
            let until = match self.sessions[&id].bound_at {
                _ if thief.bound.contains(&id) => {
                    thief.proofs.get(&format!("{COOKIE}.proof.{id}")).copied().unwrap_or(0)
                }
                // A token from before the binding is due by then, or was in flight.
                Some(bound_at) => bound_at + RENEWAL.max(TOLERANCE + 1),
                None => u64::MAX,
            };
            assert!(now < until, "a thief acts as {id} at {now}, later than {until}");
        }
        thief.jar.store(&result.response.headers);
        let own_proof =
            |name: &String| name.contains(".proof.") && !thief.proofs.contains_key(name);
        assert!(!thief.jar.cookies.keys().any(own_proof), "a thief gets no proof");
    }

    /// Checks that the browser has every session that it must have.
    fn check(&self) {
        for id in self.sessions.keys().filter(|id| self.is_kept(**id)) {
            assert!(self.cookie(&format!("{COOKIE}.{id}")).is_some(), "the cookie of {id} is gone");
        }
    }
}
