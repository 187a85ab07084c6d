//! Requests that overlap: opened, handled and answered in any order, answers lost.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderMap, header};
use proptest::prelude::*;
use tower_auth_session::{
    ManualClock, SeededRandom, SessionId, SessionLayer, SessionStatusKind, SignIn, SignInError,
    Timestamp, engine::AccountLimitPolicy, testing::cookie_of,
};

use super::{
    INACTIVITY, LIFETIME, PEOPLE, Plan, RENEWAL,
    harness::{Flight, Pointer, Presented, Said, Token, Verb, Written, owner, request, slot},
    nth, pauses, plans, run, tabs,
};
use crate::support::{
    COOKIE, START, User, engine_builder, layer_on, seconds, subject, user, user_agent::UserAgent,
};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A tab sends a request, which is opened.
    Send(Option<usize>, Plan),
    /// One of the open requests is handled, and its response closed.
    Handle(usize),
    /// One of the responses arrives.
    Deliver(usize),
    /// One of the responses is lost.
    Lose(usize),
    /// The browser gives up on a request before it is handled.
    Drop(usize),
    /// A request from beginning to end.
    Whole(Option<usize>, Plan),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (tabs(), plans()).prop_map(|(tab, plan)| Step::Whole(tab, plan)),
        4 => (tabs(), plans()).prop_map(|(tab, plan)| Step::Send(tab, plan)),
        4 => (0_usize..4).prop_map(Step::Handle),
        4 => (0_usize..4).prop_map(Step::Deliver),
        1 => (0_usize..4).prop_map(Step::Lose),
        1 => (0_usize..4).prop_map(Step::Drop),
        3 => pauses().prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 8..48)
}

/// The most accounts, what happens beyond, and whether the browser has a session from the time
/// before several accounts were turned on.
fn settings() -> impl Strategy<Value = (usize, AccountLimitPolicy, bool)> {
    use AccountLimitPolicy::{Refuse, SignOutLeastRecentlyActive};
    (
        2_usize..5,
        prop_oneof![3 => Just(SignOutLeastRecentlyActive), 1 => Just(Refuse)],
        any::<bool>(),
    )
}

#[test]
fn any_order() {
    run(2_500, 1, &(settings(), steps()), |(settings, steps)| World::new(settings).walk(steps));
}

#[test]
fn nobody_is_promoted_in_any_order() {
    run(2_500, 3, &(settings(), steps()), |(settings, steps)| {
        let mut world = World::new(settings);
        world.forbids_promotion = true;
        world.walk(steps);
    });
}

#[test]
fn a_request_longer_than_a_session_lists_nobody_who_signed_out() {
    let mut world = World::new((2, AccountLimitPolicy::default(), true));
    world.gives_up = false;
    world.walk(vec![
        Step::Whole(None, Plan::SignIn(2)),
        Step::Send(None, Plan::SignIn(0)),
        Step::Send(Some(1), Plan::List),
        Step::Whole(None, Plan::SignOut),
        Step::Wait(110),
        Step::Handle(0),
        Step::Handle(0),
    ]);
}

/// A request between its opening and its handling, as the model sees it.
struct Request {
    flight: Flight,
    plan: Plan,
    opened: u64,
    presented: Presented,
    acting: Option<SessionId>,
    /// Who is signed in as the request sees it, whatever happens until it is handled.
    fixed: BTreeSet<SessionId>,
    /// Who is signed in unless that changes until it is handled.
    open: BTreeSet<SessionId>,
    /// Cookies that were looked at when the request was opened.
    looked_at: BTreeSet<SessionId>,
}

struct World {
    layer: SessionLayer<User>,
    clock: ManualClock,
    now: u64,
    forbids_promotion: bool,
    /// No request takes as long as a session lasts.
    gives_up: bool,
    /// Whether the browser was in choose state after the last step.
    choosing: bool,
    max: usize,
    policy: AccountLimitPolicy,
    browser: UserAgent,
    requests: Vec<Request>,
    answers: Vec<HeaderMap>,
    /// Every session there ever was, and whose it is.
    known: Vec<SessionId>,
    people: BTreeMap<SessionId, usize>,
    ended: BTreeSet<SessionId>,
    /// When the newest token of a session was issued.
    newest: BTreeMap<SessionId, u64>,
    /// What the pointer of the last answer that had one says.
    pointer: Pointer,
}

