//! Which warnings are due: the same warning is logged at most once a minute.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use crate::time::{Clock as _, SystemClock};

/// How long the same warning stays silent after it was logged.
const INTERVAL: Duration = Duration::from_secs(60);

/// The maximum number of different warnings that are remembered: names of types, layers and keys, and
/// a few origins.
const MAX_WARNINGS: usize = 256;

/// Whether the warning `kind` about `what` is due, which counts as logging it.
pub(crate) fn is_due(kind: &'static str, what: &str) -> bool {
    static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::new);
    static LOGGED: Mutex<Option<HashMap<(&'static str, String), Duration>>> = Mutex::new(None);
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    let logged = logged.get_or_insert_with(HashMap::new);
    let (now, key) = (CLOCK.now().monotonic(), (kind, what.to_owned()));
    if logged.get(&key).is_some_and(|at| now.saturating_sub(*at) < INTERVAL) {
        return false;
    }
    if logged.len() >= MAX_WARNINGS {
        logged.retain(|_, at| now.saturating_sub(*at) < INTERVAL);
        if logged.len() >= MAX_WARNINGS {
            return false;
        }
    }
    logged.insert(key, now);
    true
}
