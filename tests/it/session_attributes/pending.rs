//! Pending sessions: sign-ins with open tasks.

use http::StatusCode;
use serde_json::json;
use tower_auth_session::{
    SignIn,
    config::{Endpoint, Endpoints, LifetimeOverride, RedirectUrls},
    engine::{SessionTask, TaskOutcome},
    error::{SignInError, TaskError},
    event::SessionEvent,
};

use super::{Jar, Site};
use crate::support::{get, seconds, subject, user};

const SECOND: SessionTask = SessionTask::SECOND_FACTOR;

fn terms_task() -> SessionTask {
    SessionTask::new("sign-the-terms").unwrap()
}

fn sign_in_pending(jar: &Jar) {
    let sign_in =
        SignIn::new(subject("ada"), user("Ada")).with_tasks([SECOND, terms_task(), SECOND]);
    jar.sign_in(sign_in).unwrap();
    assert!(jar.session().is_none(), "pending in the same request too");
    assert_eq!(super::names(jar.pending().unwrap().identity().tasks()).len(), 2);
}

/// As `session()` does; the status that the layer put into the extensions shows the request as it came.
#[tokio::test]
async fn status_of_the_jar_includes_the_changes_of_the_request() {
    use tower_auth_session::engine::SessionStatusKind as Kind;

    let mut site = Site::new(|builder| builder);
    site.run_handler(|jar| {
        let before = jar.status();
        assert_eq!(before.kind(), Kind::SignedOut);
        sign_in_pending(jar);
        assert_eq!(jar.status().kind(), Kind::Pending);
        assert_eq!(jar.status().pending().unwrap().subject().as_str(), "ada");
        jar.sign_in(SignIn::new(subject("bob"), user("Bob"))).unwrap();
        assert_eq!(jar.status().kind(), Kind::SignedIn);
        assert_eq!(jar.status().identity().unwrap().id(), jar.session().unwrap().id());
        assert_eq!(before.kind(), Kind::SignedOut);
    })
    .await;
    site.run_handler(|jar| {
        assert_eq!(jar.status().kind(), Kind::SignedIn);
        jar.sign_out().unwrap();
        assert_eq!(jar.status().kind(), Kind::SignedOut);
        assert!(jar.status().identity().is_none());
        jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
        assert_eq!(jar.status().kind(), Kind::SignedIn);
    })
    .await;
}

