//! Concurrent requests of one browser: on several threads, in every interleaving of two and all at once,
//! with responses that are delivered in every order or lost. After each delivery
//!
//! 1. no cookie of a revoked session is accepted, and each is removed when it is first presented;
//! 2. every session that is not revoked and whose cookie was delivered is accepted as itself;
//! 3. the active-account cookie is the last one delivered, and no other account is active.

mod harness;

use std::collections::BTreeSet;

use http::HeaderMap;
use tower_auth_session::SessionId;

use self::harness::{
    ACTIVE_COOKIE, Action, PlannedRequest, Server, active_cookie_of, at_once, close, run,
    session_cookies, with_header, without_header,
};
use crate::support::Browser;

type Steps = [(usize, Step); 4];

/// How two requests overlap: which handler runs and which response is closed, in turn.
const INTERLEAVINGS: [Steps; 6] = {
    use Step::{Close, Run};
    [
        [(0, Run), (0, Close), (1, Run), (1, Close)],
        [(0, Run), (1, Run), (0, Close), (1, Close)],
        [(0, Run), (1, Run), (1, Close), (0, Close)],
        [(1, Run), (1, Close), (0, Run), (0, Close)],
        [(1, Run), (0, Run), (1, Close), (0, Close)],
        [(1, Run), (0, Run), (0, Close), (1, Close)],
    ]
};

/// The number of rounds in which requests race without being held.
const ROUNDS: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Run,
    Close,
}

/// A server, a browser, and the responses that were delivered to it, in order.
struct Delivery<'s> {
    server: &'s Server,
    browser: Browser,
    /// The indexes of the delivered responses.
    delivered: Vec<usize>,
    responses: &'s [HeaderMap],
    /// How two requests overlapped, if that is known.
    steps: Option<Steps>,
}

impl Delivery<'_> {
    /// Whether all responses were delivered.
    fn is_complete(&self) -> bool {
        self.delivered.len() == self.responses.len()
    }

    /// Whether the handler of the second request ran before the response to the first was closed.
    fn second_ran_before_first_closed(&self) -> bool {
        let position = |step| self.steps.and_then(|steps| steps.iter().position(|it| *it == step));
        position((1, Step::Run)).is_some_and(|ran| Some(ran) < position((0, Step::Close)))
    }

    fn active(&self) -> Option<&str> {
        self.browser.cookies.get(ACTIVE_COOKIE).map(String::as_str)
    }

    fn has_cookie(&self, id: SessionId) -> bool {
        session_cookies(&self.browser).any(|found| found == id)
    }

    fn accounts(&self) -> BTreeSet<SessionId> {
        self.server.accounts(&self.browser)
    }
}

/// Signs in the users one second after the other, so that the last one is active, and waits `idle`
/// seconds.
async fn start(users: &[&'static str], idle: u64, max: usize) -> (Server, Browser, Vec<SessionId>) {
    let mut server = Server::new(|builder| builder.max_sessions_per_browser(max));
    let (mut browser, mut ids) = (Browser::default(), Vec::new());
    for name in users {
        ids.push(server.sign_in(&mut browser, name).await);
        server.wait(1);
    }
    server.wait(idle);
    (server, browser, ids)
}

/// A race of requests after some sign-ins, in all interleavings and delivery orders.
struct Race<'r> {
    users: &'r [&'static str],
    /// Seconds since the sign-ins. Renewals are due after 10.
    idle: u64,
    max: usize,
}

