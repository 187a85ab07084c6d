//! The data of a session: ids, times, lifetime, tasks, factors, actor and device. Imports only
//! configuration, keys and encodings; no operation of the engine is here. Open `expiry.rs` for when a
//! session expires, `lifetime.rs` for its settings, `identity.rs` for what an application reads.

pub(crate) mod actor;
pub(crate) mod attributes;
pub(crate) mod data;
pub(crate) mod device;
pub(crate) mod device_key;
pub(crate) mod expiry;
pub(crate) mod factor;
pub(crate) mod id;
pub(crate) mod identity;
pub(crate) mod lifetime;
pub(crate) mod lineage;
pub(crate) mod renewal;
pub(crate) mod task;
