//! The cookies that one response writes: tokens, and the pointer.

use http::HeaderValue;

use crate::{
    engine::{
        cookie::{parse::Pointer, set_cookie::Place},
        event::SessionEvent,
        jar::state::{Ended, Held, Pending, PointTo, Way},
        revocation::latest_tokens::Write,
        session::{id::SessionId, identity::SessionIdentity},
        session_engine::SessionEngine,
    },
    time::Now,
};

/// The cookies of one response, each name at most once (RFC 6265bis §4.1.1).
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) cookies: Vec<(Place, HeaderValue)>,
    /// The session whose token is among them.
    pub(crate) session_id: Option<SessionId>,
}

impl Written {
    /// What is said last about a place counts.
    pub(crate) fn add(&mut self, place: Place, header: Option<HeaderValue>) {
        if let Some(header) = header {
            self.cookies.retain(|(other, _)| *other != place);
            self.cookies.push((place, header));
        }
    }
}

impl<C> SessionEngine<C> {
    /// Ends what a sign-in takes the place of, and writes its token.
    pub(crate) fn sign_in(
        &self,
        pending: Pending<C>,
        now: Now,
        written: &mut Written,
        events: &mut Vec<SessionEvent>,
    ) -> Option<Held<C>> {
        let Pending { ready, way: Way { replaces, made_room, dormant }, .. } = pending;
        let (session, token) = ready?;
        let (facts, new) = (session.facts().clone(), session.facts().peek().clone());
        let replaced = replaces.first().map(|session| session.identity.id());
        let home = self.home_of(&new, &token);
        let by = new.id();
        let mut end = |Ended { identity: session, place }| {
            self.end(&session, now);
            if place == Some(home) {
                self.0.renewed.supersede(session.id(), new.expires_at());
            }
            if let Some(place) = place {
                written.add(place, self.0.cookie.remove(place));
            }
            session
        };
        for ended in replaces {
            events.push(SessionEvent::Replaced { session: end(ended), by });
        }
        for ended in made_room {
            events.push(SessionEvent::MadeRoom { session: end(ended), by });
        }
        // They had run out, here at least: nobody is told that they end.
        for ended in dormant {
            end(ended);
        }
        self.0.renewed.record(&new, Write::Renewal { claims: Some(0) }, &token);
        written.add(home, self.set(home, &new, &token, now));
        written.session_id = Some(new.id());
        events.push(SessionEvent::SignedIn { session: new, replaced });
        Some(Held {
            presented: facts.peek().dates(),
            session: facts,
            place: home,
            size: token.len(),
            renew: false,
            claims: Some(0),
            changed: false,
        })
    }

    /// Writes a renewed token, unless this process knows better: an ended session must not come
    /// back, nor an older token or older claims replace newer ones, however slow the handler was.
    pub(crate) fn renew(
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
            // What the application said counts, though a plain renewal was faster; and so does the
            // activity that the faster one recorded.
            if let Some((issued_at, last_active_at)) = self.0.renewed.dates(session_id) {
                let mut dates = session.dates();
                dates.last_active_at = dates.last_active_at.max(last_active_at);
                let issued_at = dates.issued_at.max(issued_at);
                let limits = self.limits(session.terms());
                session = session.dated(limits.renew(dates, false, issued_at));
            }
            Write::Claims
        } else {
            Write::Renewal { claims: held.claims }
        };
        let token = self.mint_again(&session, &claims).ok();
        let written_to = token.and_then(|token| {
            let place = self.home_of(&session, &token);
            Some((place, self.set(place, &session, &token, now)?, token))
        });
        let Some((place, header, token)) = written_to else {
            events.push(SessionEvent::RenewalFailed { session_id });
            return;
        };
        if self.0.ended.covers(&session) || !self.0.renewed.record(&session, write, &token) {
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
    fn home_of(&self, session: &SessionIdentity, token: &str) -> Place {
        let fits = token.len() <= self.0.cookie.max_value_length(true);
        if self.several().is_some() && fits { Place::Slot(session.id()) } else { Place::Only }
    }

    pub(crate) fn point(&self, presented: Pointer, to: PointTo, written: &mut Written) {
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
