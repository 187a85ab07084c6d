use std::{fs, path::Path};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use crate::engine::keys::{
    algorithm::Family, key::*, key_ring::KeyRing, material::RsaPrivate, weak,
};

fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/keys");
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn key_file_loads_with_matching_halves() {
    for (private, public, algorithm) in [
        ("ed25519.pem", "ed25519.pub.pem", Algorithm::EdDsa),
        ("p256.pem", "p256.pub.pem", Algorithm::Es256),
        ("p384.pem", "p384.pub.pem", Algorithm::Es384),
        ("rsa2048.pem", "rsa2048.pub.pem", Algorithm::Rs256),
        ("rsa2048.pkcs1.pem", "rsa2048.pkcs1.pub.pem", Algorithm::Ps384),
    ] {
        let public = VerifyingKey::from_pem("public", algorithm, file(public)).unwrap();
        let key = SigningKey::from_pem("private", algorithm, file(private)).unwrap();
        let crlf = file(private).replace('\n', "\r\n");
        assert!(SigningKey::from_pem("private", algorithm, crlf).is_ok(), "{private}");
        assert!(key.self_test(), "{private}");
        let signature = key.sign(b"message").unwrap();
        assert!(public.verify(b"message", &signature), "{private}");
        assert!(!public.verify(b"massage", &signature), "{private}");
    }
}

#[test]
fn rejected_key_file_error_states_the_remedy() {
    let (signs, verifies) = (true, false);
    let damaged = file("p256.pem").replace("MIGH", "MIGG");
    let one_line = file("p256.pem").replace('\n', "\\n");
    let two = file("p256.pem") + &file("p256.pub.pem");
    for (use_it, text, algorithm, remedy) in [
        (signs, file("p256.sec1.pem"), Algorithm::Es256, "openssl pkcs8 -topk8 -nocrypt"),
        (verifies, file("p256.sec1.pem"), Algorithm::Es256, "openssl pkcs8 -topk8 -nocrypt"),
        (signs, file("p256.encrypted.pem"), Algorithm::Es256, "encrypted private key"),
        (signs, file("rsa2048.encrypted.pkcs1.pem"), Algorithm::Rs256, "encrypted private key"),
        (verifies, file("p256.certificate.pem"), Algorithm::Es256, "openssl x509"),
        (signs, file("p256.certificate.pem"), Algorithm::Es256, "openssl x509"),
        (verifies, file("p256.compressed.pub.pem"), Algorithm::Es256, "-conv_form uncompressed"),
        (signs, file("p256.pub.pem"), Algorithm::Es256, "VerifyingKey::from_pem"),
        (verifies, file("p256.pem"), Algorithm::Es256, "-pubout"),
        (signs, file("p256.pem"), Algorithm::Es384, "set the algorithm of the key"),
        (signs, file("p256.pem"), Algorithm::EdDsa, "set the algorithm of the key"),
        (signs, file("p521.pem"), Algorithm::Es256, "set the algorithm of the key"),
        (verifies, file("rsa2048.pub.pem"), Algorithm::Es256, "set the algorithm of the key"),
        (verifies, file("rsa2048.pkcs1.pub.pem"), Algorithm::EdDsa, "set the algorithm of the key"),
        (signs, file("rsa1024.pem"), Algorithm::Rs256, "1024 bits"),
        (signs, file("p256.pem"), Algorithm::Hs256, "use hs256"),
        (signs, damaged, Algorithm::Es256, "damaged"),
        (signs, one_line, Algorithm::Es256, "PEM section"),
        (signs, two, Algorithm::Es256, "several PEM sections"),
        (signs, String::new(), Algorithm::Es256, "no PEM section"),
        (verifies, "no key".into(), Algorithm::Es256, "no PEM section"),
    ] {
        let error = if use_it {
            SigningKey::from_pem("k", algorithm, &text).unwrap_err()
        } else {
            VerifyingKey::from_pem("k", algorithm, &text).unwrap_err()
        };
        let error = error.to_string();
        assert!(error.contains(remedy), "{error} for {algorithm} should say {remedy}");
        for line in text.lines().filter(|line| !line.starts_with("---") && line.len() > 8) {
            assert!(!error.contains(line), "{error}");
        }
    }
}

#[test]
fn damaged_key_file_never_panics() {
    for (name, algorithm) in [
        ("ed25519.pem", Algorithm::EdDsa),
        ("p256.pem", Algorithm::Es256),
        ("ed25519.pub.pem", Algorithm::EdDsa),
        ("p256.pub.pem", Algorithm::Es256),
    ] {
        let text = file(name);
        let (start, body) = text.split_once('\n').unwrap();
        let (body, end) = body.split_once("\n---").unwrap();
        let der = STANDARD.decode(body.replace('\n', "")).unwrap();
        for place in 0..der.len() {
            for bit in 0..8 {
                let mut der = der.clone();
                der[place] ^= 1 << bit;
                let text = format!("{start}\n{}\n---{end}", STANDARD.encode(der));
                let _ = SigningKey::from_pem("k", algorithm, &text);
                let _ = VerifyingKey::from_pem("k", algorithm, &text);
            }
            let text = format!("{start}\n{}\n---{end}", STANDARD.encode(&der[..place]));
            assert!(SigningKey::from_pem("k", algorithm, &text).is_err());
            assert!(VerifyingKey::from_pem("k", algorithm, &text).is_err());
        }
    }
}

