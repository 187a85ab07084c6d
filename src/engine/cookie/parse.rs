//! [`SessionCookies`]: the values of the session cookies that a [`CookieScan`] found, sorted by cookie.
//!
//! The work for one request is bounded: of more than four distinct values of one name none is read,
//! and account cookies beyond the maximum are known by name only.

use std::collections::{HashMap, HashSet};

use http::HeaderValue;
use memchr::memchr_iter;

use super::{
    scan::{self, CookieName, CookieScan},
    set_cookie::{CookieSlot, MAX_COOKIE_LENGTH, SessionCookie},
};
use crate::engine::{session::id::SessionId, token::unverified::UnverifiedClaims};

/// Maximum number of account cookies whose names alone are kept, so that a sign-out can remove
/// them: about as many as browsers keep for one site (RFC 6265bis §6.1).
const MAX_UNREAD_ACCOUNTS: usize = 50;
/// Maximum number of distinct values of one name that are verified.
pub(crate) const MAX_CANDIDATES: usize = 4;

/// Maximum number of session cookies, and of distinct tokens in them, that [`SessionCookies::read_all`]
/// returns. No browser sends as many: Chromium and Firefox keep 180 cookies of one site.
const MAX_ALL: usize = 512;

/// This crate's cookies in one request.
#[derive(Debug, Default)]
pub(crate) struct SessionCookies<'h> {
    /// The cookie of a browser with one account.
    pub(crate) single: CookieValues<'h>,
    /// The cookies of several accounts, in the order of the header.
    pub(crate) accounts: Vec<(SessionId, CookieValues<'h>)>,
    pub(crate) active: ActiveCookie,
    /// The proof cookies of device-bound sessions.
    pub(crate) proofs: Vec<(SessionId, CookieValues<'h>)>,
    /// The fields are [too large](CookieScan::is_too_large), so nothing was read.
    pub(crate) too_large: bool,
    /// Accounts beyond the maximum: their cookies were not read.
    pub(crate) unread_accounts: Vec<SessionId>,
    /// The length of this crate's cookies in the fields, names and separators included.
    pub(crate) bytes: usize,
}

/// The session that the browser names as active. The cookie is not signed: it can only select among
/// sessions whose tokens are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ActiveCookie {
    /// The request has no such cookie.
    #[default]
    Absent,
    /// No session, or an unreadable value: not an id, or two different values.
    None,
    Session(SessionId),
}

/// A session cookie of a request, by what it states.
pub(crate) struct HeldCookie {
    pub(crate) slot: CookieSlot,
    /// Its bytes of the `Cookie` field.
    pub(crate) bytes: usize,
    /// `None` if no value of the name can be a token.
    pub(crate) claims: Option<UnverifiedClaims>,
}

/// The values under one cookie name.
#[derive(Debug, Default)]
pub(crate) struct CookieValues<'h> {
    values: [&'h [u8]; MAX_CANDIDATES],
    count: usize,
    /// The request has a cookie of this name, with any value.
    pub(crate) is_present: bool,
    /// At least one value cannot be a token.
    pub(crate) malformed: bool,
    /// There are more than [`MAX_CANDIDATES`] values: none is used.
    pub(crate) excess: bool,
}

impl<'h> SessionCookies<'h> {
    /// Reads up to `max_accounts` account cookies, and those of the sessions that the request or the
    /// active cookie names, wherever they appear.
    pub(crate) fn read(
        scan: &CookieScan<'h>,
        cookie: &SessionCookie,
        max_accounts: usize,
        named: Option<SessionId>,
    ) -> Self {
        if scan.is_too_large() {
            // The rest may hold a session cookie, so one is reported as present, but nothing is
            // trusted.
            let single = CookieValues { is_present: true, ..CookieValues::default() };
            return Self { single, too_large: true, ..Self::default() };
        }
        let cookies = Self::sort(scan, cookie, max_accounts, &[]);
        let active = cookies.active.session();
        let is_unread = |id: &SessionId| cookies.unread_accounts.contains(id);
        let always_read: Vec<_> = named.into_iter().chain(active).filter(is_unread).collect();
        if always_read.is_empty() {
            return cookies;
        }
        Self::sort(scan, cookie, max_accounts, &always_read)
    }

