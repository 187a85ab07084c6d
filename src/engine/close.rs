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
    jar::{Ended, Held, Pending, PointTo, Presented, SessionJar, State},
    renewed::Write,
    session::{RequestRecord, SessionIdentity, SessionStatusKind},
    sign_in::CommitError,
};
use crate::{
    error::TokenError,
    time::{Now, Timestamp},
};

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

/// What a request leaves to be done when its response is ready.
struct Closing<C> {
    record: Arc<RequestRecord>,
    presented: Presented,
    removable: Vec<(Place, Vec<SessionId>)>,
    ended: Vec<Ended>,
    clears: bool,
    points_to: Option<PointTo>,
    signing_in: Option<Box<Pending<C>>>,
    held: Option<Held<C>>,
    undecoded: Option<SessionId>,
}

impl<C> SessionEngine<C> {
    /// Writes the changes made to `jar` into `response`: at most one `Set-Cookie` a name, appended
    /// beside the application's own, and the caching headers that go with it. `now` is read when the
    /// head of the response is ready: `Max-Age` counts from it.
    ///
    /// The jar takes no changes afterwards, and closing it again does nothing.
    ///
    /// # Errors
    ///
    /// When a sign-in has no claims, or the response cannot carry its cookie. The response is as it
    /// was then, and has to be replaced: it says that somebody is signed in who is not. Closing the
    /// jar into the response that replaces it writes what else the request changed.
    pub fn close<B>(
        &self,
        jar: &SessionJar<C>,
        response: &mut Response<B>,
        now: impl Into<Now>,
    ) -> Result<(), CommitError> {
        let now = now.into();
        let may_carry = may_carry_cookie(response.status(), response.headers());
        let Some(closing) = self.take(&mut jar.state(), may_carry, now)? else { return Ok(()) };
        let record = Arc::clone(&closing.record);
        let was_signed_in = record.kind == SessionStatusKind::SignedIn;

        let mut events = Vec::new();
        let written = self.write(jar, closing, may_carry, now, &mut events);
        let headers = response.headers_mut();
        if may_carry && !written.cookies.is_empty() {
            for (place, header) in written.cookies {
                if replace_set_cookie(headers, &self.0.cookie.name_of(place), header) {
                    events.push(SessionEvent::ApplicationCookieReplaced);
                }
            }
            forbid_caching(headers);
        }
        // Whether there is a session in the extensions can be seen without asking it anything; only
        // a response that the application marked for everybody is trusted not to depend on it.
        if record.was_consulted() || (was_signed_in && may_carry) {
            vary_by_cookie(headers);
        }
        if record.was_guarded() {
            forbid_caching_unless_said(headers);
        }
        for event in &events {
            self.tell(event);
        }
        if let Some(session_id) = written.session_id {
            crate::logging::cookie_written(session_id);
        }
        Ok(())
    }

    /// Closes the jar and takes out what is to be written, so that nothing is written, told or
    /// encoded while it is locked.
    fn take(
        &self,
        state: &mut State<C>,
        may_carry: bool,
        now: Now,
    ) -> Result<Option<Closing<C>>, CommitError> {
        if state.closed {
            return Ok(None);
        }
        if let Some(pending) = &state.signing_in {
            if pending.ready.is_none() {
                return Err(CommitError::NoClaims);
            }
            if !may_carry || now.timestamp() >= pending.identity.expires_at() {
                return Err(CommitError::Withheld);
            }
        }
        state.closed = true;
        let held = state.held.as_ref().map(Held::clone);
        Ok(Some(Closing {
            record: Arc::clone(&state.record),
            presented: std::mem::take(&mut state.presented),
            removable: std::mem::take(&mut state.found.removable),
            ended: std::mem::take(&mut state.ended),
            clears: state.clears,
            points_to: state.points_to.take(),
            signing_in: state.signing_in.take(),
            held,
            undecoded: state.undecoded.as_ref().map(|undecoded| undecoded.identity.id()),
        }))
    }

    fn write(
        &self,
        jar: &SessionJar<C>,
        closing: Closing<C>,
        may_carry: bool,
        now: Now,
        events: &mut Vec<SessionEvent>,
    ) -> Written {
        let mut written = Written::default();
        let pointer = closing.presented.pointer;
        for (place, sessions) in closing.removable {
            // A newer token, or another session's, may have been written there meanwhile.
            if !sessions.iter().any(|id| self.cookie_may_live(*id, now.timestamp())) {
                written.add(place, self.0.cookie.remove(place));
            }
        }
        for Ended { identity, place } in closing.ended {
            // Once more, from now: a renewal may have lived on until the sign-out.
            self.end(&identity, now);
            if let Some(place) = place {
                written.add(place, self.0.cookie.remove(place));
            }
        }
        // What a browser with one account still has of several goes when anybody signs in or out.
        if closing.clears || (closing.signing_in.is_some() && self.several().is_none()) {
            for place in closing.presented.places {
                written.add(place, self.0.cookie.remove(place));
            }
            self.point(pointer, PointTo::Gone, &mut written);
        }
        let mut points_to = closing.points_to;
        match (closing.signing_in, closing.held) {
            (Some(pending), _) => {
                if let Some(held) = self.sign_in(*pending, now, &mut written, events) {
                    if self.several().is_some() {
                        points_to = Some(PointTo::Session(held.session.peek().id()));
                    }
                    // So that a connection that outlives the response can still sign out.
                    jar.state().held = Some(held);
                }
            }
            (None, Some(held)) if held.renew && may_carry => {
                self.renew(&held, now, &mut written, events);
            }
            (None, Some(held)) if held.renew => {
                let session_id = held.session.peek().id();
                events.push(SessionEvent::CookieWithheld { session_id });
            }
            (None, Some(_)) => {}
            (None, None) => {
                if let Some(id) = closing.undecoded {
                    let reason = RejectReason::Token(TokenError::CustomClaims);
                    crate::logging::undecoded(id);
                    events.push(SessionEvent::Rejected { reason });
                }
            }
        }
        if let Some(point_to) = points_to {
            self.point(pointer, point_to, &mut written);
        }
        written
    }

