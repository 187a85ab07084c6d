//! Turns the changes of a request into the `Set-Cookie` fields of its response.

pub(crate) mod cache_headers;
pub(crate) mod cookies;
pub(crate) mod device;
pub(crate) mod flows;

use http::{
    HeaderMap, Response,
    header::{HeaderValue, SET_COOKIE},
};

use self::{
    cache_headers::{
        CacheMarks, SessionSources, can_carry_cookie, clear_speculative_pages, set_no_store,
    },
    cookies::SetCookies,
};
use super::{
    bearer::CredentialKind,
    cookie::set_cookie::CookieSlot,
    device_bound::headers,
    event::{CredentialError, SessionEvent},
    jar::{
        SessionJar,
        device::DeviceChanges,
        flows::FlowChanges,
        limits::MAX_REMOVALS,
        state::{
            CurrentSession, JarState, PresentedCookies, SessionAndCookie, SetActive, StagedSignIn,
        },
    },
    logging::warnings::{self, PageWarningKind},
    session::{id::SessionId, identity::SessionStatusKind},
    session_engine::SessionEngine,
    sign_in::CommitError,
};
use crate::{error::TokenError, time::ClockReading};

/// The changes of a request that its response has to carry.
struct CloseContext<C> {
    /// The request's kind, if it changed.
    kind: Option<SessionStatusKind>,
    presented: PresentedCookies,
    removable: Vec<(CookieSlot, Vec<SessionId>)>,
    /// Cookies that this process cannot verify and that need not stay.
    unverifiable: Vec<CookieSlot>,
    ended: Vec<SessionAndCookie>,
    clear_all_cookies: bool,
    set_active: Option<SetActive>,
    staged: Option<Box<StagedSignIn<C>>>,
    current: Option<CurrentSession<C>>,
    outgoing: Vec<CurrentSession<C>>,
    undecoded: Option<SessionId>,
    /// `None` if the cookies of flows stay as they are.
    flows: Option<FlowChanges>,
    /// The bytes of the session cookies.
    session_bytes: usize,
    device: DeviceChanges,
}

impl<C> CloseContext<C> {
    /// Whether later requests of the browser may act as another session, or as none.
    fn changes_account(&self) -> bool {
        self.staged.is_some()
            || self.set_active.is_some()
            || self.clear_all_cookies
            || !self.ended.is_empty()
            || !self.removable.is_empty()
    }
}

impl<C> SessionEngine<C> {
    /// Writes the changes made to `jar` into `response`: at most one `Set-Cookie` for each name,
    /// next to the application's own, and the caching headers that belong to it. `now` is read when
    /// the head of the response is ready: `Max-Age` counts from it.
    ///
    /// The jar accepts no changes afterwards; closing it again does nothing.
    ///
    /// # Errors
    ///
    /// If a sign-in has no claims, or the response cannot carry its cookie. The response is then
    /// unchanged and must be replaced, because it states a sign-in that did not happen. Closing the
    /// jar into the replacement writes the request's other changes.
    pub fn close<B>(
        &self,
        jar: &SessionJar<C>,
        response: &mut Response<B>,
        now: impl Into<ClockReading>,
    ) -> Result<(), CommitError> {
        if jar.close_untouched() {
            self.mark_unchanged(jar, response);
            return Ok(());
        }
        let now = now.into();
        // With a store, the layer revokes them there first.
        if !jar.host().has_store() {
            jar.sessions_beyond_limits().into_iter().for_each(|beyond| jar.evict(beyond, now));
        }
        let may_carry = can_carry_cookie(response.status(), response.headers());
        let Some(closing) = self.take(&mut jar.state(), may_carry, now)? else { return Ok(()) };
        let kind = closing.kind.unwrap_or_else(|| jar.record().kind);
        let credential = jar.record().credential;

        let (changes_account, signs_in) = (closing.changes_account(), closing.staged.is_some());
        let offered = closing.offered_session().filter(|_| jar.can_bind_devices());
        let mut events = Vec::new();
        let mut written = self.write(jar, closing, may_carry, now, &mut events);
        if credential == CredentialKind::BearerToken || self.verifies_only() {
            // Cookies in the request belong to another credential.
            written.cookies.clear();
        }
        let headers = response.headers_mut();
        let carries = may_carry && !written.cookies.is_empty();
        if carries {
            for (place, header) in written.cookies {
                if replace_set_cookie(headers, &self.0.cookie.name_of(place), header) {
                    events.push(SessionEvent::CookieNameConflict);
                }
            }
            if let Some(offer) = offered.and_then(|id| self.offer(id, now.timestamp())) {
                headers.append(headers::REGISTRATION, offer);
            }
            set_no_store(headers, self.session_sources());
            let warning = jar.page_warning().filter(|_| signs_in);
            if let Some(warning) = warning.filter(|it| it.kind != PageWarningKind::OtherOrigin) {
                self.log_page_warning(warning);
            }
            if changes_account && self.0.cookie.is_secure() {
                clear_speculative_pages(headers);
            }
        }
        self.set_vary(jar, kind, response, carries);
        for event in &events {
            self.emit(event);
        }
        if let Some(session_id) = written.session_id {
            super::logging::cookie_written(session_id);
        }
        Ok(())
    }

