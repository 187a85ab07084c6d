//! [`Verifier`]: whom an engine believes that issues nothing itself.

use std::sync::Arc;

use http::HeaderMap;

use super::{Issuer, cookies::values_of};
use crate::{engine::token::claims::bearer::BearerClaims, error::TokenError};

/// The issuers that an engine trusts, which issues nothing itself.
pub(crate) struct Verifier<C> {
    pub(crate) issuers: Vec<Arc<Issuer>>,
    pub(crate) decode: Decode<C>,
}

type Decode<C> = fn(&[u8]) -> Result<(BearerClaims, Option<C>), TokenError>;

/// The tokens of a request whose issuer has to be asked for its keys.
#[derive(Clone)]
pub(crate) struct Awaiting {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) groups: Vec<Group<Box<[u8]>>>,
}

/// The tokens of `Authorization`, or of one cookie.
#[derive(Clone)]
pub(crate) struct Group<T> {
    /// The cookie's name.
    pub(crate) cookie: Option<Box<str>>,
    pub(crate) tokens: Vec<T>,
}

impl<T> Group<T> {
    /// Whether tokens of `issuer` may come this way.
    pub(crate) fn may_bring(&self, issuer: &Issuer) -> bool {
        let cookies = &issuer.rules.cookies;
        self.cookie.as_deref().is_none_or(|name| cookies.iter().any(|cookie| cookie == name))
    }
}

impl<C> Verifier<C> {
    /// The tokens in cookies, by name, in the order in which the names were given.
    pub(crate) fn in_cookies<'h>(&self, headers: &'h HeaderMap) -> Vec<Group<&'h [u8]>> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.issuers.iter().flat_map(|issuer| &issuer.rules.cookies) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let groups = names
            .into_iter()
            .map(|name| Group { cookie: Some(name.into()), tokens: values_of(headers, name) });
        groups.filter(|group| !group.tokens.is_empty()).collect()
    }
}
