//! The limits of accounts and of cookie bytes per browser.

use tower_auth_session::{
    config::{AccountLimitPolicy, CookieConfig},
    engine::SessionEngineBuilder,
    error::SignInError,
    event::SessionEvent,
};

use super::{MISMATCH, Site, cookie_name, with_session_header};
use crate::support::{User, engine_builder, user};

#[test]
fn multi_session_settings_have_bounds() {
    let build = |change: fn(SessionEngineBuilder<User>) -> SessionEngineBuilder<User>| {
        let built = change(engine_builder().0.multi_session(true)).build();
        built.err().map(|error| error.problems()[0].field().to_owned())
    };
    let field = |name: &str| Some(name.to_owned());
    assert_eq!(build(|b| b.max_sessions_per_browser(0)), field("max_sessions_per_browser"));
    assert_eq!(build(|b| b.max_sessions_per_browser(21)), field("max_sessions_per_browser"));
    assert_eq!(build(|b| b.cookie_budget(4_199)), field("cookie_budget"));
    assert_eq!(build(|b| b.session_query_param("a b")), field("session_query_param"));
    assert_eq!(build(|b| b.cookie(CookieConfig::new("a.b"))), field("cookie.name"));
    assert_eq!(build(|b| b.max_sessions_per_browser(1)), None);
}

#[test]
fn sign_in_beyond_the_limit_evicts_the_least_recently_active_account() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(3));
    let ada = site.sign_in("ada");
    site.now += 1;
    let bob = site.sign_in("bob");
    site.now += 1;
    let cyd = site.sign_in("cyd");
    site.now += 10;
    assert_eq!(site.session_with_header(ada.as_str()), Ok(ada), "renewed");
    let copy = site.token(bob);
    site.events.take();
    let outcome = site.try_sign_in("dee", user("dee")).unwrap();
    assert_eq!((outcome.replaced, outcome.evicted), (None, vec![bob]));
    let reported = site.events.take();
    let is_eviction_of_bob = |event: &SessionEvent| matches!(event, SessionEvent::Evicted { session, .. } if session.id() == bob);
    assert_eq!(
        reported.iter().filter(|event| is_eviction_of_bob(event)).count(),
        1,
        "{reported:?}"
    );
    assert_eq!(site.accounts().len(), 3);
    assert!(site.accounts().contains(&cyd));
    site.put(&cookie_name(bob), &copy);
    assert_eq!(site.session_with_header(bob.as_str()), MISMATCH, "a copied cookie is rejected");
}

#[test]
fn current_account_is_evicted_last() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    let ada = site.sign_in("ada");
    site.now += 1;
    let bob = site.sign_in("bob");
    site.switch(ada);
    let outcome = site.try_sign_in("cyd", user("cyd")).unwrap();
    assert_eq!(outcome.evicted, [bob]);
    assert_eq!(site.session_with_header(ada.as_str()), Ok(ada));
}

#[test]
fn sign_in_beyond_the_limit_can_be_refused() {
    let mut site = Site::with(|builder| {
        builder.max_sessions_per_browser(2).account_limit_policy(AccountLimitPolicy::Refuse)
    });
    site.sign_in("ada");
    let bob = site.sign_in("bob");
    let before = site.browser.cookies.clone();
    let refused = site.try_sign_in("cyd", user("cyd"));
    assert_eq!(refused, Err(SignInError::TooManyAccounts { max: 2 }));
    assert_eq!(
        (site.current_session(), &site.browser.cookies),
        (Ok(bob), &before),
        "nothing has changed"
    );
    let again = site.try_sign_in("ada", user("ada")).unwrap();
    assert!(again.replaced.is_some(), "a replaced session does not count");
}

#[test]
fn limit_of_one_account_evicts_the_other() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(1));
    let ada = site.sign_in("ada");
    let outcome = site.try_sign_in("bob", user("bob")).unwrap();
    assert_eq!((outcome.replaced, outcome.evicted), (None, vec![ada]));
    assert_eq!(site.accounts(), [outcome.session_id]);
}

#[test]
fn five_accounts_with_large_claims_fit_into_the_cookie_budget() {
    let mut site = Site::with(|builder| builder.cookie_budget(8_000));
    for name in ["ada", "bob", "cyd", "dee", "eve"] {
        site.try_sign_in(name, user(&"x".repeat(800))).unwrap();
        site.now += 1;
    }
    assert_eq!(site.accounts().len(), 5);
    assert!(site.browser.cookie_header().unwrap().len() <= 8_000);
    let outcome = site.try_sign_in("ada", user(&"x".repeat(2_000))).unwrap();
    assert!(outcome.replaced.is_some());
    assert_eq!(outcome.evicted.len(), 1, "one of four others is evicted");
    assert!(site.browser.cookie_header().unwrap().len() <= 8_000);
    assert_eq!(site.accounts().len(), 4);
    assert_eq!(site.current_session(), Ok(outcome.session_id));
    assert_eq!(site.post(|jar| jar.sign_out_all()).0.len(), 4);
}

