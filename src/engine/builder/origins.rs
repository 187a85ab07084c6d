//! Which origins are ours, and which others are trusted with what.

use super::SessionEngineBuilder;

impl<C> SessionEngineBuilder<C> {
    /// The origin by which browsers reach the application: `https://app.example.com`. Without it
    /// requests that change something are compared with `Host`, and redirects stay on the origin
    /// they came from.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Other origins whose pages may sign users in and out here.
    pub fn trusted_origins<I>(mut self, origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.trusted_origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Other origins that a `redirect_url` may lead to.
    pub fn allowed_redirect_origins<I>(mut self, origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.allowed_redirect_origins = origins.into_iter().map(Into::into).collect();
        self
    }
}