impl Race<'_> {
    /// Two requests in every interleaving.
    async fn two(
        &self,
        plans: impl Fn(&[SessionId]) -> [PlannedRequest; 2],
        check: impl Fn(&Delivery<'_>, &[SessionId]),
    ) {
        for steps in INTERLEAVINGS {
            let (mut server, browser, ids) = start(self.users, self.idle, self.max).await;
            let mut open_requests = Vec::new();
            for plan in plans(&ids) {
                open_requests.push(Some(server.send(&browser, plan).await));
            }
            let (mut ran, mut responses) = ([None, None], [None, None]);
            for (which, step) in steps {
                match step {
                    Step::Run => ran[which] = Some(run(open_requests[which].take().unwrap()).await),
                    Step::Close => responses[which] = Some(close(ran[which].take().unwrap()).await),
                }
            }
            server.apply_events();
            let responses = responses.map(Option::unwrap);
            deliver(&server, &browser, &responses, Some(steps), |delivery| check(delivery, &ids));
        }
        self.any(|ids| plans(ids).to_vec(), check).await;
    }

    /// Any number of requests at once.
    async fn any(
        &self,
        plans: impl Fn(&[SessionId]) -> Vec<PlannedRequest>,
        check: impl Fn(&Delivery<'_>, &[SessionId]),
    ) {
        for _ in 0..ROUNDS {
            let (mut server, browser, ids) = start(self.users, self.idle, self.max).await;
            let mut open_requests = Vec::new();
            for plan in plans(&ids) {
                open_requests.push(server.send(&browser, plan).await);
            }
            let responses = at_once(open_requests).await;
            server.apply_events();
            deliver(&server, &browser, &responses, None, |delivery| check(delivery, &ids));
        }
    }
}

/// Delivers `responses` in every order, and every beginning of each order; the others are lost.
fn deliver(
    server: &Server,
    browser: &Browser,
    responses: &[HeaderMap],
    steps: Option<Steps>,
    check: impl Fn(&Delivery<'_>),
) {
    let mut orders = vec![Vec::new()];
    while let Some(delivered) = orders.pop() {
        let mut browser = browser.clone();
        let mut active = browser.cookies.get(ACTIVE_COOKIE).cloned();
        for position in &delivered {
            let response: &HeaderMap = &responses[*position];
            browser.store(response);
            active = active_cookie_of(response).or(active);
        }
        server.check(&browser, active.as_deref());
        let rest = (0..responses.len()).filter(|position| !delivered.contains(position));
        let longer = rest.map(|position| [&delivered[..], &[position]].concat());
        orders.extend(longer);
        check(&Delivery { server, browser, delivered, responses, steps });
    }
}

/// The sessions that were started and not revoked.
fn valid(server: &Server) -> BTreeSet<SessionId> {
    server.subjects.keys().filter(|id| !server.revoked.contains(id)).copied().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_sign_ins_of_different_subjects_both_stay_valid() {
    for users in [&[][..], &["ada"]] {
        let race = Race { users, idle: 20, max: 5 };
        let plans = |_: &[SessionId]| {
            [without_header(Action::SignIn("bob")), without_header(Action::SignIn("cyd"))]
        };
        race.two(plans, |delivery, before| {
            assert_eq!(valid(delivery.server).len(), before.len() + 2, "no session is revoked");
            if delivery.is_complete() {
                assert_eq!(delivery.accounts(), valid(delivery.server));
                let last = &delivery.responses[*delivery.delivered.last().unwrap()];
                assert_eq!(delivery.active().map(str::to_owned), active_cookie_of(last));
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_sign_ins_of_a_present_and_a_new_subject_replace_only_the_present_one() {
    let race = Race { users: &["ada", "bob"], idle: 20, max: 5 };
    let plans = |_: &[SessionId]| {
        [without_header(Action::SignIn("ada")), without_header(Action::SignIn("cyd"))]
    };
    race.two(plans, |delivery, ids| {
        assert_eq!(
            delivery.server.revoked,
            [ids[0]].into(),
            "the previous session of the same subject"
        );
        if delivery.is_complete() {
            assert_eq!(delivery.accounts().len(), 3);
        }
    })
    .await;
}

/// Neither request knows of the other, so both sessions are valid. They are one account and are signed
/// out together.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_sign_ins_of_one_subject_are_one_account() {
    for users in [&["ada"][..], &["ada", "bob"]] {
        let race = Race { users, idle: 20, max: 5 };
        let plans = |_: &[SessionId]| {
            [without_header(Action::SignIn("bob")), without_header(Action::SignIn("bob"))]
        };
        race.two(plans, |delivery, ids| {
            assert_eq!(
                delivery.server.revoked,
                ids[1..].iter().copied().collect(),
                "the sessions from before"
            );
            if delivery.is_complete() {
                assert_eq!(delivery.accounts().len(), 2);
            }
        })
        .await;
    }
    let (mut server, browser, ids) = start(&["ada"], 0, 5).await;
    let open_requests = vec![
        server.send(&browser, without_header(Action::SignIn("bob"))).await,
        server.send(&browser, without_header(Action::SignIn("bob"))).await,
    ];
    let mut browser = browser;
    for response in at_once(open_requests).await {
        browser.store(&response);
    }
    server.complete(&mut browser, without_header(Action::SignOut)).await;
    assert_eq!((server.revoked.len(), server.accounts(&browser)), (2, [ids[0]].into()));
    server.check(&browser, Some("none"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_renewal_does_not_undo_a_switch() {
    let race = Race { users: &["ada", "bob"], idle: 20, max: 5 };
    for by_tab in [false, true] {
        let plans = |ids: &[SessionId]| {
            let look = if by_tab {
                with_header(ids[0], Action::ReadSession)
            } else {
                without_header(Action::ReadSession)
            };
            [look, without_header(Action::Switch(ids[0]))]
        };
        race.two(plans, |delivery, ids| {
            assert_eq!(valid(delivery.server).len(), 2);
            let switched = delivery.delivered.contains(&1);
            let active = if switched { ids[0] } else { ids[1] };
            assert_eq!(delivery.server.session_of(&delivery.browser, None), Ok(active));
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_renewal_does_not_undo_a_sign_out() {
    let race = Race { users: &["ada", "bob"], idle: 20, max: 5 };
    for action in [Action::SignOut, Action::SignOutAll] {
        let plans = |_: &[SessionId]| [without_header(Action::ReadSession), without_header(action)];
        race.two(plans, |delivery, ids| {
            let revoked: BTreeSet<_> = if action == Action::SignOut {
                [ids[1]].into()
            } else {
                ids.iter().copied().collect()
            };
            assert_eq!(delivery.server.revoked, revoked);
            if delivery.second_ran_before_first_closed() {
                assert!(
                    !delivery.responses[0].contains_key("set-cookie"),
                    "the session is known to be revoked"
                );
            }
            if delivery.is_complete() {
                assert_eq!(delivery.active(), Some("none"));
                // Only the other order leaves a cookie of the revoked session.
                assert!(delivery.delivered == [1, 0] || !delivery.has_cookie(ids[1]));
            }
        })
        .await;
    }
}

/// Bob signs out during a slow request of Ada in the same browser, and the other way round.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sign_out_during_a_slow_request_of_another_account_is_final() {
    let race = Race { users: &["ada", "bob"], idle: 20, max: 5 };
    for leaving in [0, 1] {
        let staying = 1 - leaving;
        let plans = |ids: &[SessionId]| {
            [
                with_header(ids[staying], Action::ReadSession),
                without_header(Action::SignOutOf(ids[leaving])),
            ]
        };
        race.two(plans, |delivery, ids| {
            assert_eq!(delivery.server.revoked, [ids[leaving]].into());
            assert!(delivery.has_cookie(ids[staying]));
            if delivery.delivered.contains(&1) {
                assert_eq!(delivery.accounts(), [ids[staying]].into());
                assert!(
                    !delivery.has_cookie(ids[leaving]),
                    "the other account's renewal does not restore it"
                );
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn last_delivered_of_two_concurrent_switches_is_active() {
    let race = Race { users: &["ada", "bob", "cyd"], idle: 20, max: 5 };
    let plans = |ids: &[SessionId]| {
        [without_header(Action::Switch(ids[0])), with_header(ids[1], Action::Switch(ids[1]))]
    };
    race.two(plans, |delivery, ids| {
        let active = delivery.delivered.last().map_or(ids[2], |last| ids[*last]);
        assert_eq!(delivery.server.session_of(&delivery.browser, None), Ok(active));
        assert_eq!(delivery.accounts().len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn switch_to_an_account_that_is_signed_out_concurrently_does_not_activate_it() {
    let race = Race { users: &["ada", "bob", "cyd"], idle: 20, max: 5 };
    let plans = |ids: &[SessionId]| {
        [without_header(Action::Switch(ids[0])), with_header(ids[0], Action::SignOut)]
    };
    race.two(plans, |delivery, ids| {
        assert_eq!(delivery.server.revoked, [ids[0]].into());
        if delivery.is_complete() {
            let active = delivery.server.session_of(&delivery.browser, None);
            assert_ne!(active, Ok(ids[0]));
            assert_eq!(delivery.accounts(), [ids[1], ids[2]].into());
        }
    })
    .await;
}

/// Ada is the least recently active account and is evicted while her request is running.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn renewal_does_not_restore_an_evicted_account() {
    let race = Race { users: &["ada", "bob"], idle: 20, max: 2 };
    let plans = |ids: &[SessionId]| {
        [with_header(ids[0], Action::ReadSession), without_header(Action::SignIn("cyd"))]
    };
    race.two(plans, |delivery, ids| {
        assert_eq!(delivery.server.revoked, [ids[0]].into());
        if delivery.is_complete() {
            assert_eq!(delivery.accounts().len(), 2);
            assert!(delivery.delivered == [1, 0] || !delivery.has_cookie(ids[0]));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_sign_outs_revoke_each_session_once() {
    let race = Race { users: &["ada", "bob", "cyd"], idle: 20, max: 5 };
    for second in [Action::SignOut, Action::SignOutAll] {
        let plans = |_: &[SessionId]| [without_header(Action::SignOut), without_header(second)];
        race.two(plans, |delivery, ids| {
            let revoked = if second == Action::SignOut { &ids[2..] } else { ids };
            assert_eq!(delivery.server.revoked, revoked.iter().copied().collect());
            if delivery.is_complete() {
                assert!(!delivery.has_cookie(ids[2]));
                assert_eq!(delivery.active(), Some("none"));
            }
        })
        .await;
    }
}

/// Four requests of different kinds at once, and all 65 ways in which their responses can be delivered
/// or lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_concurrent_requests_keep_all_invariants() {
    let users = ["ada", "bob", "cyd"];
    for (idle, max) in [(20, 5), (20, 3), (1, 4)] {
        let race = Race { users: &users, idle, max };
        for menu in 0..6 {
            let plans = |ids: &[SessionId]| {
                let all = [
                    without_header(Action::ReadSession),
                    with_header(ids[0], Action::ReadSession),
                    without_header(Action::SignIn("dee")),
                    without_header(Action::Switch(ids[0])),
                    without_header(Action::SignOut),
                    with_header(ids[1], Action::SignOutOf(ids[0])),
                    without_header(Action::SignIn("eve")),
                    with_header(ids[1], Action::SignOut),
                    without_header(Action::Switch(ids[1])),
                    with_header(ids[0], Action::SignOutAll),
                    without_header(Action::SignIn("dee")),
                ];
                // Four requests of the list in steps of three, so that all kinds meet each other.
                (0..4).map(|position| all[(menu * 2 + position * 3) % all.len()]).collect()
            };
            race.any(plans, |delivery, _| {
                for id in &delivery.server.revoked {
                    assert!(delivery.server.subjects.contains_key(id));
                }
            })
            .await;
        }
    }
}
