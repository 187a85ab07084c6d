//! The cookies that one response sets: tokens, and the active cookie.

use http::HeaderValue;

use crate::{
    engine::{
        cookie::{parse::ActiveCookie, set_cookie::CookieSlot},
        event::SessionEvent,
        jar::state::{CurrentSession, Displacement, SessionAndCookie, SetActive, StagedSignIn},
        revocation::latest_tokens::{ClaimsVersion, TokenWrite},
        session::{id::SessionId, identity::SessionIdentity},
        session_engine::SessionEngine,
    },
    time::ClockReading,
};

/// The cookies of one response, each name at most once (RFC 6265bis §4.1.1).
#[derive(Default)]
pub(crate) struct SetCookies {
    pub(crate) cookies: Vec<(CookieSlot, HeaderValue)>,
    /// The session whose token is written.
    pub(crate) session_id: Option<SessionId>,
}

impl SetCookies {
    /// Adds a cookie. A later one replaces an earlier one for the same slot.
    pub(crate) fn add(&mut self, place: CookieSlot, header: Option<HeaderValue>) {
        if let Some(header) = header {
            self.cookies.retain(|(other, _)| *other != place);
            self.cookies.push((place, header));
        }
    }
}

impl<C> SessionEngine<C> {
    /// Revokes the sessions that a sign-in displaces, and writes its token.
    pub(crate) fn sign_in(
        &self,
        pending: StagedSignIn<C>,
        now: ClockReading,
        written: &mut SetCookies,
        events: &mut Vec<SessionEvent>,
    ) -> Option<CurrentSession<C>> {
        let StagedSignIn {
            ready,
            displacement: Displacement { replaces, evicted, superseded },
            ..
        } = pending;
        let (session, token) = ready?;
        let (data, new) = (session.data().clone(), session.data().identity().clone());
        let replaced = replaces.first().map(|session| session.identity.id());
        let home = self.cookie_slot_for(&new, &token);
        let by = new.id();
        let mut end = |SessionAndCookie { identity: session, place }| {
            self.end(&session, now);
            self.remove_proof(&session, written);
            if place == Some(home) {
                self.0.latest_tokens.supersede(session.id(), new.expires_at());
            }
            if let Some(place) = place {
                written.add(place, self.0.cookie.remove(place));
            }
            session
        };
        for ended in replaces {
            events.push(SessionEvent::Replaced { session: end(ended), by });
        }
        for ended in evicted {
            events.push(SessionEvent::Evicted { session: end(ended), by });
        }
        // Already expired in this process, so no event is emitted.
        for ended in superseded {
            end(ended);
        }
        self.0.latest_tokens.record(
            &new,
            TokenWrite::Renewal { claims: Some(ClaimsVersion::UNCHANGED) },
            &token,
            now.timestamp(),
        );
        written.add(home, self.set(home, &new, &token, now));
        written.session_id = Some(new.id());
        events.push(SessionEvent::SignedIn { session: new, replaced });
        Some(CurrentSession::new(data, home, token.len(), Some(ClaimsVersion::UNCHANGED)))
    }

    /// Writes a renewed token, unless its session has been revoked or a newer token was issued: an
    /// ended session must not come back, and an older token or older claims must not replace newer
    /// ones, however slow the handler was.
    pub(crate) fn renew(
        &self,
        current: &CurrentSession<C>,
        now: ClockReading,
        written: &mut SetCookies,
        events: &mut Vec<SessionEvent>,
    ) {
        let mut session = current.session.identity().clone();
        let session_id = session.id();
        if let Some(device) = self.missing_device(&session) {
            // A request that was in flight when the session was bound must not undo it.
            session = session.with_device(Some(device));
        }
        let write = if current.changed {
            // What the application said counts, though a plain renewal was faster; and so does the
            // activity that the faster one recorded.
            if let Some((issued_at, last_active_at)) = self.0.latest_tokens.dates(session_id) {
                let mut dates = session.dates();
                dates.last_active_at = dates.last_active_at.max(last_active_at);
                let issued_at = dates.issued_at.max(issued_at);
                let limits = self.limits(session.terms());
                session = session.with_times(limits.renew(dates, false, issued_at));
            }
            TokenWrite::Claims
        } else {
            TokenWrite::Renewal { claims: current.claims }
        };
        let token = self.reissue(&session, current.session.claims()).ok();
        let written_to = token.and_then(|token| {
            let place = self.cookie_slot_for(&session, &token);
            Some((place, self.set(place, &session, &token, now)?, token))
        });
        let Some((place, header, token)) = written_to else {
            events.push(SessionEvent::RenewalFailed { session_id });
            return;
        };
        if self.0.revocations.is_revoked(&session)
            || !self.0.latest_tokens.record(&session, write, &token, now.timestamp())
        {
            events.push(SessionEvent::RenewalSuperseded { session_id });
            return;
        }
        if current.place != place {
            written.add(current.place, self.0.cookie.remove(current.place));
        }
        written.add(place, Some(header));
        written.session_id = Some(session_id);
        events.push(SessionEvent::Renewed { session });
    }

    /// Where the token of a session belongs.
    fn cookie_slot_for(&self, session: &SessionIdentity, token: &str) -> CookieSlot {
        let fits = token.len() <= self.0.cookie.max_value_length(true);
        if self.multi_session().is_some() && fits {
            CookieSlot::Account(session.id())
        } else {
            CookieSlot::Single
        }
    }

    pub(crate) fn point(&self, presented: ActiveCookie, to: SetActive, written: &mut SetCookies) {
        let header = match to {
            SetActive::Session(id) => self.0.cookie.set_active(Some(id)),
            SetActive::None => self.0.cookie.set_active(None),
            SetActive::Remove if presented == ActiveCookie::Absent => None,
            SetActive::Remove => self.0.cookie.remove(CookieSlot::Active),
        };
        written.add(CookieSlot::Active, header);
    }

    fn set(
        &self,
        place: CookieSlot,
        session: &SessionIdentity,
        token: &str,
        now: ClockReading,
    ) -> Option<HeaderValue> {
        let remaining = session.expires_at().saturating_since(now.timestamp());
        self.0.cookie.set(place, token, remaining, session.terms().persistent)
    }
}
