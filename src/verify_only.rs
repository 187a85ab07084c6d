//! Services that verify the sessions of other issuers and issue none. The guide is
//! [`guide::other_issuers`](crate::guide::other_issuers).

#[cfg(feature = "jwks-http")]
pub use crate::key_sources::jwks_http::HttpJwksFetcher;
pub use crate::{
    engine::{issuer::TrustedIssuer, session::identity::ExternalSession},
    key_sources::jwks::{JwksFetchError, JwksFetcher, JwksFuture},
};
