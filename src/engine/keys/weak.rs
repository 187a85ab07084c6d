//! Detection of keys of the right size that an attacker knows or can compute.

/// Whether an HMAC secret is a placeholder (ASVS 13.2.3): one repeated byte, or only words such as
/// "secret" and "change me".
///
/// Only certain cases are rejected: a secret that merely looks weak may be used in a test.
pub(crate) fn is_placeholder(secret: &[u8]) -> bool {
    let one_byte = secret.first().is_some_and(|first| secret.iter().all(|byte| byte == first));
    one_byte || is_words(secret)
}

const WORDS: [&[u8]; 8] = [
    b"secret",
    b"password",
    b"passphrase",
    b"changeme",
    b"change",
    b"replaceme",
    b"example",
    b"placeholder",
];

fn is_words(secret: &[u8]) -> bool {
    let letters: Vec<u8> = secret
        .iter()
        .filter(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
        .map(u8::to_ascii_lowercase)
        .collect();
    let mut rest = letters.as_slice();
    while let Some(after) = WORDS.iter().find_map(|word| rest.strip_prefix(*word)) {
        rest = after;
    }
    // The rest may be the beginning of a word, cut off at the required length.
    WORDS.iter().any(|word| word.starts_with(rest)) && rest.len() < letters.len()
}

/// Whether a modulus has the fingerprint of Infineon's key generator (CVE-2017-15361, ROCA; ASVS
/// 11.6.1): its primes are 65537ᵃ modulo every small prime, so the modulus is a power of 65537
/// modulo each of these. One good key in 240 million has it too.
pub(crate) fn is_roca(modulus: &[u8]) -> bool {
    /// The primes below 168 of which 65537 is not a primitive root: the others give no information.
    const PRIMES: [u32; 17] =
        [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    PRIMES.iter().all(|prime| {
        let residue = modulus.iter().fold(0, |sum, byte| (sum * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        (0..*prime).any(|_| {
            power = power * 65537 % prime;
            power == residue
        })
    })
}

/// Whether an Ed25519 public key is a point of small order, in any encoding: such a key accepts
/// forged signatures, and RFC 8032 does not require verifiers to reject it. The zero bytes of an
/// unset variable are one.
pub(crate) fn is_small_order(point: &[u8]) -> bool {
    // The top bit is the sign of x.
    SMALL_ORDER.iter().any(|known| {
        point.len() == known.len()
            && point.iter().zip(known).rev().enumerate().all(|(place, (byte, known))| {
                (byte ^ known) & if place == 0 { 0x7f } else { 0xff } == 0
            })
    })
}

/// y = 0, 1, the two of order 8, −1, and the encodings of 0 and 1 as p and p + 1.
pub(crate) const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    ends(1, 0, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    ends(0xec, 0xff, 0x7f),
    ends(0xed, 0xff, 0x7f),
    ends(0xee, 0xff, 0x7f),
];

const fn ends(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

#[cfg(test)]
mod tests {
    use crate::engine::keys::weak::*;
    use crate::random::{OsRandom, RandomSource};

    #[test]
    fn placeholder_secret_is_detected() {
        for bad in [
            &[0; 32][..],
            &[0xff; 64],
            b"secretsecretsecretsecretsecretse",
            b"Change-Me-Change-Me-Change-Me-Change-Me",
            b"secret_password_secret_password!",
        ] {
            assert!(is_placeholder(bad), "{}", String::from_utf8_lossy(bad));
        }
        for good in [
            &b"hTz9v2Qp0sXa7LmR4kJc8WfY1bNg6UeD"[..],
            b"secret-hTz9v2Qp0sXa7LmR4kJc8WfY1bNg6UeD",
            b"8f14e45fceea167a5a36dedd4bea2543",
            b"0123456789abcdef0123456789abcdef",
            b"a-test-secret-of-at-least-32-bytes",
        ] {
            assert!(!is_placeholder(good), "{}", String::from_utf8_lossy(good));
        }
    }

    #[test]
    fn random_secret_is_never_a_placeholder() {
        for _ in 0..1_000 {
            let mut secret = [0; 64];
            OsRandom.fill(&mut secret).unwrap();
            assert!(!is_placeholder(&secret));
            let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(!is_placeholder(&text.as_bytes()[..32]), "{text}");
        }
    }

    #[test]
    fn small_order_point_is_detected_with_either_sign() {
        let mut point = [0; 32];
        assert!(is_small_order(&point));
        point[31] = 0x80;
        assert!(is_small_order(&point));
        point[31] = 0x81;
        assert!(!is_small_order(&point));
        assert!(!is_small_order(&[]));
    }
}