    fn sort(
        scan: &CookieScan<'h>,
        cookie: &SessionCookie,
        max_accounts: usize,
        always_read: &[SessionId],
    ) -> Self {
        let mut cookies = Self::default();
        let mut has_active = false;
        for (name, value) in scan.cookies() {
            cookies.bytes += cookie.pair_length(name, value);
            match name {
                CookieName::Single => cookies.single.add(value, cookie.max_value_length(false)),
                CookieName::Account(id) => {
                    let Ok(id) = SessionId::try_from_bytes(id) else { continue };
                    let max = if always_read.contains(&id) { usize::MAX } else { max_accounts };
                    cookies.add_account(id, value, cookie.max_value_length(true), max);
                }
                CookieName::Proof(id) => {
                    let Ok(id) = SessionId::try_from_bytes(id) else { continue };
                    cookies.add_proof(id, value, max_accounts);
                }
                CookieName::Active => {
                    let active = ActiveCookie::read(value);
                    let differs = has_active && active != cookies.active;
                    cookies.active = if differs { ActiveCookie::None } else { active };
                    has_active = true;
                }
                CookieName::Flow => {}
            }
        }
        cookies
    }

    /// The `Cookie` fields, if they have proof cookies.
    pub(crate) fn proof_fields(&self, scan: &CookieScan<'h>) -> Option<HeaderValue> {
        if self.proofs.is_empty() { None } else { scan.joined_fields() }
    }

    /// The proof cookies in the `Cookie` fields of a request.
    pub(crate) fn read_proofs(
        fields: &'h HeaderValue,
        cookie: &SessionCookie,
        max: usize,
    ) -> Vec<(SessionId, CookieValues<'h>)> {
        let scan = CookieScan::from_field(fields, cookie);
        Self::sort(&scan, cookie, max, &[]).proofs
    }

    /// Whether the request may have session cookies, or values of them, that were not read.
    pub(crate) fn has_unread(&self) -> bool {
        self.too_large
            || !self.unread_accounts.is_empty()
            || self.read_slots().any(|(_, values)| values.excess)
    }

    /// The cookies of which every value was read.
    pub(crate) fn read_completely(&self) -> impl Iterator<Item = CookieSlot> {
        let is_complete = |values: &CookieValues<'_>| !values.excess && !self.too_large;
        self.read_slots().filter(move |(_, values)| is_complete(values)).map(|(slot, _)| slot)
    }

    /// Every session cookie in the `Cookie` field, with all its distinct values that may be tokens,
    /// without the bounds of [`read`](Self::read). Those bounds limit which sessions a request can
    /// act as; a sign-out must revoke the others too.
    pub(crate) fn read_all(
        field: &'h HeaderValue,
        cookie: &SessionCookie,
    ) -> Vec<(CookieSlot, Vec<&'h [u8]>)> {
        let mut slots: Vec<(CookieSlot, Vec<&[u8]>)> = Vec::new();
        let (mut index, mut tokens) = (HashMap::new(), HashSet::new());
        for (name, value) in scan::session_cookies(field.as_bytes(), cookie) {
            let Some(slot) = session_slot(name) else { continue };
            let at = *index.entry(slot).or_insert(slots.len());
            if at == slots.len() {
                if at == MAX_ALL {
                    break;
                }
                slots.push((slot, Vec::new()));
            }
            let max = cookie.max_value_length(slot != CookieSlot::Single);
            if tokens.len() < MAX_ALL && is_token_shaped(value, max) && tokens.insert((slot, value))
            {
                slots.get_mut(at).into_iter().for_each(|(_, values)| values.push(value));
            }
        }
        slots
    }

