//! The fast path of most requests: no session cookie, or a cached and fresh token.
//!
//! It decides as [`SessionSelector`](crate::engine::open::select::SessionSelector) does when one cookie is enough
//! and no event is due. In every other case it leaves the decision to the slow path.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::select::RequestedSession;
use crate::{
    engine::{
        cookie::{
            parse::{ActiveCookie, CookiePairs, MAX_COOKIE_BYTES, SessionCookies},
            set_cookie::{ACTIVE_SUFFIX, CookieSlot, SessionCookie},
        },
        jar::state::{
            CachedSession, CookiesBeyondBounds, CurrentSession, DeferredCookies, InitialSession,
            JarState, UnparsedCookies,
        },
        multi_session::MultiSession,
        request::session::SessionData,
        session::{id::SessionId, identity::SessionIdentity},
        session_engine::SessionEngine,
        token::cache::VerifiedToken,
        validate::TokenState,
    },
    time::Timestamp,
};

/// The number of account cookies that a scan holds without an allocation.
const INLINE_CAPACITY: usize = 8;

/// The id in the name of a cookie, unparsed, and the cookie's value.
type Slot<'h> = (&'h [u8; SessionId::LENGTH], &'h [u8]);

/// The session cookies of a request, known by name only.
#[derive(Default)]
pub(crate) struct CookieScan<'h> {
    only: Option<&'h [u8]>,
    pointer: Option<&'h [u8]>,
    slots: [Option<Slot<'h>>; INLINE_CAPACITY],
    count: usize,
    /// The first `Cookie` field, and whether there are others.
    field: Option<&'h HeaderValue>,
    is_split: bool,
    /// A name is repeated, or there are more cookies than fit.
    is_unclear: bool,
}

impl<'h> CookieScan<'h> {
    /// Scans the cookies of a request. Returns whether any is a session cookie.
    pub(crate) fn scan(&mut self, headers: &'h HeaderMap, cookie: &SessionCookie) -> bool {
        let (mut bytes, mut is_ours) = (0_usize, false);
        for field in headers.get_all(COOKIE) {
            self.is_split |= self.field.is_some();
            self.field = self.field.or(Some(field));
            let field = field.as_bytes();
            bytes = bytes.saturating_add(field.len());
            if bytes > MAX_COOKIE_BYTES {
                self.is_unclear = true;
                return true;
            }
            for (suffix, value) in CookiePairs::new(field, cookie) {
                self.add(suffix, value);
                is_ours = true;
            }
        }
        is_ours
    }

    fn add(&mut self, suffix: &'h [u8], value: &'h [u8]) {
        let Some(suffix) = suffix.strip_prefix(b".") else {
            if suffix.is_empty() {
                self.is_unclear |= self.only.replace(value).is_some();
            }
            return;
        };
        if suffix == ACTIVE_SUFFIX.as_bytes() {
            self.is_unclear |= self.pointer.replace(value).is_some();
        } else if let Ok(id) = suffix.try_into() {
            match self.slots.get_mut(self.count) {
                Some(slot) => *slot = Some((id, value)),
                None => self.is_unclear = true,
            }
            self.count += 1;
        }
    }

    /// The token that decides which session the request acts as, provided it is valid, and the id
    /// in the name of its cookie.
    fn selected_token(
        &self,
        named: RequestedSession,
        several: bool,
    ) -> Option<(Option<&'h [u8; SessionId::LENGTH]>, &'h [u8])> {
        let only = self.only.map(|token| (None, token));
        match (named, self.pointer) {
            _ if self.is_unclear => None,
            (RequestedSession::Invalid, _) => None,
            (RequestedSession::Id(id), _) => self.slot(id.as_bytes()),
            (RequestedSession::None, Some(pointer)) if several => {
                self.slot(pointer.try_into().ok()?)
            }
            (RequestedSession::None, _) => only,
        }
    }

    fn slot(
        &self,
        id: &[u8; SessionId::LENGTH],
    ) -> Option<(Option<&'h [u8; SessionId::LENGTH]>, &'h [u8])> {
        let slots = self.slots.iter().take(self.count).flatten();
        let mut slots = slots.filter(|(suffix, _)| *suffix == id);
        let (suffix, token) = slots.next()?;
        // A repeated name is left to the slow path.
        slots.next().is_none().then_some((Some(*suffix), *token))
    }

    /// The `Cookie` fields as one: HTTP/2 splits them (RFC 9113 §8.2.3).
    fn joined(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.is_split { joined(headers) } else { self.field.cloned() }
    }
}

