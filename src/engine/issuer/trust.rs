//! [`Verifier`]: whom an engine believes that issues nothing itself.

use std::sync::Arc;

use http::HeaderMap;

use super::{Issuer, cookies::values_of};
use crate::{engine::claims::BearerClaims, error::TokenError};

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
    /// Each of one cookie.
    pub(crate) groups: Vec<Vec<Box<[u8]>>>,
}

impl<C> Verifier<C> {
    /// The tokens in cookies, by name, in the order in which the names were given.
    pub(crate) fn in_cookies<'h>(&self, headers: &'h HeaderMap) -> Vec<Vec<&'h [u8]>> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.issuers.iter().flat_map(|issuer| &issuer.rules.cookies) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let values = names.into_iter().map(|name| values_of(headers, name));
        values.filter(|values| !values.is_empty()).collect()
    }
}
