//! Log lines, the only module that depends on the `tracing` feature. `docs/events.md` documents the
//! target, the levels and the fields, `docs/operating.md` each warning.
//!
//! Reasons are logged at debug level, one line for each occurrence, without any text that a client
//! chose, except for origins in canonical form. A session id is logged as a hash with a key of this
//! process: it can be followed through one log, and is useless to other readers (ASVS 16.2.5).

#[cfg(feature = "tracing")]
pub(crate) mod rate_limit;
pub(crate) mod span;
pub(crate) mod warnings;

use super::{event::SessionEvent, flow::FlowId, session::id::SessionId};

/// The target of every log line and span.
#[cfg(feature = "tracing")]
pub(crate) const TARGET: &str = "tower_auth_session";

#[cfg(feature = "tracing")]
mod imp {
    use std::{
        hash::{BuildHasher, Hash, RandomState},
        sync::OnceLock,
    };

    use super::{FlowId, SessionEvent, SessionId, TARGET};

    /// A hash with a key of this process, by which a value can be followed through its log.
    pub(super) fn hash(value: impl Hash) -> tracing::field::DebugValue<impl std::fmt::Debug> {
        struct HashText(u64);
        impl std::fmt::Debug for HashText {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }
        static KEY: OnceLock<RandomState> = OnceLock::new();
        tracing::field::debug(HashText(KEY.get_or_init(RandomState::new).hash_one(value)))
    }

    pub(crate) fn event(event: &SessionEvent) {
        match event {
            SessionEvent::SignedIn { session, replaced } => {
                tracing::debug!(target: TARGET, session = hash(session.id()),
                    replaced = replaced.is_some(),
                    pending = session.is_pending(),
                    "signed in"
                )
            }
            SessionEvent::Replaced { session, by } => {
                tracing::debug!(target: TARGET, session = hash(session.id()), by = hash(*by), "session replaced");
            }
            SessionEvent::ImpersonationStarted { session } => {
                tracing::debug!(target: TARGET, session = hash(session.id()), "impersonation started");
            }
            SessionEvent::ImpersonationEnded { session } => {
                tracing::debug!(target: TARGET, session = hash(session.id()), "impersonation ended");
            }
            SessionEvent::Evicted { session, by } => {
                tracing::debug!(target: TARGET, session = hash(session.id()),
                    by = hash(*by),
                    "session evicted by the account limit"
                )
            }
            SessionEvent::CookieNameConflict => {
                tracing::debug!(target: TARGET, "a cookie of the application was replaced: it has the name of a session cookie"
                );
            }
            SessionEvent::Renewed { session } => {
                tracing::debug!(target: TARGET, session = hash(session.id()), "session renewed");
            }
            SessionEvent::BearerTokenIssued { session, expires_at } => {
                tracing::debug!(target: TARGET, session = hash(session.id()),
                    expires_at = expires_at.as_unix_seconds(),
                    "bearer token issued"
                )
            }
            SessionEvent::AccountSwitched { session } => {
                tracing::debug!(target: TARGET, session = hash(session.id()), "switched to another account");
            }
            SessionEvent::SignedOut { session } => {
                tracing::debug!(target: TARGET, session = hash(session.id()), "signed out");
            }
            SessionEvent::Revoked { session } => {
                tracing::debug!(target: TARGET, session = hash(session.id()),
                    "session revoked: the store reports that it has ended"
                );
            }
            // The text that the client chose is not logged.
            SessionEvent::CopiedCookie { session, reaction, .. } => {
                tracing::warn!(target: TARGET, session = hash(session.id()),
                    reaction = reaction.as_str(),
                    "a session cookie was presented that was copied, or restored from a backup: ask the \
                     user which devices are theirs; `copied_cookies` decides what happens to the session"
                )
            }
            SessionEvent::DeviceBound { session } => {
                tracing::debug!(target: TARGET, session = hash(session.id()), "session bound to a device");
            }
            SessionEvent::DeviceProofRefused { session_id, reason } => {
                tracing::debug!(target: TARGET, session = hash(*session_id),
                    reason = reason.as_str(),
                    "device proof refused"
                )
            }
            SessionEvent::DeviceProofSkipped { session_id, reason } => {
                tracing::debug!(target: TARGET, session = hash(*session_id),
                    reason = reason.as_str(),
                    "the browser did not renew its device proof"
                )
            }
            SessionEvent::RevocationDeferred { session_id } => {
                tracing::warn!(target: TARGET, session = hash(*session_id),
                    "the store did not receive a revocation; it is sent again in the background"
                )
            }
            SessionEvent::RevocationDropped { session_id } => {
                tracing::error!(target: TARGET, session = hash(*session_id),
                    "a revocation was dropped before the store received it: check that the store is reachable"
                )
            }
            SessionEvent::StoreUnavailable { operation } => {
                tracing::warn!(target: TARGET, operation, "the session store is unavailable");
            }
            SessionEvent::RevocationFeedLost => {
                tracing::warn!(target: TARGET, "the revocation feed was lost")
            }
            SessionEvent::Expired { session, by } => {
                tracing::debug!(target: TARGET, session = hash(session.id()), ?by, "session expired");
            }
            SessionEvent::CredentialRejected { reason } => {
                tracing::debug!(target: TARGET, %reason, "session cookie rejected");
            }
            SessionEvent::DuplicateCookie => {
                tracing::debug!(target: TARGET, "duplicate session cookie")
            }
            SessionEvent::CrossOriginRefused { reason } => {
                tracing::debug!(target: TARGET, %reason, "request from another site refused");
            }
            SessionEvent::RedirectRefused { reason } => {
                tracing::debug!(target: TARGET, %reason, "redirect target refused");
            }
            SessionEvent::FlowRejected { reason } => {
                tracing::debug!(target: TARGET, %reason, "flow rejected");
            }
            SessionEvent::CookieWithheld { session_id } => {
                tracing::debug!(target: TARGET, session = hash(*session_id),
                    "session cookie withheld: the response may be cached or cannot carry cookies"
                )
            }
            SessionEvent::RenewalSuperseded { session_id } => {
                tracing::debug!(target: TARGET, session = hash(*session_id), "renewal superseded");
            }
            SessionEvent::RenewalFailed { session_id } => {
                tracing::warn!(target: TARGET, session = hash(*session_id), "renewal failed");
            }
            SessionEvent::ClaimsSourceFailed { session_id } => {
                tracing::warn!(target: TARGET, session = hash(*session_id), "claims source failed");
            }
            SessionEvent::JwksUnavailable { issuer } => {
                tracing::warn!(target: TARGET, issuer = &**issuer, "the JWKS of an issuer is unavailable");
            }
            SessionEvent::UserNotFound { session } => {
                tracing::info!(target: TARGET, session = hash(session.id()),
                    "the claims source knows no such user, the session is revoked"
                )
            }
            SessionEvent::RevocationListFull { session_id } => {
                tracing::warn!(target: TARGET, session = hash(*session_id),
                    "the revocation list is full and dropped a revocation: raise `revocation_capacity`"
                )
            }
            SessionEvent::SubjectRevocationDropped { .. } => {
                tracing::warn!(target: TARGET, "the revocation list is full and dropped the revocation of a subject's sessions: \
                     raise `revocation_capacity`"
                )
            }
        }
    }

