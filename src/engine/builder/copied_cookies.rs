//! The settings for copied cookies.

use std::time::Duration;

use super::SessionEngineBuilder;
use crate::{
    config::CopiedCookies, engine::session_engine::CopiedCookiesSettings, error::ConfigProblem,
};

impl CopiedCookiesSettings {
    pub(super) const DEFAULT: Self =
        Self { reaction: None, grace: Duration::from_secs(10), requires_id: false };

    const MAX_GRACE: Duration = Duration::from_secs(60);

    pub(super) fn check(&self, problems: &mut Vec<ConfigProblem>) {
        let grace = self.grace;
        if grace.is_zero() || grace > Self::MAX_GRACE || grace.subsec_nanos() != 0 {
            let remedy = "1 to 60 whole seconds: the longest time that a response takes to arrive";
            problems.push(ConfigProblem::new("copied_cookies_grace", format!("{grace:?}"), remedy));
        }
    }
}

impl<C> SessionEngineBuilder<C> {
    /// What happens when a session cookie was copied: when two clients renew one session's token. The
    /// default is [`CopiedCookies::Report`] with a store, and [`CopiedCookies::Off`] without one.
    ///
    /// Without a store, only renewals by this process are compared: a copy that other processes renew
    /// is not detected, nor one from before a restart. See
    /// [the guide](crate::guide::copied_cookies).
    pub const fn copied_cookies(mut self, reaction: CopiedCookies) -> Self {
        self.copied_cookies.reaction = Some(reaction);
        self
    }

    /// How late a response may arrive: 10 seconds by default, 1 to 60. Requests that a browser sends
    /// within this time after a renewal, with the token from before it, are not copies. Two clients
    /// that renew within it cannot be told apart.
    pub const fn copied_cookies_grace(mut self, grace: Duration) -> Self {
        self.copied_cookies.grace = grace;
        self
    }

    /// States that all nodes give their tokens an id, and that all tokens without one have expired. A
    /// token without an id then counts as a copy; by default it is accepted, because nodes of a version
    /// before this feature drop the id at a renewal.
    pub const fn require_token_ids(mut self, required: bool) -> Self {
        self.copied_cookies.requires_id = required;
        self
    }
}
