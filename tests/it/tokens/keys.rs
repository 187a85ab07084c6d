//! Key rotation, and tokens with unknown keys.

use super::*;

fn probe_with(ring: KeyRing) -> Probe<User> {
    Probe::new(SessionEngine::builder(ring))
}

#[test]
fn renewal_signs_with_the_new_key() {
    let old = probe_with(KeyRing::new(key("old")));
    let token = sign_in(&old, "ada", user("Ada")).token();
    let sid = present(&old, &token).sid();

    // Nodes get the next key before it signs.
    let knows_next = probe_with(KeyRing::new(key("old")).with_key(key("new").verifying_key()));
    assert!(present(&knows_next, &token).session.is_some());

    let both = probe_with(KeyRing::new(key("new")).with_key(key("old").verifying_key()));
    assert_eq!(
        present(&both, &token).response.set_cookies(),
        [""; 0],
        "not renewed before it is due"
    );
    both.clock.advance(seconds(60));
    let result = present(&both, &token);
    assert_eq!(result.sid(), sid);
    let renewed = result.token();
    assert_eq!(kid(&renewed), "new");
    knows_next.clock.advance(seconds(60));
    assert_eq!(
        present(&knows_next, &renewed).sid(),
        sid,
        "a node that still signs with the old key"
    );

    let new = probe_with(KeyRing::new(key("new")));
    new.clock.advance(seconds(60));
    assert_eq!(present(&new, &renewed).sid(), sid);
    assert_eq!(token_error(&present(&new, &token)), TokenError::UnknownKey, "retired");
    old.clock.advance(seconds(60));
    assert_eq!(
        token_error(&present(&old, &renewed)),
        TokenError::UnknownKey,
        "a node without the new key"
    );
}

fn kid(token: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

/// However much time has passed: a node without the key cannot verify that the token has expired.
#[test]
fn cookie_with_an_unknown_key_is_kept() {
    let token = sign_in(&probe_with(KeyRing::new(key("k9"))), "ada", user("Ada")).token();
    for after in [0, 60, 7 * 24 * 3600, 1_000_000_000] {
        let node = probe_with(KeyRing::new(key("k1")));
        node.clock.advance(seconds(after));
        assert_eq!(token_error(&present(&node, &token)), TokenError::UnknownKey);
    }
    // Another key with the same `kid` is a configuration mistake, and no reason to remove the cookie.
    let other = SigningKey::hs256("k9", [9; 32].map(|n: u8| n.wrapping_mul(7)).repeat(2));
    let other = other.or_else(|_| SigningKey::generate("k9", Algorithm::Hs256)).unwrap();
    assert_eq!(
        token_error(&present(&probe_with(KeyRing::new(other)), &token)),
        TokenError::Signature
    );
}

/// Keys with the same `kid` and different algorithms.
#[test]
fn token_is_rejected_by_a_key_with_another_algorithm() {
    let algorithms = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::EdDsa, Algorithm::Es256];
    let probes = algorithms
        .map(|algorithm| probe_with(KeyRing::new(SigningKey::generate("k", algorithm).unwrap())));
    for (one, signer) in probes.iter().enumerate() {
        let token = sign_in(signer, "ada", user("Ada")).token();
        for (other, verifier) in probes.iter().enumerate() {
            let result = present(verifier, &token);
            assert_eq!(result.session.is_some(), one == other);
            assert_eq!(result.response.set_cookies(), [""; 0]);
        }
    }
    // One secret with two algorithms counts as two keys.
    let secret = "hTz9v2Qp0sXa7LmR4kJc8WfY1bNg6UeDhTz9v2Qp0sXa8LmR4kJc8WfY1bNg6UeD";
    let short = probe_with(KeyRing::new(SigningKey::hs256("k", secret).unwrap()));
    let long = probe_with(KeyRing::new(SigningKey::hs512("k", secret).unwrap()));
    let token = sign_in(&short, "ada", user("Ada")).token();
    assert_eq!(token_error(&present(&long, &token)), TokenError::Algorithm);
}

#[test]
fn verify_only_ring_cannot_sign_in_or_renew() {
    let token = sign_in(&probe_with(KeyRing::new(key("k1"))), "ada", user("Ada")).token();
    let reader = probe_with(KeyRing::verify_only().with_key(key("k1").verifying_key()));
    let result = reader.run_handler(with_cookies(&[format!("{COOKIE}={token}")]), |jar, _| {
        let bob = SignIn::new(subject("bob"), user("Bob"));
        assert_eq!(jar.sign_in(bob), Err(SignInError::Signing));
        assert_eq!(jar.session().unwrap().subject().as_str(), "ada");
        assert_eq!(
            jar.update_claims(user("Eve")),
            Err(UpdateClaimsError::Refused(SignInError::Signing))
        );
    });
    assert_eq!(result.response.set_cookies(), [""; 0]);
    assert!(result.session.is_some() && result.events.is_empty());
    // It cannot renew, but the session stays valid.
    reader.clock.advance(seconds(60));
    let result = present(&reader, &token);
    assert_eq!(result.session.unwrap().claims().name, "Ada");
    assert_eq!(result.response.set_cookies(), [""; 0]);
    assert!(matches!(result.events[..], [SessionEvent::RenewalFailed { .. }]));
}
