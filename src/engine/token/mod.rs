//! Tokens: the JWS envelope, the claims of the payload, and the cache of verified tokens. Imports
//! session data and keys. Open `jws` for how a token is verified, `claims` for its members (a new
//! claim is added in `claims/mod.rs`), `cache.rs` for the verified-token cache.

pub(crate) mod cache;
pub(crate) mod claims;
pub(crate) mod jws;
pub(crate) mod unverified;

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod wycheproof;
