//! From the changes of a request to the `Set-Cookie` of its response.

use std::sync::Arc;

use http::{
    HeaderMap, Response,
    header::{HeaderValue, SET_COOKIE},
};

use super::{
    SessionEngine,
    caching::{forbid_caching, forbid_caching_unless_said, may_carry_cookie, vary_by_cookie},
    event::{RejectReason, SessionEvent},
    id::SessionId,
    jar::{Change, Held, Pending, SessionJar, State},
    session::SessionIdentity,
    sign_in::CommitError,
};
use crate::{error::TokenError, time::Now};

/// A cookie that is ready to go out.
struct Written {
    header: HeaderValue,
    session_id: Option<SessionId>,
}

impl<C> SessionEngine<C> {
    /// Writes the changes made to `jar` into `response`: at most one `Set-Cookie`, appended beside
    /// the application's own, and the caching headers that go with it. `now` is read when the head
    /// of the response is ready: `Max-Age` counts from it.
    ///
    /// The jar takes no changes afterwards, and closing it again does nothing.
    ///
    /// # Errors
    ///
    /// When a sign-in has no claims. The response is as it was then, and has to be replaced: it says
    /// that somebody is signed in who is not.
    pub fn close<B>(
        &self,
        jar: &SessionJar<C>,
        response: &mut Response<B>,
        now: impl Into<Now>,
    ) -> Result<(), CommitError> {
        let now = now.into();
        let mut state = jar.state();
        if state.closed {
            return Ok(());
        }
        if matches!(&state.change, Change::SignIn(pending) if pending.ready.is_none()) {
            return Err(CommitError::NoClaims);
        }
        state.closed = true;

        let mut events = Vec::new();
        let written = self.write(&mut state, now, &mut events);
        let record = Arc::clone(&state.record);
        // Nobody who listens to events may find the jar locked.
        drop(state);

        let status = response.status();
        let headers = response.headers_mut();
        match written {
            Some(Written { header, session_id }) if may_carry_cookie(status, headers) => {
                replace_set_cookie(headers, self.0.cookie.name(), header);
                forbid_caching(headers);
                if let Some(session_id) = session_id {
                    crate::logging::cookie_written(session_id);
                }
            }
            Some(Written { session_id: Some(session_id), .. }) => {
                events.push(SessionEvent::CookieWithheld { session_id });
            }
            _ => {}
        }
        if record.was_consulted() {
            vary_by_cookie(headers);
        }
        if record.was_guarded() {
            forbid_caching_unless_said(headers);
        }
        for event in &events {
            self.tell(event);
        }
        Ok(())
    }

    fn write(
        &self,
        state: &mut State<C>,
        now: Now,
        events: &mut Vec<SessionEvent>,
    ) -> Option<Written> {
        match std::mem::replace(&mut state.change, Change::None) {
            Change::SignIn(pending) => {
                let Pending { ready, replaces, .. } = *pending;
                let (session, token) = ready?;
                let identity = session.peek().clone();
                let replaced = replaces.first().map(SessionIdentity::id);
                for session in &replaces {
                    self.end(session, now);
                }
                self.0.renewed.record(identity.id(), identity.issued_at());
                let written = self.set(&identity, &token, now);
                events.push(SessionEvent::SignedIn { session: identity, replaced });
                // So that a connection that outlives the response can still sign out.
                state.held = Some(Held { session, renew: false });
                written
            }
            Change::SignOut(ended) => {
                for session in &ended {
                    // Once more, from now: a renewal may have lived on until the sign-out.
                    self.end(session, now);
                }
                self.remove(state.presented)
            }
            Change::None => match &state.held {
                Some(held) if held.renew => self.renew(held, now, events),
                Some(_) => None,
                None => {
                    if let Some(session) = &state.undecoded {
                        let reason = RejectReason::Token(TokenError::CustomClaims);
                        crate::logging::undecoded(session.id());
                        events.push(SessionEvent::Rejected { reason });
                    }
                    self.remove(state.removable)
                }
            },
        }
    }

    /// Writes a renewed token, unless this process knows better: an ended session must not come
    /// back, nor an older token replace a newer one, however slow the handler was.
    fn renew(&self, held: &Held<C>, now: Now, events: &mut Vec<SessionEvent>) -> Option<Written> {
        let claims = held.session.shared_claims();
        let session = held.session.peek();
        let session_id = session.id();
        let Ok(token) = self.mint_again(session, &claims) else {
            events.push(SessionEvent::RenewalFailed { session_id });
            return None;
        };
        let ended = self.0.ended.contains(session_id);
        if ended || !self.0.renewed.record(session_id, session.issued_at()) {
            events.push(SessionEvent::RenewalDropped { session_id });
            return None;
        }
        events.push(SessionEvent::Renewed { session: session.clone() });
        self.set(session, &token, now)
    }

    fn set(&self, session: &SessionIdentity, token: &str, now: Now) -> Option<Written> {
        let remaining = session.expires_at().saturating_since(now.timestamp());
        let header = self.0.cookie.set(token, remaining, session.terms().persistent)?;
        Some(Written { header, session_id: Some(session.id()) })
    }

    fn remove(&self, wanted: bool) -> Option<Written> {
        let header = if wanted { self.0.cookie.remove() } else { None }?;
        Some(Written { header, session_id: None })
    }
}

/// Appends `header`, in place of what the application set under the same name: a browser keeps the
/// last one, and two of a name must not be sent (RFC 6265bis §4.1.1).
fn replace_set_cookie(headers: &mut HeaderMap, name: &str, header: HeaderValue) {
    let is_ours = |value: &HeaderValue| {
        value
            .as_bytes()
            .split(|byte| *byte == b'=')
            .next()
            .is_some_and(|found| found.trim_ascii() == name.as_bytes())
    };
    if headers.get_all(SET_COOKIE).iter().any(is_ours) {
        let others: Vec<_> =
            headers.get_all(SET_COOKIE).iter().filter(|value| !is_ours(value)).cloned().collect();
        headers.remove(SET_COOKIE);
        for other in others {
            headers.append(SET_COOKIE, other);
        }
    }
    headers.append(SET_COOKIE, header);
}
