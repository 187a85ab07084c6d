//! Rotation, and keys that are not ours.

use super::*;

fn on(ring: KeyRing) -> Probe<User> {
    Probe::new(SessionEngine::builder(ring))
}

#[test]
fn a_session_moves_to_the_new_key() {
    let old = on(KeyRing::new(key("old")));
    let token = sign_in(&old, "ada", user("Ada")).token();
    let sid = present(&old, &token).sid();

    // Nodes learn of the next key before it signs.
    let early = on(KeyRing::new(key("old")).accept(key("new").verifying_key()));
    assert!(present(&early, &token).session.is_some());

    let both = on(KeyRing::new(key("new")).accept(key("old").verifying_key()));
    assert_eq!(present(&both, &token).response.set_cookies(), [""; 0], "not before its time");
    both.clock.advance(seconds(60));
    let result = present(&both, &token);
    assert_eq!(result.sid(), sid);
    let renewed = result.token();
    assert_eq!(kid(&renewed), "new");
    early.clock.advance(seconds(60));
    assert_eq!(present(&early, &renewed).sid(), sid, "a node that is behind");

    let new = on(KeyRing::new(key("new")));
    new.clock.advance(seconds(60));
    assert_eq!(present(&new, &renewed).sid(), sid);
    assert_eq!(token_error(&present(&new, &token)), TokenError::UnknownKey, "retired");
    old.clock.advance(seconds(60));
    assert_eq!(token_error(&present(&old, &renewed)), TokenError::UnknownKey, "behind");
}

fn kid(token: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

/// Whatever time has passed: a node that does not know the key cannot know that it is over.
#[test]
fn a_token_of_an_unknown_key_is_left_alone() {
    let token = sign_in(&on(KeyRing::new(key("k9"))), "ada", user("Ada")).token();
    for after in [0, 60, 7 * 24 * 3600, 1_000_000_000] {
        let node = on(KeyRing::new(key("k1")));
        node.clock.advance(seconds(after));
        assert_eq!(token_error(&present(&node, &token)), TokenError::UnknownKey);
    }
    // Another key of the same name: somebody's mistake, and no reason to sign anybody out.
    let other = SigningKey::hs256("k9", [9; 32].map(|n: u8| n.wrapping_mul(7)).repeat(2));
    let other = other.or_else(|_| SigningKey::generate("k9", Algorithm::Hs256)).unwrap();
    assert_eq!(token_error(&present(&on(KeyRing::new(other)), &token)), TokenError::Signature);
}

/// A key of one name and another algorithm.
#[test]
fn no_key_verifies_for_another_algorithm() {
    let algorithms = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::EdDsa, Algorithm::Es256];
    let probes =
        algorithms.map(|algorithm| on(KeyRing::new(SigningKey::generate("k", algorithm).unwrap())));
    for (one, signer) in probes.iter().enumerate() {
        let token = sign_in(signer, "ada", user("Ada")).token();
        for (other, verifier) in probes.iter().enumerate() {
            let result = present(verifier, &token);
            assert_eq!(result.session.is_some(), one == other);
            assert_eq!(result.response.set_cookies(), [""; 0]);
        }
    }
    // One secret under two algorithms is two keys.
    let secret = "hTz9v2Qp0sXa7LmR4kJc8WfY1bNg6UeDhTz9v2Qp0sXa8LmR4kJc8WfY1bNg6UeD";
    let short = on(KeyRing::new(SigningKey::hs256("k", secret).unwrap()));
    let long = on(KeyRing::new(SigningKey::hs512("k", secret).unwrap()));
    let token = sign_in(&short, "ada", user("Ada")).token();
    assert_eq!(token_error(&present(&long, &token)), TokenError::Algorithm);
}

#[test]
fn a_ring_that_only_verifies_signs_nobody_in() {
    let token = sign_in(&on(KeyRing::new(key("k1"))), "ada", user("Ada")).token();
    let reader = on(KeyRing::verify_only().accept(key("k1").verifying_key()));
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
    // It cannot renew, and takes no session for that.
    reader.clock.advance(seconds(60));
    let result = present(&reader, &token);
    assert_eq!(result.session.unwrap().claims().name, "Ada");
    assert_eq!(result.response.set_cookies(), [""; 0]);
    assert!(matches!(result.events[..], [SessionEvent::RenewalFailed { .. }]));
}
