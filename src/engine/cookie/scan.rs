//! [`CookieScan`]: the one search of `Cookie` headers, byte by byte.
//!
//! A parser that decodes or trims more than browsers do defeats the `__Host-` prefix, so this one
//! does neither:
//!
//! 1. All `Cookie` fields are read: HTTP/2 splits them (RFC 9113 §8.2.3).
//! 2. Pairs are separated by `;` and split at the first `=`. SP and HTAB around name and value are
//!    dropped, nothing else is, and nothing is decoded or unquoted (RFC 6265bis §5.7).
//! 3. Names are compared as bytes. Other cookies are opaque: none hides or replaces a session
//!    cookie.
//! 4. The work for one request is bounded: above 32 KiB of `Cookie` fields nothing is read.

use std::iter;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::COOKIE};
use memchr::memmem::Finder;

use super::set_cookie::{ACTIVE_SUFFIX, FLOW_SUFFIX, PROOF_SUFFIX, SessionCookie};
use crate::engine::{flow::FlowId, session::id::SessionId};

/// Maximum total length of the `Cookie` fields that are read.
pub(crate) const MAX_COOKIE_BYTES: usize = 32 * 1024;

/// The number of session cookies that a scan holds without an allocation.
const INLINE_CAPACITY: usize = 8;

/// The name of a cookie of this crate. The id of an account is not decoded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CookieName<'h> {
    Single,
    Active,
    Account(&'h [u8; SessionId::LENGTH]),
    Flow,
    /// The proof cookie of a device-bound session.
    Proof(&'h [u8; SessionId::LENGTH]),
}

/// The session cookies of a request, by name only.
#[derive(Debug)]
pub(crate) struct CookieScan<'h> {
    headers: Option<&'h HeaderMap>,
    first_field: Option<&'h HeaderValue>,
    has_more_fields: bool,
    inline: [(CookieName<'h>, &'h [u8]); INLINE_CAPACITY],
    inline_count: usize,
    /// The cookies that the array has no place for.
    spilled: Vec<(CookieName<'h>, &'h [u8])>,
    too_large: bool,
    has_flows: bool,
}

impl<'h> CookieScan<'h> {
    /// Finds the cookies of `cookie` in the `Cookie` fields of a request.
    pub(crate) fn new(headers: &'h HeaderMap, cookie: &SessionCookie) -> Self {
        let scan = Self { headers: Some(headers), ..Self::empty() };
        scan.with_fields(headers.get_all(COOKIE).into_iter(), cookie)
    }

    /// [`new`](Self::new), for a request whose only `Cookie` field is known.
    #[inline]
    pub(crate) fn from_only_field(field: Option<&'h HeaderValue>, cookie: &SessionCookie) -> Self {
        Self::empty().with_fields(field.into_iter(), cookie)
    }

    #[inline]
    fn with_fields(
        mut self,
        fields: impl Iterator<Item = &'h HeaderValue>,
        cookie: &SessionCookie,
    ) -> Self {
        let mut bytes = 0_usize;
        for field in fields {
            self.has_more_fields |= self.first_field.is_some();
            self.first_field = self.first_field.or(Some(field));
            bytes = bytes.saturating_add(field.len());
            if bytes > MAX_COOKIE_BYTES {
                self.too_large = true;
                break;
            }
            self.add_field(field, cookie);
        }
        self
    }

    /// Finds the cookies of `cookie` in fields that were [joined](Self::joined_fields), which makes
    /// them longer: of any length.
    pub(crate) fn from_field(field: &'h HeaderValue, cookie: &SessionCookie) -> Self {
        let mut scan = Self { first_field: Some(field), ..Self::empty() };
        scan.add_field(field, cookie);
        scan
    }

    const fn empty() -> Self {
        Self {
            headers: None,
            first_field: None,
            has_more_fields: false,
            inline: [(CookieName::Single, &[]); INLINE_CAPACITY],
            inline_count: 0,
            spilled: Vec::new(),
            too_large: false,
            has_flows: false,
        }
    }

