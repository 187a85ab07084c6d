//! Simulated browsers and their users.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

use super::{
    fleet::Fleet,
    ledger::Ledger,
    web::{HttpReply, Jar, Web},
};

/// Users who never sign out everywhere.
const STABLE_USERS: [&str; 4] = ["ada", "grace", "linus", "barbara"];
/// Users who sign out everywhere from time to time.
const SWEPT_USERS: [&str; 2] = ["emil", "donald"];

/// What all browsers share.
#[derive(Clone)]
pub(crate) struct Simulation {
    pub(crate) web: Web,
    pub(crate) proxy: String,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// xorshift64, so that a seed repeats its choices.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }

    fn one_of(&mut self, subjects: &[&'static str]) -> &'static str {
        subjects[self.below(subjects.len() as u64) as usize]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Signs in once and never signs out.
    Quiet,
    /// Has several accounts, switches between them, signs out of one or all, and signs out other devices.
    Busy,
    /// Signs out everywhere.
    Sweeping,
}

pub(crate) struct Browser {
    simulation: Simulation,
    kind: Kind,
    random: Random,
    jar: Jar,
    /// The first session of a quiet browser.
    first: Option<String>,
}

impl Browser {
    pub(crate) fn new(simulation: &Simulation, number: u64, seed: u64) -> Self {
        let kind = match number % 10 {
            0..=4 => Kind::Quiet,
            5..=8 => Kind::Busy,
            _ => Kind::Sweeping,
        };
        let random = Random::new(seed.wrapping_mul(100_003).wrapping_add(number + 1));
        Self { simulation: simulation.clone(), kind, random, jar: Jar::default(), first: None }
    }

    pub(crate) async fn run(mut self, pause: u64) -> Self {
        while !self.simulation.stop.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(pause / 2 + self.random.below(pause))).await;
            match self.jar.active() {
                None if self.jar.sessions().is_empty() => self.sign_in().await,
                None => self.choose().await,
                Some(active) => self.act(&active).await,
            }
        }
        self
    }

    /// Whether a quiet browser still has its first session.
    pub(crate) fn has_first_session(&self) -> bool {
        self.kind != Kind::Quiet || self.first == self.jar.active()
    }

    pub(crate) async fn sign_in(&mut self) {
        let subjects = if self.kind == Kind::Sweeping { &SWEPT_USERS[..] } else { &STABLE_USERS };
        let subject = self.random.one_of(subjects);
        let ledger = Arc::clone(&self.simulation.ledger);
        // Signing in again as the same user replaces the session.
        let mut same = self.jar.sessions();
        same.retain(|id| ledger.subject(id) == Some(subject));
        ledger.revocation_requested(&same);
        let before = self.jar.clone();
        let reply = self.post("/sign-in", format!("user={subject}")).await;
        match (reply.status, reply.session_started(&before)) {
            (303, Some(id)) => {
                ledger.session_started(
                    &id,
                    subject,
                    reply.sent,
                    &self.jar,
                    self.kind == Kind::Busy,
                );
                if self.kind == Kind::Quiet
                    && let Some(first) = self.first.replace(id)
                {
                    ledger.record_violation(format!("a quiet browser lost {first}"));
                }
            }
            (303, None) => ledger.record_violation("a sign-in without a cookie".to_owned()),
            (status, Some(id)) => ledger.record_violation(format!("{status} signs in {id}")),
            _ => ledger.count("sign-ins not acknowledged"),
        }
    }

    async fn act(&mut self, active: &str) {
        match (self.kind, self.random.below(100)) {
            (_, 0..=59) => self.check_session(active).await,
            (_, 60..=69) => {
                let reply = self.get("/api/public").await;
                self.simulation.ledger.public(active, &reply);
            }
            (Kind::Quiet, _) => self.page(active).await,
            (_, 70..=79) => self.page(active).await,
            (Kind::Busy, 80..=84) if self.jar.sessions().len() < 4 => self.sign_in().await,
            (Kind::Busy, 80..=89) => self.choose().await,
            (Kind::Busy, 90..=93) => self.sign_out(&[active.to_owned()], "").await,
            (Kind::Busy, 94..=95) => {
                let all = self.jar.sessions();
                self.sign_out(&all, "scope=browser").await;
            }
            (Kind::Busy, 96..=97) => self.sign_out_device(active).await,
            (Kind::Sweeping, 80..=89) => self.sign_out(&[active.to_owned()], "").await,
            (Kind::Sweeping, 90..=91) => self.sweep(active, "/sign-out").await,
            (Kind::Sweeping, 92..=93) => self.sweep(active, "/api/devices/end-others").await,
            _ => self.check_session(active).await,
        }
    }

    async fn check_session(&mut self, active: &str) {
        let reply = self.get("/api/me").await;
        self.simulation.ledger.record_identity(active, &reply, "the proxy");
    }

    /// Requests a page and its resources at the same time.
    async fn page(&mut self, active: &str) {
        let (simulation, jar) = (self.simulation.clone(), self.jar.clone());
        let request = || simulation.web.get(&simulation.proxy, "/api/me", &jar);
        let replies = tokio::join!(request(), request(), request());
        for reply in [replies.0, replies.1, replies.2] {
            simulation.ledger.record_reply("GET /api/me", &reply, &jar);
            simulation.ledger.record_identity(active, &reply, "the proxy");
            self.jar.store(&reply.set);
        }
    }

    /// Switches to one of the accounts.
    async fn choose(&mut self) {
        let ids = self.jar.sessions();
        let id = ids[self.random.below(ids.len() as u64) as usize].clone();
        let ledger = Arc::clone(&self.simulation.ledger);
        let reply = self.post("/session/switch", format!("session_id={id}&redirect_url=/me")).await;
        if reply.status == 303 && self.jar.active().as_ref() == Some(&id) {
            ledger.count("switches");
        } else if self.jar.value(&id).is_some() && reply.status < 500 && reply.status > 1 {
            // An account that was revoked elsewhere cannot be activated.
            let copy = ledger.copies().into_iter().find(|copy| copy.id == id);
            if copy.is_some_and(|copy| copy.state == super::ledger::State::Valid) {
                ledger.record_violation(format!("{} where {id} was to be active", reply.status));
            }
            self.clear_jar();
        }
    }

    async fn sign_out(&mut self, ids: &[String], form: &str) {
        let form = match (form, ids) {
            ("", [id]) => format!("session_id={id}"),
            _ => form.to_owned(),
        };
        let ledger = Arc::clone(&self.simulation.ledger);
        ledger.revocation_requested(ids);
        let reply = self.post("/sign-out", form).await;
        if reply.status == 303 {
            ledger.revocation_acknowledged(ids);
            ledger.count("sign-outs");
            if ids.iter().any(|id| self.jar.value(id).is_some()) {
                ledger.record_violation(format!("signed out of {ids:?} and the cookie stays"));
            }
        } else {
            ledger.count("sign-outs not acknowledged");
            self.clear_jar();
        }
    }

    /// Signs out a session of the same user in another browser.
    async fn sign_out_device(&mut self, active: &str) {
        let ledger = Arc::clone(&self.simulation.ledger);
        let pick = self.random.below(1_000) as usize;
        let Some(other) = ledger.other(active, pick) else { return };
        let other = [other];
        ledger.revocation_requested(&other);
        let reply = self.post("/api/devices/end", format!("session_id={}", other[0])).await;
        match reply.status {
            200 => {
                ledger.revocation_acknowledged(&other);
                ledger.count("devices ended");
            }
            // Another request was faster.
            404 => {}
            401 => ledger.record_identity(active, &reply, "the list of devices"),
            _ => ledger.count("devices: ends not acknowledged"),
        }
    }

    async fn sweep(&mut self, active: &str, path: &str) {
        let ledger = Arc::clone(&self.simulation.ledger);
        let Some(subject) = ledger.subject(active) else { return };
        let (except, form) = match path {
            "/sign-out" => (None, format!("session_id={active}&scope=everywhere")),
            _ => (Some(active), String::new()),
        };
        let sweep = ledger.sweep_requested(subject, active, except);
        let reply = self.post(path, form).await;
        // With a 401 from the guard nothing was revoked.
        let is_acknowledged = matches!(reply.status, 200 | 303);
        ledger.sweep_finished(sweep, is_acknowledged);
        ledger.count(if is_acknowledged { "sign-outs everywhere" } else { "… not acknowledged" });
        if !is_acknowledged {
            self.clear_jar();
        }
    }

    /// Starts again with an empty jar; the sessions are checked at the end.
    fn clear_jar(&mut self) {
        if self.kind != Kind::Quiet {
            // The sessions stay valid and are checked at the end.
            self.jar.clear();
        }
    }

    async fn get(&mut self, path: &str) -> HttpReply {
        let Simulation { web, proxy, ledger, .. } = self.simulation.clone();
        let reply = web.get(&proxy, path, &self.jar).await;
        ledger.record_reply(&format!("GET {path}"), &reply, &self.jar);
        self.jar.store(&reply.set);
        reply
    }

    async fn post(&mut self, path: &str, form: String) -> HttpReply {
        let Simulation { web, proxy, ledger, .. } = self.simulation.clone();
        let reply = web.post(&proxy, path, &self.jar, form).await;
        ledger.record_reply(&format!("POST {path}"), &reply, &self.jar);
        self.jar.store(&reply.set);
        reply
    }
}

/// Presents copied cookies of revoked sessions to random nodes.
pub(crate) async fn present_revoked_cookies(simulation: Simulation, fleet: Arc<Fleet>, seed: u64) {
    let mut random = Random::new(seed);
    while !simulation.stop.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(20)).await;
        let mut revoked = simulation.ledger.copies();
        revoked.retain(|copy| matches!(copy.state, super::ledger::State::Revoked(_)));
        for _ in 0..20 {
            if revoked.is_empty() || simulation.stop.load(Ordering::Relaxed) {
                break;
            }
            let copy = &revoked[random.below(revoked.len() as u64) as usize];
            let node = fleet.node(random.below(3) as usize);
            let reply = simulation.web.get(&node, "/api/me", &copy.jar).await;
            simulation.ledger.count("copies tried");
            simulation.ledger.record_identity(&copy.id, &reply, "a node");
            sleep(Duration::from_millis(5)).await;
        }
    }
}
