//! What people do.

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
    web::{Jar, Reply, Web},
};

/// Nobody signs these out everywhere.
const CALM: [&str; 4] = ["ada", "grace", "linus", "barbara"];
/// These are signed out everywhere, now and then.
const SWEPT: [&str; 2] = ["edsger", "donald"];

/// What all share.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) web: Web,
    pub(crate) proxy: String,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// xorshift64: the same choices for the same seed.
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) const fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % sides
    }

    fn one_of(&mut self, subjects: &[&'static str]) -> &'static str {
        subjects[self.roll(subjects.len() as u64) as usize]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Signs in once and never out.
    Quiet,
    /// Several accounts; switches, signs out of one or all, ends other devices.
    Busy,
    /// Signs out everywhere.
    Sweeping,
}

pub(crate) struct Browser {
    scene: Scene,
    kind: Kind,
    dice: Dice,
    jar: Jar,
    /// The first session of a quiet one.
    first: Option<String>,
}

impl Browser {
    pub(crate) fn new(scene: &Scene, number: u64, seed: u64) -> Self {
        let kind = match number % 10 {
            0..=4 => Kind::Quiet,
            5..=8 => Kind::Busy,
            _ => Kind::Sweeping,
        };
        let dice = Dice::new(seed.wrapping_mul(100_003).wrapping_add(number + 1));
        Self { scene: scene.clone(), kind, dice, jar: Jar::default(), first: None }
    }

    pub(crate) async fn live(mut self, pause: u64) -> Self {
        while !self.scene.stop.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(pause / 2 + self.dice.roll(pause))).await;
            match self.jar.active() {
                None if self.jar.sessions().is_empty() => self.sign_in().await,
                None => self.choose().await,
                Some(active) => self.act(&active).await,
            }
        }
        self
    }

    /// Whether a quiet browser has what it had at first.
    pub(crate) fn is_as_it_was(&self) -> bool {
        self.kind != Kind::Quiet || self.first == self.jar.active()
    }

    pub(crate) async fn sign_in(&mut self) {
        let subjects = if self.kind == Kind::Sweeping { &SWEPT[..] } else { &CALM };
        let subject = self.dice.one_of(subjects);
        let ledger = Arc::clone(&self.scene.ledger);
        // Whoever signs in again as the same person replaces that session.
        let mut same = self.jar.sessions();
        same.retain(|id| ledger.subject(id) == Some(subject));
        ledger.ending(&same);
        let before = self.jar.clone();
        let reply = self.post("/sign-in", format!("user={subject}")).await;
        match (reply.status, reply.begun(&before)) {
            (303, Some(id)) => {
                ledger.begun(&id, subject, reply.sent, &self.jar, self.kind == Kind::Busy);
                if self.kind == Kind::Quiet
                    && let Some(first) = self.first.replace(id)
                {
                    ledger.wrong(format!("a quiet browser lost {first}"));
                }
            }
            (303, None) => ledger.wrong("a sign-in without a cookie".to_owned()),
            (status, Some(id)) => ledger.wrong(format!("{status} signs in {id}")),
            _ => ledger.count("sign-ins not acknowledged"),
        }
    }

    async fn act(&mut self, active: &str) {
        match (self.kind, self.dice.roll(100)) {
            (_, 0..=59) => self.look(active).await,
            (_, 60..=69) => {
                let reply = self.get("/api/public").await;
                self.scene.ledger.public(active, &reply);
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
            (Kind::Busy, 96..=97) => self.end_device(active).await,
            (Kind::Sweeping, 80..=89) => self.sign_out(&[active.to_owned()], "").await,
            (Kind::Sweeping, 90..=91) => self.sweep(active, "/sign-out").await,
            (Kind::Sweeping, 92..=93) => self.sweep(active, "/api/devices/end-others").await,
            _ => self.look(active).await,
        }
    }

    async fn look(&mut self, active: &str) {
        let reply = self.get("/api/me").await;
        self.scene.ledger.shown(active, &reply, "the proxy");
    }

    /// A page and what belongs to it, at once.
    async fn page(&mut self, active: &str) {
        let (scene, jar) = (self.scene.clone(), self.jar.clone());
        let ask = || scene.web.get(&scene.proxy, "/api/me", &jar);
        let replies = tokio::join!(ask(), ask(), ask());
        for reply in [replies.0, replies.1, replies.2] {
            scene.ledger.heard("GET /api/me", &reply, &jar);
            scene.ledger.shown(active, &reply, "the proxy");
            self.jar.take(&reply.set);
        }
    }

    /// Makes one of the accounts active.
    async fn choose(&mut self) {
        let ids = self.jar.sessions();
        let id = ids[self.dice.roll(ids.len() as u64) as usize].clone();
        let ledger = Arc::clone(&self.scene.ledger);
        let reply = self.post("/session/switch", format!("session_id={id}&redirect_url=/me")).await;
        if reply.status == 303 && self.jar.active().as_ref() == Some(&id) {
            ledger.count("switches");
        } else if self.jar.value(&id).is_some() && reply.status < 500 && reply.status > 1 {
            // An account that is over elsewhere cannot be chosen.
            let over = ledger.copies().into_iter().find(|copy| copy.id == id);
            if over.is_some_and(|copy| copy.state == super::ledger::State::Lives) {
                ledger.wrong(format!("{} where {id} was to be active", reply.status));
            }
            self.forget();
        }
    }

    async fn sign_out(&mut self, ids: &[String], form: &str) {
        let form = match (form, ids) {
            ("", [id]) => format!("session_id={id}"),
            _ => form.to_owned(),
        };
        let ledger = Arc::clone(&self.scene.ledger);
        ledger.ending(ids);
        let reply = self.post("/sign-out", form).await;
        if reply.status == 303 {
            ledger.ended(ids);
            ledger.count("sign-outs");
            if ids.iter().any(|id| self.jar.value(id).is_some()) {
                ledger.wrong(format!("signed out of {ids:?} and the cookie stays"));
            }
        } else {
            ledger.count("sign-outs not acknowledged");
            self.forget();
        }
    }

    /// Ends a session of the same person in another browser.
    async fn end_device(&mut self, active: &str) {
        let ledger = Arc::clone(&self.scene.ledger);
        let pick = self.dice.roll(1_000) as usize;
        let Some(other) = ledger.other(active, pick) else { return };
        let other = [other];
        ledger.ending(&other);
        let reply = self.post("/api/devices/end", format!("session_id={}", other[0])).await;
        match reply.status {
            200 => {
                ledger.ended(&other);
                ledger.count("devices ended");
            }
            // Somebody was faster.
            404 => {}
            401 => ledger.shown(active, &reply, "the list of devices"),
            _ => ledger.count("devices: ends not acknowledged"),
        }
    }

    async fn sweep(&mut self, active: &str, path: &str) {
        let ledger = Arc::clone(&self.scene.ledger);
        let Some(subject) = ledger.subject(active) else { return };
        let (except, form) = match path {
            "/sign-out" => (None, format!("session_id={active}&scope=everywhere")),
            _ => (Some(active), String::new()),
        };
        let sweep = ledger.sweeping(subject, active, except);
        let reply = self.post(path, form).await;
        // A guard may have said 401: then nothing was swept.
        let is_done = matches!(reply.status, 200 | 303);
        ledger.swept(sweep, is_done);
        ledger.count(if is_done { "sign-outs everywhere" } else { "… not acknowledged" });
        if !is_done {
            self.forget();
        }
    }

    /// Starts again with an empty jar: what became of its sessions is looked at elsewhere.
    fn forget(&mut self) {
        if self.kind != Kind::Quiet {
            // The sessions live on, and are looked at in the end.
            self.jar.clear();
        }
    }

    async fn get(&mut self, path: &str) -> Reply {
        let Scene { web, proxy, ledger, .. } = self.scene.clone();
        let reply = web.get(&proxy, path, &self.jar).await;
        ledger.heard(&format!("GET {path}"), &reply, &self.jar);
        self.jar.take(&reply.set);
        reply
    }

    async fn post(&mut self, path: &str, form: String) -> Reply {
        let Scene { web, proxy, ledger, .. } = self.scene.clone();
        let reply = web.post(&proxy, path, &self.jar, form).await;
        ledger.heard(&format!("POST {path}"), &reply, &self.jar);
        self.jar.take(&reply.set);
        reply
    }
}

/// Tries copies of cookies whose sessions are over, on any node.
pub(crate) async fn prowl(scene: Scene, fleet: Arc<Fleet>, seed: u64) {
    let mut dice = Dice::new(seed);
    while !scene.stop.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(20)).await;
        let mut ended = scene.ledger.copies();
        ended.retain(|copy| matches!(copy.state, super::ledger::State::Ended(_)));
        for _ in 0..20 {
            if ended.is_empty() || scene.stop.load(Ordering::Relaxed) {
                break;
            }
            let copy = &ended[dice.roll(ended.len() as u64) as usize];
            let node = fleet.node(dice.roll(3) as usize);
            let reply = scene.web.get(&node, "/api/me", &copy.jar).await;
            scene.ledger.count("copies tried");
            scene.ledger.shown(&copy.id, &reply, "a node");
            sleep(Duration::from_millis(5)).await;
        }
    }
}
