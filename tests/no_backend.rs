//! Without a cryptographic back end the crate compiles, and `build()` returns an error when the service
//! starts, instead of a panic at the first sign-in.
#![cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]

use tower_auth_session::{KeyRing, SessionEngine, SigningKey};

#[test]
fn build_without_a_back_end_fails_and_names_the_features() {
    let key = SigningKey::hs256("k1", "a test key that is long enough for HS256").unwrap();
    let error = SessionEngine::<()>::builder(KeyRing::new(key)).build().unwrap_err();
    let [problem] = error.problems() else { panic!("{error}") };
    assert_eq!(problem.field(), "features");
    for feature in ["aws-lc-rs", "rust-crypto"] {
        assert!(problem.remedy().contains(feature), "{error}");
    }
}
