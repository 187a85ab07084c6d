//! Step-up: factors that are verified again.

use http::StatusCode;
use serde_json::json;
use tower_auth_session::{SignIn, config::RedirectUrls, engine::Factor, error::UpdateClaimsError};

use super::{Jar, Site};
use crate::support::{get, seconds, subject, user};

fn sign_in(jar: &Jar) {
    jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
}

#[tokio::test]
async fn guard_freshness_counts_from_the_verification_of_a_factor() {
    let mut site = Site::new(|builder| {
        let urls = RedirectUrls::new().sign_in_url("/sign-in").reverify_url("/confirm");
        builder.redirect_urls(urls)
    });
    site.run_handler(sign_in).await;
    for (path, status) in [("/fresh", 200), ("/any", 200), ("/second", 401)] {
        assert_eq!(site.get(path).await.status, status, "{path}");
    }
    site.clock.advance(seconds(31));
    for (path, factor) in [("/fresh", "first"), ("/second", "second"), ("/any", "any")] {
        let (status, report) = site.rejection(path).await;
        assert_eq!((status, &report["code"]), (401, &json!("not_fresh")), "{path}");
        assert_eq!(report["reverification"], json!({ "factor": factor, "max_age": 30 }));
    }
    let mut navigation = get("/fresh");
    navigation.headers_mut().insert("sec-fetch-mode", "navigate".parse().unwrap());
    let response = site.send(navigation).await;
    assert_eq!(response.header("location"), "/confirm?redirect_url=%2Ffresh");

    let stale = site.browser.clone();
    let response = site.run_handler(|jar| jar.mark_verified(Factor::Second).unwrap()).await;
    assert_eq!(response.set_cookies().len(), 1, "renewed with this response");
    for (path, status) in [("/fresh", 401), ("/any", 200), ("/second", 200)] {
        assert_eq!(site.get(path).await.status, status, "{path}");
    }
    let fresh = std::mem::replace(&mut site.browser, stale);
    assert_eq!(
        site.get("/second").await.status,
        401,
        "an older token does not have the verification"
    );
    site.browser = fresh;
    site.run_handler(|jar| jar.mark_verified(Factor::First).unwrap()).await;
    // Renewals keep the time of the verification.
    for _ in 0..2 {
        site.clock.advance(seconds(15));
        assert_eq!(site.get("/fresh").await.status, StatusCode::OK);
    }
    site.clock.advance(seconds(1));
    assert_eq!(site.get("/fresh").await.status, StatusCode::UNAUTHORIZED);
    let unchanged = |jar: &Jar| {
        let session = jar.session().unwrap();
        let now = session.last_active_at();
        let ages = session.identity().factor_ages(now);
        assert_eq!((ages.first, ages.second), (Some(seconds(30)), Some(seconds(30))));
        assert_eq!(now.saturating_since(session.signed_in_at()), seconds(61));
        assert_eq!(ages.in_minutes(), [0, 0]);
    };
    site.run_handler(unchanged).await;
}

#[tokio::test]
async fn sign_in_with_both_factors_satisfies_both_guards() {
    let mut site = Site::new(|builder| builder);
    site.run_handler(|jar| {
        let sign_in = SignIn::new(subject("ada"), user("Ada")).with_verified_factor(Factor::Second);
        jar.sign_in(sign_in).unwrap();
    })
    .await;
    assert_eq!(site.get("/second").await.status, StatusCode::OK);
    assert_eq!(site.get("/fresh").await.status, StatusCode::OK);
}

#[tokio::test]
async fn slower_renewal_does_not_undo_a_verification() {
    use tower_auth_session::time::Timestamp;

    let mut site = Site::new(|builder| builder);
    site.run_handler(sign_in).await;
    site.clock.advance(seconds(40));
    let engine = site.layer.engine().clone();
    let now = Timestamp::from_unix_seconds(crate::support::START + 40);
    let mut slow = get("/");
    let cookie = site.browser.cookie_header().unwrap();
    slow.headers_mut().insert("cookie", cookie.parse().unwrap());
    let jar = engine.open(&slow, now);
    site.run_handler(|jar| jar.mark_verified(Factor::First).unwrap()).await;
    let mut response = http::Response::new(());
    engine.close(&jar, &mut response, now).unwrap();
    assert_eq!(response.headers().get("set-cookie"), None);
    assert_eq!(site.get("/fresh").await.status, StatusCode::OK);
}

#[tokio::test]
async fn verification_without_a_session_is_an_error() {
    let mut site = Site::new(|builder| builder);
    let mark_verified_fails = |jar: &Jar| {
        assert_eq!(jar.mark_verified(Factor::First), Err(UpdateClaimsError::SignedOut));
    };
    site.run_handler(mark_verified_fails).await;
    site.run_handler(|jar| {
        let task = tower_auth_session::engine::SessionTask::SECOND_FACTOR;
        jar.sign_in(SignIn::new(subject("ada"), user("Ada")).with_tasks([task])).unwrap();
    })
    .await;
    site.run_handler(mark_verified_fails).await;
}