/// What a request is to be served as.
fn select(
    presented: &Presented,
    named: Option<SessionId>,
    live: &BTreeSet<SessionId>,
) -> Result<SessionId, SessionStatusKind> {
    if let Some(id) = named {
        return live.get(&id).copied().ok_or(SessionStatusKind::SessionMismatch);
    }
    let former = presented.only.and_then(|token| live.get(&token.id).copied());
    let pointed = match presented.pointer {
        Pointer::Session(id) => live.get(&id).copied(),
        Pointer::Nobody => None,
        Pointer::Absent if former.is_some() => former,
        Pointer::Absent if live.len() == 1 => live.first().copied(),
        Pointer::Absent => None,
    };
    let nobody = if live.is_empty() {
        SessionStatusKind::SignedOut
    } else {
        SessionStatusKind::AccountSelectionRequired
    };
    pointed.ok_or(nobody)
}

impl World {
    fn new((max, policy, is_upgraded): (usize, AccountLimitPolicy, bool)) -> Self {
        let (builder, _) = engine_builder();
        let builder = builder.multi_session(true).max_sessions_per_browser(max);
        let (layer, clock) = layer_on(builder.account_limit_policy(policy));
        let mut world = Self {
            layer,
            clock,
            now: START,
            forbids_promotion: false,
            gives_up: true,
            choosing: false,
            max,
            policy,
            browser: UserAgent::default(),
            requests: Vec::new(),
            answers: Vec::new(),
            known: Vec::new(),
            people: BTreeMap::new(),
            ended: BTreeSet::new(),
            newest: BTreeMap::new(),
            pointer: Pointer::Absent,
        };
        if is_upgraded {
            world.upgrade();
        }
        world
    }

    /// Ada signed in when a browser had one account.
    fn upgrade(&mut self) {
        let former = engine_builder().0.random(SeededRandom::new(99)).build().unwrap();
        let ada = SignIn::new(subject(PEOPLE[0]), user(PEOPLE[0]));
        let cookie = cookie_of(&former, ada, Timestamp::from_unix_seconds(START)).unwrap();
        let text = cookie.to_str().unwrap();
        let set = format!("{text}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age={INACTIVITY}");
        let mut headers = HeaderMap::new();
        headers.insert(header::SET_COOKIE, set.parse().unwrap());
        self.deliver(&headers);
        let id = Presented::read(Some(text)).only.unwrap().id;
        self.known.push(id);
        self.people.insert(id, 0);
        // Not this process's: it knows of no newer token.
        self.newest.insert(id, 0);
    }

    fn walk(&mut self, steps: Vec<Step>) {
        for step in steps {
            // Beyond it a request has cookies that nobody looks at.
            if self.browser_tokens() > 2 * self.max {
                return;
            }
            self.step(step);
            self.check();
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait(pause) => {
                self.now += pause;
                self.clock.advance(seconds(pause));
                self.browser.now += i64::try_from(pause).unwrap();
            }
            Step::Send(tab, plan) if self.requests.len() < 4 => self.send(tab, plan),
            Step::Handle(index) if !self.requests.is_empty() && self.answers.len() < 4 => {
                let request = self.requests.remove(index % self.requests.len());
                if self.gives_up && self.now >= request.opened + INACTIVITY {
                    return;
                }
                let response = self.handle(request);
                self.answers.push(response);
            }
            Step::Deliver(index) if !self.answers.is_empty() => {
                let response = self.answers.remove(index % self.answers.len());
                self.deliver(&response);
            }
            Step::Lose(index) if !self.answers.is_empty() => {
                self.answers.remove(index % self.answers.len());
            }
            Step::Drop(index) if !self.requests.is_empty() => {
                self.requests.remove(index % self.requests.len());
            }
            Step::Whole(tab, plan) => {
                self.send(tab, plan);
                if let Some(request) = self.requests.pop() {
                    let response = self.handle(request);
                    self.deliver(&response);
                }
            }
            _ => {}
        }
    }