    /// Every session cookie in the `Cookie` field by its length, with the token in it that states the
    /// latest `iat`, up to [`MAX_ALL`] cookies.
    pub(crate) fn unverified(field: &HeaderValue, cookie: &SessionCookie) -> Vec<HeldCookie> {
        let mut held: Vec<HeldCookie> = Vec::new();
        let (mut index, mut proofs) = (HashMap::new(), HashMap::new());
        for (name, value) in scan::session_cookies(field.as_bytes(), cookie) {
            let bytes = cookie.pair_length(name, value);
            if let CookieName::Proof(id) = name {
                *proofs.entry(*id).or_insert(0) += bytes;
            }
            let Some(slot) = session_slot(name) else { continue };
            let at = *index.entry(slot).or_insert(held.len());
            if at == held.len() {
                if at == MAX_ALL {
                    break;
                }
                held.push(HeldCookie { slot, bytes: 0, claims: None });
            }
            let Some(held) = held.get_mut(at) else { continue };
            held.bytes += bytes;
            if is_token_shaped(value, cookie.max_value_length(slot != CookieSlot::Single)) {
                let claims = held.claims.take().into_iter().chain(UnverifiedClaims::read(value));
                held.claims = claims.max_by_key(UnverifiedClaims::issued_at);
            }
        }
        // The proof of a session is removed with it.
        for held in &mut held {
            if let CookieSlot::Account(id) = held.slot {
                held.bytes += proofs.remove(id.as_bytes()).unwrap_or_default();
            }
        }
        held
    }

    /// Whether the request has any cookie that may hold a session.
    pub(crate) fn any_session(&self) -> bool {
        self.slots().next().is_some()
    }

    /// The cookies that may hold a session.
    pub(crate) fn slots(&self) -> impl Iterator<Item = CookieSlot> {
        let unread = self.unread_accounts.iter().map(|id| CookieSlot::Account(*id));
        self.read_slots().map(|(slot, _)| slot).chain(unread)
    }

    /// The cookies whose values were read, with these values.
    pub(crate) fn read_slots(&self) -> impl Iterator<Item = (CookieSlot, &CookieValues<'h>)> {
        let single = self.single.is_present.then_some((CookieSlot::Single, &self.single));
        let accounts = self.accounts.iter().map(|(id, values)| (CookieSlot::Account(*id), values));
        single.into_iter().chain(accounts)
    }

    fn add_proof(&mut self, id: SessionId, value: &'h [u8], max: usize) {
        if let Some((_, proof)) = self.proofs.iter_mut().find(|(of, _)| *of == id) {
            proof.add(value, MAX_COOKIE_LENGTH);
        } else if self.proofs.len() < max {
            let mut proof = CookieValues::default();
            proof.add(value, MAX_COOKIE_LENGTH);
            self.proofs.push((id, proof));
        }
    }

    fn add_account(
        &mut self,
        id: SessionId,
        value: &'h [u8],
        max_value: usize,
        max_accounts: usize,
    ) {
        if let Some((_, slot)) = self.accounts.iter_mut().find(|(slot, _)| *slot == id) {
            slot.add(value, max_value);
        } else if self.accounts.len() < max_accounts {
            let mut slot = CookieValues::default();
            slot.add(value, max_value);
            self.accounts.push((id, slot));
        } else if self.unread_accounts.len() < MAX_UNREAD_ACCOUNTS
            && !self.unread_accounts.contains(&id)
        {
            self.unread_accounts.push(id);
        }
    }
}

/// The session cookie of this name; `None` for the active cookie, flows and proofs.
fn session_slot(name: CookieName<'_>) -> Option<CookieSlot> {
    match name {
        CookieName::Single => Some(CookieSlot::Single),
        CookieName::Active | CookieName::Flow | CookieName::Proof(_) => None,
        CookieName::Account(id) => SessionId::try_from_bytes(id).ok().map(CookieSlot::Account),
    }
}

impl ActiveCookie {
    pub(crate) const fn session(self) -> Option<SessionId> {
        if let Self::Session(id) = self { Some(id) } else { None }
    }

    pub(crate) fn read(value: &[u8]) -> Self {
        str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok())
            .map_or(Self::None, Self::Session)
    }
}

impl<'h> CookieValues<'h> {
    /// The distinct values that may be tokens; none if there were too many.
    pub(crate) fn values(&self) -> &[&'h [u8]] {
        if self.excess { &[] } else { self.values.get(..self.count).unwrap_or_default() }
    }