    /// Adds the caching headers of a response whose jar changes nothing.
    pub(crate) fn mark_unchanged<B>(&self, jar: &SessionJar<C>, response: &mut Response<B>) {
        self.set_vary(jar, jar.record().kind, response, false);
    }

    fn set_vary<B>(
        &self,
        jar: &SessionJar<C>,
        kind: SessionStatusKind,
        response: &mut Response<B>,
        varies: bool,
    ) {
        let record = jar.record();
        // A handler can see in the extensions whether there is a session without calling a method
        // of it.
        let marks = CacheMarks::new(response.headers());
        let is_final = !response.status().is_informational();
        let is_of_user = kind.has_session() && is_final && !marks.is_shared;
        let headers = response.headers_mut();
        if (record.was_read() || is_of_user) && !varies {
            marks.vary_by_session(headers, self.session_sources());
        }
        let is_marked = record.was_guarded() && marks.default_to_no_store(headers);
        if is_of_user && !is_marked {
            marks.add_private(headers);
        }
        if record.was_guarded() && marks.is_shared && kind.has_session() {
            let path = record.path.as_ref().map(|path| path.path());
            warnings::guarded_and_public(&self.0.logged, path);
        }
    }

    fn session_sources(&self) -> SessionSources {
        SessionSources {
            bearer: self.accepts_bearer() || self.verifies_only(),
            several: self.multi_session().is_some(),
        }
    }

    /// Whether `response` can carry the sign-in and the flows of the request, if there are any. Checked
    /// before the store records the sign-in.
    pub(crate) fn can_set_cookie<B>(&self, jar: &SessionJar<C>, response: &Response<B>) -> bool {
        jar.is_untouched()
            || can_carry_cookie(response.status(), response.headers())
            || jar.state().has_no_new_cookie()
    }

    /// Closes the jar and takes its changes, so that nothing is written, emitted or encoded under
    /// the lock.
    fn take(
        &self,
        state: &mut JarState<C>,
        may_carry: bool,
        now: ClockReading,
    ) -> Result<Option<CloseContext<C>>, CommitError> {
        if state.closed {
            return Ok(None);
        }
        if let Some(pending) = &state.staged {
            let failure = if pending.ready.is_none() {
                Some(CommitError::NoClaims)
            } else if !may_carry || now.timestamp() >= pending.identity.expires_at() {
                Some(CommitError::CookieNotAllowed)
            } else {
                None
            };
            if let Some(failure) = failure {
                // The response that replaces this one carries the other changes.
                state.withdraw_staged();
                return Err(failure);
            }
        }
        if !state.flows.started.is_empty() && !may_carry {
            // The user would be sent to a provider and could not return.
            state.flows.started.clear();
            return Err(CommitError::CookieNotAllowed);
        }
        state.closed = true;
        let current = state.current.clone();
        let mut outgoing = std::mem::take(&mut state.outgoing);
        if let Some(pending) = &state.staged {
            outgoing.extend(current.clone().filter(|current| current.changed));
            outgoing.retain(|current| !pending.displacement.ends(current.session.identity().id()));
        }
        let adds_bytes = state.staged.is_some() || state.device.proves.is_some();
        let changes_flows = !state.flows.is_empty() || adds_bytes;
        Ok(Some(CloseContext {
            session_bytes: if changes_flows { state.session_bytes(self) } else { 0 },
            flows: changes_flows.then(|| std::mem::take(&mut state.flows)),
            kind: state.updated_state.as_ref().map(|record| record.kind),
            unverifiable: self.unverifiable_cookies(state, now.timestamp()),
            presented: std::mem::take(&mut state.presented),
            removable: std::mem::take(&mut state.findings.removable),
            ended: std::mem::take(&mut state.ended),
            clear_all_cookies: state.clear_all_cookies,
            set_active: state.set_active.take(),
            staged: state.staged.take(),
            current,
            outgoing,
            undecoded: state.undecoded.as_ref().map(|undecoded| undecoded.identity.id()),
            device: state.device,
        }))
    }

