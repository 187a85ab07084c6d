//! Application claims: where they come from besides [`SignIn`](crate::SignIn), and what can be wrong
//! with them.

pub use crate::{
    claims_source::{ClaimsFuture, ClaimsLookup, ClaimsRequest, ClaimsSource, ClaimsSourceError},
    engine::token::claims::{Claims, ClaimsError, RESERVED_CLAIMS},
    middleware::guard::{Permissions, Roles},
};
