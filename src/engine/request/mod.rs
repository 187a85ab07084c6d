//! One request: its head, the endpoint routes, its state, and the [`session::Session`] and
//! [`session::SessionStatus`] that handlers read. Imports data folders, events and bearer settings. Open
//! `head.rs` and `presented.rs` for the headers that are read, `routes.rs` for endpoint paths, `state.rs` for the record
//! that all handles of a request share.

pub(crate) mod head;
pub(crate) mod presented;
pub(crate) mod routes;
pub(crate) mod session;
pub(crate) mod state;
