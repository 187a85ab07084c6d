//! [`SessionEvent`]: what happened, for an audit log that needs no parsing.

use std::{fmt, sync::Arc};

use super::{
    flow::errors::FinishFlowError,
    redirect::{csrf::CrossOriginReason, target::RedirectError},
    session::{
        device_key::{DeviceProofError, ProofSkipReason},
        expiry::ExpiryReason,
        id::{SessionId, Subject},
        identity::SessionIdentity,
    },
};
use crate::{config::CopiedCookies, error::TokenError, time::Timestamp};

/// An event of a session or of a cookie.
///
/// Passed to the closure given to `SessionEngineBuilder::on_event` as it happens. No event carries
/// a token or a key, and only [`CopiedCookie`](Self::CopiedCookie) carries a text that a client chose
/// (ASVS 16.2.5).
///
/// ```
/// use tower_auth_session::event::SessionEvent;
///
/// /// A line of an audit log.
/// fn line(event: &SessionEvent) -> Option<String> {
///     Some(match event {
///         SessionEvent::SignedIn { session, .. } => format!("{} signed in", session.subject()),
///         SessionEvent::SignedOut { session, .. } => format!("{} signed out", session.subject()),
///         SessionEvent::Expired { session, by, .. } => format!("{}: {by:?}", session.subject()),
///         SessionEvent::CredentialRejected { reason, .. } => format!("rejected: {reason}"),
///         SessionEvent::CopiedCookie { session, device, .. } => {
///             format!("{}: a copied cookie, signed in from {device:?}", session.subject())
///         }
///         _ => return None,
///     })
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// A subject signed in, or started a pending session; see
    /// [`is_pending`](SessionIdentity::is_pending). Completing the last task is a sign-in too: the
    /// new session replaces the pending one.
    #[non_exhaustive]
    SignedIn {
        /// The new session.
        session: SessionIdentity,
        /// The session it replaced in this browser.
        replaced: Option<SessionId>,
    },
    /// An impersonated session began. Emitted after the sign-in, once no task is open.
    #[non_exhaustive]
    ImpersonationStarted {
        /// The new session, with its [`actor`](SessionIdentity::actor).
        session: SessionIdentity,
    },
    /// An impersonated session ended. Emitted after the event that ended it. If its cookie is never
    /// presented again, the session expires at [`expires_at`](SessionIdentity::expires_at) without
    /// an event.
    #[non_exhaustive]
    ImpersonationEnded {
        /// The ended session, with its [`actor`](SessionIdentity::actor).
        session: SessionIdentity,
    },
    /// A request made another account of its browser the active one: by
    /// [`SessionJar::switch_to`](crate::SessionJar::switch_to), the switch endpoint or the account chooser.
    #[non_exhaustive]
    AccountSwitched {
        /// The session that is active from now on.
        session: SessionIdentity,
    },
    /// A session was replaced by a newer one of the same account.
    #[non_exhaustive]
    Replaced {
        /// The ended session.
        session: SessionIdentity,
        /// The new one.
        by: SessionId,
    },
    /// A session was evicted by the limits of a browser: when another account signed in, or when a
    /// later request showed that the browser's cookies exceed them.
    #[non_exhaustive]
    Evicted {
        /// The ended session.
        session: SessionIdentity,
        /// The new session, or one that stays.
        by: SessionId,
    },
    /// A session's token was renewed; the response carries it.
    #[non_exhaustive]
    Renewed {
        /// The session as the new token states it.
        session: SessionIdentity,
    },
    /// A bearer token of a session was issued.
    #[non_exhaustive]
    BearerTokenIssued {
        /// The session that the token represents.
        session: SessionIdentity,
        /// The end of the token (`exp`).
        expires_at: Timestamp,
    },
    /// A session was signed out.
    #[non_exhaustive]
    SignedOut {
        /// The ended session.
        session: SessionIdentity,
    },
    /// The store reported that a session is revoked, which this process did not know.
    #[non_exhaustive]
    Revoked {
        /// The ended session.
        session: SessionIdentity,
    },
    /// A copied session cookie was presented: two clients renew the token of one session. See
    /// [the guide](crate::guide::copied_cookies).
    #[non_exhaustive]
    CopiedCookie {
        /// The session, as the presented token states it. Either client may be the one that copied.
        session: SessionIdentity,
        /// The label of the device that the session was signed in from, as the store has it.
        device: Option<Box<str>>,
        /// The `User-Agent` of the request, without control characters and cut to 256 bytes. The
        /// client chose this text, and a thief can send the user's.
        user_agent: Option<Box<str>>,
        /// What happens to the session.
        reaction: CopiedCookies,
    },
    /// A session was bound to a key of the browser's device.
    #[non_exhaustive]
    DeviceBound {
        /// The session, as its bound token states it.
        session: SessionIdentity,
    },
    /// A request did not prove that it comes from the device of its session, or a device could not be
    /// bound. The session itself is unchanged.
    #[non_exhaustive]
    DeviceProofRefused {
        /// The session that the request presented.
        session_id: SessionId,
        /// Why.
        reason: DeviceProofError,
    },
    /// A request has no proof, because the browser did not renew it.
    #[non_exhaustive]
    DeviceProofSkipped {
        /// The session that the request presented.
        session_id: SessionId,
        /// Why, as the browser states it.
        reason: ProofSkipReason,
    },
    /// The store could not record a revocation. It is sent again in the background.
    #[non_exhaustive]
    RevocationDeferred {
        /// The ended session.
        session_id: SessionId,
    },
    /// Too many revocations wait for the store, and this one was dropped: other processes accept a
    /// copy of the session's cookie until it expires.
    #[non_exhaustive]
    RevocationDropped {
        /// The session whose revocation was dropped.
        session_id: SessionId,
    },
    /// The store is unavailable.
    #[non_exhaustive]
    StoreUnavailable {
        /// The operation that failed.
        operation: &'static str,
    },
    /// The revocation feed cannot be read, or reported lost entries: until it is read again,
    /// sign-outs of other processes are detected at the next renewal.
    RevocationFeedLost,
    /// A cookie of an expired session was presented.
    #[non_exhaustive]
    Expired {
        /// The ended session.
        session: SessionIdentity,
        /// The limit that was exceeded.
        by: ExpiryReason,
    },
    /// A credential was rejected.
    #[non_exhaustive]
    CredentialRejected {
        /// Why.
        reason: CredentialError,
    },
    /// The application set a cookie under the name of a session cookie. The session cookie was sent
    /// instead.
    CookieNameConflict,
    /// Several cookies of one name were presented, and one session was served: another host or path
    /// can set cookies for this host.
    DuplicateCookie,
    /// A request was refused because another site made it.
    #[non_exhaustive]
    CrossOriginRefused {
        /// The signal that identified it.
        reason: CrossOriginReason,
    },
    /// A redirect target was rejected; the default was used.
    #[non_exhaustive]
    RedirectRefused {
        /// The rule that it violates.
        reason: RedirectError,
    },
    /// A request named a flow that this browser has not started, or that has expired: no sign-in came of
    /// it.
    #[non_exhaustive]
    FlowRejected {
        /// Why.
        reason: FinishFlowError,
    },
    /// A response could not carry the session's cookie, because it is marked for shared caches or
    /// is informational (1xx).
    #[non_exhaustive]
    CookieWithheld {
        /// The session whose cookie was withheld.
        session_id: SessionId,
    },
    /// A token was not renewed because its session has ended, was replaced or has a newer token.
    #[non_exhaustive]
    RenewalSuperseded {
        /// Whose token.
        session_id: SessionId,
    },
    /// Signing failed, or the session expired while the request was handled: the old token is kept.
    #[non_exhaustive]
    RenewalFailed {
        /// Whose token.
        session_id: SessionId,
    },
    /// The claims source failed or timed out, or its claims do not fit: the old claims are kept.
    #[non_exhaustive]
    ClaimsSourceFailed {
        /// The session whose claims were requested.
        session_id: SessionId,
    },
    /// The JWKS of a trusted issuer could not be fetched, is invalid, or has no usable key. The
    /// last one is used for as long as is configured.
    #[non_exhaustive]
    JwksUnavailable {
        /// The issuer, as configured.
        issuer: Arc<str>,
    },
    /// The claims source knows no such user: the session is revoked.
    #[non_exhaustive]
    UserNotFound {
        /// The revoked session.
        session: SessionIdentity,
    },
    /// The revocation list was full and dropped the revocation that expires first. With a store,
    /// this process accepts no earlier token without the store's confirmation from now on. Without
    /// one, a copy of the session's cookie is accepted again until it expires. Raise
    /// `revocation_capacity`.
    #[non_exhaustive]
    RevocationListFull {
        /// The session whose revocation was dropped.
        session_id: SessionId,
    },
    /// The revocation list was full and dropped the revocation of a subject's sessions, with the
    /// same consequences. No store knows the actor of an impersonated session: those in which the
    /// subject acts as another user are accepted until they expire. Raise `revocation_capacity`.
    #[non_exhaustive]
    SubjectRevocationDropped {
        /// The subject whose revocation was dropped.
        subject: Subject,
    },
}

