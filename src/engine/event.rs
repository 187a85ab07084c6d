//! [`SessionEvent`]: what happened, for an audit log that needs no parsing.

use std::{fmt, sync::Arc};

use super::{
    redirect::{csrf::CrossOriginReason, target::RedirectError},
    session::{expiry::ExpiryReason, id::SessionId, identity::SessionIdentity},
};
use crate::{error::TokenError, time::Timestamp};

/// Something that happened to a session or to a cookie.
///
/// Delivered to the closure given to `SessionEngineBuilder::on_event` as it happens. No event
/// carries a token, a key or a text that a client chose (ASVS 16.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// A subject signed in, or has begun to: [`is_pending`](SessionIdentity::is_pending) tells. When the
    /// last task is done that is a sign-in too, in whose place the pending session ends.
    #[non_exhaustive]
    SignedIn {
        /// The new session.
        session: SessionIdentity,
        /// The session it replaced in this browser.
        replaced: Option<SessionId>,
    },
    /// Somebody signed in as somebody else: told after the sign-in, and once, when no task is left.
    #[non_exhaustive]
    ImpersonationStarted {
        /// The new session, with its [`actor`](SessionIdentity::actor).
        session: SessionIdentity,
    },
    /// An impersonated session ended: told after what ended it. One whose cookie is never presented
    /// again ends unheard, at its [`expires_at`](SessionIdentity::expires_at).
    #[non_exhaustive]
    ImpersonationEnded {
        /// The session that is over, with its [`actor`](SessionIdentity::actor).
        session: SessionIdentity,
    },
    /// A session ended because a new one stands in its place.
    #[non_exhaustive]
    Replaced {
        /// The session that is over.
        session: SessionIdentity,
        /// The new one.
        by: SessionId,
    },
    /// A session ended because another account signed in and the browser holds only so many.
    #[non_exhaustive]
    Evicted {
        /// The session that is over.
        session: SessionIdentity,
        /// The new one.
        by: SessionId,
    },
    /// A session's token was renewed, and goes out.
    #[non_exhaustive]
    Renewed {
        /// The session as it stands in the new token.
        session: SessionIdentity,
    },
    /// A session made a bearer token.
    #[non_exhaustive]
    BearerTokenIssued {
        /// The session that it acts as.
        session: SessionIdentity,
        /// The end of the token (`exp`).
        expires_at: Timestamp,
    },
    /// A session was signed out.
    #[non_exhaustive]
    SignedOut {
        /// The session that is over.
        session: SessionIdentity,
    },
    /// The store says that a session is over, which this process did not know.
    #[non_exhaustive]
    Revoked {
        /// The session that is over.
        session: SessionIdentity,
    },
    /// The store could not be told of the end of a session: it is tried again in the background.
    #[non_exhaustive]
    RevocationDeferred {
        /// The session that is over.
        session_id: SessionId,
    },
    /// Too many ends wait for the store: this one is forgotten, and a copy of its cookie lives in
    /// other processes until its own end.
    #[non_exhaustive]
    RevocationDropped {
        /// The session that was forgotten.
        session_id: SessionId,
    },
    /// The store could not be asked.
    #[non_exhaustive]
    StoreUnavailable {
        /// For what.
        operation: &'static str,
    },
    /// The revocation feed cannot be read, or told that entries are lost: until it is read again
    /// other processes' sign-outs are known at the next renewal.
    RevocationFeedLost,
    /// A cookie of a session that had run out was presented.
    #[non_exhaustive]
    Expired {
        /// The session that is over.
        session: SessionIdentity,
        /// Which limit ended it.
        by: ExpiryReason,
    },
    /// A cookie was no session.
    #[non_exhaustive]
    CredentialRejected {
        /// Why.
        reason: CredentialError,
    },
    /// The application had set a cookie under a name of ours; ours went out instead.
    CookieNameConflict,
    /// Several cookies of our name were presented and one session was served: somebody else can set
    /// cookies for this host.
    DuplicateCookie,
    /// A request to an endpoint of the layer was refused as forged by another site.
    #[non_exhaustive]
    CrossOriginRefused {
        /// Which signal gave it away.
        reason: CrossOriginReason,
    },
    /// A redirect target was not followed; the default was.
    #[non_exhaustive]
    RedirectRefused {
        /// Which rule it broke.
        reason: RedirectError,
    },
    /// A response could not carry the session's cookie: it was marked for shared caches, or is one
    /// that browsers take no cookies from (1xx, 304).
    #[non_exhaustive]
    CookieWithheld {
        /// Whose cookie.
        session_id: SessionId,
    },
    /// A token was not renewed because its session ended, was replaced or has a newer token.
    #[non_exhaustive]
    RenewalSuperseded {
        /// Whose token.
        session_id: SessionId,
    },
    /// The signature failed, or the session ran out while the request was handled: the old token
    /// stays.
    #[non_exhaustive]
    RenewalFailed {
        /// Whose token.
        session_id: SessionId,
    },
    /// The claims source failed or was too slow, or its claims do not fit: the old claims stay.
    #[non_exhaustive]
    ClaimsSourceFailed {
        /// Whose claims.
        session_id: SessionId,
    },
    /// The key set of a trusted issuer could not be fetched, is none, or has no key that can be used: the
    /// last one is believed on, for as long as is configured.
    #[non_exhaustive]
    JwksUnavailable {
        /// The issuer, as configured.
        issuer: Arc<str>,
    },
    /// The memory of ended sessions was full and forgot the one nearest its end: a copy of its
    /// cookie works again until then.
    #[non_exhaustive]
    RevocationListFull {
        /// The session that was forgotten.
        session_id: SessionId,
    },
}

impl SessionEvent {
    /// What is to be told beside it of a session in which somebody impersonates another.
    pub(super) fn of_impersonation(&self) -> Option<Self> {
        let (session, started) = match self {
            Self::SignedIn { session, .. } => (session, true),
            Self::Replaced { session, .. }
            | Self::Evicted { session, .. }
            | Self::SignedOut { session }
            | Self::Revoked { session }
            | Self::Expired { session, .. } => (session, false),
            _ => return None,
        };
        // Who is pending acts as nobody yet.
        session.actor().filter(|_| !session.is_pending())?;
        let session = session.clone();
        Some(if started {
            Self::ImpersonationStarted { session }
        } else {
            Self::ImpersonationEnded { session }
        })
    }
}

/// Why a cookie was no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialError {
    /// Its value cannot be a token.
    Malformed,
    /// The token is none of ours or not for us.
    Token(TokenError),
    /// More than four distinct values: none was looked at.
    TooManyCookieValues,
    /// More than 32 KiB of cookies: none was looked at.
    CookieHeaderTooLarge,
    /// Valid cookies of two sessions: none is served.
    ConflictingCookies,
    /// The session has been signed out or replaced.
    Revoked,
    /// A WebSocket handshake from a foreign origin.
    CrossOrigin(CrossOriginReason),
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "its value cannot be a token",
            Self::Token(error) => return error.fmt(f),
            Self::TooManyCookieValues => "more than four distinct values",
            Self::CookieHeaderTooLarge => "more than 32 KiB of cookies",
            Self::ConflictingCookies => "valid cookies of two sessions",
            Self::Revoked => "the session has ended",
            Self::CrossOrigin(reason) => return reason.fmt(f),
        })
    }
}