#[tokio::test]
async fn pending_session_is_signed_out_except_for_guards_that_allow_it() {
    let mut site = Site::new(|builder| {
        builder.redirect_urls(
            RedirectUrls::new().sign_in_url("/sign-in").tasks_url("/sign-in/steps?x=1"),
        )
    });
    assert_eq!(site.run_handler(sign_in_pending).await.set_cookies().len(), 1);
    assert_eq!(site.current_user().await, r#"ada ["second-factor", "sign-the-terms"]"#);
    let (status, report) = site.rejection("/guarded").await;
    assert_eq!((status, &report["code"]), (403, &json!("pending")));
    assert_eq!(report["tasks"], json!(["second-factor", "sign-the-terms"]));
    let mut navigation = get("/guarded?a=b");
    navigation.headers_mut().insert("sec-fetch-mode", "navigate".parse().unwrap());
    let response = site.send(navigation).await;
    assert_eq!(response.status, StatusCode::SEE_OTHER);
    let location = "/sign-in/steps?x=1&redirect_url=%2Fguarded%3Fa%3Db";
    assert_eq!(response.header("location"), location);
    for path in ["/fresh", "/any", "/own"] {
        assert_eq!(site.rejection(path).await.0, 403, "{path}");
    }
    let through = site.get("/tasks").await;
    assert_eq!(through.text(), r#"ada ["second-factor", "sign-the-terms"]"#);
    assert_eq!(site.rejection("/named-grace").await.0, 403, "the other checks still apply");
    let list = site.list().await;
    assert_eq!(list["sessions"][0]["status"], json!("pending"));
    assert_eq!(list["sessions"][0]["tasks"], json!(["second-factor", "sign-the-terms"]));
    assert_eq!(site.run_handler(|jar| assert!(jar.sign_out().is_some())).await.status, 200);
    assert_eq!(site.current_user().await, "SignedOut");
}

#[tokio::test]
async fn completing_the_last_task_starts_a_new_session_and_revokes_the_pending_one() {
    let mut site = Site::new(|builder| builder);
    site.run_handler(sign_in_pending).await;
    let before = site.active().await;
    let stolen = site.browser.clone();
    site.clock.advance(seconds(5));
    let response = site
        .run_handler(|jar| {
            let left = jar.complete_task(&SECOND).unwrap();
            assert_eq!(left, TaskOutcome::Remaining(vec![terms_task()]));
            assert_eq!(
                jar.complete_task(&SECOND),
                Ok(left),
                "completing a task twice changes nothing"
            );
            assert!(jar.session().is_none());
        })
        .await;
    assert_eq!(response.set_cookies().len(), 1, "the token is renewed with this response");
    assert_eq!(site.active().await, before, "the same session");
    assert_eq!(site.current_user().await, r#"ada ["sign-the-terms"]"#);

    site.clock.advance(seconds(5));
    site.events.take();
    site.run_handler(|jar| {
        let Ok(TaskOutcome::Activated(outcome)) = jar.complete_task(&terms_task()) else {
            panic!()
        };
        let session = jar.session().unwrap();
        assert_eq!((session.id(), session.claims()), (outcome.session_id, &user("Ada")));
        assert_ne!(outcome.replaced, Some(session.id()));
        assert_eq!(
            jar.complete_task(&terms_task()),
            Err(TaskError::NotPending),
            "the session is no longer pending"
        );
    })
    .await;
    assert_eq!(site.events.take_names(), ["Replaced", "SignedIn"]);
    assert_ne!(site.active().await, before, "ASVS 7.2.4");
    assert_eq!(site.current_user().await, "ada");
    assert_eq!(site.list().await["sessions"][0]["status"], json!("active"));
    let ages = |jar: &Jar| {
        let session = jar.session().unwrap();
        let now = session.signed_in_at();
        let ages = session.identity().factor_ages(now);
        assert_eq!((ages.first, ages.second), (Some(seconds(10)), Some(seconds(5))));
    };
    site.run_handler(ages).await;

    site.browser = stolen;
    assert_eq!(site.current_user().await, "SignedOut");
    site.run_handler(|jar| assert_eq!(jar.activate(), Err(TaskError::NotPending))).await;
}

#[tokio::test]
async fn pending_session_expires_soon_and_keeps_the_requested_lifetime_for_activation() {
    let mut site = Site::new(|builder| {
        let lifetime = tower_auth_session::SessionLifetime::new();
        builder.lifetime(lifetime.pending_lifetime(seconds(50)))
    });
    let remembered = |jar: &Jar| {
        let lifetime = LifetimeOverride::both(seconds(90_000));
        let sign_in = SignIn::new(subject("ada"), user("Ada")).with_tasks([SECOND]);
        jar.sign_in(sign_in.lifetime(lifetime)).unwrap();
    };
    let response = site.run_handler(remembered).await;
    assert!(response.set_cookies()[0].ends_with("; Max-Age=50"), "{:?}", response.set_cookies());
    for _ in 0..2 {
        site.clock.advance(seconds(24));
        assert!(site.current_user().await.starts_with("ada ["), "activity does not prolong it");
    }
    let copy = site.browser.clone();
    site.clock.advance(seconds(2));
    assert_eq!(site.current_user().await, "SignedOut");
    assert!(site.browser.has_no_session());

    site.browser = copy;
    site.run_handler(remembered).await;
    let response = site.run_handler(|jar| drop(jar.activate().unwrap())).await;
    assert!(response.set_cookies()[0].ends_with("; Max-Age=90000"), "{:?}", response.set_cookies());
}

#[tokio::test]
async fn cross_site_request_cannot_complete_a_task() {
    let mut site = Site::new(|builder| builder);
    site.run_handler(sign_in_pending).await;
    let mut request = crate::support::post("/act", "");
    request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    request.extensions_mut().insert::<super::HandlerFn>(std::sync::Arc::new(|jar: &Jar| {
        let rejection = |error| matches!(error, TaskError::SignIn(SignInError::CrossOrigin(_)));
        assert!(rejection(jar.complete_task(&SECOND).unwrap_err()));
        assert!(rejection(jar.activate().unwrap_err()));
    }));
    assert_eq!(site.send(request).await.set_cookies(), [""; 0]);
    assert!(site.current_user().await.contains("second-factor"));
}

#[tokio::test]
async fn pending_session_is_one_of_several_accounts() {
    let mut site = Site::new(|builder| {
        let urls = RedirectUrls::new().sign_in_url("/sign-in").tasks_url("/steps");
        builder
            .multi_session(true)
            .endpoints(Endpoints::new().path(Endpoint::Chooser, "/choose"))
            .redirect_urls(urls)
    });
    site.run_handler(sign_in_pending).await;
    let pending = site.active().await;
    site.run_handler(|jar| drop(jar.sign_in(SignIn::new(subject("bob"), user("Bob"))).unwrap()))
        .await;
    assert_eq!(site.current_user().await, "bob");
    let page = site.get("/choose").await;
    assert_eq!(page.text().matches("The sign-in is not complete").count(), 1);
    let form = format!("session_id={pending}&redirect_url=/me");
    let request = crate::support::post("/session/switch", "")
        .map(|_| http_body_util::Full::from(form.clone()));
    let response = site.send(request).await;
    assert_eq!(response.header("location"), "/steps?redirect_url=%2Fme");
    assert!(site.current_user().await.starts_with("ada ["));
    site.events.take();
    site.run_handler(|jar| drop(jar.activate().unwrap())).await;
    let reported = site.events.take();
    let activated = reported.iter().find_map(|event| match event {
        SessionEvent::SignedIn { session, replaced, .. } => Some((session.is_pending(), *replaced)),
        _ => None,
    });
    assert_eq!(activated, Some((false, Some(pending))));
    assert_eq!(site.current_user().await, "ada");
    let list = site.list().await;
    assert_eq!(list["sessions"].as_array().unwrap().len(), 2, "bob's session is kept: {list}");
}
