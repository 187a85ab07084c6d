//! Keys of the right size that an attacker knows or can work out.

/// Whether an HMAC secret is what people write before they write a secret (ASVS 13.2.3): a short
/// piece repeated, or words such as "secret" and "change me" with little else.
///
/// Random bytes are never taken for one: a repetition has a chance below 2⁻¹²⁷, and words must
/// leave less than [`UNEXPLAINED`] letters and digits of 32 or more.
pub(crate) fn is_placeholder(secret: &[u8]) -> bool {
    let longest = LONGEST_PERIOD.min(secret.len() / 2);
    (1..=longest).any(|period| secret.iter().zip(secret.iter().skip(period)).all(|(a, b)| a == b))
        || is_words(secret)
}

const LONGEST_PERIOD: usize = 64;
const UNEXPLAINED: usize = 16;

/// A secret must contain one of the first line to be suspected at all.
const TELLING: [&[u8]; 8] = [
    b"secret",
    b"password",
    b"passphrase",
    b"changeme",
    b"change",
    b"replace",
    b"example",
    b"placeholder",
];
const FILLING: [&[u8]; 26] = [
    b"insecure",
    b"default",
    b"development",
    b"production",
    b"testing",
    b"test",
    b"local",
    b"session",
    b"signing",
    b"cookie",
    b"token",
    b"please",
    b"super",
    b"random",
    b"string",
    b"bytes",
    b"characters",
    b"least",
    b"long",
    b"this",
    b"with",
    b"your",
    b"key",
    b"jwt",
    b"256",
    b"bit",
];

fn is_words(secret: &[u8]) -> bool {
    let mut rest = secret;
    let mut telling = false;
    let mut unexplained = 0;
    while let Some((first, after)) = rest.split_first() {
        let word = |words: &[&'static [u8]]| {
            words.iter().copied().filter(|word| starts_with(rest, word)).map(<[u8]>::len).max()
        };
        let (told, filled) = (word(&TELLING), word(&FILLING));
        telling |= told.is_some();
        rest = match told.max(filled) {
            Some(length) => rest.get(length..).unwrap_or_default(),
            None => {
                unexplained += usize::from(first.is_ascii_alphanumeric() || !first.is_ascii());
                after
            }
        };
    }
    telling && unexplained < UNEXPLAINED
}

fn starts_with(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// Whether a modulus bears the mark of Infineon's key generator (CVE-2017-15361, ROCA; ASVS
/// 11.6.1): its primes are 65537ᵃ modulo every small prime, so the modulus is a power of 65537
/// modulo each of these. One sound key in 240 million bears it too.
pub(crate) fn is_roca(modulus: &[u8]) -> bool {
    /// The primes below 168 of which 65537 is no primitive root: the others tell nothing.
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
/// signatures that nobody made, and RFC 8032 asks no verifier to refuse it. The zero bytes of an
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

/// y = 0, 1, the two of order 8, −1, and what encodes 0 and 1 as p and p + 1.
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
    use super::*;
    use crate::random::{OsRandom, RandomSource};

    #[test]
    fn what_people_write_is_no_secret() {
        for bad in [
            &[0; 32][..],
            &[0xff; 64],
            b"secretsecretsecretsecretsecretse",
            b"Change-Me-Change-Me-Change-Me-Change-Me",
            b"0123456789abcdef0123456789abcdef",
            b"my-super-secret-jwt-signing-key-change-me-please",
            b"this is a secret with at least 32 bytes!",
            b"YOUR-256-BIT-SECRET-YOUR_256_BIT_SECRET_OR_SO",
            b"replace_this_with_a_long_random_string_of_64_characters_please__",
            &[b"password".repeat(3).as_slice(), b"12345678"].concat(),
        ] {
            assert!(is_placeholder(bad), "{}", String::from_utf8_lossy(bad));
        }
        for good in [
            &b"hTz9v2Qp0sXa7LmR4kJc8WfY1bNg6UeD"[..],
            b"secret-hTz9v2Qp0sXa7LmR4kJc8WfY1bNg6UeD",
            b"8f14e45fceea167a5a36dedd4bea2543",
        ] {
            assert!(!is_placeholder(good), "{}", String::from_utf8_lossy(good));
        }
    }

    #[test]
    fn random_secrets_are_secrets() {
        for _ in 0..1_000 {
            let mut secret = [0; 64];
            OsRandom.fill(&mut secret).unwrap();
            assert!(!is_placeholder(&secret));
            let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(!is_placeholder(&text.as_bytes()[..32]), "{text}");
        }
    }

    #[test]
    fn small_orders_are_told_whatever_the_sign() {
        let mut point = [0; 32];
        assert!(is_small_order(&point));
        point[31] = 0x80;
        assert!(is_small_order(&point));
        point[31] = 0x81;
        assert!(!is_small_order(&point));
        assert!(!is_small_order(&[]));
    }
}
