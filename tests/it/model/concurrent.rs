//! Overlapping requests: opened, handled and delivered in any order, with responses that are lost.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderMap, header};
use proptest::prelude::*;
use tower_auth_session::{
    SessionId, SessionLayer, SignIn,
    config::AccountLimitPolicy,
    engine::SessionStatusKind,
    error::SignInError,
    testing::{ManualClock, SeededRandom, cookie_of},
    time::Timestamp,
};

use super::{
    INACTIVITY, LIFETIME, PlannedAction, RENEWAL, USERS,
    harness::{
        Action, ActionResult, ActiveCookie, OpenRequest, RequestCookies, ResponseCookies, Token,
        owner, request, slot,
    },
    nth, pauses, planned_actions, run, tabs,
};
use crate::support::{
    COOKIE, START, User, engine_builder, layer_on, seconds, subject, user, user_agent::UserAgent,
};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A tab sends a request, which is opened.
    Send(Option<usize>, PlannedAction),
    /// One of the open requests is handled, and its response closed.
    Handle(usize),
    /// One of the responses arrives.
    Deliver(usize),
    /// One of the responses is lost.
    Lose(usize),
    /// The browser gives up on a request before it is handled.
    Drop(usize),
    /// A request is sent, handled and its response delivered.
    Complete(Option<usize>, PlannedAction),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (tabs(), planned_actions()).prop_map(|(tab, plan)| Step::Complete(tab, plan)),
        4 => (tabs(), planned_actions()).prop_map(|(tab, plan)| Step::Send(tab, plan)),
        4 => (0_usize..4).prop_map(Step::Handle),
        4 => (0_usize..4).prop_map(Step::Deliver),
        1 => (0_usize..4).prop_map(Step::Lose),
        1 => (0_usize..4).prop_map(Step::Drop),
        3 => pauses().prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 8..48)
}

/// The maximum number of accounts, the policy above it, and whether the browser has a session from
/// the time before multi-session was enabled.
fn settings() -> impl Strategy<Value = (usize, AccountLimitPolicy, bool)> {
    use AccountLimitPolicy::{Refuse, SignOutLeastRecentlyActive};
    (
        2_usize..5,
        prop_oneof![3 => Just(SignOutLeastRecentlyActive), 1 => Just(Refuse)],
        any::<bool>(),
    )
}

#[test]
fn overlapping_requests_agree_with_the_model() {
    run(2_500, 1, &(settings(), steps()), |(settings, steps)| {
        Model::new(settings).run_steps(steps)
    });
}

#[test]
fn overlapping_requests_never_activate_an_account_by_themselves() {
    run(2_500, 3, &(settings(), steps()), |(settings, steps)| {
        let mut model = Model::new(settings);
        model.forbids_implicit_activation = true;
        model.run_steps(steps);
    });
}

#[test]
fn request_longer_than_a_session_does_not_list_a_signed_out_account() {
    let mut model = Model::new((2, AccountLimitPolicy::default(), true));
    model.drops_slow_requests = false;
    model.run_steps(vec![
        Step::Complete(None, PlannedAction::SignIn(2)),
        Step::Send(None, PlannedAction::SignIn(0)),
        Step::Send(Some(1), PlannedAction::List),
        Step::Complete(None, PlannedAction::SignOut),
        Step::Wait(110),
        Step::Handle(0),
        Step::Handle(0),
    ]);
}

/// The model of a request that was opened and not yet handled.
struct Request {
    open_request: OpenRequest,
    plan: PlannedAction,
    opened: u64,
    cookies_sent: RequestCookies,
    current: Option<SessionId>,
    /// The session that the request selects, valid or not.
    selected: Option<SessionId>,
    /// The sessions that the request has verified and keeps, whatever happens until it is handled.
    verified: BTreeSet<SessionId>,
    /// The sessions that are valid unless that changes until the request is handled.
    valid_when_opened: BTreeSet<SessionId>,
    /// The sessions whose cookies were read when the request was opened.
    read_when_opened: BTreeSet<SessionId>,
}

