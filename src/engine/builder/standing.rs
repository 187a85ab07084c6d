//! Which sessions count, and as what.

use super::SessionEngineBuilder;
use crate::time::Timestamp;

impl<C> SessionEngineBuilder<C> {
    /// Whether they who [impersonate](crate::SignIn::impersonated_by) somebody may impersonate
    /// somebody else from there, which is refused by default. Who acted before is then inside of
    /// [`Actor::acted_by`](crate::Actor::acted_by).
    pub const fn nested_impersonation(mut self, allowed: bool) -> Self {
        self.nested_impersonation = allowed;
        self
    }

    /// Sessions that signed in before this are over (ASVS 7.4.5), on every node that has the setting and
    /// after every restart: what to set after a compromise, beside new keys. All their tokens are
    /// refused, bearer tokens too, and none makes a new one. An instant that has not come yet signs
    /// everybody out until then.
    pub const fn not_before(mut self, instant: Timestamp) -> Self {
        self.not_before = instant;
        self
    }
}
