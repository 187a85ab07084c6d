//! The asynchronous work of one request: renewals, bearer checks, claims, JWKS fetches, and the commit
//! of the handler's changes. Imports the store client and the engine. Open `renew.rs` for how a
//! session is confirmed, `commit.rs` for the order in which changes reach the store.

pub(crate) mod claims;
pub(crate) mod commit;
pub(crate) mod jwks;
pub(crate) mod renew;
