//! Application claims: the sources that supply them in addition to [`SignIn`](crate::SignIn), and the
//! errors of claims.

pub use crate::{
    claims_source::{ClaimsFuture, ClaimsLookup, ClaimsRequest, ClaimsSource, ClaimsSourceError},
    engine::token::claims::{Claims, ClaimsError, RESERVED_CLAIMS},
    middleware::guard::{Permissions, Roles},
};
