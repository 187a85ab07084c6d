//! From the cookies of a request to a [`SessionJar`].
//!
//! Only verified tokens speak. What is wrong with the others is told to `on_event` and to nobody
//! else: the request goes on without a session (ASVS 16.5.1).

use std::sync::Arc;

use http::{Method, Request, header::USER_AGENT};

use super::{
    RequestHead, SessionEngine,
    account::Account,
    browser::{Named, Reader},
    claims::Decoded,
    cookie_header::Cookies,
    event::{RejectReason, SessionEvent},
    identity::{SessionIdentity, SessionStatusKind},
    jar::{Held, Opened, Others, Presented, SessionJar, State, Undecoded},
    jws,
    limits::Liveness,
    mint::TOKEN_TYPE,
    paths::Endpoint,
    record::RequestRecord,
    session::Session,
    several::Several,
};
use crate::{
    error::TokenError,
    time::{Now, Timestamp},
};

impl<C> SessionEngine<C> {
    /// Reads and verifies the session cookies of `request`. `now` is read before anything else is
    /// done for the request: it is the `iat` of a token that goes out with the response.
    ///
    /// Whatever the request carries, there is a jar: bad cookies are no session, and reasons go to
    /// `on_event`.
    #[must_use]
    pub fn open<B>(&self, request: &Request<B>, now: impl Into<Now>) -> SessionJar<C> {
        let now = now.into();
        if let Some(verifier) = &self.0.verifier {
            return self.open_verified(verifier, request, now);
        }
        let head = RequestHead::of(request);
        // Who asks which accounts are signed in is a script on a timer.
        let asks_who = self.0.paths.find(head.uri.path()) == Some(Endpoint::Sessions);
        let activity = !asks_who
            && !head.says_inactive()
            && self.0.activity.as_ref().is_none_or(|is_one| is_one(head));
        let several = self.0.several.as_ref();
        let named = self.named_by(head);
        if let Some(jar) = self.open_bearer(request, named, now) {
            return jar;
        }
        let most_slots = several.map_or(Several::DEFAULT_MAX, |several| several.max) * 2;
        let cookies = Cookies::read(head.headers, &self.0.cookie, most_slots, named.session());

        let handshake = head.is_websocket_handshake();
        let cross_origin = if handshake {
            self.check_origin(head, cookies.any_session()).err()
        } else if is_safe(head.method) {
            None
        } else {
            // No cookie of ours is at stake when somebody signs in, and clients that are no browser
            // send no signal at all: only a signal of another site refuses.
            self.check_origin(head, false).err()
        };
        let refused = if handshake { cross_origin } else { None };

        let mut reader = Reader::new(self, &cookies, now.timestamp());
        let acting = match refused {
            Some(reason) => {
                self.reject(RejectReason::CrossOrigin(reason));
                Err(SessionStatusKind::CrossOrigin(reason))
            }
            None => reader.select(named, cookies.pointer, several.is_some()),
        };
        let mut record = RequestRecord::new(
            SessionStatusKind::SignedIn,
            None,
            request.uri().clone(),
            now.timestamp(),
            Arc::clone(&self.0.redirects),
        );
        record.accepts_bearer = self.accepts_bearer();
        let (mut held, mut undecoded) = (None, None);
        let record = match acting {
            Ok(account) => {
                let (identity, renew) = self.act(&account, activity, now.timestamp());
                let presented = account.identity.dates();
                match account.claims.clone() {
                    Some(claims) => {
                        record.kind = identity.kind();
                        record.identity = Some(identity.clone());
                        let record = Arc::new(record);
                        let session = Session::new(identity, claims, Arc::clone(&record));
                        let Account { place, size, .. } = account;
                        let claims = account.version;
                        held = Some(Held {
                            session,
                            place,
                            size,
                            presented,
                            renew,
                            claims,
                            changed: false,
                        });
                        record
                    }
                    None => {
                        record.kind = SessionStatusKind::SignedOut;
                        let Account { place, version, .. } = account;
                        undecoded = Some(Undecoded { identity, presented, place, version });
                        Arc::new(record)
                    }
                }
            }
            Err(kind) => {
                record.kind = kind;
                Arc::new(record)
            }
        };
        let presented = Presented { places: cookies.places().collect(), pointer: cookies.pointer };
        let found = std::mem::take(&mut reader.found);
        // A foreign page that opens a WebSocket has no sessions to change.
        let (accounts, unread) =
            if refused.is_some() { (Vec::new(), Vec::new()) } else { reader.rest() };
        let state = State {
            presented,
            found,
            held,
            undecoded,
            others: Others { accounts, unread },
            ..State::of(record)
        };
        let is_named = named != Named::Nobody;
        SessionJar::new(Opened {
            engine: self.clone(),
            now,
            activity,
            is_named,
            cross_origin,
            user_agent: request.headers().get(USER_AGENT).cloned(),
            state,
        })
    }

    /// `account` as the request acts as it: renewed when that is due.
    pub(super) fn act(
        &self,
        account: &Account<C>,
        activity: bool,
        now: Timestamp,
    ) -> (SessionIdentity, bool) {
        let identity = &account.identity;
        let liveness = self.limits(identity.terms()).liveness(identity.dates(), activity, now);
        if liveness == Liveness::Fresh
            && account.claims.is_some()
            && self.trusts(identity.issued_at())
        {
            (identity.clone(), false)
        } else {
            (self.renewed(identity, activity, now), true)
        }
    }

    /// The claims of a token that is ours and for us. When it counts is another question.
    pub(super) fn verify(&self, token: &[u8], now: Timestamp) -> Result<Decoded<C>, TokenError> {
        let longest = self.0.cookie.max_value_length(false);
        let payload = jws::verify(&self.0.keys, token, Some(TOKEN_TYPE), longest, now)?;
        let decoded = (self.0.codec.decode)(&payload)?;
        let registered = &decoded.registered;
        if registered.iss != self.0.issuer {
            return Err(TokenError::Audience);
        }
        // RFC 7519 §4.1.3: a token for somebody else is not for us, and neither is one for nobody in
        // particular where an audience is configured.
        let for_us = match &self.0.audience {
            Some(audience) => registered.audience_contains(audience),
            None => registered.aud.is_none(),
        };
        if !for_us {
            return Err(TokenError::Audience);
        }
        Ok(decoded)
    }

    pub(super) fn reject(&self, reason: RejectReason) {
        self.tell(&SessionEvent::Rejected { reason });
    }
}

/// RFC 9110 §9.2.1. TRACE is left out: nobody needs a session for it.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
