//! The settings of several accounts in one browser.

use std::sync::Arc;

use super::SessionEngineBuilder;
use crate::engine::multi_session::AccountLimitPolicy;

impl<C> SessionEngineBuilder<C> {
    /// Several accounts in one browser, each in a cookie of its own; off by default. Neither turning
    /// it on nor turning it off signs anybody out: see
    /// [the guide](crate::guide::several_accounts#turning-it-on-and-off).
    pub const fn multi_session(mut self, multi_session: bool) -> Self {
        self.multi_session = multi_session;
        self
    }

    /// How many accounts one browser holds, 5 by default, at most 20.
    pub const fn max_sessions_per_browser(mut self, max: usize) -> Self {
        self.max_sessions_per_browser = max;
        self
    }

    /// What happens when one account more signs in, or the cookies of all would exceed the budget.
    pub const fn account_limit_policy(mut self, policy: AccountLimitPolicy) -> Self {
        self.account_limit_policy = policy;
        self
    }

    /// The most bytes that the cookies of all accounts may take in a request, names and separators
    /// included: 7,000 by default, which fits one header line of 8 KiB beside other cookies. Beyond what
    /// the server takes, 16 KiB for all headers by hyper's defaults in HTTP/2, a browser is answered 431
    /// for ever and cannot even sign out.
    pub const fn cookie_budget(mut self, bytes: usize) -> Self {
        self.cookie_budget = bytes;
        self
    }

    /// What a chooser calls an account, and what tells it from others called so: the claims `name` and
    /// `email` by default, else the subject, which also stands in for a blank.
    /// Both are text, and escaped where they are shown.
    pub fn account_label(
        mut self,
        label: impl Fn(&C) -> (String, Option<String>) + Send + Sync + 'static,
    ) -> Self {
        self.account_label = Some(Arc::new(label));
        self
    }

    /// A query parameter by which a request names its session, besides the header `session-id`: for
    /// links, `EventSource` and WebSockets that are bound to a tab. Off by default, because
    /// applications use such names themselves.
    pub fn named_by_query(mut self, parameter: impl Into<String>) -> Self {
        self.named_by_query = Some(parameter.into());
        self
    }
}