struct Model {
    layer: SessionLayer<User>,
    clock: ManualClock,
    now: u64,
    forbids_implicit_activation: bool,
    /// Drops requests that take as long as a session's inactivity timeout.
    drops_slow_requests: bool,
    /// Whether an account selection was required after the last step.
    selection_required: bool,
    max: usize,
    policy: AccountLimitPolicy,
    browser: UserAgent,
    requests: Vec<Request>,
    responses: Vec<HeaderMap>,
    /// Every session that was ever started, and its owner.
    started: Vec<SessionId>,
    owners: BTreeMap<SessionId, usize>,
    revoked: BTreeSet<SessionId>,
    /// When the latest token of a session was issued.
    latest_token: BTreeMap<SessionId, u64>,
    /// The active-account cookie of the last response that set one.
    active_cookie: ActiveCookie,
}

/// The session that a request must get.
fn select(
    cookies_sent: &RequestCookies,
    session_header: Option<SessionId>,
    valid: &BTreeSet<SessionId>,
) -> Result<SessionId, SessionStatusKind> {
    if let Some(id) = session_header {
        return valid.get(&id).copied().ok_or(SessionStatusKind::SessionMismatch);
    }
    let former = cookies_sent.only.and_then(|token| valid.get(&token.id).copied());
    let active = match cookies_sent.active_cookie {
        ActiveCookie::Session(id) => valid.get(&id).copied(),
        ActiveCookie::None => None,
        ActiveCookie::Absent if former.is_some() => former,
        ActiveCookie::Absent if valid.len() == 1 => valid.first().copied(),
        ActiveCookie::Absent => None,
    };
    let without_session = if valid.is_empty() {
        SessionStatusKind::SignedOut
    } else {
        SessionStatusKind::AccountSelectionRequired
    };
    active.ok_or(without_session)
}

impl Model {
    fn new((max, policy, is_upgraded): (usize, AccountLimitPolicy, bool)) -> Self {
        let (builder, _) = engine_builder();
        let builder = builder.multi_session(true).max_sessions_per_browser(max);
        let (layer, clock) = layer_on(builder.account_limit_policy(policy));
        let mut model = Self {
            layer,
            clock,
            now: START,
            forbids_implicit_activation: false,
            drops_slow_requests: true,
            selection_required: false,
            max,
            policy,
            browser: UserAgent::default(),
            requests: Vec::new(),
            responses: Vec::new(),
            started: Vec::new(),
            owners: BTreeMap::new(),
            revoked: BTreeSet::new(),
            latest_token: BTreeMap::new(),
            active_cookie: ActiveCookie::Absent,
        };
        if is_upgraded {
            model.add_former_session();
        }
        model
    }

    /// Gives the browser a session of Ada from the time before multi-session was enabled.
    fn add_former_session(&mut self) {
        let former = engine_builder().0.random(SeededRandom::new(99)).build().unwrap();
        let ada = SignIn::new(subject(USERS[0]), user(USERS[0]));
        let cookie = cookie_of(&former, ada, Timestamp::from_unix_seconds(START)).unwrap();
        let text = cookie.to_str().unwrap();
        let set = format!("{text}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age={INACTIVITY}");
        let mut headers = HeaderMap::new();
        headers.insert(header::SET_COOKIE, set.parse().unwrap());
        self.deliver(&headers);
        let id = RequestCookies::read(Some(text)).only.unwrap().id;
        self.started.push(id);
        self.owners.insert(id, 0);
        // Another process issued it, so this one has no newer token.
        self.latest_token.insert(id, 0);
    }