    fn cookies(&self) -> Option<String> {
        self.browser.header("https", "app.example.com", "/")
    }

    fn browser_tokens(&self) -> usize {
        Presented::read(self.cookies().as_deref()).tokens().count()
    }

    fn is_live(&self, token: &Token) -> bool {
        self.now < token.expires_at && !self.ended.contains(&token.id)
    }

    fn live(&self, presented: &Presented) -> BTreeSet<SessionId> {
        presented.tokens().filter(|token| self.is_live(token)).map(|token| token.id).collect()
    }

    fn send(&mut self, tab: Option<usize>, plan: Plan) {
        let cookies = self.cookies();
        let named = tab.map(|back| nth(&self.known, back));
        let presented = Presented::read(cookies.as_deref());
        let live = self.live(&presented);
        let expected = select(&presented, named, &live);
        let (flight, given) = Flight::open(&self.layer, cookies.as_deref(), named);
        assert_eq!(given.kind, expected.err().unwrap_or(SessionStatusKind::SignedIn));
        let person = |id| (id, self.people[&id]);
        assert_eq!(given.session, expected.ok().map(person), "named {named:?}");
        let acting = expected.ok();
        // Only what the choice needs is looked at now, the rest when it is asked for.
        let former = presented.only.map(|token| token.id);
        let chosen = match (named, presented.pointer) {
            (Some(id), _) => Some(id),
            (None, Pointer::Session(id)) if acting.is_some() => Some(id),
            (None, Pointer::Absent) if acting.is_some() && acting == former => acting,
            _ => None,
        };
        let looked_at: BTreeSet<_> = match chosen {
            // What is not under its own name may be under the former one.
            Some(id) if acting.is_some() && presented.slots.contains_key(&id) => [id].into(),
            Some(id) => former.into_iter().chain([id]).collect(),
            None => presented.tokens().map(|token| token.id).collect(),
        };
        let fixed = live.intersection(&looked_at).copied().collect();
        self.requests.push(Request {
            flight,
            plan,
            opened: self.now,
            presented,
            acting,
            fixed,
            open: live,
            looked_at,
        });
    }