    pub(crate) fn cookie_written(id: SessionId) {
        tracing::trace!(target: TARGET, session = hash(id), "session cookie written");
    }

    pub(crate) fn undecoded(id: SessionId) {
        tracing::debug!(target: TARGET, session = hash(id), "the claims of the session cannot be decoded");
    }

    pub(crate) fn flow_started(id: FlowId) {
        tracing::debug!(target: TARGET, flow = hash(id), "flow started");
    }

    pub(crate) fn flow_finished(id: FlowId) {
        tracing::debug!(target: TARGET, flow = hash(id), "flow finished");
    }

    pub(crate) fn flow_removed(id: FlowId) {
        tracing::debug!(target: TARGET, flow = hash(id), "flow removed: the browser has too many, or its cookies are too long"
        );
    }

    pub(crate) fn commit_failed(error: &dyn std::fmt::Display) {
        tracing::error!(target: TARGET, %error, "the session changes of a request failed; its response is replaced");
    }

    pub(crate) fn claims_source_failed(error: &dyn std::fmt::Display) {
        tracing::warn!(target: TARGET, %error, "the claims source failed; the old claims are kept");
    }

    pub(crate) fn store_failed(operation: &'static str, error: &dyn std::error::Error) {
        let cause = error.source().map(ToString::to_string);
        tracing::warn!(target: TARGET, operation, %error, cause, "the session store failed");
    }

    pub(crate) fn keys_changed(kids: &[String]) {
        tracing::info!(target: TARGET, ?kids, "key file loaded");
    }

    pub(crate) fn keys_kept(error: &dyn std::fmt::Display) {
        tracing::error!(target: TARGET, %error, "the key file cannot be used; the previous keys are kept");
    }

    pub(crate) fn keys_not_fetched(error: &dyn std::error::Error) {
        let cause = error.source().map(ToString::to_string);
        tracing::warn!(target: TARGET, %error, cause, "fetching a JWKS failed");
    }

    pub(crate) fn no_fetcher() {
        tracing::error!(target: TARGET, "no JWKS fetcher is configured: set `SessionLayer::jwks_fetcher` to fetch an issuer's keys"
        );
    }
}

#[cfg(not(feature = "tracing"))]
mod imp {
    use super::{FlowId, SessionEvent, SessionId};

    pub(crate) fn event(_: &SessionEvent) {}
    pub(crate) fn flow_started(_: FlowId) {}
    pub(crate) fn flow_finished(_: FlowId) {}
    pub(crate) fn flow_removed(_: FlowId) {}
    pub(crate) fn cookie_written(_: SessionId) {}
    pub(crate) fn undecoded(_: SessionId) {}
    pub(crate) fn commit_failed(_: &dyn std::fmt::Display) {}
    pub(crate) fn claims_source_failed(_: &dyn std::fmt::Display) {}
    pub(crate) fn store_failed(_: &'static str, _: &dyn std::error::Error) {}
    pub(crate) fn keys_changed(_: &[String]) {}
    pub(crate) fn keys_kept(_: &dyn std::fmt::Display) {}
    pub(crate) fn keys_not_fetched(_: &dyn std::error::Error) {}
    pub(crate) fn no_fetcher() {}
}

pub(crate) use imp::{
    claims_source_failed, commit_failed, cookie_written, event, flow_finished, flow_removed,
    flow_started, keys_changed, keys_kept, keys_not_fetched, no_fetcher, store_failed, undecoded,
};