    fn add(&mut self, value: &'h [u8], max_value: usize) {
        self.is_present = true;
        if !is_token_shaped(value, max_value) {
            self.malformed = true;
        } else if !self.values().contains(&value) {
            match self.values.get_mut(self.count) {
                Some(place) => {
                    *place = value;
                    self.count += 1;
                }
                None => self.excess = true,
            }
        }
    }
}

/// Whether `value` has the length and the bytes of a compact JWS (RFC 7515 §7.1).
fn is_token_shaped(value: &[u8], max_value: usize) -> bool {
    if value.len() > max_value {
        return false;
    }
    // Branch-free, so that the compiler can vectorise it: every token outside the cache passes
    // through here.
    let is_ours = |byte: u8| {
        (byte | 0x20).wrapping_sub(b'a') < 26
            || byte.wrapping_sub(b'0') < 10
            || byte == b'-'
            || byte == b'_'
            || byte == b'.'
    };
    let foreign = value.iter().fold(0_u8, |foreign, byte| foreign | u8::from(!is_ours(*byte)));
    foreign == 0 && memchr_iter(b'.', value).count() == 2
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::COOKIE};
    use proptest::prelude::*;

    use crate::engine::cookie::config::{CookieConfig, CookiePrefix};
    use crate::engine::cookie::parse::*;
    use crate::engine::cookie::scan::MAX_COOKIE_BYTES;

    fn cookie(name: &str) -> SessionCookie {
        let mut problems = Vec::new();
        CookieConfig::new(name).prefix(CookiePrefix::None).resolve(&mut problems)
    }

    fn headers<T: AsRef<[u8]>>(fields: &[T]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            if let Ok(value) = HeaderValue::from_bytes(field.as_ref()) {
                headers.append(COOKIE, value);
            }
        }
        headers
    }

    fn read<'h>(headers: &'h HeaderMap, name: &str) -> SessionCookies<'h> {
        let cookie = cookie(name);
        SessionCookies::read(&CookieScan::new(headers, &cookie), &cookie, 9, None)
    }

    proptest! {
        /// A session cookie is read as it was set, whatever other cookies a browser sends: a
        /// sibling domain can neither hide nor replace it.
        #[test]
        fn session_cookie_among_other_cookies_is_read_unchanged(
            before in "([^;=\x00-\x1f\x7f]{0,9}(=[^;\x00-\x1f\x7f]{0,9})?;){0,4}",
            after in "(;[^;=\x00-\x1f\x7f]{0,9}(=[^;\x00-\x1f\x7f]{0,9})?){0,4}",
        ) {
            let foreign_is_foreign = !before.contains("__Host-s=") && !after.contains("__Host-s=");
            prop_assume!(foreign_is_foreign);
            let headers = headers(&[format!("{before}__Host-s=a.b.c{after}")]);
            prop_assume!(headers.contains_key(COOKIE));
            let values = read(&headers, "__Host-s").single;
            prop_assert_eq!(values.values(), &[b"a.b.c".as_slice()]);
        }

        #[test]
        fn cookie_header_of_any_bytes_never_panics(
            fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..99), 0..5)
        ) {
            let headers = headers(&fields);
            let cookies = read(&headers, "s").single;
            prop_assert!(cookies.values().len() <= MAX_CANDIDATES);
        }
    }

    #[test]
    fn cookie_with_more_than_four_distinct_values_yields_no_candidate() {
        let four = headers(&["s=1.1.1; s=2.2.2; s=3.3.3; s=4.4.4; s=4.4.4; s=bad"]);
        let cookies = read(&four, "s").single;
        assert_eq!((cookies.values().len(), cookies.malformed, cookies.excess), (4, true, false));
        let five = headers(&["s=1.1.1; s=2.2.2; s=3.3.3; s=4.4.4", "s=5.5.5"]);
        let cookies = read(&five, "s").single;
        assert_eq!((cookies.values().len(), cookies.excess), (0, true));
    }

    #[test]
    fn cookie_header_above_size_limit_is_not_parsed() {
        let flood = headers(&["s=1.1.1".to_owned(), format!("x={}", "y".repeat(MAX_COOKIE_BYTES))]);
        let cookies = read(&flood, "s");
        assert!(cookies.single.is_present && cookies.single.values().is_empty());
        assert!(cookies.too_large);
    }
}
