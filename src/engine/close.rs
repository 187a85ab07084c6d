//! From the changes of a request to the `Set-Cookie` of its response.

use std::sync::Arc;

use http::{
    HeaderMap, Response,
    header::{HeaderValue, SET_COOKIE},
};

use super::{
    SessionEngine,
    caching::{forbid_caching, forbid_caching_unless_said, may_carry_cookie, vary_by_cookie},
    cookie::Place,
    cookie_header::Pointer,
    event::{RejectReason, SessionEvent},
    id::SessionId,
    jar::{Ended, Held, Pending, PointTo, SessionJar, State},
    session::SessionIdentity,
    sign_in::CommitError,
};
use crate::{error::TokenError, time::Now};

/// The cookies of one response, each name at most once (RFC 6265bis §4.1.1).
#[derive(Default)]
struct Written {
    cookies: Vec<(Place, HeaderValue)>,
    /// The session whose token is among them.
    session_id: Option<SessionId>,
}

impl Written {
    /// What is said last about a place counts.
    fn add(&mut self, place: Place, header: Option<HeaderValue>) {
        if let Some(header) = header {
            self.cookies.retain(|(other, _)| *other != place);
            self.cookies.push((place, header));
        }
    }
}

impl<C> SessionEngine<C> {
    /// Writes the changes made to `jar` into `response`: at most one `Set-Cookie` a name, appended beside
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
        if state.signing_in.as_ref().is_some_and(|pending| pending.ready.is_none()) {
            return Err(CommitError::NoClaims);
        }
        state.closed = true;

        let may_carry = may_carry_cookie(response.status(), response.headers());
        let mut events = Vec::new();
        let written = self.write(&mut state, now, &mut events);
        let record = Arc::clone(&state.record);
        // Nobody who listens to events may find the jar locked.
        drop(state);

        let headers = response.headers_mut();
        if may_carry && !written.cookies.is_empty() {
            for (place, header) in written.cookies {
                replace_set_cookie(headers, &self.0.cookie.name_of(place), header);
            }
            forbid_caching(headers);
            if let Some(session_id) = written.session_id {
                crate::logging::cookie_written(session_id);
            }
        } else if let Some(session_id) = written.session_id {
            events.push(SessionEvent::CookieWithheld { session_id });
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

    fn write(&self, state: &mut State<C>, now: Now, events: &mut Vec<SessionEvent>) -> Written {
        let mut written = Written::default();
        for place in std::mem::take(&mut state.removable) {
            written.add(place, self.0.cookie.remove(place));
        }
        for Ended { identity, place } in std::mem::take(&mut state.ended) {
            // Once more, from now: a renewal may have lived on until the sign-out.
            self.end(&identity, now);
            if let Some(place) = place {
                written.add(place, self.0.cookie.remove(place));
            }
        }
        let signing_in = state.signing_in.take();
        // What a browser with one account still has of several goes when anybody signs in or out.
        if state.clears || (signing_in.is_some() && self.several().is_none()) {
            for place in std::mem::take(&mut state.presented.places) {
                written.add(place, self.0.cookie.remove(place));
            }
            self.point(state, PointTo::Gone, &mut written);
        }
        match (signing_in, &state.held) {
            (Some(pending), _) => self.sign_in(state, *pending, now, &mut written, events),
            (None, Some(held)) if held.renew => {
                if let Some((place, header)) = self.renew(held, now, events) {
                    written.session_id = Some(held.session.peek().id());
                    if held.place != place {
                        written.add(held.place, self.0.cookie.remove(held.place));
                    }
                    written.add(place, Some(header));
                }
            }
            (None, Some(_)) => {}
            (None, None) => {
                if let Some(session) = &state.undecoded {
                    let reason = RejectReason::Token(TokenError::CustomClaims);
                    crate::logging::undecoded(session.identity.id());
                    events.push(SessionEvent::Rejected { reason });
                }
            }
        }
        if let Some(point_to) = state.points_to.take() {
            self.point(state, point_to, &mut written);
        }
        written
    }

    fn sign_in(
        &self,
        state: &mut State<C>,
        pending: Pending<C>,
        now: Now,
        written: &mut Written,
        events: &mut Vec<SessionEvent>,
    ) {
        let Pending { ready, ends, replaced, .. } = pending;
        let Some((session, token)) = ready else { return };
        let identity = session.peek().clone();
        for Ended { identity: ended, place } in ends {
            self.end(&ended, now);
            if let Some(place) = place {
                written.add(place, self.0.cookie.remove(place));
            }
            if replaced != Some(ended.id()) {
                events.push(SessionEvent::SignedOut { session: ended });
            }
        }
        self.0.renewed.record(identity.id(), identity.issued_at());
        let place = self.home_of(&identity);
        written.add(place, self.set(place, &identity, &token, now));
        written.session_id = Some(identity.id());
        if self.several().is_some() {
            state.points_to = Some(PointTo::Session(identity.id()));
        }
        events.push(SessionEvent::SignedIn { session: identity, replaced });
        // So that a connection that outlives the response can still sign out.
        state.held = Some(Held { session, place, size: token.len(), renew: false });
    }

    /// Writes a renewed token, unless this process knows better: an ended session must not come
    /// back, nor an older token replace a newer one, however slow the handler was.
    fn renew(
        &self,
        held: &Held<C>,
        now: Now,
        events: &mut Vec<SessionEvent>,
    ) -> Option<(Place, HeaderValue)> {
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
        let place = self.home_of(session);
        Some((place, self.set(place, session, &token, now)?))
    }

    /// Where the token of a session belongs.
    fn home_of(&self, session: &SessionIdentity) -> Place {
        if self.several().is_some() { Place::Slot(session.id()) } else { Place::Only }
    }

    fn point(&self, state: &State<C>, to: PointTo, written: &mut Written) {
        let header = match to {
            PointTo::Session(id) => self.0.cookie.point_to(Some(id)),
            PointTo::Nobody => self.0.cookie.point_to(None),
            PointTo::Gone if state.presented.pointer == Pointer::Absent => None,
            PointTo::Gone => self.0.cookie.remove(Place::Pointer),
        };
        written.add(Place::Pointer, header);
    }

    fn set(
        &self,
        place: Place,
        session: &SessionIdentity,
        token: &str,
        now: Now,
    ) -> Option<HeaderValue> {
        let remaining = session.expires_at().saturating_since(now.timestamp());
        self.0.cookie.set(place, token, remaining, session.terms().persistent)
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
