//! One request after the other, with several accounts turned on and off in between. The model here
//! knows no cookies, only who signed in and what was chosen; the browser must agree after each step.

use proptest::prelude::*;
use tower_auth_session::{ManualClock, SeededRandom, SessionId, SessionLayer, SessionStatusKind};

use super::{
    INACTIVITY, LIFETIME, Plan, RENEWAL,
    harness::{Flight, Given, Pointer, Presented, Said, Verb, Written},
    nth, pauses, plans, run, tabs,
};
use crate::support::{START, User, engine_builder, layer_on, seconds, user_agent::UserAgent};

const MAX: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    Request(Option<usize>, Plan),
    Wait(u64),
    /// The service is restarted with several accounts turned on or off.
    Turn,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (tabs(), plans()).prop_map(|(tab, plan)| Step::Request(tab, plan)),
        4 => pauses().prop_map(Step::Wait),
        2 => Just(Step::Turn),
    ];
    prop::collection::vec(step, 1..40)
}

#[test]
fn in_turn() {
    run(2_000, 2, &(any::<bool>(), steps()), |(several, steps)| {
        let mut world = World::new(several);
        for step in steps {
            world.step(step);
            world.check();
        }
    });
}

#[derive(Debug, Clone, Copy)]
struct Account {
    id: SessionId,
    person: usize,
    signed_in_at: u64,
    active_at: u64,
    /// In the cookie of a browser with one account.
    is_only: bool,
}

struct World {
    layer: SessionLayer<User>,
    clock: ManualClock,
    now: u64,
    several: bool,
    starts: u64,
    browser: UserAgent,
    known: Vec<SessionId>,
    accounts: Vec<Account>,
    active: Pointer,
}

impl World {
    fn new(several: bool) -> Self {
        let (layer, clock) = start(several, 0);
        Self {
            layer,
            clock,
            now: START,
            several,
            starts: 1,
            browser: UserAgent::default(),
            known: Vec::new(),
            accounts: Vec::new(),
            active: Pointer::Absent,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait(pause) => {
                self.now += pause;
                self.clock.advance(seconds(pause));
                self.browser.now += i64::try_from(pause).unwrap();
                let now = self.now;
                self.accounts.retain(|account| now < account.end());
            }
            Step::Turn => {
                self.several = !self.several;
                (self.layer, self.clock) = start(self.several, self.starts);
                self.clock.advance(seconds(self.now - START));
                self.starts += 1;
            }
            Step::Request(tab, plan) => self.request(tab, plan),
        }
    }

    fn has(&self, id: SessionId) -> Option<SessionId> {
        self.accounts.iter().find(|account| account.id == id).map(|account| account.id)
    }

    /// Who is served, and as what the others are.
    fn acting(&self, named: Option<SessionId>) -> Result<SessionId, SessionStatusKind> {
        if let (true, Some(id)) = (self.several, named) {
            return self.has(id).ok_or(SessionStatusKind::SessionMismatch);
        }
        let former = self.accounts.iter().find(|account| account.is_only).map(|found| found.id);
        let pointed = match self.active {
            Pointer::Session(id) => self.has(id),
            _ => None,
        };
        let lone = match self.accounts[..] {
            [account] => Some(account.id),
            _ => None,
        };
        let acting = if !self.several {
            former.or(pointed).or(lone)
        } else if self.active == Pointer::Absent {
            former.or(lone)
        } else {
            pointed
        };
        acting.ok_or(if self.several && !self.accounts.is_empty() {
            SessionStatusKind::AccountSelectionRequired
        } else {
            SessionStatusKind::SignedOut
        })
    }

    fn request(&mut self, tab: Option<usize>, plan: Plan) {
        let meant = |back| nth(&self.known, back);
        let named = tab.map(meant);
        let verb = match plan {
            Plan::Look => Verb::Look,
            Plan::List => Verb::List,
            Plan::SignIn(person) => Verb::SignIn(person),
            Plan::Switch(back) => Verb::Switch(meant(back)),
            Plan::SignOut => Verb::SignOut,
            Plan::SignOutSession(back) => Verb::SignOutSession(meant(back)),
            Plan::SignOutAll => Verb::SignOutAll,
        };
        let acting = self.acting(named);
        let cookies = self.browser.header("https", "app.example.com", "/");
        let (flight, given) = Flight::open(&self.layer, cookies.as_deref(), named);
        let expected = Given {
            kind: acting.err().unwrap_or(SessionStatusKind::SignedIn),
            session: acting.ok().map(|id| (id, self.person(id))),
        };
        assert_eq!(given, expected, "named {named:?}");
        let (said, headers) = flight.handle(verb);
        Written::read(&headers, self.now);
        self.browser.store("https", "app.example.com", "/", &headers);
        self.follow(verb, &said, acting.ok());
    }

    fn person(&self, id: SessionId) -> usize {
        self.accounts.iter().find(|account| account.id == id).unwrap().person
    }

