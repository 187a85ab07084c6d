//! Bearer tokens are rejected as session cookies and the other way round, with every algorithm.

use tower_auth_session::{Algorithm, KeyRing, SessionEngine, SigningKey};

use super::*;

#[test]
fn session_and_bearer_tokens_are_not_interchangeable() {
    for algorithm in [
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::EdDsa,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Rs256,
        Algorithm::Ps256,
    ] {
        let keys = KeyRing::new(SigningKey::generate("k1", algorithm).unwrap());
        let builder = SessionEngine::<User>::builder(keys).origin(ORIGIN).bearer_tokens(tokens());
        let probe = Probe::new(builder);
        let browser = ada(&probe);
        let (cookie, bearer) = (browser.cookies[COOKIE].clone(), token_of(&probe, &browser));

        assert!(probe.cookie(COOKIE, &cookie).session.is_some(), "{algorithm}");
        assert!(probe.send(with_bearer(&bearer, get("/"))).session.is_some(), "{algorithm}");
        probe.cookie(COOKIE, &bearer).assert_signed_out();
        probe.send(with_bearer(&cookie, get("/"))).assert_signed_out();
    }
}