#[test]
fn key_material_of_wrong_length_is_rejected() {
    // Random bytes that begin like a point.
    let bytes = |length: usize| -> Vec<u8> {
        (0..length).map(|place| if place == 0 { 4 } else { (place * 37 % 251) as u8 }).collect()
    };
    let secret = |length| Zeroizing::new(bytes(length));
    for algorithm in Algorithm::ALL {
        let right = match algorithm.family() {
            Family::Hmac { length } => length,
            Family::Ed25519 => 32,
            Family::Ec(curve) => curve.length(),
            Family::Rsa => 256,
        };
        for length in [0, 1, right - 1, right, right + 1, 2 * right + 1, 513, 100_000] {
            let (public, private) = match algorithm.family() {
                Family::Hmac { .. } => (
                    PublicKeyMaterial::Hmac(secret(length)),
                    PrivateKeyMaterial::Hmac(secret(length)),
                ),
                Family::Ed25519 => (
                    PublicKeyMaterial::Ed25519(bytes(length)),
                    PrivateKeyMaterial::Ed25519(secret(length)),
                ),
                Family::Ec(_) => {
                    (PublicKeyMaterial::Ec(bytes(length)), PrivateKeyMaterial::Ec(secret(length)))
                }
                Family::Rsa => {
                    let (n, e) = (bytes(length), vec![1, 0, 1]);
                    let key = RsaPrivate {
                        n: n.clone(),
                        e: e.clone(),
                        rest: std::array::from_fn(|_| secret(length / 2)),
                    };
                    (PublicKeyMaterial::Rsa { n, e }, PrivateKeyMaterial::Rsa(key))
                }
            };
            let public = VerifyingKey::from_part("k".into(), algorithm, &public);
            let private = SigningKey::from_parts("k".into(), algorithm, &private, None);
            let allowed = match algorithm.family() {
                Family::Hmac { length: minimum } => length >= minimum,
                Family::Ed25519 | Family::Ec(_) => length == right,
                Family::Rsa => false,
            };
            assert!(allowed || private.is_err(), "{algorithm} {length}");
            if let Ok(key) = private {
                assert!(key.self_test(), "{algorithm} {length}");
            }
            match (algorithm.family(), public) {
                (Family::Ec(_), Ok(_)) => panic!("{algorithm} {length}: no point of the curve"),
                (Family::Rsa, Ok(key)) => assert!((256..=512).contains(&length) && key.self_test()),
                (_, Ok(key)) => assert!(allowed && key.self_test(), "{algorithm} {length}"),
                (_, Err(_)) => {}
            }
        }
    }
}

#[test]
fn rsa_modulus_outside_2048_to_4096_bits_is_rejected() {
    for (bits, valid) in [(2047, false), (2048, true), (2049, true), (4096, true), (4097, false)] {
        let length = usize::div_ceil(bits, 8);
        let mut n: Vec<u8> = (0..length).map(|place| (place * 37 % 251) as u8 | 1).collect();
        n[0] = 1 << ((bits - 1) % 8);
        for (e, sound) in [(&[1, 0, 1][..], true), (&[3], false), (&[1], false), (&[], false)] {
            let part = PublicKeyMaterial::Rsa { n: n.clone(), e: e.to_vec() };
            let key = VerifyingKey::from_part("k".into(), Algorithm::Rs256, &part);
            assert_eq!(key.is_ok(), valid && sound, "{bits} {e:?}");
        }
        *n.last_mut().unwrap() = 2;
        let part = PublicKeyMaterial::Rsa { n, e: vec![1, 0, 1] };
        assert!(VerifyingKey::from_part("k".into(), Algorithm::Rs256, &part).is_err());
    }
}

#[test]
fn ec_point_outside_the_curve_is_rejected() {
    for (name, algorithm) in
        [("p256.pub.pem", Algorithm::Es256), ("p384.pub.pem", Algorithm::Es384)]
    {
        let Ok(PublicKeyMaterial::Ec(point)) = pem::public_key(file(name).as_bytes(), algorithm)
        else {
            panic!("{name}");
        };
        assert!(
            VerifyingKey::from_part("k".into(), algorithm, &PublicKeyMaterial::Ec(point.clone()))
                .is_ok()
        );
        for place in 0..point.len() {
            let mut point = point.clone();
            point[place] ^= 1;
            let part = PublicKeyMaterial::Ec(point);
            assert!(VerifyingKey::from_part("k".into(), algorithm, &part).is_err(), "{place}");
        }
    }
}