impl DeferredCookies {
    /// The cookies of a request of which only the one at `read` was read.
    pub(crate) fn new(headers: &HeaderMap, read: CookieSlot, has_more: bool) -> Self {
        let fields = if has_more { joined(headers) } else { None };
        Self { read, fields }
    }
}

/// The `Cookie` fields as one.
pub(crate) fn joined(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut fields = headers.get_all(COOKIE).iter();
    let first = fields.next()?;
    let mut more = fields.map(HeaderValue::as_bytes).peekable();
    if more.peek().is_none() {
        return Some(first.clone());
    }
    let all: Vec<_> = std::iter::once(first.as_bytes()).chain(more).collect();
    HeaderValue::from_maybe_shared(Bytes::from(all.join(b"; ".as_slice()))).ok()
}

impl<C> SessionEngine<C> {
    /// Opens a request whose token is cached and fresh.
    pub(crate) fn open_cached(
        &self,
        headers: &HeaderMap,
        glance: &CookieScan<'_>,
        named: RequestedSession,
        is_activity: impl FnOnce() -> bool,
        now: Timestamp,
    ) -> Option<(SessionIdentity, InitialSession<C>)> {
        if glance.count > self.max_account_cookies() {
            return None;
        }
        let (slot, token) = glance.selected_token(named, self.multi_session().is_some())?;
        let verified = self.0.verified_tokens.get(token, |kept| kept.if_trusted(now))?;
        let id = verified.identity.id();
        let place = match slot {
            Some(slot) if slot == id.as_bytes() => CookieSlot::Account(id),
            Some(_) => return None,
            None => CookieSlot::Single,
        };
        if token.len() > self.0.cookie.max_value_length(slot.is_some()) {
            return None;
        }
        let is_fresh = |active| self.verdict(&verified, place, active, now) == TokenState::Fresh;
        // Usually the last activity is recent, and the activity filter need not be called.
        if !is_fresh(true) && (is_activity() || !is_fresh(false)) {
            return None;
        }
        let VerifiedToken { identity, claims, .. } = verified;
        let version = self.0.latest_tokens.claims_version(id, identity.issued_at(), token, now);
        let pointer = match glance.pointer {
            None => ActiveCookie::Absent,
            Some(value) if slot.is_some_and(|slot| slot == value) => ActiveCookie::Session(id),
            Some(value) => ActiveCookie::read(value),
        };
        let has_more = glance.count + usize::from(glance.only.is_some()) > 1;
        let fields = if has_more { glance.joined(headers) } else { None };
        let acting = CachedSession { claims: claims?, size: token.len(), version };
        let deferred = DeferredCookies { read: place, fields };
        Some((identity, InitialSession { acting: Some(acting), pointer, deferred: Some(deferred) }))
    }

    /// Fills `state` from the initial session.
    pub(crate) fn materialize(
        &self,
        identity: Option<&SessionIdentity>,
        first: &InitialSession<C>,
        state: &mut JarState<C>,
    ) {
        state.presented.pointer = first.pointer;
        let Some(DeferredCookies { read, fields }) = &first.deferred else { return };
        if let Some((identity, acting)) = identity.zip(first.acting.as_ref()) {
            state.current = Some(CurrentSession {
                session: SessionData::new(identity.clone(), Arc::clone(&acting.claims)),
                place: *read,
                size: acting.size,
                presented: identity.dates(),
                renew: false,
                claims: acting.version,
                changed: false,
            });
        }
        let Some(fields) = fields else {
            state.presented.places.push(*read);
            return;
        };
        let named = if let CookieSlot::Account(id) = read { Some(*id) } else { None };
        let fields = || std::iter::once(fields);
        let cookies = SessionCookies::read_fields(
            fields,
            usize::MAX,
            &self.0.cookie,
            self.max_account_cookies(),
            named,
        );
        state.others.beyond = CookiesBeyondBounds::new(&cookies, fields().next().cloned());
        state.presented.places = cookies.slots().collect();
        let only = cookies.single.is_present.then_some((CookieSlot::Single, &cookies.single));
        let slots = cookies.accounts.iter().map(|(id, tokens)| (CookieSlot::Account(*id), tokens));
        let unread = only.into_iter().chain(slots).filter(|(place, _)| place != read);
        state.others.unread.extend(unread.map(|(place, tokens)| UnparsedCookies {
            place,
            tokens: tokens.values().iter().map(|token| Box::from(*token)).collect(),
        }));
    }

    pub(crate) fn max_account_cookies(&self) -> usize {
        self.multi_session().map_or(MultiSession::DEFAULT_MAX, |several| several.max) * 2
    }
}