    /// Does to the model what the verb is to do.
    fn follow(&mut self, verb: Verb, said: &Said, acting: Option<SessionId>) {
        let renews = match (verb, said) {
            (Verb::Look, Said::Nothing) => true,
            (Verb::List, Said::Accounts(listed)) => {
                let sorted = |mut ids: Vec<SessionId>| {
                    ids.sort_unstable();
                    ids
                };
                let all = self.accounts.iter().map(|account| account.id).collect();
                assert_eq!(sorted(listed.clone()), sorted(all));
                true
            }
            (Verb::SignIn(person), Said::SignedIn(Ok(outcome))) => {
                let replaced: Vec<_> = self
                    .accounts
                    .iter()
                    .filter(|account| !self.several || account.person == person)
                    .map(|account| account.id)
                    .collect();
                assert_eq!(outcome.replaced.is_some(), !replaced.is_empty());
                assert!(outcome.replaced.is_none_or(|id| replaced.contains(&id)));
                self.accounts.retain(|account| !replaced.contains(&account.id));
                let rank = |account: &Account| (acting == Some(account.id), account.active_at);
                for id in &outcome.made_room {
                    assert!(self.several && self.accounts.len() >= MAX);
                    let least = self.accounts.iter().map(rank).min();
                    let out = self.accounts.iter().position(|account| account.id == *id).unwrap();
                    assert_eq!(Some(rank(&self.accounts.remove(out))), least);
                }
                let id = outcome.session_id;
                self.known.push(id);
                self.accounts.push(Account {
                    id,
                    person,
                    signed_in_at: self.now,
                    active_at: self.now,
                    is_only: !self.several,
                });
                self.active = if self.several { Pointer::Session(id) } else { Pointer::Absent };
                assert!(self.accounts.len() <= if self.several { MAX } else { 1 });
                false
            }
            (Verb::Switch(id), Said::Switched(done)) => {
                let may = if self.several { self.has(id).is_some() } else { acting == Some(id) };
                assert_eq!(*done, may);
                if self.several && may {
                    self.active = Pointer::Session(id);
                }
                !may || acting == Some(id)
            }
            (Verb::SignOut, Said::SignedOut(_)) => {
                if self.several {
                    self.end(acting, acting);
                } else {
                    self.end_all();
                }
                true
            }
            (Verb::SignOutSession(id), Said::SignedOut(out)) => {
                let meant = self.has(id);
                assert_eq!(out.is_empty(), meant.is_none());
                if !self.several && meant.is_some() && meant == acting {
                    self.end_all();
                } else if self.several {
                    self.end(meant, acting);
                } else if let Some(id) = meant {
                    self.accounts.retain(|account| account.id != id);
                }
                true
            }
            (Verb::SignOutAll, Said::SignedOut(out)) => {
                assert_eq!(out.len(), self.accounts.len());
                self.end_all();
                true
            }
            _ => panic!("{verb:?} {said:?}"),
        };
        let (now, several) = (self.now, self.several);
        if let Some(account) = self.accounts.iter_mut().find(|account| acting == Some(account.id))
            && renews
            && now - account.active_at >= RENEWAL
        {
            account.active_at = now;
            account.is_only = !several;
        }
    }

    fn end_all(&mut self) {
        let had_any = !self.accounts.is_empty() || self.active != Pointer::Absent;
        self.accounts.clear();
        self.active = if self.several && had_any { Pointer::Nobody } else { Pointer::Absent };
    }

    fn end(&mut self, ended: Option<SessionId>, acting: Option<SessionId>) {
        let Some(id) = ended else { return };
        self.accounts.retain(|account| account.id != id);
        if self.active == Pointer::Session(id)
            || (self.active == Pointer::Absent && (acting.is_none() || acting == ended))
        {
            self.active = Pointer::Nobody;
        }
    }

    /// The browser holds what the model holds, and nothing else.
    fn check(&self) {
        let cookies = self.browser.header("https", "app.example.com", "/");
        let presented = Presented::read(cookies.as_deref());
        let mut tokens: Vec<_> = presented.slots.values().map(|token| (false, token)).collect();
        tokens.extend(presented.only.iter().map(|token| (true, token)));
        assert_eq!(tokens.len(), self.accounts.len(), "{tokens:?}\n{:?}", self.accounts);
        for (is_only, token) in tokens {
            let account = self.accounts.iter().find(|account| account.id == token.id).unwrap();
            let expected = (account.is_only, account.person, account.end());
            assert_eq!((is_only, token.person, token.expires_at), expected);
        }
        assert_eq!(presented.pointer, self.active);
    }
}

impl Account {
    fn end(&self) -> u64 {
        (self.active_at + INACTIVITY).min(self.signed_in_at + LIFETIME)
    }
}

/// A service with the keys of all the others and a memory of its own.
fn start(several: bool, seed: u64) -> (SessionLayer<User>, ManualClock) {
    let (builder, _) = engine_builder();
    let builder = builder.multi_session(several).max_sessions_per_browser(MAX);
    layer_on(builder.random(SeededRandom::new(1_000 + seed)))
}
