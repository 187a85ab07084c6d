//! What this process remembers about revoked sessions and issued tokens. Imports session data. Open
//! `list.rs` for the revocation list, `filter.rs` for how requests read it without a lock, `latest_tokens.rs` for the newest token of each session,
//! `waiters.rs` for streams that wait for a revocation, `feed_state.rs` for whether tokens need the store.

pub(crate) mod bound_sessions;
pub(crate) mod bounded_map;
pub(crate) mod feed_state;
pub(crate) mod filter;
pub(crate) mod latest_tokens;
pub(crate) mod lineages;
pub(crate) mod list;
pub(crate) mod waiters;
