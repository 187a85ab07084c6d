//! SessionManager in which somebody acts as somebody else.

use serde_json::json;
use tower_auth_session::{
    Actor, Factor, LifetimeOverride, SessionEvent, SignIn, engine::SignInError,
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
async fn it_is_an_account_of_its_own_and_says_who_acts() {
    let mut site = Site::several();
    site.run_handler(bob).await;
    site.run_handler(ada).await;
    site.events.take();
    site.run_handler(ada_as_bob).await;
    assert_eq!(site.events.take_names(), ["SignedIn", "ImpersonationStarted"]);
    assert_eq!(site.who().await, "bob by ada");
    let list = site.list().await;
    let actors: Vec<_> =
        list["sessions"].as_array().unwrap().iter().map(|it| it.get("actor")).collect();
    assert_eq!(actors, [Some(&json!({ "sub": "ada" })), None, None], "bob's own is still there");
    let page = site.get("/sign-in/choose").await;
    assert_eq!(page.text().matches("Impersonated by <bdi>ada</bdi>").count(), 1);

    for (path, status) in
        [("/guarded", 200), ("/own", 403), ("/fresh", 401), ("/any", 401), ("/second", 401)]
    {
        assert_eq!(site.get(path).await.status, status, "{path}");
    }
    assert_eq!(site.refused("/own").await.1["code"], json!("impersonated"));
    site.run_handler(|jar| jar.reverified(Factor::First).unwrap()).await;
    assert_eq!(site.get("/fresh").await.status, 200, "the application says so");

    // A renewal carries it on.
    site.clock.advance(seconds(20));
    assert_eq!(site.who().await, "bob by ada");
    site.events.take();
    site.run_handler(|jar| assert_eq!(jar.sign_out().unwrap().subject(), &subject("bob"))).await;
    let told = site.events.take();
    let ended = told.iter().find_map(|event| match event {
        SessionEvent::ImpersonationEnded { session, .. } => session.actor().cloned(),
        _ => None,
    });
    assert_eq!(ended, Some(Actor::new(subject("ada"))));
    assert_eq!(site.who().await, "Choose", "nobody is promoted");
    assert_eq!(site.list().await["sessions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn it_is_short_whatever_is_asked() {
    let mut site = Site::new(|builder| {
        let lifetime = tower_auth_session::SessionLifetime::new();
        builder.lifetime(lifetime.impersonation_lifetime(seconds(600)))
    });
    let response = site
        .run_handler(|jar| {
            let long = LifetimeOverride::both(seconds(90_000));
            jar.sign_in(as_bob().lifetime(long)).unwrap();
        })
        .await;
    assert!(response.set_cookies()[0].ends_with("; Max-Age=600"), "{:?}", response.set_cookies());
    site.clock.advance(seconds(599));
    assert_eq!(site.who().await, "bob by ada");
    site.clock.advance(seconds(1));
    site.events.take();
    assert_eq!(site.who().await, "SignedOut");
    assert_eq!(site.events.take_names(), ["Expired", "ImpersonationEnded"]);
}

#[tokio::test]
async fn who_impersonates_does_not_impersonate_again_unless_that_is_allowed() {
    fn again(jar: &Jar) -> Result<(), SignInError> {
        let actor = Actor::new(subject("bob"));
        let carol = SignIn::new(subject("carol"), user("Carol")).impersonated_by(actor);
        jar.sign_in(carol).map(drop)
    }
    let mut site = Site::several();
    site.run_handler(ada_as_bob).await;
    site.run_handler(|jar| assert_eq!(again(jar), Err(SignInError::NestedImpersonation))).await;
    assert_eq!(site.who().await, "bob by ada");
    // From an account of one's own it is no second time.
    site.run_handler(ada).await;
    site.run_handler(|jar| {
        let actor = Actor::new(subject("ada"));
        let carol = SignIn::new(subject("carol"), user("Carol")).impersonated_by(actor);
        jar.sign_in(carol).unwrap();
    })
    .await;
    assert_eq!(site.who().await, "carol by ada");

    let mut site = Site::new(|builder| builder.multi_session(true).nested_impersonation(true));
    site.run_handler(ada_as_bob).await;
    site.run_handler(|jar| again(jar).unwrap()).await;
    site.run_handler(|jar| {
        let session = jar.session().unwrap();
        let actor = session.actor().unwrap();
        assert_eq!(
            (actor.subject(), actor.acted_by()),
            (&subject("bob"), Some(&Actor::new(subject("ada"))),)
        );
    })
    .await;
}

/// It begins when there is nothing left to do, and ends once.
#[tokio::test]
async fn one_that_is_pending_has_not_begun() {
    let mut site = Site::new(|builder| builder);
    site.run_handler(|jar| {
        let task = tower_auth_session::SessionTask::SECOND_FACTOR;
        jar.sign_in(as_bob().pending([task])).unwrap();
    })
    .await;
    assert_eq!(site.events.take_names(), ["SignedIn"]);
    site.run_handler(|jar| drop(jar.activate().unwrap())).await;
    let told = site.events.take_names();
    let count = |name| told.iter().filter(|event| *event == name).count();
    assert_eq!((count("ImpersonationStarted"), count("ImpersonationEnded")), (1, 0), "{told:?}");
    site.run_handler(|jar| drop(jar.sign_out())).await;
    assert_eq!(site.events.take_names(), ["SignedOut", "ImpersonationEnded"]);
}

/// Who loses all sessions acts in none that was begun from one of them; whom they acted as stays.
#[tokio::test]
async fn it_ends_with_the_sessions_of_the_actor() {
    let mut site = Site::several();
    site.run_handler(bob).await;
    site.run_handler(ada_as_bob).await;
    let now = tower_auth_session::Clock::now(&site.clock);
    site.layer.engine().end_before(subject("ada"), now.timestamp(), now);
    assert_eq!(site.who().await, "Choose");
    assert_eq!(site.list().await["sessions"].as_array().unwrap().len(), 1, "bob's own");
    site.clock.advance(seconds(1));
    site.run_handler(ada_as_bob).await;
    assert_eq!(site.who().await, "bob by ada", "begun since");
    // Also whoever is further back in a chain.
    let mut site = Site::new(|builder| builder);
    let chain = Actor::new(subject("carol")).acting_by(Actor::new(subject("ada")));
    site.run_handler(move |jar| {
        let bob = SignIn::new(subject("bob"), user("Bob"));
        jar.sign_in(bob.impersonated_by(chain.clone())).unwrap();
    })
    .await;
    let now = tower_auth_session::Clock::now(&site.clock);
    site.layer.engine().end_before(subject("ada"), now.timestamp(), now);
    assert_eq!(site.who().await, "SignedOut");
}
