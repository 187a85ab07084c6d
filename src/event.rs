//! Events: what happened to sessions, and the reasons that events carry. See
//! [`on_event`](crate::engine::SessionEngineBuilder::on_event).

pub use crate::engine::{
    event::{CredentialError, SessionEvent},
    redirect::csrf::CrossOriginReason,
    session::{
        device_key::{DeviceProofError, ProofSkipReason},
        expiry::ExpiryReason,
    },
};
