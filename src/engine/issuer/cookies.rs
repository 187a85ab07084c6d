//! Reading other issuers' cookies, by the rules of [`parse`](crate::engine::cookie::parse).

use http::{HeaderMap, header::COOKIE};

use crate::engine::cookie::parse::{MAX_CANDIDATES, MAX_COOKIE_BYTES, trim};

/// The distinct values of the cookie `name`; none if there are too many of them, or too many bytes
/// of cookies.
pub(crate) fn values_of<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h [u8]> {
    let fields = || headers.get_all(COOKIE).iter().map(|field| field.as_bytes());
    let mut values = Vec::new();
    if fields().map(<[u8]>::len).sum::<usize>() > MAX_COOKIE_BYTES {
        return values;
    }
    for pair in fields().flat_map(|field| field.split(|byte| *byte == b';')) {
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
        let (cookie_name, value) = pair.split_at(equals);
        let value = trim(value.get(1..).unwrap_or_default());
        // A sign-out at the issuer may leave an empty cookie.
        if trim(cookie_name) == name.as_bytes() && !value.is_empty() && !values.contains(&value) {
            values.push(value);
        }
    }
    if values.len() > MAX_CANDIDATES {
        values.clear();
    }
    values
}

/// Whether `name` is a valid cookie name (RFC 6265 §4.1.1: a token of RFC 9110 §5.6.2).
pub(crate) fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}
