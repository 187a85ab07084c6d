//! Requests of one browser that race: on several threads, in every interleaving of two and at once,
//! their responses delivered in every order or lost. After each delivery
//!
//! 1. no cookie of a session that is over is accepted, and each goes on its first use;
//! 2. every session that is not over and whose cookie has come is served as itself;
//! 3. the pointer is the last one delivered, and nobody is active whom it does not name.

mod harness;

use std::collections::BTreeSet;

use http::HeaderMap;
use tower_auth_session::SessionId;

use self::harness::{
    POINTER, Plan, Verb, World, act, at_once, close, plain, pointer_of, slots, tab,
};
use crate::support::Browser;

type Steps = [(usize, Do); 4];

/// How two requests overlap: which acts, and which response is closed, in turn.
const INTERLEAVINGS: [Steps; 6] = {
    use Do::{Act, Close};
    [
        [(0, Act), (0, Close), (1, Act), (1, Close)],
        [(0, Act), (1, Act), (0, Close), (1, Close)],
        [(0, Act), (1, Act), (1, Close), (0, Close)],
        [(1, Act), (1, Close), (0, Act), (0, Close)],
        [(1, Act), (0, Act), (1, Close), (0, Close)],
        [(1, Act), (0, Act), (0, Close), (1, Close)],
    ]
};

/// How often requests race without being held.
const ROUNDS: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Do {
    Act,
    Close,
}

/// A browser at a server, and what was delivered to it in which order.
struct Outcome<'w> {
    world: &'w World,
    browser: Browser,
    /// By the place of the request among those that raced.
    delivered: Vec<usize>,
    replies: &'w [HeaderMap],
    /// How two requests overlapped, where that is known.
    steps: Option<Steps>,
}

impl Outcome<'_> {
    /// Whether everything came.
    fn is_complete(&self) -> bool {
        self.delivered.len() == self.replies.len()
    }

    /// Whether the second request had its effect before the response to the first was ready.
    fn second_was_first(&self) -> bool {
        let place = |step| self.steps.and_then(|steps| steps.iter().position(|it| *it == step));
        place((1, Do::Act)).is_some_and(|acted| Some(acted) < place((0, Do::Close)))
    }

    fn pointer(&self) -> Option<&str> {
        self.browser.cookies.get(POINTER).map(String::as_str)
    }

    fn has(&self, id: SessionId) -> bool {
        slots(&self.browser).any(|found| found == id)
    }

    fn accounts(&self) -> BTreeSet<SessionId> {
        self.world.accounts(&self.browser)
    }
}

/// Everybody in `people` signed in one second after the other, the last one active, and `idle`
/// seconds later.
async fn start(people: &[&'static str], idle: u64, max: usize) -> (World, Browser, Vec<SessionId>) {
    let mut world = World::new(|builder| builder.max_sessions_per_browser(max));
    let (mut browser, mut ids) = (Browser::default(), Vec::new());
    for name in people {
        ids.push(world.sign_in(&mut browser, name).await);
        world.wait(1);
    }
    world.wait(idle);
    (world, browser, ids)
}

/// What everybody's sign-ins and a race make of a browser, in every way in which it can go.
struct Race<'r> {
    people: &'r [&'static str],
    /// Seconds since the sign-ins: renewals are due from 10 on.
    idle: u64,
    max: usize,
}