    fn handle(&mut self, request: Request) -> HeaderMap {
        let Request { flight, plan, opened, presented, acting, fixed, open, looked_at } = request;
        let meant = |back| nth(&self.known, back);
        let verb = match plan {
            Plan::Look => Verb::Look,
            Plan::List => Verb::List,
            Plan::SignIn(person) => Verb::SignIn(person),
            Plan::Switch(back) => Verb::Switch(meant(back)),
            Plan::SignOut => Verb::SignOut,
            Plan::SignOutSession(back) => Verb::SignOutSession(meant(back)),
            Plan::SignOutAll => Verb::SignOutAll,
        };
        // Cookies that are looked at now are judged by the time it is now.
        let lives =
            |id: &SessionId| presented.tokens().any(|t| t.id == *id && self.now < t.expires_at);
        let later = open.difference(&self.ended).copied().filter(lives);
        let view: BTreeSet<_> = fixed.into_iter().chain(later).collect();
        let ended_before = self.ended.clone();
        let (said, headers) = flight.handle(verb);
        let written = Written::read(&headers, self.now);

        // Whoever is signed out is so with every session that the browser has of them.
        let whole_person = |id: SessionId| {
            let people = &self.people;
            view.iter().copied().filter(move |other| people[other] == people[&id])
        };
        // What the verb does, and what it makes of the pointer.
        let mut ends = BTreeSet::new();
        let mut signed_in = None;
        let mut pointer = None;
        let mut displaced = false;
        match (verb, &said) {
            (Verb::Look, Said::Nothing) => {}
            (Verb::List, Said::Accounts(accounts)) => {
                // Of a person's sessions the acting one is shown, else the newest.
                let rank = |id: &SessionId| {
                    let token = presented.tokens().find(|token| token.id == *id).unwrap();
                    (acting == Some(*id), token.signed_in_at, *id)
                };
                let mut shown = BTreeMap::new();
                for id in &view {
                    let best = shown.entry(self.people[id]).or_insert_with(|| rank(id));
                    *best = rank(id).max(*best);
                }
                let shown: BTreeSet<_> = shown.values().map(|(.., id)| *id).collect();
                assert_eq!(accounts.len(), shown.len());
                assert_eq!(accounts.iter().copied().collect::<BTreeSet<_>>(), shown);
            }
            // Over before its response is ready: that is replaced, and nothing has changed.
            (Verb::SignIn(_), Said::SignedIn(Ok(_))) if self.now >= opened + INACTIVITY => {}
            (Verb::SignIn(person), Said::SignedIn(Ok(outcome))) => {
                let is_same = |id: &&SessionId| self.people[id] == person;
                let same: BTreeSet<_> = view.iter().filter(is_same).copied().collect();
                let rest: BTreeSet<_> = view.difference(&same).copied().collect();
                assert!(!self.people.contains_key(&outcome.session_id), "a new id");
                assert_eq!(outcome.replaced.is_some(), !same.is_empty());
                assert!(outcome.replaced.is_none_or(|id| same.contains(&id)));
                let out: BTreeSet<_> = outcome.made_room.iter().copied().collect();
                assert!(out.is_subset(&rest));
                assert_eq!(out.len(), (rest.len() + 1).saturating_sub(self.max));
                let activity = |id: &SessionId| {
                    let token = presented.tokens().find(|token| token.id == *id);
                    (acting == Some(*id), token.map(|token| token.issued_at))
                };
                let stays = rest.difference(&out).map(activity).min();
                assert!(stays.is_none() || out.iter().map(activity).max() <= stays);
                ends.extend(same);
                ends.extend(out);
                signed_in = Some((outcome.session_id, person));
                pointer = Some(outcome.session_id.to_string());
            }
            (Verb::SignIn(person), Said::SignedIn(Err(SignInError::TooManyAccounts { most }))) => {
                let others = view.iter().filter(|id| self.people[id] != person).count();
                assert_eq!((self.policy, *most), (AccountLimitPolicy::Refuse, self.max));
                assert!(others + 1 > self.max);
            }
            (Verb::Switch(id), Said::Switched(done)) => {
                assert_eq!(*done, view.contains(&id));
                if *done {
                    pointer = Some(id.to_string());
                    displaced = acting != Some(id);
                }
            }
            (Verb::SignOut, Said::SignedOut(out)) => {
                assert_eq!(out.iter().copied().next(), acting);
                ends.extend(acting.into_iter().flat_map(whole_person));
            }
            (Verb::SignOutSession(id), Said::SignedOut(out)) => {
                assert_eq!(out.first(), view.get(&id));
                ends.extend(view.get(&id).copied().into_iter().flat_map(whole_person));
            }
            (Verb::SignOutAll, Said::SignedOut(out)) => {
                ends.extend(&view);
                assert_eq!(out.iter().copied().collect::<BTreeSet<_>>(), ends);
            }
            _ => panic!("{verb:?} {said:?}"),
        }
        self.ended.extend(&ends);
        let clears = matches!(verb, Verb::SignOutAll);
        if matches!(said, Said::SignedOut(_)) && (clears || !ends.is_empty()) {
            let was_active = match presented.pointer {
                Pointer::Session(id) => ends.contains(&id),
                Pointer::Absent => acting.is_none_or(|id| ends.contains(&id)),
                Pointer::Nobody => false,
            };
            let had_any =
                presented.pointer != Pointer::Absent || presented.tokens().next().is_some();
            if (clears && had_any) || (!clears && was_active) {
                pointer = Some("none".to_owned());
            }
        }
        assert_eq!(written.pointer, pointer, "{verb:?} {said:?} {:?}", presented.pointer);

        // At most one token goes out: the new session's, or the next one of the acting session.
        let mut expected = Vec::new();
        if let Some((id, person)) = signed_in {
            self.known.push(id);
            self.people.insert(id, person);
            self.newest.insert(id, opened);
            expected.push((
                slot(id),
                Token {
                    id,
                    person,
                    signed_in_at: opened,
                    issued_at: opened,
                    expires_at: opened + INACTIVITY,
                },
            ));
        } else if let Some(id) = acting
            && !displaced
            && !self.ended.contains(&id)
            && opened >= self.newest[&id]
        {
            let token = *presented.tokens().find(|token| token.id == id).unwrap();
            if opened - token.issued_at >= RENEWAL {
                self.newest.insert(id, opened);
                let expires_at = (opened + INACTIVITY).min(token.signed_in_at + LIFETIME);
                expected.push((slot(id), Token { issued_at: opened, expires_at, ..token }));
            }
        }
        // What has run out while the handler was slow is no cookie any more.
        expected.retain(|(_, token)| self.now < token.expires_at);
        let moves = |id| signed_in.is_none() && expected.iter().any(|(_, token)| token.id == id);
        assert_eq!(written.set, expected, "{verb:?}");

        // Nobody loses a session that lives.
        for token in presented.tokens() {
            let is_only = presented.only == Some(*token);
            let name = if is_only { COOKIE.to_owned() } else { slot(token.id) };
            let is_over = ended_before.contains(&token.id);
            let removed = written.removed.contains(&name);
            if ends.contains(&token.id)
                || clears
                || (is_only && moves(token.id))
                || (is_over
                    && acting != Some(token.id)
                    && looked_at.contains(&token.id)
                    && !open.contains(&token.id))
            {
                assert!(removed, "{name} stays");
            } else if removed && !is_over {
                assert!(self.now >= token.expires_at, "{name} goes");
                let newest = self.newest[&token.id];
                assert!(self.now.saturating_sub(newest) >= RENEWAL, "{name} was just renewed");
            }
        }
        for name in &written.removed {
            let is_slot = presented.slots.keys().any(|id| slot(*id) == *name);
            assert!(
                is_slot || (presented.only.is_some() && name == COOKIE),
                "{name} goes, which was not there"
            );
        }
        headers
    }