/// Checks the table of `weak`: each of its points accepts forged signatures.
#[test]
fn small_order_ed25519_point_is_rejected_and_would_accept_forgeries() {
    let mut identity_and_zero = vec![0; 64];
    identity_and_zero[0] = 1;
    for (place, point) in weak::SMALL_ORDER.iter().enumerate() {
        let part = PublicKeyMaterial::Ed25519(point.to_vec());
        assert!(VerifyingKey::from_part("k".into(), Algorithm::EdDsa, &part).is_err(), "{place}");
        let key = VerifyingKey::assemble("k".into(), Algorithm::EdDsa, &part);
        let forged = (0..=u8::MAX).any(|message| key.verify(&[message], &identity_and_zero));
        // The last two are encodings that some back ends do not read.
        assert!(forged || place > 4, "{place}");
    }
}

#[test]
fn signing_key_with_another_public_half_is_rejected() {
    let part = |name: &str| pem::private_key(file(name).as_bytes(), Algorithm::Es256).unwrap();
    let (private, public) = part("p256.pem");
    let other = SigningKey::generate("other", Algorithm::Es256).unwrap();
    assert!(
        SigningKey::from_parts("k".into(), Algorithm::Es256, &private, public.as_ref()).is_ok()
    );
    let Some(PublicKeyMaterial::Ec(mut point)) = public else {
        panic!("OpenSSL writes the public part")
    };
    point[64] ^= 1;
    let wrong = PublicKeyMaterial::Ec(point);
    let key = SigningKey::from_parts("k".into(), Algorithm::Es256, &private, Some(&wrong));
    assert!(key.is_err());

    let mixed = SigningKey { signer: other.signer, verifying: part_key("p256.pub.pem") };
    assert!(!mixed.self_test());
    assert!(!KeyRing::new(mixed).problems().is_empty());
}

fn part_key(name: &str) -> VerifyingKey {
    VerifyingKey::from_pem("k", Algorithm::Es256, file(name)).unwrap()
}

#[test]
fn kid_outside_1_to_64_visible_characters_is_rejected() {
    let secret = b"hTz9v2Qp0sXa7LmR4kJc8WfY1bNg6UeD";
    for good in ["k", "2026-08", "a/b+c=\"\\", &"k".repeat(64)] {
        assert_eq!(SigningKey::hs256(good, secret).unwrap().kid(), good);
    }
    for bad in ["", " ", "a b", "a\0", "a\n", "ä", "\u{7f}", &"k".repeat(65)] {
        assert!(SigningKey::hs256(bad, secret).is_err(), "{bad:?}");
        assert!(VerifyingKey::hs256(bad, secret).is_err(), "{bad:?}");
    }
    let both = SigningKey::hs512("", "short").unwrap_err();
    assert_eq!(both.problems().len(), 2);
}

#[test]
fn hmac_secret_from_placeholder_or_pem_file_is_rejected() {
    for bad in [vec![b'x'; 64], b"secret".repeat(11), file("p256.pub.pem").into_bytes()] {
        assert!(SigningKey::hs512("k", &bad).is_err());
        assert!(VerifyingKey::hs512("k", &bad).is_err());
    }
}

#[test]
fn key_debug_output_and_errors_hide_secrets() {
    let secret = b"hTz9v2Qp0sXa7LmR4kJc8WfY1bNg6UeD";
    let hmac = SigningKey::hs256("k1", secret).unwrap();
    let pem = SigningKey::from_pem("k2", Algorithm::Es256, file("p256.pem")).unwrap();
    let Ok((PrivateKeyMaterial::Ec(scalar), _)) =
        pem::private_key(file("p256.pem").as_bytes(), Algorithm::Es256)
    else {
        panic!("an EC key");
    };
    let ring = KeyRing::new(hmac.clone()).with_key(pem.verifying_key());
    // If the arguments are swapped, the secret is used as the name.
    let swapped = SigningKey::hs256(str::from_utf8(secret).unwrap().repeat(3), "k").unwrap_err();
    let short = SigningKey::hs512("k", secret).unwrap_err();
    let mut shown = String::new();
    for one in [&hmac as &dyn fmt::Debug, &pem, &hmac.verifying_key(), &ring, &swapped, &short] {
        shown += &format!("{one:?} {one:#?}");
    }
    shown += &format!("{swapped} {short}");
    assert!(shown.contains("k1") && shown.contains("Hs256"), "{shown}");
    for bytes in [&secret[..], &scalar] {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [
            String::from_utf8_lossy(bytes).into_owned(),
            format!("{bytes:?}"),
            hex.to_uppercase(),
            hex,
            STANDARD.encode(bytes),
            URL_SAFE_NO_PAD.encode(bytes),
        ] {
            assert!(!shown.contains(&text), "{shown}");
        }
    }
}
