//! The guides print the code that the tests run.

const MIGRATION: &str = include_str!("../../../docs/migration.md");
const CLERK: &str = include_str!("../../../docs/coming-from-clerk.md");

#[test]
fn guides_print_the_tested_code() {
    for (guide, name, code) in [
        (MIGRATION, "axum_login_claims", include_str!("../src/axum_login_claims.rs")),
        (MIGRATION, "from_axum_login", include_str!("../src/from_axum_login.rs")),
        (MIGRATION, "after_axum_login", include_str!("../src/after_axum_login.rs")),
        (MIGRATION, "from_axum_session", include_str!("../src/from_axum_session.rs")),
        (MIGRATION, "from_jwt_cookie", include_str!("../src/from_jwt_cookie.rs")),
        (CLERK, "from_hosted", include_str!("../src/from_hosted.rs")),
    ] {
        // Without the comment at the head.
        let (_, code) = code.split_once("\n\n").unwrap();
        assert!(guide.contains(&format!("```rust,ignore\n{code}```\n")), "{name} differs");
    }
}