    fn sign_in(
        &self,
        pending: Pending<C>,
        now: Now,
        written: &mut Written,
        events: &mut Vec<SessionEvent>,
    ) -> Option<Held<C>> {
        let Pending { ready, replaces, made_room, dormant, .. } = pending;
        let (session, token) = ready?;
        let new = session.peek().clone();
        let replaced = replaces.first().map(|session| session.identity.id());
        for (ended, why) in replaces
            .into_iter()
            .map(|ended| (ended, Some(true)))
            .chain(made_room.into_iter().map(|ended| (ended, Some(false))))
            .chain(dormant.into_iter().map(|ended| (ended, None)))
        {
            let Ended { identity: session, place } = ended;
            self.end(&session, now);
            if place == Some(Place::Only) {
                self.0.renewed.supersede(session.id(), new.expires_at());
            }
            if let Some(place) = place {
                written.add(place, self.0.cookie.remove(place));
            }
            let by = new.id();
            match why {
                Some(true) => events.push(SessionEvent::Replaced { session, by }),
                Some(false) => events.push(SessionEvent::MadeRoom { session, by }),
                None => {}
            }
        }
        let renewal = Write::Renewal { claims: self.claims_version(new.id()) };
        self.0.renewed.record(&new, renewal);
        let place = self.home_of(&new);
        written.add(place, self.set(place, &new, &token, now));
        written.session_id = Some(new.id());
        events.push(SessionEvent::SignedIn { session: new, replaced });
        let (size, claims) = (token.len(), 0);
        Some(Held { session, place, size, renew: false, claims, changed: false })
    }

    /// Writes a renewed token, unless this process knows better: an ended session must not come
    /// back, nor an older token or older claims replace newer ones, however slow the handler was.
    fn renew(
        &self,
        held: &Held<C>,
        now: Now,
        written: &mut Written,
        events: &mut Vec<SessionEvent>,
    ) {
        let claims = held.session.shared_claims();
        let mut session = held.session.peek().clone();
        let session_id = session.id();
        let write = if held.changed {
            // What the application said counts, though a plain renewal was faster.
            let newest = self.0.renewed.issued_at(session_id).unwrap_or(Timestamp::EPOCH);
            let mut dates = session.dates();
            dates.issued_at = dates.issued_at.max(newest);
            session = session.dated(dates);
            Write::Claims
        } else {
            Write::Renewal { claims: held.claims }
        };
        let place = self.home_of(&session);
        let token = self.mint_again(&session, &claims).ok();
        let Some(header) = token.and_then(|token| self.set(place, &session, &token, now)) else {
            events.push(SessionEvent::RenewalFailed { session_id });
            return;
        };
        if self.0.ended.contains(session_id) || !self.0.renewed.record(&session, write) {
            events.push(SessionEvent::RenewalDropped { session_id });
            return;
        }
        if held.place != place {
            written.add(held.place, self.0.cookie.remove(held.place));
        }
        written.add(place, Some(header));
        written.session_id = Some(session_id);
        events.push(SessionEvent::Renewed { session });
    }

    /// Where the token of a session belongs.
    fn home_of(&self, session: &SessionIdentity) -> Place {
        if self.several().is_some() { Place::Slot(session.id()) } else { Place::Only }
    }

    fn point(&self, presented: Pointer, to: PointTo, written: &mut Written) {
        let header = match to {
            PointTo::Session(id) => self.0.cookie.point_to(Some(id)),
            PointTo::Nobody => self.0.cookie.point_to(None),
            PointTo::Gone if presented == Pointer::Absent => None,
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
/// last one, and two of a name must not be sent (RFC 6265bis §4.1.1). Whether there was one.
fn replace_set_cookie(headers: &mut HeaderMap, name: &str, header: HeaderValue) -> bool {
    let is_ours = |value: &HeaderValue| {
        value
            .as_bytes()
            .split(|byte| *byte == b'=')
            .next()
            .is_some_and(|found| found.trim_ascii() == name.as_bytes())
    };
    let replaces = headers.get_all(SET_COOKIE).iter().any(is_ours);
    if replaces {
        let others: Vec<_> =
            headers.get_all(SET_COOKIE).iter().filter(|value| !is_ours(value)).cloned().collect();
        headers.remove(SET_COOKIE);
        for other in others {
            headers.append(SET_COOKIE, other);
        }
    }
    headers.append(SET_COOKIE, header);
    replaces
}
