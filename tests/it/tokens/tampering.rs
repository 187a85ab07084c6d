//! Damaged, mixed and random tokens.

use super::*;

/// The tokens of the forge are valid, so that a rejection is due to their content.
#[test]
fn unmodified_token_of_the_forge_is_accepted() {
    let result = present(&probe(), &TokenForge::new("k1").session(&claims()));
    let session = result.session.unwrap();
    assert_eq!((session.id().as_str(), session.subject().as_str()), (SID_A, "ada"));
    assert_eq!((session.claims().name.as_str(), result.events.len()), ("Ada", 0));
}

#[test]
fn token_with_one_flipped_bit_is_rejected() {
    for algorithm in [
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::EdDsa,
        #[cfg(feature = "aws-lc-rs")]
        Algorithm::Es256,
        #[cfg(feature = "aws-lc-rs")]
        Algorithm::Es384,
    ] {
        let ring = KeyRing::new(SigningKey::generate("k", algorithm).unwrap());
        let probe = Probe::new(SessionEngine::<User>::builder(ring));
        let token = sign_in(&probe, "ada", user("Ada")).token();
        assert!(present(&probe, &token).session.is_some());
        let mut sent = 0;
        for index in 0..token.len() {
            for bit in 0..8 {
                let mut changed = token.clone().into_bytes();
                changed[index] ^= 1 << bit;
                let cookie = [COOKIE.as_bytes(), b"=", &changed].concat();
                // The server's parser rejects control characters.
                if http::HeaderValue::from_bytes(&cookie).is_ok() {
                    probe.cookies(&[cookie]).assert_signed_out();
                    sent += 1;
                }
            }
        }
        assert!(sent > token.len() * 6, "{algorithm}");
        assert!(
            present(&probe, &token).session.is_some(),
            "{algorithm}: the valid token is still accepted"
        );
    }
}

#[test]
fn token_mixed_from_two_tokens_is_rejected() {
    let probe = probe();
    let ada = sign_in(&probe, "ada", user("Ada")).token();
    let bob = sign_in(&probe, "bob", user("Bob")).token();
    let (a, b): (Vec<_>, Vec<_>) = (ada.split('.').collect(), bob.split('.').collect());
    for header in [a[0], b[0], a[1], a[2], ""] {
        for claims in [a[1], b[1], a[0], a[2], ""] {
            for signature in [a[2], b[2], a[0], a[1], ""] {
                let token = [header, claims, signature].join(".");
                let result = present(&probe, &token);
                assert_eq!(result.session.is_some(), token == ada || token == bob, "{token}");
                assert_eq!(result.response.set_cookies(), [""; 0]);
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_are_rejected(value in prop::collection::vec(any::<u8>(), 0..300)) {
        let cookie = [COOKIE.as_bytes(), b"=", &value].concat();
        if http::HeaderValue::from_bytes(&cookie).is_ok() {
            probe().cookies(&[cookie]).assert_signed_out();
        }
    }

    #[test]
    fn random_token_parts_are_rejected(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..6),
    ) {
        let token = parts.iter().map(encode).collect::<Vec<_>>().join(".");
        present(&probe(), &token).assert_signed_out();
    }

    /// Random headers and payloads with a valid signature, which only a holder of the key can send, do
    /// not cause a panic.
    #[test]
    fn signed_random_bytes_are_rejected(
        header in prop::collection::vec(any::<u8>(), 0..40),
        noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let (probe, forge) = (probe(), TokenForge::new("k1"));
        present(&probe, &forge.sign(&header, claims().to_string())).assert_signed_out();
        present(&probe, &forge.token(&noise)).assert_signed_out();
    }

    #[test]
    fn damaged_tokens_are_rejected(
        cut in 0_usize..400, insert in 0_usize..400, text in "[A-Za-z0-9_.-]{1,5}", kind in 0..5,
    ) {
        let probe = probe();
        let token = sign_in(&probe, "ada", user("Ada")).token();
        let (cut, insert) = (cut % token.len(), insert % (token.len() + 1));
        let parts: Vec<_> = token.split('.').collect();
        let damaged = match kind {
            0 => token[..cut].to_owned(),
            1 => token[cut + 1..].to_owned(),
            2 => format!("{}{text}{}", &token[..insert], &token[insert..]),
            3 => format!("{token}.{}", parts[cut % 3]),
            _ => format!("{}{}", &token[..cut], &token[cut + 1..]),
        };
        prop_assume!(damaged != token);
        present(&probe, &damaged).assert_signed_out();
        prop_assert!(present(&probe, &token).session.is_some(), "the valid token is still accepted");
    }

    /// Each registered claim with any JSON value.
    #[test]
    fn signed_claims_of_any_value_never_panic(
        name in prop::sample::select(RESERVED_CLAIMS),
        value in json_value(),
    ) {
        let probe = probe();
        let result = present(&probe, &TokenForge::new("k1").session(&claims_with(name, value)));
        if let Some(session) = result.session {
            prop_assert!(session.expires_at().as_unix_seconds() <= START + 100);
        }
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (START - 200..START + 200).prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(".{0,3}", inner, 0..3)
                .prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    })
}
