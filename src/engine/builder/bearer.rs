//! Bearer tokens, configured.

use super::SessionEngineBuilder;
use crate::engine::bearer::BearerTokens;

impl<C> SessionEngineBuilder<C> {
    /// What bearer tokens say, and whether they are accepted. They are made in any case, by
    /// [`Session::bearer_token`](crate::Session::bearer_token) and by `POST /session/token`, unless
    /// that path is [switched off](Self::without_token_path).
    pub fn bearer_tokens(mut self, bearer: BearerTokens) -> Self {
        self.bearer = bearer;
        self
    }
}