#[test]
fn cookie_budget_counts_every_byte_and_can_refuse() {
    for length in 0..40 {
        let mut site = Site::with(|builder| {
            builder.cookie_budget(4_200).account_limit_policy(AccountLimitPolicy::Refuse)
        });
        site.try_sign_in("ada", user(&"x".repeat(1_000))).unwrap();
        let before = site.browser.cookies.clone();
        match site.try_sign_in("bob", user(&"x".repeat(1_600 + length))) {
            Ok(_) => assert!(site.browser.cookie_header().unwrap().len() <= 4_200),
            Err(SignInError::CookieBudget { bytes, budget }) => {
                assert!(bytes > budget && budget == 4_200);
                assert_eq!(site.browser.cookies, before);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn sign_in_with_the_largest_token_evicts_the_others() {
    let mut site = Site::new();
    site.sign_in("ada");
    let bob = site.try_sign_in("bob", user(&"x".repeat(2_750))).unwrap();
    let cyd = site.try_sign_in("cyd", user(&"x".repeat(2_750))).unwrap();
    assert!(cyd.evicted.contains(&bob.session_id));
    assert!(site.browser.cookie_header().unwrap().len() <= 7_000);
    assert_eq!(site.current_session(), Ok(cyd.session_id));
}

#[test]
fn claims_update_beyond_the_cookie_budget_is_not_written() {
    let mut site = Site::with(|builder| builder.cookie_budget(4_200));
    site.try_sign_in("ada", user(&"x".repeat(1_000))).unwrap();
    site.now += 1;
    let bob = site.try_sign_in("bob", user("bob")).unwrap().session_id;
    assert_eq!(site.accounts().len(), 2);
    site.events.take();
    let _ = site.post(|jar| jar.update_claims(user(&"x".repeat(2_500))));
    let length = site.browser.cookie_header().unwrap().len();
    assert!(length <= 4_200, "{length} bytes of cookies");
    assert_eq!(site.current_session(), Ok(bob));
}

/// The renewal by a background request makes a token a little longer, because it has `last_active_at`.
/// The cookie name of a single account leaves enough bytes for it; those of several accounts do not.
#[test]
fn largest_tokens_of_two_accounts_stay_valid_through_background_requests() {
    for shorter in [0, 8, 16, 24, 32] {
        let mut site = Site::with(|builder| builder.cookie_budget(16_000));
        let mut sign_in = |name, length| site.try_sign_in(name, user(&"x".repeat(length)));
        let largest = (2_000..3_000).rev().find(|length| sign_in("ada", *length).is_ok()).unwrap();
        let ada = sign_in("ada", largest - shorter).unwrap().session_id;
        let bob = sign_in("bob", largest - shorter).unwrap().session_id;
        for _ in 0..3 {
            site.now += 20;
            for id in [ada, bob] {
                let mut background_request = with_session_header(&[id.as_str()]);
                background_request
                    .headers_mut()
                    .insert("session-activity", "none".parse().unwrap());
                assert_eq!(site.session_for(background_request), Ok(id));
            }
        }
        assert_eq!(site.accounts().len(), 2, "{:?}", site.names());
        site.now += 20;
        assert_eq!(
            (site.session_with_header(ada.as_str()), site.current_session()),
            (Ok(ada), Ok(bob))
        );
    }
}

/// The budget includes the growth of the tokens after the sign-in.
#[test]
fn background_requests_stay_within_the_cookie_budget() {
    let mut site = Site::new();
    let users = ["ada", "bob", "cyd", "dee", "eve"];
    let largest = (600..1_000).rev().find(|length| {
        site = Site::new();
        users.iter().all(|name| {
            site.try_sign_in(name, user(&"x".repeat(*length))).unwrap().evicted.is_empty()
        })
    });
    assert!(largest.is_some_and(|length| length > 700), "{largest:?}");
    site.now += 20;
    for id in site.accounts() {
        let mut background_request = with_session_header(&[id.as_str()]);
        background_request.headers_mut().insert("session-activity", "none".parse().unwrap());
        assert_eq!(site.session_for(background_request), Ok(id));
    }
    let bytes = site.browser.cookie_header().unwrap().len();
    assert!((6_700..=7_000).contains(&bytes), "{bytes}");
}
