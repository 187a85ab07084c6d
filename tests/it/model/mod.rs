//! One browser with several tabs and accounts, whose responses are delivered in any order or lost. After
//! every step, the sessions and the cookies are compared with a small model.
//!
//! 1. [`concurrent`]: requests are opened, handled and delivered independently of each other.
//! 2. [`sequential`]: one request after the other, while multi-session is enabled and disabled. This is
//!    a property of its own because the revocation list does not outlive the engine.
//! 3. [`device_bound`]: sessions that are bound to a device, a thief, and several nodes of different versions.

mod concurrent;
#[cfg(feature = "memory")]
mod device_bound;
mod harness;
mod sequential;

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use tower_auth_session::SessionId;

/// The users who sign in with the browser.
const USERS: [&str; 5] = ["ada", "bob", "cyd", "dee", "eve"];
/// The lifetimes of [`crate::support::engine_builder`] in seconds.
const INACTIVITY: u64 = 100;
const LIFETIME: u64 = 1_000;
const RENEWAL: u64 = 10;

/// What a handler is to do. Sessions are counted back from the newest one.
#[derive(Debug, Clone, Copy)]
enum PlannedAction {
    ReadSession,
    List,
    SignIn(usize),
    Switch(usize),
    SignOut,
    SignOutSession(usize),
    SignOutAll,
}

fn planned_actions() -> impl Strategy<Value = PlannedAction> {
    prop_oneof![
        4 => Just(PlannedAction::ReadSession),
        1 => Just(PlannedAction::List),
        6 => (0..USERS.len()).prop_map(PlannedAction::SignIn),
        3 => (0_usize..6).prop_map(PlannedAction::Switch),
        2 => Just(PlannedAction::SignOut),
        2 => (0_usize..6).prop_map(PlannedAction::SignOutSession),
        1 => Just(PlannedAction::SignOutAll),
    ]
}

/// The session in a tab's `session-id` header, if any.
fn tabs() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![3 => Just(None), 2 => (0_usize..6).prop_map(Some)]
}

fn pauses() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 1_u64..10, 3 => 10_u64..40, 1 => 80_u64..130]
}

/// The session with this number, counted back from the newest.
fn nth(started: &[SessionId], back: usize) -> SessionId {
    let unknown = || crate::support::SID_A.parse().unwrap();
    started.len().checked_sub(back + 1).map_or_else(unknown, |index| started[index])
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