impl Race<'_> {
    /// Two requests.
    async fn two(
        &self,
        plans: impl Fn(&[SessionId]) -> [Plan; 2],
        check: impl Fn(&Outcome<'_>, &[SessionId]),
    ) {
        for steps in INTERLEAVINGS {
            let (mut world, browser, ids) = start(self.people, self.idle, self.max).await;
            let mut flights = Vec::new();
            for plan in plans(&ids) {
                flights.push(Some(world.send(&browser, plan).await));
            }
            let (mut acted, mut replies) = ([None, None], [None, None]);
            for (which, step) in steps {
                match step {
                    Do::Act => acted[which] = Some(act(flights[which].take().unwrap()).await),
                    Do::Close => replies[which] = Some(close(acted[which].take().unwrap()).await),
                }
            }
            world.follow();
            let replies = replies.map(Option::unwrap);
            deliver(&world, &browser, &replies, Some(steps), |outcome| check(outcome, &ids));
        }
        self.any(|ids| plans(ids).to_vec(), check).await;
    }

    /// Any number of requests, at once.
    async fn any(
        &self,
        plans: impl Fn(&[SessionId]) -> Vec<Plan>,
        check: impl Fn(&Outcome<'_>, &[SessionId]),
    ) {
        for _ in 0..ROUNDS {
            let (mut world, browser, ids) = start(self.people, self.idle, self.max).await;
            let mut flights = Vec::new();
            for plan in plans(&ids) {
                flights.push(world.send(&browser, plan).await);
            }
            let replies = at_once(flights).await;
            world.follow();
            deliver(&world, &browser, &replies, None, |outcome| check(outcome, &ids));
        }
    }
}

/// Delivers `replies` in every order, and those of every order that is cut short: the rest is lost.
fn deliver(
    world: &World,
    browser: &Browser,
    replies: &[HeaderMap],
    steps: Option<Steps>,
    check: impl Fn(&Outcome<'_>),
) {
    let mut orders = vec![Vec::new()];
    while let Some(order) = orders.pop() {
        let mut browser = browser.clone();
        let mut pointer = browser.cookies.get(POINTER).cloned();
        for place in &order {
            let reply: &HeaderMap = &replies[*place];
            browser.store(reply);
            pointer = pointer_of(reply).or(pointer);
        }
        world.check(&browser, pointer.as_deref());
        let rest = (0..replies.len()).filter(|place| !order.contains(place));
        let longer = rest.map(|place| [&order[..], &[place]].concat());
        orders.extend(longer);
        check(&Outcome { world, browser, delivered: order, replies, steps });
    }
}

/// Who is signed in and not over, whatever came of the race.
fn live(world: &World) -> BTreeSet<SessionId> {
    world.known.keys().filter(|id| !world.ended.contains(id)).copied().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_sign_ins_of_different_subjects_both_survive() {
    for people in [&[][..], &["ada"]] {
        let race = Race { people, idle: 20, max: 5 };
        let plans = |_: &[SessionId]| [plain(Verb::SignIn("bob")), plain(Verb::SignIn("cyd"))];
        race.two(plans, |outcome, before| {
            assert_eq!(live(outcome.world).len(), before.len() + 2, "nobody is over");
            if outcome.is_complete() {
                assert_eq!(outcome.accounts(), live(outcome.world));
                let last = &outcome.replies[*outcome.delivered.last().unwrap()];
                assert_eq!(outcome.pointer().map(str::to_owned), pointer_of(last));
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sign_in_and_one_of_whoever_is_there() {
    let race = Race { people: &["ada", "bob"], idle: 20, max: 5 };
    let plans = |_: &[SessionId]| [plain(Verb::SignIn("ada")), plain(Verb::SignIn("cyd"))];
    race.two(plans, |outcome, ids| {
        assert_eq!(outcome.world.ended, [ids[0]].into(), "the former one of the same subject");
        if outcome.is_complete() {
            assert_eq!(outcome.accounts().len(), 3);
        }
    })
    .await;
}

/// Neither knew of the other, so both sessions live; they are one account, and end together.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_sign_ins_of_one_subject_are_one_account() {
    for people in [&["ada"][..], &["ada", "bob"]] {
        let race = Race { people, idle: 20, max: 5 };
        let plans = |_: &[SessionId]| [plain(Verb::SignIn("bob")), plain(Verb::SignIn("bob"))];
        race.two(plans, |outcome, ids| {
            assert_eq!(outcome.world.ended, ids[1..].iter().copied().collect(), "who was there");
            if outcome.is_complete() {
                assert_eq!(outcome.accounts().len(), 2);
            }
        })
        .await;
    }
    let (mut world, browser, ids) = start(&["ada"], 0, 5).await;
    let flights = vec![
        world.send(&browser, plain(Verb::SignIn("bob"))).await,
        world.send(&browser, plain(Verb::SignIn("bob"))).await,
    ];
    let mut browser = browser;
    for reply in at_once(flights).await {
        browser.store(&reply);
    }
    world.whole(&mut browser, plain(Verb::SignOut)).await;
    assert_eq!((world.ended.len(), world.accounts(&browser)), (2, [ids[0]].into()));
    world.check(&browser, Some("none"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_renewal_undoes_no_switch() {
    let race = Race { people: &["ada", "bob"], idle: 20, max: 5 };
    for by_tab in [false, true] {
        let plans = |ids: &[SessionId]| {
            let look = if by_tab { tab(ids[0], Verb::Look) } else { plain(Verb::Look) };
            [look, plain(Verb::Switch(ids[0]))]
        };
        race.two(plans, |outcome, ids| {
            assert_eq!(live(outcome.world).len(), 2);
            let switched = outcome.delivered.contains(&1);
            let active = if switched { ids[0] } else { ids[1] };
            assert_eq!(outcome.world.served(&outcome.browser, None), Ok(active));
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_renewal_undoes_no_sign_out() {
    let race = Race { people: &["ada", "bob"], idle: 20, max: 5 };
    for verb in [Verb::SignOut, Verb::SignOutAll] {
        let plans = |_: &[SessionId]| [plain(Verb::Look), plain(verb)];
        race.two(plans, |outcome, ids| {
            let ended: BTreeSet<_> =
                if verb == Verb::SignOut { [ids[1]].into() } else { ids.iter().copied().collect() };
            assert_eq!(outcome.world.ended, ended);
            if outcome.second_was_first() {
                assert!(!outcome.replies[0].contains_key("set-cookie"), "it is known to be over");
            }
            if outcome.is_complete() {
                assert_eq!(outcome.pointer(), Some("none"));
                // In this order there is not even a zombie.
                assert!(outcome.delivered == [1, 0] || !outcome.has(ids[1]));
            }
        })
        .await;
    }
}

/// Ada's request is slow; Bob, whom it does not act as, signs out meanwhile. And the other way round.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sign_out_during_a_slow_request_of_another_account_is_final() {
    let race = Race { people: &["ada", "bob"], idle: 20, max: 5 };
    for ends in [0, 1] {
        let stays = 1 - ends;
        let plans =
            |ids: &[SessionId]| [tab(ids[stays], Verb::Look), plain(Verb::SignOutOf(ids[ends]))];
        race.two(plans, |outcome, ids| {
            assert_eq!(outcome.world.ended, [ids[ends]].into());
            assert!(outcome.has(ids[stays]));
            if outcome.delivered.contains(&1) {
                assert_eq!(outcome.accounts(), [ids[stays]].into());
                assert!(!outcome.has(ids[ends]), "the other one's renewal does not write it");
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_switches_the_last_one_delivered_counts() {
    let race = Race { people: &["ada", "bob", "cyd"], idle: 20, max: 5 };
    let plans =
        |ids: &[SessionId]| [plain(Verb::Switch(ids[0])), tab(ids[1], Verb::Switch(ids[1]))];
    race.two(plans, |outcome, ids| {
        let active = outcome.delivered.last().map_or(ids[2], |last| ids[*last]);
        assert_eq!(outcome.world.served(&outcome.browser, None), Ok(active));
        assert_eq!(outcome.accounts().len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_switch_to_whom_another_request_signs_out_leaves_a_choice() {
    let race = Race { people: &["ada", "bob", "cyd"], idle: 20, max: 5 };
    let plans = |ids: &[SessionId]| [plain(Verb::Switch(ids[0])), tab(ids[0], Verb::SignOut)];
    race.two(plans, |outcome, ids| {
        assert_eq!(outcome.world.ended, [ids[0]].into());
        if outcome.is_complete() {
            let active = outcome.world.served(&outcome.browser, None);
            assert_ne!(active, Ok(ids[0]));
            assert_eq!(outcome.accounts(), [ids[1], ids[2]].into());
        }
    })
    .await;
}

/// Ada is the least recently active one, and is signed out to make room while her request is on its
/// way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_renewal_of_whoever_makes_room_brings_nobody_back() {
    let race = Race { people: &["ada", "bob"], idle: 20, max: 2 };
    let plans = |ids: &[SessionId]| [tab(ids[0], Verb::Look), plain(Verb::SignIn("cyd"))];
    race.two(plans, |outcome, ids| {
        assert_eq!(outcome.world.ended, [ids[0]].into());
        if outcome.is_complete() {
            assert_eq!(outcome.accounts().len(), 2);
            assert!(outcome.delivered == [1, 0] || !outcome.has(ids[0]));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_sign_outs_are_one() {
    let race = Race { people: &["ada", "bob", "cyd"], idle: 20, max: 5 };
    for second in [Verb::SignOut, Verb::SignOutAll] {
        let plans = |_: &[SessionId]| [plain(Verb::SignOut), plain(second)];
        race.two(plans, |outcome, ids| {
            let ended = if second == Verb::SignOut { &ids[2..] } else { ids };
            assert_eq!(outcome.world.ended, ended.iter().copied().collect());
            if outcome.is_complete() {
                assert!(!outcome.has(ids[2]));
                assert_eq!(outcome.pointer(), Some("none"));
            }
        })
        .await;
    }
}

/// Four of all kinds at once, and all 65 ways in which their responses can come or be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once() {
    let people = ["ada", "bob", "cyd"];
    for (idle, max) in [(20, 5), (20, 3), (1, 4)] {
        let race = Race { people: &people, idle, max };
        for menu in 0..6 {
            let plans = |ids: &[SessionId]| {
                let all = [
                    plain(Verb::Look),
                    tab(ids[0], Verb::Look),
                    plain(Verb::SignIn("dee")),
                    plain(Verb::Switch(ids[0])),
                    plain(Verb::SignOut),
                    tab(ids[1], Verb::SignOutOf(ids[0])),
                    plain(Verb::SignIn("eve")),
                    tab(ids[1], Verb::SignOut),
                    plain(Verb::Switch(ids[1])),
                    tab(ids[0], Verb::SignOutAll),
                    plain(Verb::SignIn("dee")),
                ];
                // Four neighbours in a ring, in steps of three, which meet everybody.
                (0..4).map(|place| all[(menu * 2 + place * 3) % all.len()]).collect()
            };
            race.any(plans, |outcome, _| {
                for id in &outcome.world.ended {
                    assert!(outcome.world.known.contains_key(id));
                }
            })
            .await;
        }
    }
}
