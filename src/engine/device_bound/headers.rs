//! The header fields of Device Bound Session Credentials. They are structured fields (RFC 9651);
//! browsers send strings with and without quotes, and both are read.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::engine::session::{
    device_key::{DeviceProofError, ProofSkipReason},
    id::SessionId,
};

/// The offer to bind the session, in a response.
pub(crate) const REGISTRATION: HeaderName = HeaderName::from_static("secure-session-registration");
/// The challenge that renews a proof, in a response.
pub(crate) const CHALLENGE: HeaderName = HeaderName::from_static("secure-session-challenge");
/// The signed challenge, in a request.
pub(crate) static RESPONSE: HeaderName = HeaderName::from_static("secure-session-response");
/// The session whose proof is renewed, in a request.
pub(crate) static SESSION: HeaderName = HeaderName::from_static("sec-secure-session-id");
/// Why the browser sent a request without renewing its proof.
pub(crate) static SKIPPED: HeaderName = HeaderName::from_static("secure-session-skipped");

/// `Secure-Session-Registration`: the browser creates a key, signs `challenge` and posts it to `path`.
pub(crate) fn registration(path: &str, challenge: &str) -> Option<HeaderValue> {
    let offer = format!("(ES256);path={};challenge={}", string(path)?, string(challenge)?);
    sensitive(&offer)
}

/// `Secure-Session-Challenge`: what the browser signs for `session`.
pub(crate) fn challenge(session: SessionId, challenge: &str) -> Option<HeaderValue> {
    sensitive(&format!("{};id={}", string(challenge)?, string(session.as_str())?))
}

/// Keeps the value out of `Debug` and of HPACK's tables (RFC 7541 §7.1.3).
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A string (RFC 9651 §3.3.3); `None` for text that would need escapes.
fn string(text: &str) -> Option<String> {
    let is_plain = |byte: u8| (0x20..0x7f).contains(&byte) && !matches!(byte, b'"' | b'\\');
    text.bytes().all(is_plain).then(|| format!("\"{text}\""))
}

/// The value of a field that comes at most once.
pub(crate) fn single<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h str>, DeviceProofError> {
    let mut lines = headers.get_all(name).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let text = line.to_str().ok().filter(|_| lines.next().is_none());
    text.map(|text| Some(unquoted(text.trim()))).ok_or(DeviceProofError::Malformed)
}

/// A string or a token, without its quotes.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

/// Why the browser did not renew the proof of `session`, as it states.
pub(crate) fn skip_reason(headers: &HeaderMap, session: SessionId) -> Option<ProofSkipReason> {
    let lines = headers.get_all(&SKIPPED).iter().filter_map(|line| line.to_str().ok());
    let mut members = lines.flat_map(|line| line.split(','));
    members.find_map(|member| {
        let mut parts = member.split(';').map(str::trim);
        let reason = parts.next()?;
        let is_meant = parts.any(|parameter| {
            let stated = parameter.strip_prefix("session_identifier=");
            stated.is_some_and(|stated| unquoted(stated) == session.as_str())
        });
        is_meant.then_some(match reason {
            "unreachable" => ProofSkipReason::Unreachable,
            "server_error" => ProofSkipReason::ServerError,
            "quota_exceeded" => ProofSkipReason::QuotaExceeded,
            _ => ProofSkipReason::Other,
        })
    })
}

#[cfg(test)]
mod tests {
    use crate::engine::device_bound::headers::*;

    const SID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

    fn fields(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn value_is_read_with_and_without_quotes_and_never_twice() {
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&["a.b.c"], Ok(Some("a.b.c"))),
            (&["\"a.b.c\""], Ok(Some("a.b.c"))),
            (&[" \"a\" "], Ok(Some("a"))),
            (&["\"a"], Ok(Some("\"a"))),
            (&["a", "b"], Err(DeviceProofError::Malformed)),
            (&["a", "a"], Err(DeviceProofError::Malformed)),
            (&["ä"], Err(DeviceProofError::Malformed)),
        ] {
            let headers = fields(&RESPONSE, values);
            assert_eq!(single(&headers, &RESPONSE), expected, "{values:?}");
        }
    }

    #[test]
    fn skip_reason_is_that_of_the_session() {
        use ProofSkipReason::*;
        let id: SessionId = SID.parse().unwrap();
        for (values, expected) in [
            (&[][..], None),
            (&["unreachable"], None),
            (&["unreachable;session_identifier=\"AAAAAAAAAAAAAAAAAAAAAA\""], Some(Unreachable)),
            (&["server_error; session_identifier=AAAAAAAAAAAAAAAAAAAAAA"], Some(ServerError)),
            (
                &["unreachable;session_identifier=\"B\", \
                     quota_exceeded;session_identifier=\"AAAAAAAAAAAAAAAAAAAAAA\""],
                Some(QuotaExceeded),
            ),
            (&["new;a=b;session_identifier=\"AAAAAAAAAAAAAAAAAAAAAA\""], Some(Other)),
            (&["unreachable;session_identifier=\"B\"", ""], None),
        ] {
            assert_eq!(skip_reason(&fields(&SKIPPED, values), id), expected, "{values:?}");
        }
    }

    #[test]
    fn offer_and_challenge_are_structured_fields() {
        let offer = registration("/session/bound/register", "a.b.c").unwrap();
        assert_eq!(offer, "(ES256);path=\"/session/bound/register\";challenge=\"a.b.c\"");
        let id = SID.parse().unwrap();
        assert_eq!(challenge(id, "a.b.c").unwrap(), "\"a.b.c\";id=\"AAAAAAAAAAAAAAAAAAAAAA\"");
        assert!(offer.is_sensitive());
        for text in ["a\"b", "a\\b", "ä", "a\nb"] {
            assert_eq!(registration(text, "c"), None, "{text}");
        }
    }
}