    fn add_field(&mut self, field: &'h HeaderValue, cookie: &SessionCookie) {
        for found in session_cookies(field.as_bytes(), cookie) {
            if found.0 == CookieName::Flow {
                self.has_flows = true;
                continue;
            }
            match self.inline.get_mut(self.inline_count) {
                Some(place) => {
                    *place = found;
                    self.inline_count += 1;
                }
                None => self.spilled.push(found),
            }
        }
    }

    /// Whether the request has no session cookie.
    pub(crate) const fn is_empty(&self) -> bool {
        self.inline_count == 0 && !self.too_large
    }

    /// Whether the fields exceed [`MAX_COOKIE_BYTES`]. Then [`cookies`](Self::cookies) are only some
    /// of them, and the request may have session cookies among the others.
    pub(crate) const fn is_too_large(&self) -> bool {
        self.too_large
    }

    /// Whether the request has cookies of flows, which are not among
    /// [`cookies`](Self::cookies).
    pub(crate) const fn has_flows(&self) -> bool {
        self.has_flows
    }

    /// The names and values of the session cookies, in the order of the fields.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = (CookieName<'h>, &'h [u8])> + Clone {
        let inline = self.inline.get(..self.inline_count).unwrap_or_default();
        inline.iter().chain(&self.spilled).copied()
    }

    /// The `Cookie` fields as one.
    pub(crate) fn joined_fields(&self) -> Option<HeaderValue> {
        let first = self.first_field?;
        let Some(headers) = self.headers.filter(|_| self.has_more_fields) else {
            return Some(first.clone());
        };
        let fields: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        HeaderValue::from_maybe_shared(Bytes::from(fields.join(b"; ".as_slice()))).ok()
    }
}

/// The session cookies in one `Cookie` field, and that there are flows.
#[inline]
pub(crate) fn session_cookies<'h>(
    field: &'h [u8],
    cookie: &SessionCookie,
) -> impl Iterator<Item = (CookieName<'h>, &'h [u8])> {
    let mut pairs = CookiePairs { field, from: 0, name: cookie.finder() };
    iter::from_fn(move || {
        loop {
            let (suffix, value) = pairs.next()?;
            let name = match suffix {
                [] => CookieName::Single,
                [b'.', suffix @ ..] => match suffix.try_into() {
                    Ok(id) => CookieName::Account(id),
                    Err(_) if suffix == ACTIVE_SUFFIX.as_bytes() => CookieName::Active,
                    Err(_) if suffix.starts_with(FLOW_SUFFIX.as_bytes()) => CookieName::Flow,
                    Err(_) => match proof_of(suffix) {
                        Some(id) => CookieName::Proof(id),
                        None => continue,
                    },
                },
                _ => continue,
            };
            return Some((name, value));
        }
    })
}

/// The flows in one `Cookie` field, by their ids.
pub(crate) fn flow_cookies<'h>(
    field: &'h [u8],
    cookie: &SessionCookie,
) -> impl Iterator<Item = (FlowId, &'h [u8])> {
    let mut pairs = CookiePairs { field, from: 0, name: cookie.finder() };
    iter::from_fn(move || pairs.next()).filter_map(|(suffix, value)| {
        let id = suffix.strip_prefix(b".")?.strip_prefix(FLOW_SUFFIX.as_bytes())?;
        Some((FlowId::try_from_bytes(id)?, value))
    })
}

/// The id of the session in the name of a proof cookie.
fn proof_of(suffix: &[u8]) -> Option<&[u8; SessionId::LENGTH]> {
    suffix.strip_prefix(PROOF_SUFFIX.as_bytes())?.strip_prefix(b".")?.try_into().ok()
}

/// The pairs of a `Cookie` field whose name begins with that of the session cookie: the rest of the
/// name, and the value. The search jumps from one occurrence of the name to the next, because most
/// cookies belong to others.
struct CookiePairs<'h, 'c> {
    field: &'h [u8],
    /// Where the search continues.
    from: usize,
    name: &'c Finder<'static>,
}

impl<'h> CookiePairs<'h, '_> {
    #[inline]
    fn next(&mut self) -> Option<(&'h [u8], &'h [u8])> {
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
