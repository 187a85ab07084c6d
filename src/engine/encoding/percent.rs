//! Percent-encoding (RFC 3986 §2.1): the one place that reads and writes `%` triplets.

use std::{fmt::Write as _, iter};

/// The byte that each `%` triplet of `text` encodes, in order; `None` for a malformed triplet.
pub(crate) fn escapes(text: &[u8]) -> impl Iterator<Item = Option<u8>> {
    text.split(|byte| *byte == b'%').skip(1).map(|after| match after {
        [high, low, ..] => octet(*high, *low),
        _ => None,
    })
}

/// The bytes of `raw` after one decoding, with `None` for each malformed triplet.
pub(crate) fn decoded(mut raw: impl Iterator<Item = u8>) -> impl Iterator<Item = Option<u8>> {
    iter::from_fn(move || {
        Some(match raw.next()? {
            b'%' => raw.next().zip(raw.next()).and_then(|(high, low)| octet(high, low)),
            byte => Some(byte),
        })
    })
}

/// Appends `text` to `out`, with all but the unreserved characters encoded (RFC 3986 §2.3).
pub(crate) fn encode_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            push_triplet(out, byte);
        }
    }
}

/// Appends the triplet of `byte`.
pub(crate) fn push_triplet(out: &mut String, byte: u8) {
    // Writing into a `String` cannot fail.
    let _ = write!(out, "%{byte:02X}");
}

fn octet(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high)? << 4) | digit(low)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::engine::encoding::percent::*;

    fn decode(text: &str) -> Option<Vec<u8>> {
        decoded(text.bytes()).collect()
    }

    #[test]
    fn percent_triplet_without_two_hex_digits_is_malformed() {
        assert_eq!(decode("a%2fb%2F%00%ff"), Some(b"a/b/\0\xff".to_vec()));
        // A number parser would accept the sign, and an unchecked index would read past the end.
        for malformed in ["%", "%4", "%+f", "%-1", "% 1", "%zz", "%4z", "%%41", "%\u{e4}", "a%"] {
            assert_eq!(decode(malformed), None, "{malformed}");
            assert!(escapes(malformed.as_bytes()).any(|octet| octet.is_none()), "{malformed}");
        }
        let octets: Vec<_> = escapes(b"%41b%c%").collect();
        assert_eq!(octets, [Some(b'A'), None, None]);
    }

    proptest! {
        #[test]
        fn percent_encoded_text_round_trips(text in any::<String>()) {
            let mut encoded = String::new();
            encode_into(&mut encoded, &text);
            prop_assert_eq!(decode(&encoded), Some(text.into_bytes()));
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'&'));
        }
    }
}
