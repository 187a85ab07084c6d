//! One request after the other, with multi-session enabled and disabled in between. This model has no
//! cookies, only the accounts and the active one; the browser must agree after each step.

use proptest::prelude::*;
use tower_auth_session::{
    SessionId, SessionLayer,
    engine::SessionStatusKind,
    testing::{ManualClock, SeededRandom},
};

use super::{
    INACTIVITY, LIFETIME, PlannedAction, RENEWAL,
    harness::{
        Action, ActionResult, ActiveCookie, HandlerInput, OpenRequest, RequestCookies,
        ResponseCookies,
    },
    nth, pauses, planned_actions, run, tabs,
};
use crate::support::{START, User, engine_builder, layer_on, seconds, user_agent::UserAgent};

const MAX: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    Request(Option<usize>, PlannedAction),
    Wait(u64),
    /// The service is restarted with multi-session enabled or disabled.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (tabs(), planned_actions()).prop_map(|(tab, plan)| Step::Request(tab, plan)),
        4 => pauses().prop_map(Step::Wait),
        2 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

#[test]
fn sequential_requests_agree_with_the_model() {
    run(2_000, 2, &(any::<bool>(), steps()), |(multi_session, steps)| {
        let mut model = Model::new(multi_session);
        for step in steps {
            model.step(step);
            model.check();
        }
    });
}

#[derive(Debug, Clone, Copy)]
struct Account {
    id: SessionId,
    owner_index: usize,
    signed_in_at: u64,
    active_at: u64,
    /// Whether the session is in the single-account cookie.
    is_only: bool,
}

struct Model {
    layer: SessionLayer<User>,
    clock: ManualClock,
    now: u64,
    multi_session: bool,
    starts: u64,
    browser: UserAgent,
    started: Vec<SessionId>,
    accounts: Vec<Account>,
    active: ActiveCookie,
}

impl Model {
    fn new(multi_session: bool) -> Self {
        let (layer, clock) = start(multi_session, 0);
        Self {
            layer,
            clock,
            now: START,
            multi_session,
            starts: 1,
            browser: UserAgent::default(),
            started: Vec::new(),
            accounts: Vec::new(),
            active: ActiveCookie::Absent,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait(pause) => {
                self.now += pause;
                self.clock.advance(seconds(pause));
                self.browser.now += i64::try_from(pause).unwrap();
                let now = self.now;
                self.accounts.retain(|account| now < account.expires_at());
            }
            Step::Restart => {
                self.multi_session = !self.multi_session;
                (self.layer, self.clock) = start(self.multi_session, self.starts);
                self.clock.advance(seconds(self.now - START));
                self.starts += 1;
            }
            Step::Request(tab, plan) => self.request(tab, plan),
        }
    }

    fn find(&self, id: SessionId) -> Option<SessionId> {
        self.accounts.iter().find(|account| account.id == id).map(|account| account.id)
    }

    /// The session that a request must get, or the status without one.
    fn current(&self, session_header: Option<SessionId>) -> Result<SessionId, SessionStatusKind> {
        if let (true, Some(id)) = (self.multi_session, session_header) {
            return self.find(id).ok_or(SessionStatusKind::SessionMismatch);
        }
        let former = self.accounts.iter().find(|account| account.is_only).map(|found| found.id);
        let active = match self.active {
            ActiveCookie::Session(id) => self.find(id),
            _ => None,
        };
        let only_account = match self.accounts[..] {
            [account] => Some(account.id),
            _ => None,
        };
        let current = if !self.multi_session {
            former.or(active).or(only_account)
        } else if self.active == ActiveCookie::Absent {
            former.or(only_account)
        } else {
            active
        };
        current.ok_or(if self.multi_session && !self.accounts.is_empty() {
            SessionStatusKind::AccountSelectionRequired
        } else {
            SessionStatusKind::SignedOut
        })
    }

    fn request(&mut self, tab: Option<usize>, plan: PlannedAction) {
        let nth_session = |back| nth(&self.started, back);
        let session_header = tab.map(nth_session);
        let action = match plan {
            PlannedAction::ReadSession => Action::ReadSession,
            PlannedAction::List => Action::List,
            PlannedAction::SignIn(owner_index) => Action::SignIn(owner_index),
            PlannedAction::Switch(back) => Action::Switch(nth_session(back)),
            PlannedAction::SignOut => Action::SignOut,
            PlannedAction::SignOutSession(back) => Action::SignOutSession(nth_session(back)),
            PlannedAction::SignOutAll => Action::SignOutAll,
        };
        let current = self.current(session_header);
        let cookies = self.browser.header("https", "app.example.com", "/");
        let (open_request, input) =
            OpenRequest::open(&self.layer, cookies.as_deref(), session_header);
        let expected = HandlerInput {
            kind: current.err().unwrap_or(SessionStatusKind::SignedIn),
            session: current.ok().map(|id| (id, self.owner_index(id))),
        };
        assert_eq!(input, expected, "session-id: {session_header:?}");
        let (result, headers) = open_request.handle(action);
        ResponseCookies::read(&headers, self.now);
        self.browser.store("https", "app.example.com", "/", &headers);
        self.apply(action, &result, current.ok());
    }

    fn owner_index(&self, id: SessionId) -> usize {
        self.accounts.iter().find(|account| account.id == id).unwrap().owner_index
    }

