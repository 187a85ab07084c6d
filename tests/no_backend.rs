//! Without a cryptographic back end everything builds; what says so is `build`, when the service
//! starts, and not a panic at the first sign-in.
#![cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]

use tower_auth_session::{KeyRing, SessionEngine, SigningKey};

#[test]
fn building_an_engine_names_the_features() {
    let key = SigningKey::hs256("k1", "a test key that is long enough for HS256").unwrap();
    let error = SessionEngine::<()>::builder(KeyRing::new(key)).build().unwrap_err();
    let [problem] = error.problems() else { panic!("{error}") };
    assert_eq!(problem.field(), "features");
    for feature in ["aws-lc-rs", "rust-crypto"] {
        assert!(problem.remedy().contains(feature), "{error}");
    }
}
