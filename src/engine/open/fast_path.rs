//! The fast path of most requests: no session cookie, or a cached and fresh token.
//!
//! It decides as [`SessionSelector`](crate::engine::open::select::SessionSelector) does when one cookie is enough
//! and no event is due. In every other case it leaves the decision to the slow path.

use crate::{
    engine::{
        cookie::{
            parse::{ActiveCookie, SessionCookies},
            scan::{CookieName, CookieScan},
            set_cookie::{CookieSlot, SessionCookie},
        },
        jar::state::{
            CookiesBeyondBounds, CurrentSession, InitialSession, JarState, ReadCookie,
            UnparsedCookies,
        },
        multi_session::MultiSession,
        request::presented::RequestedSession,
        session::identity::SessionStatusKind,
        session_engine::SessionEngine,
        token::cache::VerifiedToken,
        validate::TokenState,
    },
    time::Timestamp,
};

/// The cookie that decides which session a request acts as, provided that its token is valid.
struct SelectedCookie<'h> {
    name: CookieName<'h>,
    token: &'h [u8],
    /// The value of the active cookie.
    active: Option<&'h [u8]>,
    /// The request has cookies of other sessions.
    has_more: bool,
}

impl<'h> SelectedCookie<'h> {
    /// The selected cookie; `None` if the slow path must decide: names are repeated, or the selection
    /// needs more than one token, or the browser is beyond its limits.
    fn new(
        scan: &CookieScan<'h>,
        named: RequestedSession,
        several: bool,
        cookie: &SessionCookie,
        exceeds_limits: impl FnOnce(usize, usize) -> bool,
    ) -> Option<Self> {
        if scan.is_too_large() {
            return None;
        }
        let (mut single, mut active, mut accounts, mut bytes) = (None, None, 0, 0);
        for (name, value) in scan.cookies() {
            bytes += cookie.pair_length(name, value);
            let known = match name {
                CookieName::Single => single.replace(value),
                CookieName::Active => active.replace(value),
                // A scan has none of them.
                CookieName::Flow => continue,
                CookieName::Account(_) => {
                    accounts += 1;
                    None
                }
                CookieName::Proof(_) => None,
            };
            if known.is_some() {
                return None;
            }
        }
        let sessions = accounts + usize::from(single.is_some());
        if exceeds_limits(sessions, bytes) {
            return None;
        }
        let id = match (&named, active) {
            (RequestedSession::Invalid, _) => return None,
            (RequestedSession::Id(id), _) => Some(id.as_bytes()),
            (RequestedSession::None, Some(active)) if several => Some(active.try_into().ok()?),
            (RequestedSession::None, _) => None,
        };
        let (name, token) = match id {
            Some(id) => sole(scan, CookieName::Account(id))?,
            None => (CookieName::Single, single?),
        };
        Some(Self { name, token, active, has_more: sessions > 1 })
    }
}

/// The only cookie of this name.
fn sole<'h>(scan: &CookieScan<'h>, name: CookieName<'_>) -> Option<(CookieName<'h>, &'h [u8])> {
    let mut cookies = scan.cookies().filter(|(other, _)| *other == name);
    let sole = cookies.next()?;
    cookies.next().is_none().then_some(sole)
}

impl<C> SessionEngine<C> {
    /// Opens a request whose token is cached and fresh.
    pub(crate) fn open_cached(
        &self,
        scan: &CookieScan<'_>,
        named: RequestedSession,
        is_activity: impl FnOnce() -> bool,
        now: Timestamp,
    ) -> Option<(SessionStatusKind, InitialSession<C>)> {
        let several = self.multi_session().is_some();
        let exceeds_limits = |count, bytes| self.exceeds_limits(count, bytes);
        let SelectedCookie { name, token, active, has_more } =
            SelectedCookie::new(scan, named, several, &self.0.cookie, exceeds_limits)?;
        let verified = match self.0.verified_tokens.get(token, |kept| kept.if_trusted(now)) {
            Some(verified) => verified,
            None => self.cached_bound(scan, token, now)?,
        };
        let identity = verified.session.decoded()?.identity();
        let id = identity.id();
        let (place, is_active) = match name {
            CookieName::Single => (CookieSlot::Single, false),
            CookieName::Account(slot) if slot == id.as_bytes() => {
                (CookieSlot::Account(id), active.is_some_and(|active| active == slot))
            }
            CookieName::Account(_)
            | CookieName::Active
            | CookieName::Flow
            | CookieName::Proof(_) => return None,
        };
        if token.len() > self.0.cookie.max_value_length(place != CookieSlot::Single) {
            return None;
        }
        let is_fresh = |active| self.verdict(&verified, place, active, now) == TokenState::Fresh;
        // Usually the last activity is recent, and the activity filter need not be called.
        if !is_fresh(true) && (is_activity() || !is_fresh(false)) {
            return None;
        }
        let version = self.0.latest_tokens.claims_version(id, identity.issued_at(), token, now);
        let pointer = match active {
            None => ActiveCookie::Absent,
            Some(_) if is_active => ActiveCookie::Session(id),
            Some(value) => ActiveCookie::read(value),
        };
        let fields = if has_more { scan.joined_fields() } else { None };
        let read = Some(ReadCookie { place, size: token.len(), version, fields });
        let kind = identity.kind();
        // Moved, not cloned: each change of a reference count writes to a shared cache line.
        let session = verified.session.into_decoded();
        Some((kind, InitialSession { session, pointer, read }))
    }

    /// The device-bound session of `token`, if the request has the proof that is cached with it.
    #[inline(never)]
    fn cached_bound(
        &self,
        scan: &CookieScan<'_>,
        token: &[u8],
        now: Timestamp,
    ) -> Option<VerifiedToken<C>> {
        self.0.bound_tokens.get(token, |kept| {
            let id = kept.session.verified.session.identity().id();
            let (_, proof) = sole(scan, CookieName::Proof(id.as_bytes()))?;
            let is_valid = *proof == *kept.proof && now < kept.proof_expires_at;
            let is_trusted = is_valid && kept.proof_key.is_trusted(now);
            is_trusted.then(|| kept.session.if_trusted(now)).flatten()
        })
    }

    /// Fills `state` from the initial session.
    pub(crate) fn materialize(&self, first: &InitialSession<C>, state: &mut JarState<C>) {
        state.presented.pointer = first.pointer;
        let Some(ReadCookie { place: read, size, version, fields }) = &first.read else { return };
        if let Some(session) = &first.session {
            state.current = Some(CurrentSession::new(session.clone(), *read, *size, *version));
        }
        let Some(fields) = fields else {
            state.presented.places.push(*read);
            return;
        };
        let named = if let CookieSlot::Account(id) = read { Some(*id) } else { None };
        let cookie = &self.0.cookie;
        let scan = CookieScan::from_field(fields, cookie);
        let cookies = SessionCookies::read(&scan, cookie, self.max_account_cookies(), named);
        state.others.beyond = CookiesBeyondBounds::new(&cookies, &scan);
        state.presented.proofs = cookies.proof_fields(&scan);
        state.presented.places = cookies.slots().collect();
        let unread = cookies.read_slots().filter(|(place, _)| place != read);
        state.others.unread.extend(unread.map(|(place, tokens)| UnparsedCookies {
            place,
            tokens: tokens.values().iter().map(|token| Box::from(*token)).collect(),
        }));
    }

    pub(crate) fn max_account_cookies(&self) -> usize {
        self.multi_session().map_or(MultiSession::DEFAULT_MAX, |several| several.max) * 2
    }
}