    fn deliver(&mut self, headers: &HeaderMap) {
        // `Max-Age` counts from when a response arrives: written when it was closed, or before.
        self.browser.store("https", "app.example.com", "/", headers);
        for set in headers.get_all(header::SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if name == format!("{COOKIE}.active") {
                self.pointer = match value {
                    "" => Pointer::Absent,
                    "none" => Pointer::Nobody,
                    id => Pointer::Session(id.parse().unwrap()),
                };
            }
            let header = self.cookies().unwrap_or_default();
            assert_eq!(header.split("; ").any(|found| found == pair), !value.is_empty(), "{set:?}");
        }
    }

    /// What a request would be served as now, without sending one.
    fn check(&mut self) {
        let cookies = self.cookies();
        let presented = Presented::read(cookies.as_deref());
        assert_eq!(presented.pointer, self.pointer, "the last one delivered");
        let live = self.live(&presented);
        let served = select(&presented, None, &live);
        if self.forbids_promotion && self.choosing {
            let pointed = served.ok().map(Pointer::Session);
            assert!(
                pointed.is_none_or(|pointed| pointed == self.pointer),
                "nobody chose {pointed:?}"
            );
        }
        self.choosing = served == Err(SessionStatusKind::AccountSelectionRequired);
        let newest = self.known.iter().rev().take(2).copied().map(Some);
        for named in newest.chain([None]) {
            let request = request(cookies.as_deref(), named);
            let now = Timestamp::from_unix_seconds(self.now);
            let jar = self.layer.engine().open(&request, now);
            let expected = select(&presented, named, &live);
            let served = jar.session();
            assert_eq!(served.as_ref().map(|session| session.id()), expected.ok());
            if let Some((id, person)) = served.as_ref().map(owner) {
                assert!(!self.ended.contains(&id), "signed out");
                assert!(named.is_none_or(|named| named == id), "another account");
                assert_eq!(self.people[&id], person);
            }
        }
    }
}
