//! Device-bound sessions (W3C Device Bound Session Credentials): the formats of the protocol and their
//! checks, without an engine.
//!
//! ```text
//! sign-in            ──► Secure-Session-Registration: path, challenge
//! POST …/register    ◄── Secure-Session-Response: the challenge signed with a new key, and the key
//!                    ──► session token with `cnf`, proof cookie, instructions as JSON
//! request            ◄── session token and proof cookie
//! POST …/refresh     ◄── Sec-Secure-Session-Id, before the proof cookie expires
//!                    ──► 403, Secure-Session-Challenge
//! POST …/refresh     ◄── Sec-Secure-Session-Id, Secure-Session-Response: the signed challenge
//!                    ──► proof cookie
//! ```
//!
//! Open `browser_proof.rs` for what a browser signs, `challenge.rs` for what it has to sign, `proof.rs` for
//! the token in the proof cookie, `headers.rs` for the fields and `instructions.rs` for the JSON that tells
//! the browser which cookie to renew.

pub(crate) mod browser_proof;
pub(crate) mod challenge;
pub(crate) mod headers;
pub(crate) mod instructions;
pub(crate) mod proof;
mod signed_claims;

use std::time::Duration;

use crate::config::DeviceBound;

/// How sessions are bound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeviceBoundSettings {
    pub(crate) mode: DeviceBound,
    /// How long a proof counts.
    pub(crate) bound_for: Duration,
    /// How long unbound tokens of a session that has just been bound are accepted.
    pub(crate) tolerance: Duration,
}

impl DeviceBoundSettings {
    pub(crate) const DEFAULT: Self = Self {
        mode: DeviceBound::Off,
        bound_for: Duration::from_secs(600),
        tolerance: Duration::from_secs(60),
    };

    /// How long the browser keeps the proof cookie: less than the proof counts, so that a request that
    /// is sent at the end of it arrives in time, whichever node's clock decides.
    pub(crate) fn cookie_lifetime(&self) -> Duration {
        const MAX_MARGIN: u64 = 30;
        let seconds = self.bound_for.as_secs();
        Duration::from_secs(seconds - (seconds / 10).min(MAX_MARGIN))
    }

    /// Whether sessions are bound from now on.
    pub(crate) fn binds(&self) -> bool {
        self.mode != DeviceBound::Off
    }
}
