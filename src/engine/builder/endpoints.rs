//! The paths that the layer answers itself, moved and switched off.

use std::time::Duration;

use super::SessionEngineBuilder;
use crate::engine::request::routes::Endpoint;

impl<C> SessionEngineBuilder<C> {
    /// The path that answers `POST` by signing out, `/sign-out` by default.
    pub fn sign_out_path(self, path: impl Into<String>) -> Self {
        self.path(Endpoint::SignOut, path.into())
    }

    /// No path answers by signing out: the application calls
    /// [`SessionJar::sign_out`](crate::SessionJar::sign_out) itself.
    pub fn without_sign_out_path(self) -> Self {
        self.without_path(Endpoint::SignOut)
    }

    /// The path that answers `POST` by making another account the active one, `/session/switch` by
    /// default; only with several accounts.
    pub fn switch_path(self, path: impl Into<String>) -> Self {
        self.path(Endpoint::Switch, path.into())
    }

    /// No path answers by switching, and there is no chooser page, which needs one: the application
    /// calls [`SessionJar::switch_to`](crate::SessionJar::switch_to) itself.
    pub fn without_switch_path(self) -> Self {
        self.without_path(Endpoint::Switch)
    }

    /// The path that answers `GET` with the accounts of this browser as JSON, `/session` by default.
    /// Such a request is no activity.
    pub fn sessions_path(self, path: impl Into<String>) -> Self {
        self.path(Endpoint::Sessions, path.into())
    }

    /// No path lists accounts: the application calls
    /// [`SessionJar::accounts`](crate::SessionJar::accounts) itself.
    pub fn without_sessions_path(self) -> Self {
        self.without_path(Endpoint::Sessions)
    }

    /// The path that answers `POST` with a bearer token of the session, `/session/token` by default.
    pub fn token_path(self, path: impl Into<String>) -> Self {
        self.path(Endpoint::Token, path.into())
    }

    /// No path answers with a bearer token: the application calls
    /// [`Session::bearer_token`](crate::Session::bearer_token) itself, or nobody does.
    pub fn without_token_path(self) -> Self {
        self.without_path(Endpoint::Token)
    }

    /// The path of the built-in page on which a person chooses one of the accounts,
    /// `/sign-in/choose` by default; only with several accounts.
    ///
    /// Where a sign-in URL is set, the application has such a page below it, and this one is there
    /// only if it is asked for here; whoever has to choose is then led here.
    pub fn chooser_path(self, path: impl Into<String>) -> Self {
        self.path(Endpoint::Chooser, path.into())
    }

    /// There is no built-in chooser: the application answers `{sign_in_url}/choose`, or
    /// `/sign-in/choose` where no sign-in URL is set.
    pub fn without_chooser_path(self) -> Self {
        self.without_path(Endpoint::Chooser)
    }

    /// The path that answers `GET` with the public keys, `/.well-known/jwks.json` by default. Where all
    /// keys are HMAC secrets nothing is answered: the path is the application's.
    pub fn jwks_path(self, path: impl Into<String>) -> Self {
        self.path(Endpoint::Jwks, path.into())
    }

    /// No path answers with the public keys: the application may publish
    /// [`KeyRing::public_jwks`](crate::KeyRing::public_jwks) itself.
    pub fn without_jwks_path(self) -> Self {
        self.without_path(Endpoint::Jwks)
    }

    /// How long others may keep the public keys, 5 minutes by default and at most a day: the
    /// `max-age` of the answer, in whole seconds. A new key is published this long before it signs
    /// (see [the guide](crate::guide::keys)).
    pub fn jwks_max_age(mut self, max_age: Duration) -> Self {
        self.paths.set_jwks_max_age(max_age);
        self
    }

    /// What browsers have before every path, such as `/app`, where a proxy or a router has taken it
    /// away before the layer sees the request. Paths of this crate are led to with it: the chooser and
    /// its forms, `/` as the place after a sign-out, and where to go back to after signing in.
    ///
    /// URLs that are settings, such as `sign_in_url`, are written in full and stay as they are; paths
    /// of endpoints are written as the layer sees them.
    pub fn base_path(mut self, base: impl Into<String>) -> Self {
        self.paths.set_base(base.into());
        self
    }

    fn path(mut self, endpoint: Endpoint, path: String) -> Self {
        self.paths.set(endpoint, path);
        self
    }

    fn without_path(mut self, endpoint: Endpoint) -> Self {
        self.paths.switch_off(endpoint);
        self
    }
}
