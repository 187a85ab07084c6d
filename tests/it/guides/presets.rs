use std::time::Duration;
use tower_auth_session::SessionLifetime;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn aal1() -> SessionLifetime {
    SessionLifetime::new().inactivity_timeout(7 * 24 * HOUR).maximum_lifetime(30 * 24 * HOUR)
}

pub(super) fn aal2() -> SessionLifetime {
    SessionLifetime::new().inactivity_timeout(HOUR).maximum_lifetime(24 * HOUR)
}

pub(super) fn aal3() -> SessionLifetime {
    SessionLifetime::new().inactivity_timeout(15 * MINUTE).maximum_lifetime(12 * HOUR)
}
