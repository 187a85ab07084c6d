//! Reading `Cookie` headers, byte by byte.
//!
//! A parser that decodes or trims more than browsers do defeats the `__Host-` prefix, so this one
//! does neither:
//!
//! 1. All `Cookie` fields are read: HTTP/2 splits them (RFC 9113 §8.2.3).
//! 2. Pairs are separated by `;` and split at the first `=`. SP and HTAB around name and value are
//!    dropped, nothing else is, and nothing is decoded or unquoted (RFC 6265bis §5.7).
//! 3. Names are compared as bytes. Other cookies are opaque: none hides or replaces a session
//!    cookie.
//! 4. The work for one request is bounded: above 32 KiB of `Cookie` fields nothing is read, and of
//!    more than four distinct values of one name none is.

use std::collections::{HashMap, HashSet};

use http::{HeaderMap, HeaderValue, header::COOKIE};
use memchr::{memchr_iter, memmem::Finder};

use super::set_cookie::{CookieSlot, SessionCookie};
use crate::engine::session::id::SessionId;

/// Maximum total length of the `Cookie` fields that are read.
pub(crate) const MAX_COOKIE_BYTES: usize = 32 * 1024;
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
    /// The fields exceed [`MAX_COOKIE_BYTES`], so nothing was read.
    pub(crate) too_large: bool,
    /// Accounts beyond the maximum: their cookies were not read.
    pub(crate) unread_accounts: Vec<SessionId>,
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
    /// Scans the `Cookie` fields for the names of `cookie`. Reads up to `max_accounts` account
    /// cookies, and those of the sessions that the request or the active cookie names, wherever
    /// they appear.
    pub(crate) fn read(
        headers: &'h HeaderMap,
        cookie: &SessionCookie,
        max_accounts: usize,
        named: Option<SessionId>,
    ) -> Self {
        let fields = || headers.get_all(COOKIE).iter();
        Self::read_fields(fields, MAX_COOKIE_BYTES, cookie, max_accounts, named)
    }

    /// [`read`](Self::read) for the `Cookie` fields themselves, with a maximum of `max_bytes`:
    /// joining several fields into one makes them longer.
    pub(crate) fn read_fields<I: Iterator<Item = &'h HeaderValue>>(
        fields: impl Fn() -> I,
        max_bytes: usize,
        cookie: &SessionCookie,
        max_accounts: usize,
        named: Option<SessionId>,
    ) -> Self {
        let mut cookies = Self::scan(fields(), max_bytes, cookie, max_accounts, &[]);
        let active = if let ActiveCookie::Session(id) = cookies.active { Some(id) } else { None };
        let is_unread = |id: &SessionId| !cookies.accounts.iter().any(|(slot, _)| slot == id);
        let always_read: Vec<_> = named.into_iter().chain(active).filter(is_unread).collect();
        if !cookies.unread_accounts.is_empty() && !always_read.is_empty() {
            cookies = Self::scan(fields(), max_bytes, cookie, max_accounts, &always_read);
        }
        cookies
    }

    fn scan(
        fields: impl Iterator<Item = &'h HeaderValue>,
        max_bytes: usize,
        cookie: &SessionCookie,
        max_accounts: usize,
        always_read: &[SessionId],
    ) -> Self {
        let mut cookies = Self::default();
        let mut bytes = 0_usize;
        let mut has_active = false;
        for field in fields {
            let field = field.as_bytes();
            bytes = bytes.saturating_add(field.len());
            if bytes > max_bytes {
                // The rest may hold a session cookie, so one is reported as present, but nothing is
                // trusted.
                let single = CookieValues { is_present: true, ..CookieValues::default() };
                return Self { single, too_large: true, ..Self::default() };
            }
            for (suffix, value) in CookiePairs::new(field, cookie) {
                match SessionCookie::slot_from_suffix(suffix) {
                    None => {}
                    Some(CookieSlot::Single) => {
                        cookies.single.add(value, cookie.max_value_length(false))
                    }
                    Some(CookieSlot::Account(id)) => {
                        let max = if always_read.contains(&id) { usize::MAX } else { max_accounts };
                        cookies.add_account(id, value, cookie.max_value_length(true), max);
                    }
                    Some(CookieSlot::Active) => {
                        let active = ActiveCookie::read(value);
                        let differs = has_active && active != cookies.active;
                        cookies.active = if differs { ActiveCookie::None } else { active };
                        has_active = true;
                    }
                }
            }
        }
        cookies
    }

    /// Whether the request may have session cookies, or values of them, that were not read.
    pub(crate) fn has_unread(&self) -> bool {
        self.too_large
            || self.single.excess
            || !self.unread_accounts.is_empty()
            || self.accounts.iter().any(|(_, values)| values.excess)
    }

    /// The cookies of which every value was read.
    pub(crate) fn read_completely(&self) -> impl Iterator<Item = CookieSlot> {
        let single = (self.single.is_present && !self.single.excess && !self.too_large)
            .then_some(CookieSlot::Single);
        let accounts = self.accounts.iter().filter(|(_, values)| !values.excess);
        single.into_iter().chain(accounts.map(|(id, _)| CookieSlot::Account(*id)))
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
        for (suffix, value) in CookiePairs::new(field.as_bytes(), cookie) {
            let Some(slot) = SessionCookie::slot_from_suffix(suffix) else { continue };
            if slot == CookieSlot::Active {
                continue;
            }
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

    /// Whether the request has any cookie that may hold a session.
    pub(crate) fn any_session(&self) -> bool {
        self.slots().next().is_some()
    }

    /// The cookies that may hold a session.
    pub(crate) fn slots(&self) -> impl Iterator<Item = CookieSlot> {
        let single = self.single.is_present.then_some(CookieSlot::Single);
        let slots = self.accounts.iter().map(|(id, _)| id).chain(&self.unread_accounts);
        single.into_iter().chain(slots.map(|id| CookieSlot::Account(*id)))
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

impl ActiveCookie {
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

/// The pairs of a `Cookie` field whose name begins with that of the session cookie: the rest of the
/// name, and the value. The search jumps from one occurrence of the name to the next, because most
/// cookies belong to others.
pub(crate) struct CookiePairs<'h, 'c> {
    field: &'h [u8],
    /// Where the search continues.
    from: usize,
    name: &'c Finder<'static>,
}

impl<'h, 'c> CookiePairs<'h, 'c> {
    pub(crate) fn new(field: &'h [u8], cookie: &'c SessionCookie) -> Self {
        Self { field, from: 0, name: cookie.finder() }
    }
}

impl<'h> Iterator for CookiePairs<'h, '_> {
    type Item = (&'h [u8], &'h [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.field.get(self.from..).filter(|rest| !rest.is_empty())?;
            let next = rest.strip_prefix(b";").map(trim_start);
            // Session cookies are often next to each other.
            let after = match next.and_then(|next| next.strip_prefix(self.name.needle())) {
                Some(after) => after,
                None => {
                    let start = self.from + self.name.find(rest)?;
                    let (before, rest) = self.field.split_at_checked(start)?;
                    if !matches!(trim_end(before), [] | [.., b';']) {
                        // An occurrence inside the name or value of another cookie.
                        self.from = start + 1;
                        continue;
                    }
                    rest.get(self.name.needle().len()..)?
                }
            };
            let end = memchr::memchr(b';', after).unwrap_or(after.len());
            let (pair, _) = after.split_at_checked(end)?;
            self.from = self.field.len() - after.len() + end;
            let Some(name_ends) = end_of_name(pair) else { continue };
            let (suffix, value) = pair.split_at_checked(name_ends)?;
            return Some((trim_end(suffix), trim_end(trim_start(value.get(1..)?))));
        }
    }
}

/// Position of the first `=`. Most names are the session cookie's, with no suffix or a dot and an
/// id.
fn end_of_name(pair: &[u8]) -> Option<usize> {
    const ID: usize = SessionId::LENGTH;
    match pair {
        [b'=', ..] => Some(0),
        [b'.', rest @ ..] if rest.get(ID) == Some(&b'=') && !has_equals(rest.first_chunk()?) => {
            Some(ID + 1)
        }
        _ => memchr::memchr(b'=', pair),
    }
}

/// Whether `id` contains a `=`, eight bytes at a time.
fn has_equals(id: &[u8; SessionId::LENGTH]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // Nonzero if and only if one of the bytes is `=`.
    let equals = |part: &[u8; 8]| {
        let differences = u64::from_ne_bytes(*part) ^ (ONES * u64::from(b'='));
        differences.wrapping_sub(ONES) & !differences & (ONES << 7)
    };
    let ([first, second], _) = id.as_chunks() else { return true };
    id.last_chunk().is_none_or(|last| equals(first) | equals(second) | equals(last) != 0)
}

/// Drops SP and HTAB. `str::trim` also drops Unicode white space, which browsers treat as part of
/// the name; that defeats the prefix.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    trim_start(trim_end(bytes))
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    if bytes.first().is_some_and(|byte| *byte <= b' ') { trim_start_of(bytes) } else { bytes }
}

fn trim_end(bytes: &[u8]) -> &[u8] {
    if bytes.last().is_some_and(|byte| *byte <= b' ') { trim_end_of(bytes) } else { bytes }
}

#[cold]
fn trim_start_of(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

#[cold]
fn trim_end_of(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
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
    use http::HeaderValue;
    use proptest::prelude::*;

    use crate::engine::cookie::config::{CookieConfig, CookiePrefix};
    use crate::engine::cookie::parse::*;

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
            let values = SessionCookies::read(&headers, &cookie("__Host-s"), 9, None).single;
            prop_assert_eq!(values.values(), &[b"a.b.c".as_slice()]);
        }

        #[test]
        fn cookie_header_of_any_bytes_never_panics(
            fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..99), 0..5)
        ) {
            let headers = headers(&fields);
            let cookies = SessionCookies::read(&headers, &cookie("s"), 9, None).single;
            prop_assert!(cookies.values().len() <= MAX_CANDIDATES);
        }
    }

    #[test]
    fn cookie_with_more_than_four_distinct_values_yields_no_candidate() {
        let four = headers(&["s=1.1.1; s=2.2.2; s=3.3.3; s=4.4.4; s=4.4.4; s=bad"]);
        let cookies = SessionCookies::read(&four, &cookie("s"), 9, None).single;
        assert_eq!((cookies.values().len(), cookies.malformed, cookies.excess), (4, true, false));
        let five = headers(&["s=1.1.1; s=2.2.2; s=3.3.3; s=4.4.4", "s=5.5.5"]);
        let cookies = SessionCookies::read(&five, &cookie("s"), 9, None).single;
        assert_eq!((cookies.values().len(), cookies.excess), (0, true));
    }

    #[test]
    fn cookie_header_above_size_limit_is_not_parsed() {
        let flood = headers(&["s=1.1.1".to_owned(), format!("x={}", "y".repeat(MAX_COOKIE_BYTES))]);
        let cookies = SessionCookies::read(&flood, &cookie("s"), 9, None);
        assert!(cookies.single.is_present && cookies.single.values().is_empty());
        assert!(cookies.too_large);
    }
}
