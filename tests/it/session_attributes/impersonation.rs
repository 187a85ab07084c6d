//! Impersonated sessions: one user acts as another.

use serde_json::json;
use tower_auth_session::{
    SignIn,
    config::LifetimeOverride,
    engine::{Actor, Factor},
    error::SignInError,
    event::SessionEvent,
};

use super::{Jar, Site};
use crate::support::{seconds, subject, user};

fn ada(jar: &Jar) {
    jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
}

fn bob(jar: &Jar) {
    jar.sign_in(SignIn::new(subject("bob"), user("Bob"))).unwrap();
}

fn as_bob() -> SignIn<crate::support::User> {
    SignIn::new(subject("bob"), user("Bob")).impersonated_by(Actor::new(subject("ada")))
}

fn ada_as_bob(jar: &Jar) {
    jar.sign_in(as_bob()).unwrap();
}

#[tokio::test]
async fn impersonated_session_is_a_separate_account_that_names_the_actor() {
    let mut site = Site::multi_session();
    site.run_handler(bob).await;
    site.run_handler(ada).await;
    site.events.take();
    site.run_handler(ada_as_bob).await;
    assert_eq!(site.events.take_names(), ["SignedIn", "ImpersonationStarted"]);
    assert_eq!(site.current_user().await, "bob by ada");
    let list = site.list().await;
    let actors: Vec<_> =
        list["sessions"].as_array().unwrap().iter().map(|it| it.get("actor")).collect();
    assert_eq!(actors, [Some(&json!({ "sub": "ada" })), None, None], "bob's own session is kept");
    let page = site.get("/sign-in/choose").await;
    assert_eq!(page.text().matches("Impersonated by <bdi>ada</bdi>").count(), 1);

    for (path, status) in
        [("/guarded", 200), ("/own", 403), ("/fresh", 401), ("/any", 401), ("/second", 401)]
    {
        assert_eq!(site.get(path).await.status, status, "{path}");
    }
    assert_eq!(site.rejection("/own").await.1["code"], json!("impersonated"));
    site.run_handler(|jar| jar.mark_verified(Factor::First).unwrap()).await;
    assert_eq!(
        site.get("/fresh").await.status,
        200,
        "after the application marked the factor as verified"
    );

    // A renewal keeps the actor.
    site.clock.advance(seconds(20));
    assert_eq!(site.current_user().await, "bob by ada");
    site.events.take();
    site.run_handler(|jar| assert_eq!(jar.sign_out().unwrap().subject(), &subject("bob"))).await;
    let reported = site.events.take();
    let ended = reported.iter().find_map(|event| match event {
        SessionEvent::ImpersonationEnded { session, .. } => session.actor().cloned(),
        _ => None,
    });
    assert_eq!(ended, Some(Actor::new(subject("ada"))));
    assert_eq!(
        site.current_user().await,
        "AccountSelectionRequired",
        "no other account becomes active"
    );
    assert_eq!(site.list().await["sessions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn impersonation_lifetime_limits_every_impersonated_session() {
    let mut site = Site::new(|builder| {
        let lifetime = tower_auth_session::SessionLifetime::new();
        builder.lifetime(lifetime.impersonation_lifetime(seconds(600)))
    });
    let response = site
        .run_handler(|jar| {
            let requested_lifetime = LifetimeOverride::both(seconds(90_000));
            jar.sign_in(as_bob().lifetime(requested_lifetime)).unwrap();
        })
        .await;
    assert!(response.set_cookies()[0].ends_with("; Max-Age=600"), "{:?}", response.set_cookies());
    site.clock.advance(seconds(599));
    assert_eq!(site.current_user().await, "bob by ada");
    site.clock.advance(seconds(1));
    site.events.take();
    assert_eq!(site.current_user().await, "SignedOut");
    assert_eq!(site.events.take_names(), ["Expired", "ImpersonationEnded"]);
}

#[tokio::test]
async fn impersonated_session_cannot_impersonate_unless_nesting_is_allowed() {
    fn impersonate_carol(jar: &Jar) -> Result<(), SignInError> {
        let actor = Actor::new(subject("bob"));
        let carol = SignIn::new(subject("carol"), user("Carol")).impersonated_by(actor);
        jar.sign_in(carol).map(drop)
    }
    let mut site = Site::multi_session();
    site.run_handler(ada_as_bob).await;
    site.run_handler(|jar| {
        assert_eq!(impersonate_carol(jar), Err(SignInError::NestedImpersonation))
    })
    .await;
    assert_eq!(site.current_user().await, "bob by ada");
    // From a session that is not impersonated, it is not nested.
    site.run_handler(ada).await;
    site.run_handler(|jar| {
        let actor = Actor::new(subject("ada"));
        let carol = SignIn::new(subject("carol"), user("Carol")).impersonated_by(actor);
        jar.sign_in(carol).unwrap();
    })
    .await;
    assert_eq!(site.current_user().await, "carol by ada");

    let mut site = Site::new(|builder| builder.multi_session(true).nested_impersonation(true));
    site.run_handler(ada_as_bob).await;
    site.run_handler(|jar| impersonate_carol(jar).unwrap()).await;
    site.run_handler(|jar| {
        let session = jar.session().unwrap();
        let actor = session.actor().unwrap();
        assert_eq!(
            (actor.subject(), actor.prior()),
            (&subject("bob"), Some(&Actor::new(subject("ada"))),)
        );
    })
    .await;
}

/// An impersonation starts when the last task is completed, and its end is reported once.
#[tokio::test]
async fn pending_impersonation_starts_with_its_activation() {
    let mut site = Site::new(|builder| builder);
    site.run_handler(|jar| {
        let task = tower_auth_session::engine::SessionTask::SECOND_FACTOR;
        jar.sign_in(as_bob().with_tasks([task])).unwrap();
    })
    .await;
    assert_eq!(site.events.take_names(), ["SignedIn"]);
    site.run_handler(|jar| drop(jar.activate().unwrap())).await;
    let reported = site.events.take_names();
    let count = |name| reported.iter().filter(|event| *event == name).count();
    assert_eq!(
        (count("ImpersonationStarted"), count("ImpersonationEnded")),
        (1, 0),
        "{reported:?}"
    );
    site.run_handler(|jar| drop(jar.sign_out())).await;
    assert_eq!(site.events.take_names(), ["SignedOut", "ImpersonationEnded"]);
}

/// Revoking all sessions of a user revokes the impersonated sessions in which that user acts, and keeps
/// the own sessions of the impersonated user.
#[tokio::test]
async fn impersonated_session_is_revoked_with_the_sessions_of_its_actor() {
    let mut site = Site::multi_session();
    site.run_handler(bob).await;
    site.run_handler(ada_as_bob).await;
    let now = tower_auth_session::time::Clock::now(&site.clock);
    site.layer.engine().revoke_subject_before(subject("ada"), now.timestamp(), now);
    assert_eq!(site.current_user().await, "AccountSelectionRequired");
    assert_eq!(site.list().await["sessions"].as_array().unwrap().len(), 1, "bob's own session");
    site.clock.advance(seconds(1));
    site.run_handler(ada_as_bob).await;
    assert_eq!(site.current_user().await, "bob by ada", "started after the revocation");
    // The same for an actor earlier in a chain.
    let mut site = Site::new(|builder| builder);
    let chain = Actor::new(subject("carol")).with_prior(Actor::new(subject("ada")));
    site.run_handler(move |jar| {
        let bob = SignIn::new(subject("bob"), user("Bob"));
        jar.sign_in(bob.impersonated_by(chain.clone())).unwrap();
    })
    .await;
    let now = tower_auth_session::time::Clock::now(&site.clock);
    site.layer.engine().revoke_subject_before(subject("ada"), now.timestamp(), now);
    assert_eq!(site.current_user().await, "SignedOut");
}
