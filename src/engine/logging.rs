//! The one place that knows whether the `tracing` feature is on.
//!
//! Reasons go out at debug level, one line an occurrence, without anything that a client chose. A
//! session id is logged as a hash under a key of this process: enough to follow a session through
//! one log, and worth nothing to who reads it (ASVS 16.2.5).

use super::{event::SessionEvent, session::id::SessionId};

#[cfg(feature = "tracing")]
mod imp {
    use std::{
        hash::{BuildHasher, RandomState},
        sync::OnceLock,
    };

    use super::{SessionEvent, SessionId};

    fn hash(id: SessionId) -> tracing::field::DebugValue<impl std::fmt::Debug> {
        struct Hash(u64);
        impl std::fmt::Debug for Hash {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }
        static KEY: OnceLock<RandomState> = OnceLock::new();
        tracing::field::debug(Hash(KEY.get_or_init(RandomState::new).hash_one(id)))
    }

    pub(crate) fn event(event: &SessionEvent) {
        match event {
            SessionEvent::SignedIn { session, replaced } => tracing::debug!(
                session = hash(session.id()),
                replaced = replaced.is_some(),
                pending = session.is_pending(),
                "signed in"
            ),
            SessionEvent::Replaced { session, by } => {
                tracing::debug!(session = hash(session.id()), by = hash(*by), "session replaced");
            }
            SessionEvent::ImpersonationStarted { session } => {
                tracing::debug!(session = hash(session.id()), "impersonation started");
            }
            SessionEvent::ImpersonationEnded { session } => {
                tracing::debug!(session = hash(session.id()), "impersonation ended");
            }
            SessionEvent::Evicted { session, by } => tracing::debug!(
                session = hash(session.id()),
                by = hash(*by),
                "signed out to make room"
            ),
            SessionEvent::CookieNameConflict => {
                tracing::debug!("the application had set a cookie of our name");
            }
            SessionEvent::Renewed { session } => {
                tracing::debug!(session = hash(session.id()), "session renewed");
            }
            SessionEvent::BearerTokenIssued { session, expires_at } => tracing::debug!(
                session = hash(session.id()),
                expires_at = expires_at.as_unix_seconds(),
                "bearer token issued"
            ),
            SessionEvent::SignedOut { session } => {
                tracing::debug!(session = hash(session.id()), "signed out");
            }
            SessionEvent::Revoked { session } => {
                tracing::debug!(session = hash(session.id()), "the store says it is over");
            }
            SessionEvent::RevocationDeferred { session_id } => tracing::warn!(
                session = hash(*session_id),
                "the store could not be told that a session ended, it is tried again"
            ),
            SessionEvent::RevocationDropped { session_id } => tracing::error!(
                session = hash(*session_id),
                "the store was never told that a session ended"
            ),
            SessionEvent::StoreUnavailable { operation } => {
                tracing::warn!(operation, "the session store is unavailable");
            }
            SessionEvent::RevocationFeedLost => tracing::warn!("the revocation feed was lost"),
            SessionEvent::Expired { session, by } => {
                tracing::debug!(session = hash(session.id()), ?by, "session expired");
            }
            SessionEvent::CredentialRejected { reason } => {
                tracing::debug!(%reason, "session cookie refused");
            }
            SessionEvent::DuplicateCookie => tracing::debug!("several session cookies"),
            SessionEvent::CrossOriginRefused { reason } => {
                tracing::debug!(%reason, "request from another site refused");
            }
            SessionEvent::RedirectRefused { reason } => {
                tracing::debug!(%reason, "redirect target refused");
            }
            SessionEvent::CookieWithheld { session_id } => tracing::debug!(
                session = hash(*session_id),
                "the response may be cached or takes no cookies: session cookie withheld"
            ),
            SessionEvent::RenewalSuperseded { session_id } => {
                tracing::debug!(session = hash(*session_id), "renewal dropped");
            }
            SessionEvent::RenewalFailed { session_id } => {
                tracing::warn!(session = hash(*session_id), "renewal failed");
            }
            SessionEvent::ClaimsSourceFailed { session_id } => {
                tracing::warn!(session = hash(*session_id), "claims source failed");
            }
            SessionEvent::JwksUnavailable { issuer } => {
                tracing::warn!(issuer = &**issuer, "the key set of an issuer is unavailable");
            }
            SessionEvent::RevocationListFull { session_id } => tracing::warn!(
                session = hash(*session_id),
                "the memory of ended sessions is full, one was forgotten"
            ),
        }
    }

    pub(crate) fn cookie_written(id: SessionId) {
        tracing::trace!(session = hash(id), "session cookie written");
    }

    pub(crate) fn undecoded(id: SessionId) {
        tracing::debug!(session = hash(id), "the claims of the session do not decode");
    }

    pub(crate) fn commit_failed(error: &dyn std::fmt::Display) {
        tracing::error!(%error, "the session changes of a request failed, its response is replaced");
    }

    pub(crate) fn claims_source_failed(error: &dyn std::fmt::Display) {
        tracing::warn!(%error, "the claims source failed, the old claims stay");
    }

    pub(crate) fn store_failed(operation: &'static str, error: &dyn std::error::Error) {
        let cause = error.source().map(ToString::to_string);
        tracing::warn!(operation, %error, cause, "the session store failed");
    }

    pub(crate) fn keys_changed(kids: &[String]) {
        tracing::info!(?kids, "the key file was read");
    }

    pub(crate) fn keys_kept(error: &dyn std::fmt::Display) {
        tracing::error!(%error, "the key file cannot be used, the last keys stay");
    }

    pub(crate) fn keys_not_fetched(error: &dyn std::error::Error) {
        let cause = error.source().map(ToString::to_string);
        tracing::warn!(%error, cause, "fetching a key set failed");
    }

    pub(crate) fn no_fetcher() {
        tracing::error!("no `jwks_fetch` is configured: the keys of an issuer cannot be had");
    }

    pub(crate) fn no_origin() {
        tracing::warn!(
            "no `origin` is configured: requests from other sites are told apart by the Host header"
        );
    }

    pub(crate) fn no_runtime() {
        tracing::warn!(
            "no tokio runtime with timers: claims source and store run without a deadline"
        );
    }
}

#[cfg(not(feature = "tracing"))]
mod imp {
    use super::{SessionEvent, SessionId};

    pub(crate) fn event(_: &SessionEvent) {}
    pub(crate) fn cookie_written(_: SessionId) {}
    pub(crate) fn undecoded(_: SessionId) {}
    pub(crate) fn commit_failed(_: &dyn std::fmt::Display) {}
    pub(crate) fn claims_source_failed(_: &dyn std::fmt::Display) {}
    pub(crate) fn store_failed(_: &'static str, _: &dyn std::error::Error) {}
    pub(crate) fn keys_changed(_: &[String]) {}
    pub(crate) fn keys_kept(_: &dyn std::fmt::Display) {}
    pub(crate) fn keys_not_fetched(_: &dyn std::error::Error) {}
    pub(crate) fn no_fetcher() {}
    pub(crate) fn no_origin() {}
    pub(crate) fn no_runtime() {}
}

pub(crate) use imp::{
    claims_source_failed, commit_failed, cookie_written, event, keys_changed, keys_kept,
    keys_not_fetched, no_fetcher, no_origin, no_runtime, store_failed, undecoded,
};
