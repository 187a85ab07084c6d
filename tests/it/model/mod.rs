//! One browser, several tabs and accounts, responses in any order or lost: what is served and what is
//! written, after every step, against a small model of who is signed in and who is active.
//!
//! 1. [`any_order`]: requests are opened, handled and answered apart from each other.
//! 2. [`in_turn`]: one request after the other, while several accounts are turned on and off. It is a
//!    property of its own because the memory of ended sessions does not outlive the engine.

mod concurrent;
mod harness;
mod sequential;

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use tower_auth_session::SessionId;

/// The accounts of the person at the browser.
const PEOPLE: [&str; 5] = ["ada", "bob", "cyd", "dee", "eve"];
/// What [`crate::support::engine_builder`] sets, in seconds.
const INACTIVITY: u64 = 100;
const LIFETIME: u64 = 1_000;
const RENEWAL: u64 = 10;

/// What a handler does. SessionManager are counted back from the newest one.
#[derive(Debug, Clone, Copy)]
enum Plan {
    Look,
    List,
    SignIn(usize),
    Switch(usize),
    SignOut,
    SignOutSession(usize),
    SignOutAll,
}

fn plans() -> impl Strategy<Value = Plan> {
    prop_oneof![
        4 => Just(Plan::Look),
        1 => Just(Plan::List),
        6 => (0..PEOPLE.len()).prop_map(Plan::SignIn),
        3 => (0_usize..6).prop_map(Plan::Switch),
        2 => Just(Plan::SignOut),
        2 => (0_usize..6).prop_map(Plan::SignOutSession),
        1 => Just(Plan::SignOutAll),
    ]
}

/// Which session a tab names, if any.
fn tabs() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![3 => Just(None), 2 => (0_usize..6).prop_map(Some)]
}

fn pauses() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 1_u64..10, 3 => 10_u64..40, 1 => 80_u64..130]
}

/// The session that a number stands for.
fn nth(known: &[SessionId], back: usize) -> SessionId {
    let nobody = || crate::support::SID_A.parse().unwrap();
    known.len().checked_sub(back + 1).map_or_else(nobody, |place| known[place])
}

/// Runs `cases` of `strategy`, the same ones every time.
fn run<S: Strategy>(cases: u32, seed: u8, strategy: &S, test: impl Fn(S::Value)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let outcome = TestRunner::new_with_rng(config, rng).run(strategy, |value| {
        test(value);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
