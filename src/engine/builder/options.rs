//! The settings of an operator, applied.

use super::SessionEngineBuilder;
use crate::config::SessionOptions;

impl<C> SessionEngineBuilder<C> {
    /// What an operator decided, from a file or the environment. It overrides what was set before and
    /// leaves alone what it does not mention.
    pub fn options(mut self, options: SessionOptions) -> Self {
        // Named one by one, so that a new setting cannot be forgotten here.
        let SessionOptions {
            inactivity_timeout,
            maximum_lifetime,
            renew_after,
            multi_session,
            sign_in_url,
            after_sign_out_url,
            after_multi_session_single_sign_out_url,
            origin,
            allowed_redirect_origins,
            tasks_url,
            reverify_url,
            not_before,
        } = options;
        if let Some(timeout) = inactivity_timeout {
            self.lifetime = self.lifetime.inactivity_timeout(timeout);
        }
        if let Some(lifetime) = maximum_lifetime {
            self.lifetime = self.lifetime.maximum_lifetime(lifetime);
        }
        if let Some(age) = renew_after {
            self.lifetime = self.lifetime.renew_after(age);
        }
        if let Some(url) = sign_in_url {
            self.redirects = self.redirects.sign_in_url(url);
        }
        if let Some(url) = after_sign_out_url {
            self.redirects = self.redirects.after_sign_out_url(url);
        }
        if let Some(url) = after_multi_session_single_sign_out_url {
            self.redirects = self.redirects.after_multi_session_single_sign_out_url(url);
        }
        if let Some(url) = tasks_url {
            self.redirects = self.redirects.tasks_url(url);
        }
        if let Some(url) = reverify_url {
            self.redirects = self.redirects.reverify_url(url);
        }
        self.not_before = not_before.unwrap_or(self.not_before);
        self.multi_session = multi_session.unwrap_or(self.multi_session);
        self.origin = origin.or(self.origin);
        if let Some(origins) = allowed_redirect_origins {
            self.allowed_redirect_origins = origins;
        }
        self
    }
}
