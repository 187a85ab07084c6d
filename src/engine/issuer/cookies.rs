//! Reading other issuers' cookies, by the rules of [`scan`](crate::engine::cookie::scan).

use http::{HeaderMap, header::COOKIE};
use memchr::memchr;

use crate::engine::cookie::{
    parse::MAX_CANDIDATES,
    scan::{MAX_COOKIE_BYTES, trim},
};

/// The distinct values of the cookie `name`; none if there are too many of them, or too many bytes
/// of cookies. The search ends with the first value beyond [`MAX_CANDIDATES`], so that its time is
/// linear in the length of the header.
pub(crate) fn values_of<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h [u8]> {
    let fields = || headers.get_all(COOKIE).iter().map(|field| field.as_bytes());
    if fields().map(<[u8]>::len).sum::<usize>() > MAX_COOKIE_BYTES {
        return Vec::new();
    }
    let pairs = fields().flat_map(|field| field.split(|byte| *byte == b';'));
    let values = pairs.filter_map(|pair| {
        let (cookie_name, value) = pair.split_at(memchr(b'=', pair)?);
        let value = trim(value.get(1..)?);
        // A sign-out at the issuer may leave an empty cookie.
        (trim(cookie_name) == name.as_bytes() && !value.is_empty()).then_some(value)
    });
    distinct(values).unwrap_or_default()
}

/// The distinct ones of `values`, or `None` as soon as there are more than [`MAX_CANDIDATES`].
fn distinct<'h>(values: impl Iterator<Item = &'h [u8]>) -> Option<Vec<&'h [u8]>> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            if distinct.len() == MAX_CANDIDATES {
                return None;
            }
            distinct.push(value);
        }
    }
    Some(distinct)
}

/// Whether `name` is a valid cookie name (RFC 6265 §4.1.1: a token of RFC 9110 §5.6.2).
pub(crate) fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

#[cfg(test)]
mod tests {
    use crate::engine::issuer::cookies::*;

    #[test]
    fn values_beyond_the_maximum_are_not_read() {
        let header: String = (0..2_300).map(|n| format!("__session={n};")).collect();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, header.parse().unwrap());
        assert!(values_of(&headers, "__session").is_empty());

        let texts: Vec<String> = (0..2_300).map(|n| n.to_string()).collect();
        let mut read = 0;
        let values = texts.iter().map(|text| text.as_bytes()).inspect(|_| read += 1);
        assert_eq!(distinct(values), None);
        assert_eq!(read, MAX_CANDIDATES + 1);
    }

    #[test]
    fn repeated_values_count_once() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "s=1; s=2; s=1; t=9; s=".parse().unwrap());
        headers.append(COOKIE, "s = 3 ;s=4;s=4".parse().unwrap());
        assert_eq!(values_of(&headers, "s"), [b"1", b"2", b"3", b"4"]);
        headers.append(COOKIE, "s=5".parse().unwrap());
        assert!(values_of(&headers, "s").is_empty());
    }
}