    fn run_steps(&mut self, steps: Vec<Step>) {
        for step in steps {
            // Above this number some cookies of a request are not read.
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
            Step::Handle(index) if !self.requests.is_empty() && self.responses.len() < 4 => {
                let request = self.requests.remove(index % self.requests.len());
                if self.drops_slow_requests && self.now >= request.opened + INACTIVITY {
                    return;
                }
                let response = self.handle(request);
                self.responses.push(response);
            }
            Step::Deliver(index) if !self.responses.is_empty() => {
                let response = self.responses.remove(index % self.responses.len());
                self.deliver(&response);
            }
            Step::Lose(index) if !self.responses.is_empty() => {
                self.responses.remove(index % self.responses.len());
            }
            Step::Drop(index) if !self.requests.is_empty() => {
                self.requests.remove(index % self.requests.len());
            }
            Step::Complete(tab, plan) => {
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
        RequestCookies::read(self.cookies().as_deref()).tokens().count()
    }

    fn is_valid(&self, token: &Token) -> bool {
        self.now < token.expires_at && !self.revoked.contains(&token.id)
    }

    fn valid(&self, cookies_sent: &RequestCookies) -> BTreeSet<SessionId> {
        cookies_sent.tokens().filter(|token| self.is_valid(token)).map(|token| token.id).collect()
    }

    fn send(&mut self, tab: Option<usize>, plan: PlannedAction) {
        let cookies = self.cookies();
        let session_header = tab.map(|back| nth(&self.started, back));
        let cookies_sent = RequestCookies::read(cookies.as_deref());
        let valid = self.valid(&cookies_sent);
        let expected = select(&cookies_sent, session_header, &valid);
        let (open_request, input) =
            OpenRequest::open(&self.layer, cookies.as_deref(), session_header);
        assert_eq!(input.kind, expected.err().unwrap_or(SessionStatusKind::SignedIn));
        let with_owner = |id| (id, self.owners[&id]);
        assert_eq!(input.session, expected.ok().map(with_owner), "session-id: {session_header:?}");
        let current = expected.ok();
        // Opening reads only the cookies that the selection needs; the others are read on demand.
        let former = cookies_sent.only.map(|token| token.id);
        let chosen = match (session_header, cookies_sent.active_cookie) {
            (Some(id), _) => Some(id),
            (None, ActiveCookie::Session(id)) if current.is_some() => Some(id),
            (None, ActiveCookie::Absent) if current.is_some() && current == former => current,
            _ => None,
        };
        let read_when_opened: BTreeSet<_> = match chosen {
            // A session without its own cookie can be in the single-account cookie.
            Some(id) if current.is_some() && cookies_sent.slots.contains_key(&id) => [id].into(),
            Some(id) => former.into_iter().chain([id]).collect(),
            None => cookies_sent.tokens().map(|token| token.id).collect(),
        };
        let selected = session_header.or(match cookies_sent.active_cookie {
            ActiveCookie::Session(id) => Some(id),
            _ => None,
        });
        let verified = valid.intersection(&read_when_opened).copied().collect();
        self.requests.push(Request {
            open_request,
            plan,
            opened: self.now,
            cookies_sent,
            current,
            selected,
            verified,
            valid_when_opened: valid,
            read_when_opened,
        });
    }

    fn handle(&mut self, request: Request) -> HeaderMap {
        let Request {
            open_request,
            plan,
            opened,
            cookies_sent,
            current,
            selected,
            verified,
            valid_when_opened,
            read_when_opened,
        } = request;
        let nth_session = |back| nth(&self.started, back);
        let action = match plan {
            PlannedAction::ReadSession => Action::ReadSession,
            PlannedAction::List => Action::List,
            PlannedAction::SignIn(owner_index) => Action::SignIn(owner_index),
            PlannedAction::Switch(back) => Action::Switch(nth_session(back)),
            PlannedAction::SignOut => Action::SignOut,
            PlannedAction::SignOutSession(back) => Action::SignOutSession(nth_session(back)),
            PlannedAction::SignOutAll => Action::SignOutAll,
        };
        // Cookies that are read now are validated with the current time.
        let is_unexpired =
            |id: &SessionId| cookies_sent.tokens().any(|t| t.id == *id && self.now < t.expires_at);
        let read_now = valid_when_opened.difference(&self.revoked).copied().filter(is_unexpired);
        let visible: BTreeSet<_> = verified.into_iter().chain(read_now).collect();
        let mut revoked_before = self.revoked.clone();
        let (result, headers) = open_request.handle(action);
        let written = ResponseCookies::read(&headers, self.now);

        // Signing out of a session signs out of every session of its user in this browser.
        let sessions_of_owner = |id: SessionId| {
            let owners = &self.owners;
            visible.iter().copied().filter(move |other| owners[other] == owners[&id])
        };
        // The effect of the action, and the active-account cookie that it sets.
        let mut to_revoke = BTreeSet::new();
        let mut signed_in = None;
        let mut active_cookie = None;
        let mut switched_away = false;
        match (action, &result) {
            (Action::ReadSession, ActionResult::Nothing) => {}
            (Action::List, ActionResult::Accounts(accounts)) => {
                // Of a user's sessions the current one is listed, otherwise the newest.
                let rank = |id: &SessionId| {
                    let token = cookies_sent.tokens().find(|token| token.id == *id).unwrap();
                    (current == Some(*id), token.signed_in_at, *id)
                };
                let mut shown = BTreeMap::new();
                for id in &visible {
                    let best = shown.entry(self.owners[id]).or_insert_with(|| rank(id));
                    *best = rank(id).max(*best);
                }
                let shown: BTreeSet<_> = shown.values().map(|(.., id)| *id).collect();
                assert_eq!(accounts.len(), shown.len());
                assert_eq!(accounts.iter().copied().collect::<BTreeSet<_>>(), shown);
            }
            // Expired before its response is ready: the response is replaced, and nothing has changed.
            (Action::SignIn(_), ActionResult::SignedIn(Ok(_)))
                if self.now >= opened + INACTIVITY => {}
            (Action::SignIn(owner_index), ActionResult::SignedIn(Ok(outcome))) => {
                let is_same = |id: &&SessionId| self.owners[id] == owner_index;
                let replaced: BTreeSet<_> = visible.iter().filter(is_same).copied().collect();
                let others: BTreeSet<_> = visible.difference(&replaced).copied().collect();
                assert!(!self.owners.contains_key(&outcome.session_id), "a new id");
                assert_eq!(outcome.replaced.is_some(), !replaced.is_empty());
                assert!(outcome.replaced.is_none_or(|id| replaced.contains(&id)));
                let removed_ids: BTreeSet<_> = outcome.evicted.iter().copied().collect();
                assert!(removed_ids.is_subset(&others));
                assert_eq!(removed_ids.len(), (others.len() + 1).saturating_sub(self.max));
                let activity = |id: &SessionId| {
                    let token = cookies_sent.tokens().find(|token| token.id == *id);
                    (current == Some(*id), token.map(|token| token.issued_at))
                };
                let kept = others.difference(&removed_ids).map(activity).min();
                assert!(kept.is_none() || removed_ids.iter().map(activity).max() <= kept);
                to_revoke.extend(replaced);
                to_revoke.extend(removed_ids);
                signed_in = Some((outcome.session_id, owner_index));
                active_cookie = Some(outcome.session_id.to_string());
            }
            (
                Action::SignIn(owner_index),
                ActionResult::SignedIn(Err(SignInError::TooManyAccounts { max })),
            ) => {
                let others = visible.iter().filter(|id| self.owners[id] != owner_index).count();
                assert_eq!((self.policy, *max), (AccountLimitPolicy::Refuse, self.max));
                assert!(others + 1 > self.max);
            }
            (Action::Switch(id), ActionResult::Switched(done)) => {
                assert_eq!(*done, visible.contains(&id));
                if *done {
                    active_cookie = Some(id.to_string());
                    switched_away = current != Some(id);
                }
            }
            (Action::SignOut, ActionResult::SignedOut(removed_ids)) => {
                assert_eq!(removed_ids.iter().copied().next(), current);
                to_revoke.extend(current.into_iter().flat_map(sessions_of_owner));
                // A session whose token has expired is revoked too: a newer one may exist elsewhere.
                let is_sent = |id: &SessionId| cookies_sent.tokens().any(|it| it.id == *id);
                let expired = selected.filter(|id| current.is_none() && is_sent(id));
                if let Some(id) = expired.filter(|id| !valid_when_opened.contains(id)) {
                    self.revoked.insert(id);
                    revoked_before.insert(id);
                    // Unless a concurrent sign-out has revoked it before.
                    if written.active_cookie.as_deref() == Some("none") {
                        active_cookie = Some("none".to_owned());
                    }
                }
            }
            (Action::SignOutSession(id), ActionResult::SignedOut(removed_ids)) => {
                assert_eq!(removed_ids.first(), visible.get(&id));
                to_revoke.extend(visible.get(&id).copied().into_iter().flat_map(sessions_of_owner));
            }
            (Action::SignOutAll, ActionResult::SignedOut(removed_ids)) => {
                to_revoke.extend(&visible);
                assert_eq!(removed_ids.iter().copied().collect::<BTreeSet<_>>(), to_revoke);
            }
            _ => panic!("{action:?} {result:?}"),
        }
        self.revoked.extend(&to_revoke);
        let clears_all = matches!(action, Action::SignOutAll);
        if matches!(result, ActionResult::SignedOut(_)) && (clears_all || !to_revoke.is_empty()) {
            let removes_active = match cookies_sent.active_cookie {
                ActiveCookie::Session(id) => to_revoke.contains(&id),
                ActiveCookie::Absent => current.is_none_or(|id| to_revoke.contains(&id)),
                ActiveCookie::None => false,
            };
            let had_cookies = cookies_sent.active_cookie != ActiveCookie::Absent
                || cookies_sent.tokens().next().is_some();
            if (clears_all && had_cookies) || (!clears_all && removes_active) {
                active_cookie = Some("none".to_owned());
            }
        }
        // A sign-in applies the limits itself, and a sign-out of all leaves no session.
        if signed_in.is_none() && !clears_all {
            let live: Vec<_> = visible
                .difference(&self.revoked)
                .map(|id| *cookies_sent.tokens().find(|token| token.id == *id).unwrap())
                .filter(|token| self.now < token.expires_at)
                .collect();
            let beyond = self.beyond_limits(live);
            let name = |id: SessionId| match cookies_sent.slots.contains_key(&id) {
                true => slot(id),
                false => COOKIE.to_owned(),
            };
            let count = cookies_sent.slots.len() + usize::from(cookies_sent.only.is_some());
            // Two sessions of one user within the number are noticed when a token is first verified or
            // renewed.
            let is_noticed = beyond.iter().any(|(id, _)| written.removed.contains(&name(*id)));
            if count > self.max || is_noticed {
                let mut acting = match action {
                    Action::Switch(id) if active_cookie.is_some() => Some(id),
                    _ => current.filter(|id| !to_revoke.contains(id)),
                };
                for (id, kept) in beyond {
                    to_revoke.insert(id);
                    self.revoked.insert(id);
                    acting = acting.filter(|acting| *acting != id);
                    let was_active = match (&active_cookie, cookies_sent.active_cookie) {
                        (Some(active), _) => *active == id.to_string(),
                        (None, ActiveCookie::Session(active)) => active == id,
                        (None, ActiveCookie::Absent) => acting.is_none(),
                        (None, ActiveCookie::None) => false,
                    };
                    if was_active {
                        active_cookie =
                            Some(kept.map_or_else(|| "none".to_owned(), |id| id.to_string()));
                    }
                }
            }
        }
        assert_eq!(
            written.active_cookie, active_cookie,
            "{action:?} {result:?} {:?}",
            cookies_sent.active_cookie
        );

        // A response carries at most one token: of the new session, or a renewal of the current one.
        let mut expected = Vec::new();
        if let Some((id, owner_index)) = signed_in {
            self.started.push(id);
            self.owners.insert(id, owner_index);
            self.latest_token.insert(id, opened);
            expected.push((
                slot(id),
                Token {
                    id,
                    owner_index,
                    signed_in_at: opened,
                    issued_at: opened,
                    expires_at: opened + INACTIVITY,
                },
            ));
        } else if let Some(id) = current
            && !switched_away
            && !self.revoked.contains(&id)
            && opened >= self.latest_token[&id]
        {
            let token = *cookies_sent.tokens().find(|token| token.id == id).unwrap();
            if opened - token.issued_at >= RENEWAL {
                self.latest_token.insert(id, opened);
                let expires_at = (opened + INACTIVITY).min(token.signed_in_at + LIFETIME);
                expected.push((slot(id), Token { issued_at: opened, expires_at, ..token }));
            }
        }
        // A token that expired while the handler ran is not sent.
        expected.retain(|(_, token)| self.now < token.expires_at);
        let is_moved = |id| signed_in.is_none() && expected.iter().any(|(_, token)| token.id == id);
        assert_eq!(written.set, expected, "{action:?}");

        // No cookie of a valid session is removed.
        for token in cookies_sent.tokens() {
            let is_only = cookies_sent.only == Some(*token);
            let name = if is_only { COOKIE.to_owned() } else { slot(token.id) };
            let was_revoked = revoked_before.contains(&token.id);
            let removed = written.removed.contains(&name);
            if to_revoke.contains(&token.id)
                || clears_all
                || (is_only && is_moved(token.id))
                || (was_revoked
                    && current != Some(token.id)
                    && read_when_opened.contains(&token.id)
                    && !valid_when_opened.contains(&token.id))
            {
                assert!(removed, "{name} is kept");
            } else if removed && !was_revoked {
                assert!(self.now >= token.expires_at, "{name} is removed");
                let latest_token = self.latest_token[&token.id];
                assert!(
                    self.now.saturating_sub(latest_token) >= RENEWAL,
                    "{name} was just renewed"
                );
            }
        }
        for name in &written.removed {
            let is_slot = cookies_sent.slots.keys().any(|id| slot(*id) == *name);
            assert!(
                is_slot || (cookies_sent.only.is_some() && name == COOKIE),
                "{name} is removed, but was not sent"
            );
        }
        headers
    }

    /// The sessions of `live` that exceed the limits, and for those of a user with a newer session that
    /// session.
    fn beyond_limits(&self, mut live: Vec<Token>) -> Vec<(SessionId, Option<SessionId>)> {
        live.sort_by_key(|token| std::cmp::Reverse((token.signed_in_at, token.id)));
        let (mut beyond, mut accounts) = (Vec::new(), Vec::<SessionId>::new());
        for Token { id, .. } in live {
            match accounts.iter().find(|kept| self.owners[*kept] == self.owners[&id]) {
                Some(kept) => beyond.push((id, Some(*kept))),
                None => accounts.push(id),
            }
        }
        if self.policy == AccountLimitPolicy::Refuse {
            accounts.reverse();
        }
        beyond.extend(accounts.into_iter().skip(self.max).map(|id| (id, None)));
        beyond
    }

    fn deliver(&mut self, headers: &HeaderMap) {
        // `Max-Age` counts from the delivery of a response.
        self.browser.store("https", "app.example.com", "/", headers);
        for set in headers.get_all(header::SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if name == format!("{COOKIE}.active") {
                self.active_cookie = match value {
                    "" => ActiveCookie::Absent,
                    "none" => ActiveCookie::None,
                    id => ActiveCookie::Session(id.parse().unwrap()),
                };
            }
            let header = self.cookies().unwrap_or_default();
            assert_eq!(header.split("; ").any(|found| found == pair), !value.is_empty(), "{set:?}");
        }
    }

    /// Checks the session that a request would get now, without sending one.
    fn check(&mut self) {
        let cookies = self.cookies();
        let cookies_sent = RequestCookies::read(cookies.as_deref());
        assert_eq!(cookies_sent.active_cookie, self.active_cookie, "the last one delivered");
        let valid = self.valid(&cookies_sent);
        let session = select(&cookies_sent, None, &valid);
        if self.forbids_implicit_activation && self.selection_required {
            let active = session.ok().map(ActiveCookie::Session);
            assert!(
                active.is_none_or(|active| active == self.active_cookie),
                "no request activated {active:?}"
            );
        }
        self.selection_required = session == Err(SessionStatusKind::AccountSelectionRequired);
        let latest_sessions = self.started.iter().rev().take(2).copied().map(Some);
        for session_header in latest_sessions.chain([None]) {
            let request = request(cookies.as_deref(), session_header);
            let now = Timestamp::from_unix_seconds(self.now);
            let jar = self.layer.engine().open(&request, now);
            let expected = select(&cookies_sent, session_header, &valid);
            let found = jar.session();
            assert_eq!(found.as_ref().map(|session| session.id()), expected.ok());
            if let Some((id, owner_index)) = found.as_ref().map(owner) {
                assert!(!self.revoked.contains(&id), "signed out");
                assert!(
                    session_header.is_none_or(|session_header| session_header == id),
                    "another account"
                );
                assert_eq!(self.owners[&id], owner_index);
            }
        }
    }
}