    /// Applies an action to the model.
    fn apply(&mut self, action: Action, result: &ActionResult, current: Option<SessionId>) {
        let renews = match (action, result) {
            (Action::ReadSession, ActionResult::Nothing) => true,
            (Action::List, ActionResult::Accounts(listed)) => {
                let sorted = |mut ids: Vec<SessionId>| {
                    ids.sort_unstable();
                    ids
                };
                let all = self.accounts.iter().map(|account| account.id).collect();
                assert_eq!(sorted(listed.clone()), sorted(all));
                true
            }
            (Action::SignIn(owner_index), ActionResult::SignedIn(Ok(outcome))) => {
                let replaced: Vec<_> = self
                    .accounts
                    .iter()
                    .filter(|account| !self.multi_session || account.owner_index == owner_index)
                    .map(|account| account.id)
                    .collect();
                assert_eq!(outcome.replaced.is_some(), !replaced.is_empty());
                assert!(outcome.replaced.is_none_or(|id| replaced.contains(&id)));
                self.accounts.retain(|account| !replaced.contains(&account.id));
                let rank = |account: &Account| (current == Some(account.id), account.active_at);
                for id in &outcome.evicted {
                    assert!(self.multi_session && self.accounts.len() >= MAX);
                    let least = self.accounts.iter().map(rank).min();
                    let removed =
                        self.accounts.iter().position(|account| account.id == *id).unwrap();
                    assert_eq!(Some(rank(&self.accounts.remove(removed))), least);
                }
                let id = outcome.session_id;
                self.started.push(id);
                self.accounts.push(Account {
                    id,
                    owner_index,
                    signed_in_at: self.now,
                    active_at: self.now,
                    is_only: !self.multi_session,
                });
                self.active = if self.multi_session {
                    ActiveCookie::Session(id)
                } else {
                    ActiveCookie::Absent
                };
                assert!(self.accounts.len() <= if self.multi_session { MAX } else { 1 });
                false
            }
            (Action::Switch(id), ActionResult::Switched(done)) => {
                let is_allowed =
                    if self.multi_session { self.find(id).is_some() } else { current == Some(id) };
                assert_eq!(*done, is_allowed);
                if self.multi_session && is_allowed {
                    self.active = ActiveCookie::Session(id);
                }
                !is_allowed || current == Some(id)
            }
            (Action::SignOut, ActionResult::SignedOut(_)) => {
                if self.multi_session {
                    self.revoke(current, current);
                } else {
                    self.revoke_all();
                }
                true
            }
            (Action::SignOutSession(id), ActionResult::SignedOut(removed)) => {
                let nth_session = self.find(id);
                assert_eq!(removed.is_empty(), nth_session.is_none());
                if !self.multi_session && nth_session.is_some() && nth_session == current {
                    self.revoke_all();
                } else if self.multi_session {
                    self.revoke(nth_session, current);
                } else if let Some(id) = nth_session {
                    self.accounts.retain(|account| account.id != id);
                }
                true
            }
            (Action::SignOutAll, ActionResult::SignedOut(removed)) => {
                assert_eq!(removed.len(), self.accounts.len());
                self.revoke_all();
                true
            }
            _ => panic!("{action:?} {result:?}"),
        };
        let (now, multi_session) = (self.now, self.multi_session);
        if let Some(account) = self.accounts.iter_mut().find(|account| current == Some(account.id))
            && renews
            && now - account.active_at >= RENEWAL
        {
            account.active_at = now;
            account.is_only = !multi_session;
        }
    }

    fn revoke_all(&mut self) {
        let had_cookies = !self.accounts.is_empty() || self.active != ActiveCookie::Absent;
        self.accounts.clear();
        self.active = if self.multi_session && had_cookies {
            ActiveCookie::None
        } else {
            ActiveCookie::Absent
        };
    }

    fn revoke(&mut self, revoked: Option<SessionId>, current: Option<SessionId>) {
        let Some(id) = revoked else { return };
        self.accounts.retain(|account| account.id != id);
        if self.active == ActiveCookie::Session(id)
            || (self.active == ActiveCookie::Absent && (current.is_none() || current == revoked))
        {
            self.active = ActiveCookie::None;
        }
    }

    /// Checks that the browser has the same sessions as the model, and no other cookies.
    fn check(&self) {
        let cookies = self.browser.header("https", "app.example.com", "/");
        let request_cookies = RequestCookies::read(cookies.as_deref());
        let mut tokens: Vec<_> =
            request_cookies.slots.values().map(|token| (false, token)).collect();
        tokens.extend(request_cookies.only.iter().map(|token| (true, token)));
        assert_eq!(tokens.len(), self.accounts.len(), "{tokens:?}\n{:?}", self.accounts);
        for (is_only, token) in tokens {
            let account = self.accounts.iter().find(|account| account.id == token.id).unwrap();
            let expected = (account.is_only, account.owner_index, account.expires_at());
            assert_eq!((is_only, token.owner_index, token.expires_at), expected);
        }
        assert_eq!(request_cookies.active_cookie, self.active);
    }
}

impl Account {
    fn expires_at(&self) -> u64 {
        (self.active_at + INACTIVITY).min(self.signed_in_at + LIFETIME)
    }
}

/// A restarted service with the same keys and no memory of the previous one.
fn start(multi_session: bool, seed: u64) -> (SessionLayer<User>, ManualClock) {
    let (builder, _) = engine_builder();
    let builder = builder.multi_session(multi_session).max_sessions_per_browser(MAX);
    layer_on(builder.random(SeededRandom::new(1_000 + seed)))
}