    fn write(
        &self,
        jar: &SessionJar<C>,
        closing: CloseContext<C>,
        may_carry: bool,
        now: ClockReading,
        events: &mut Vec<SessionEvent>,
    ) -> SetCookies {
        let mut written = SetCookies::default();
        let pointer = closing.presented.pointer;
        let proven = closing.proven_session();
        for (place, sessions) in closing.removable.into_iter().take(MAX_REMOVALS) {
            // A concurrent response may have written a newer token, or another session's, there.
            if !sessions.iter().any(|id| self.may_hold_live_token(*id, now.timestamp())) {
                written.add(place, self.0.cookie.remove(place));
            }
        }
        let room = MAX_REMOVALS.saturating_sub(written.cookies.len());
        for place in closing.unverifiable.into_iter().take(room) {
            written.add(place, self.0.cookie.remove(place));
        }
        if let Some(changes) = closing.flows {
            let now = now.timestamp();
            self.write_flows(jar, changes, closing.session_bytes, now, &mut written);
        }
        let mut taken = false;
        for SessionAndCookie { identity, place } in &closing.ended {
            // Again, counted from now: a concurrent renewal may have extended the session until the
            // sign-out.
            self.end(identity, now);
            self.remove_proof(identity, &mut written);
            let Some(place) = *place else { continue };
            // A later sign-in uses this cookie: the sign-out covers only the previous session.
            if self.0.latest_tokens.is_superseded(identity.id(), now.timestamp()) {
                taken |= place == CookieSlot::Single;
            } else {
                written.add(place, self.0.cookie.remove(place));
            }
        }
        // With one account, cookies left over from several are removed at each sign-in and
        // sign-out.
        if closing.clear_all_cookies || (closing.staged.is_some() && self.multi_session().is_none())
        {
            let places = closing.presented.places.into_iter();
            for place in places.filter(|place| !(taken && *place == CookieSlot::Single)) {
                written.add(place, self.0.cookie.remove(place));
            }
            if self.multi_session().is_none() {
                self.point(pointer, SetActive::Remove, &mut written);
            }
        }
        // Changed claims are written although the request now acts as another session.
        for current in closing.outgoing.iter().filter(|_| may_carry) {
            self.renew(current, now, &mut written, events);
        }
        let mut set_active = closing.set_active;
        match (closing.staged, closing.current) {
            (Some(pending), _) => {
                if let Some(current) = self.sign_in(*pending, now, &mut written, events) {
                    let expires_at = current.session.identity().expires_at();
                    for ended in
                        closing.ended.iter().filter(|ended| ended.place == Some(current.place))
                    {
                        self.0.latest_tokens.supersede(ended.identity.id(), expires_at);
                    }
                    if self.multi_session().is_some() {
                        set_active = Some(SetActive::Session(current.session.identity().id()));
                    }
                    // A connection that outlives the response can still sign out.
                    jar.state().current = Some(current);
                }
            }
            (None, Some(current)) if current.renew && may_carry => {
                self.renew(&current, now, &mut written, events);
            }
            (None, Some(current)) if current.renew => {
                let session_id = current.session.identity().id();
                events.push(SessionEvent::CookieWithheld { session_id });
            }
            (None, Some(_)) => {}
            (None, None) => {
                if let Some(id) = closing.undecoded {
                    let reason = CredentialError::Token(TokenError::ClaimsDoNotDecode);
                    super::logging::undecoded(id);
                    events.push(SessionEvent::CredentialRejected { reason });
                }
            }
        }
        if let Some(session) = proven.filter(|_| may_carry) {
            self.write_proof(&session, now, &mut written);
        }
        if let Some(point_to) = set_active {
            self.point(pointer, point_to, &mut written);
        }
        written
    }
}

/// Appends `header`, replacing a cookie that the application set under the same name: a browser
/// keeps the last one, and a name must not be sent twice (RFC 6265bis §4.1.1). Returns whether
/// there was one.
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
