//! Reading the `Authorization` header.

use http::{HeaderMap, header::AUTHORIZATION};

/// What the `Authorization` header means for bearer tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Authorization<'h> {
    /// The header is absent, or uses another scheme.
    Absent,
    Bearer(&'h [u8]),
    /// The scheme is `Bearer`, but the header has no token, an invalid one or more than one.
    Malformed,
}

impl<'h> Authorization<'h> {
    /// Reads `"Bearer" 1*SP b64token` (RFC 6750 §2.1); the scheme is case-insensitive (RFC 9110
    /// §11.1). Tokens in the query or the body (§2.2, §2.3) are never read, because URLs and forms
    /// end up in logs.
    pub(crate) fn from_headers(headers: &'h HeaderMap) -> Self {
        let mut lines = headers.get_all(AUTHORIZATION).iter().map(|line| line.as_bytes());
        let first = lines.next().map(bearer);
        match (first, lines.next()) {
            (None, _) => Self::Absent,
            (Some(found), None) => found,
            // RFC 9110 §5.3: the header is sent once. Two lines are rejected, because another
            // reader might use the other one.
            (Some(Self::Absent), Some(_))
                if headers
                    .get_all(AUTHORIZATION)
                    .iter()
                    .all(|line| bearer(line.as_bytes()) == Self::Absent) =>
            {
                Self::Absent
            }
            (Some(_), Some(_)) => Self::Malformed,
        }
    }
}

fn bearer(line: &[u8]) -> Authorization<'_> {
    const SCHEME: &[u8] = b"bearer";
    let line = line.trim_ascii();
    let Some((scheme, rest)) = line.split_at_checked(SCHEME.len()) else {
        return Authorization::Absent;
    };
    if !scheme.eq_ignore_ascii_case(SCHEME) || rest.first().is_some_and(|next| *next != b' ') {
        return Authorization::Absent;
    }
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    match rest.get(spaces..) {
        Some(token) if is_b64token(token) => Authorization::Bearer(token),
        _ => Authorization::Malformed,
    }
}

/// RFC 6750 §2.1: letters, digits and `-._~+/`, then any number of `=`.
fn is_b64token(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let (text, _) = token.split_at(token.len() - padding);
    let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    !text.is_empty() && text.iter().all(is_one)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::Authorization::{Absent, Bearer, Malformed};
    use crate::engine::bearer::header::*;

    #[test]
    fn authorization_header_yields_a_token_only_when_unambiguous() {
        for (lines, expected) in [
            (&[][..], Absent),
            (&["Bearer a.b-c_d"], Bearer(b"a.b-c_d")),
            (&["bearer a"], Bearer(b"a")),
            (&["BEARER   a+/~=="], Bearer(b"a+/~==")),
            (&["Basic YTpi"], Absent),
            (&["Bearera"], Absent),
            (&["bear"], Absent),
            (&["Bearer"], Malformed),
            (&["Bearer "], Malformed),
            (&["Bearer ="], Malformed),
            (&["Bearer a b"], Malformed),
            (&["Bearer a, Bearer a"], Malformed),
            (&["Bearer a,b"], Malformed),
            (&["Bearer a=b"], Malformed),
            (&["Bearer \"a\""], Malformed),
            (&["Bearer \u{e4}"], Malformed),
            (&["Bearer\ta"], Absent),
            (&["Bearer a", "Bearer a"], Malformed),
            (&["Bearer a", "Basic YTpi"], Malformed),
            (&["Basic YTpi", "Bearer a"], Malformed),
            (&["Basic YTpi", "Basic YTpi"], Absent),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(AUTHORIZATION, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            assert_eq!(Authorization::from_headers(&headers), expected, "{lines:?}");
        }
    }
}
