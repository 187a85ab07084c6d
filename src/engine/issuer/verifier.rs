//! [`ExternalVerifier`]: the trusted issuers of a verify-only engine.

use std::sync::Arc;

use http::HeaderMap;

use super::{Issuer, cookies::values_of};
use crate::{engine::token::claims::bearer::BearerClaims, error::TokenError};

/// The trusted issuers of an engine that issues no sessions.
pub(crate) struct ExternalVerifier<C> {
    pub(crate) issuers: Vec<Arc<Issuer>>,
    pub(crate) decode: DecodeFn<C>,
}

type DecodeFn<C> = fn(&[u8]) -> Result<(BearerClaims, Option<C>), TokenError>;

/// Tokens of a request that wait for their issuer's key set.
#[derive(Clone)]
pub(crate) struct AwaitingJwks {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) groups: Vec<TokenGroup<Box<[u8]>>>,
}

/// The tokens of `Authorization`, or of one cookie.
#[derive(Clone)]
pub(crate) struct TokenGroup<T> {
    /// The cookie's name; `None` for `Authorization`.
    pub(crate) cookie: Option<Box<str>>,
    pub(crate) tokens: Vec<T>,
}

impl<T> TokenGroup<T> {
    /// Whether tokens of `issuer` are accepted from this source.
    pub(crate) fn may_contain(&self, issuer: &Issuer) -> bool {
        let cookies = &issuer.rules.cookies;
        self.cookie.as_deref().is_none_or(|name| cookies.iter().any(|cookie| cookie == name))
    }
}

impl<C> ExternalVerifier<C> {
    /// The tokens in cookies, by cookie name in the configured order.
    pub(crate) fn in_cookies<'h>(&self, headers: &'h HeaderMap) -> Vec<TokenGroup<&'h [u8]>> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.issuers.iter().flat_map(|issuer| &issuer.rules.cookies) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let groups = names
            .into_iter()
            .map(|name| TokenGroup { cookie: Some(name.into()), tokens: values_of(headers, name) });
        groups.filter(|group| !group.tokens.is_empty()).collect()
    }
}