impl SessionEvent {
    /// The additional event of an impersonated session.
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
        // A pending session impersonates no user yet.
        session.actor().filter(|_| !session.is_pending())?;
        let session = session.clone();
        Some(if started {
            Self::ImpersonationStarted { session }
        } else {
            Self::ImpersonationEnded { session }
        })
    }
}

/// The reason why a credential was rejected.
///
/// ```
/// use tower_auth_session::event::{CredentialError, SessionEvent};
///
/// /// The name of a counter: invalid tokens in number are an attack or a wrong key.
/// fn counter(event: &SessionEvent) -> Option<&'static str> {
///     let SessionEvent::CredentialRejected { reason, .. } = event else { return None };
///     Some(match reason {
///         CredentialError::Token(_) | CredentialError::Malformed => "invalid_tokens",
///         CredentialError::Revoked => "revoked_tokens",
///         _ => "rejected_cookies",
///     })
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialError {
    /// The value is not a token.
    Malformed,
    /// The token is invalid, or was not issued for this service.
    Token(TokenError),
    /// More than four distinct values under one name, or too many session cookies: those beyond the
    /// limit were not read.
    TooManyCookieValues,
    /// More than 32 KiB of cookies: none was read.
    CookieHeaderTooLarge,
    /// Valid tokens of two sessions under one name: none is served.
    ConflictingCookies,
    /// The session is revoked or was replaced.
    Revoked,
    /// A WebSocket handshake from a foreign origin.
    CrossOrigin(CrossOriginReason),
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the value is not a token",
            Self::Token(error) => return error.fmt(f),
            Self::TooManyCookieValues => "more than four distinct values",
            Self::CookieHeaderTooLarge => "more than 32 KiB of cookies",
            Self::ConflictingCookies => "valid tokens of two sessions under one name",
            Self::Revoked => "the session is revoked",
            Self::CrossOrigin(reason) => return reason.fmt(f),
        })
    }
}
