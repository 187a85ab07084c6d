//! Device-bound sessions with a store, and a fleet of processes.

use std::sync::Arc;

use http::StatusCode;
use tower_auth_session::{
    SessionLayer, SignIn,
    bearer::BearerTokens,
    config::DeviceBound,
    engine::{Factor, SessionStatusKind},
    event::DeviceProofError,
    store::{MemoryStore, SessionStore},
    testing::{ManualClock, SeededRandom},
};

use super::{BOUND_FOR, Site, builder, device, payload};
use crate::support::{
    COOKIE, Events, User,
    faulty_store::{Fault, FaultyStore},
    get, post,
    probe::{Probe, now_or_never},
    seconds, subject, user,
};
use SessionStatusKind::{SignedIn, SignedOut, Unavailable, Unproven};

/// A process with `store`, on the clock of the fleet.
fn node(store: &Arc<dyn SessionStore>, clock: &ManualClock, mode: DeviceBound) -> Probe<User> {
    let events = Events::default();
    let sink = events.clone();
    let builder = builder(mode).on_event(move |event| sink.push(event));
    let builder = builder.bearer_tokens(BearerTokens::new().accept(true));
    let layer = SessionLayer::new(builder.build().unwrap()).store_arc(Arc::clone(store));
    Probe { layer: layer.clock(clock.clone()), clock: clock.clone(), events }
}

/// Two processes of a fleet; the browser is bound by the first.
struct Fleet {
    site: Site,
    other: Probe<User>,
    store: Arc<dyn SessionStore>,
    /// The cookies from before the binding.
    unbound: crate::support::Browser,
    /// The response to the sign-in.
    offer: crate::support::TestResponse,
}

impl Fleet {
    fn new(store: Arc<dyn SessionStore>) -> Self {
        let clock = Site::new(builder(DeviceBound::Off)).probe.clock;
        let mut site = Site::on(node(&store, &clock, DeviceBound::Preferred));
        let other = node(&store, &clock, DeviceBound::Preferred);
        let offer = site.sign_in("ada");
        let unbound = site.browser.clone();
        assert_eq!(site.register(&offer).status, StatusCode::OK);
        Self { site, other, store, unbound, offer }
    }

    fn in_memory() -> Self {
        Self::new(Arc::new(MemoryStore::new()))
    }

    /// The next requests go to the other process.
    fn swap(&mut self) {
        std::mem::swap(&mut self.site.probe, &mut self.other);
    }

    fn run_with_copy<T>(&mut self, run: impl FnOnce(&mut Site) -> T) -> T {
        let own = std::mem::replace(&mut self.site.browser, self.unbound.clone());
        let result = run(&mut self.site);
        self.site.browser = own;
        result
    }
}

#[test]
fn store_shows_the_binding_in_the_list_of_devices() {
    let fleet = Fleet::in_memory();
    let sessions = fleet.site.probe.layer.sessions().unwrap();
    let page = now_or_never(sessions.list(&subject("ada"), None, 10)).unwrap();
    let binding = page.sessions[0].binding.unwrap();
    assert_eq!(Some(binding.key), fleet.site.device.key());
    let json = serde_json::to_value(&page.sessions[0]).unwrap();
    let expected = serde_json::json!({
        "thumbprint": binding.key.thumbprint(), "bound_at": binding.bound_at.as_unix_seconds(),
    });
    assert_eq!(json["binding"], expected);
}

#[test]
fn unbound_copy_is_refused_by_all_processes_once_it_is_due() {
    let mut fleet = Fleet::in_memory();
    fleet.swap();
    // Tokens are renewed after 10 s; until then they are accepted without the store.
    for (second, expected) in [(0, SignedIn), (9, SignedIn), (1, SignedOut), (0, SignedOut)] {
        fleet.site.advance(second);
        let before = fleet.unbound.cookies.clone();
        let status = fleet.run_with_copy(|site| {
            let status = site.status();
            assert_eq!(site.browser.cookies, before, "nothing is removed or renewed");
            status
        });
        assert_eq!(status, expected, "after {second} s");
    }
    assert_eq!(fleet.site.refusals(), [DeviceProofError::UnboundToken]);
    // The owner is still signed in, in every process.
    for _ in 0..2 {
        assert_eq!(fleet.site.status(), SignedIn);
        fleet.swap();
    }
}

/// `load` compares no keys: what it finds must not count for a token from before the binding.
#[test]
fn list_of_accounts_confirms_no_unbound_copy() {
    let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new());
    let clock = Site::new(builder(DeviceBound::Off)).probe.clock;
    let node = || {
        let engine = builder(DeviceBound::Preferred).multi_session(true).build().unwrap();
        let layer = SessionLayer::new(engine).store_arc(Arc::clone(&store)).clock(clock.clone());
        Probe { layer, clock: clock.clone(), events: Events::default() }
    };
    let mut site = Site::on(node());
    let offer = site.sign_in("ada");
    let copy = site.browser.clone();
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    let id = site.id();
    let own = std::mem::replace(&mut site.browser, copy.clone());
    site.probe = node();
    site.advance(11);
    let active = site.browser.cookies.get_mut("__Host-session.active").unwrap();
    *active = "none".into();
    let list = site.send(get("/session"));
    assert_eq!(
        (list.status, list.text().contains(&id)),
        (StatusCode::OK, false),
        "{}",
        list.text()
    );
    site.browser = copy.clone();
    assert_eq!(site.status(), SignedOut);
    assert_eq!(site.browser.cookies, copy.cookies, "nothing is removed or renewed");
    site.browser = own;
    assert_eq!(site.status(), SignedIn);
}

/// The owner stays signed in, whatever a thief does with cookies that prove nothing.
#[test]
fn sign_out_with_cookies_that_prove_nothing_ends_no_other_session() {
    let mut fleet = Fleet::in_memory();
    let clock = fleet.site.probe.clock.clone();
    let builder = builder(DeviceBound::Off).random(SeededRandom::new(2));
    let layer = SessionLayer::new(builder.build().unwrap()).store_arc(Arc::clone(&fleet.store));
    let probe = Probe { layer: layer.clock(clock.clone()), clock, events: Events::default() };
    let mut elsewhere = Site::on(probe);
    elsewhere.sign_in("ada");
    let stolen = fleet.site.browser.clone();
    // The unbound token expires after 100 s; the owner stays active.
    for _ in 0..3 {
        fleet.site.advance(40);
        fleet.site.refresh();
        fleet.site.refresh();
        assert_eq!((fleet.site.status(), elsewhere.status()), (SignedIn, SignedIn));
    }
    let sign_out = fleet.run_with_copy(|site| site.send(post("/sign-out", "")));
    assert_eq!(sign_out.status, StatusCode::SEE_OTHER);
    assert_eq!(fleet.site.status(), SignedIn);
    let own = std::mem::replace(&mut fleet.site.browser, stolen);
    fleet.site.send(post("/sign-out", "scope=everywhere"));
    fleet.site.browser = own;
    assert_eq!((fleet.site.status(), elsewhere.status()), (SignedIn, SignedIn));
}

#[test]
fn due_token_in_flight_is_served_once_more_and_not_renewed() {
    let lifetime = tower_auth_session::SessionLifetime::new().renew_after(seconds(2));
    let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new());
    let clock = Site::new(builder(DeviceBound::Off)).probe.clock;
    let node = || {
        let events = Events::default();
        let engine = builder(DeviceBound::Preferred).lifetime(lifetime.clone()).build().unwrap();
        let layer = SessionLayer::new(engine).store_arc(Arc::clone(&store)).clock(clock.clone());
        Probe { layer, clock: clock.clone(), events }
    };
    let mut site = Site::on(node());
    let offer = site.sign_in("ada");
    let copy = site.browser.clone();
    site.advance(3);
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    let own = std::mem::replace(&mut site.browser, copy.clone());
    site.probe = node();
    for (second, expected) in [(0, SignedIn), (5, SignedIn), (1, SignedOut)] {
        site.advance(second);
        assert_eq!(site.status(), expected, "after {second} s");
        assert_eq!(site.browser.cookies, copy.cookies);
    }
    site.browser = own;
    assert_eq!(site.status(), SignedIn);
}

#[test]
fn first_key_wins_in_the_store() {
    let mut fleet = Fleet::in_memory();
    fleet.swap();
    let owner = std::mem::replace(&mut fleet.site.device, device());
    let offer = std::mem::take(&mut fleet.offer.headers);
    let offer = crate::support::TestResponse {
        status: StatusCode::OK,
        headers: offer,
        body: Default::default(),
    };
    let response = fleet.run_with_copy(|site| site.register(&offer));
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(response.set_cookies(), Vec::<&str>::new());
    assert_eq!(fleet.site.refusals(), [DeviceProofError::OtherKey]);
    fleet.site.device = owner;
    // With the owner's key it can be repeated, by a browser that did not get the response.
    let response = fleet.run_with_copy(|site| site.register(&offer));
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(fleet.site.status(), SignedIn);
}

#[test]
fn process_that_sees_a_bound_token_refuses_older_ones() {
    let mut fleet = Fleet::in_memory();
    fleet.swap();
    assert_eq!(fleet.run_with_copy(Site::status), SignedIn);
    assert_eq!(fleet.site.status(), SignedIn, "bound and proven");
    fleet.site.advance(6);
    assert_eq!(fleet.run_with_copy(Site::status), SignedOut, "young, and not in flight");
}

#[test]
fn bound_session_and_its_refreshes_work_with_every_process() {
    let mut fleet = Fleet::in_memory();
    for _ in 0..6 {
        fleet.swap();
        fleet.site.advance(30);
        assert_eq!(fleet.site.refresh().status, StatusCode::NO_CONTENT);
        assert_eq!(fleet.site.status(), SignedIn);
    }
}

/// The first release that knows the feature binds nothing; it is switched on when all nodes run it.
#[test]
fn processes_with_binding_on_and_off_work_together() {
    let mut fleet = Fleet::in_memory();
    let clock = fleet.site.probe.clock.clone();
    fleet.other = node(&fleet.store, &clock, DeviceBound::Off);
    fleet.swap();
    assert_eq!(fleet.site.status(), SignedIn);
    fleet.site.advance(30);
    assert_eq!(fleet.site.refresh().status, StatusCode::NO_CONTENT);
    let offer = fleet.site.sign_in("bob");
    assert_eq!(offer.header("secure-session-registration"), "");
    fleet.swap();
    assert_eq!(fleet.site.status(), SignedIn, "an unbound session where binding is preferred");
}

#[test]
fn outage_signs_no_user_out_and_renews_no_proof() {
    let store = FaultyStore::new();
    let mut fleet = Fleet::new(Arc::new(store.clone()));
    store.set(Fault::Refused);
    assert_eq!(fleet.site.status(), SignedIn, "young");
    fleet.site.advance(5);
    assert_eq!(fleet.site.refresh().status, StatusCode::NO_CONTENT, "young");
    fleet.site.advance(10);
    assert_eq!(fleet.site.status(), Unavailable);
    let before = fleet.site.browser.cookies.clone();
    let (name, proof) = (fleet.site.proof_name(), before[&fleet.site.proof_name()].clone());
    fleet.site.browser.cookies.remove(&name);
    assert_eq!(fleet.site.status(), Unproven, "no store is needed to see that");
    fleet.site.browser.cookies.insert(name, proof);
    let response = fleet.site.refresh();
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(fleet.site.browser.cookies, before);
    store.set(Fault::None);
    assert_eq!(fleet.site.refresh().status, StatusCode::NO_CONTENT);
    assert_eq!(fleet.site.status(), SignedIn);
    // A session whose token is due is not bound during an outage, and not lost.
    let offer = fleet.site.sign_in("bob");
    fleet.site.device = device();
    fleet.site.advance(10);
    store.set(Fault::Refused);
    let before = fleet.site.browser.cookies.clone();
    assert_eq!(fleet.site.register(&offer).status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(fleet.site.browser.cookies, before);
    store.set(Fault::None);
    assert_eq!(fleet.site.register(&offer).status, StatusCode::OK);
    assert_eq!(fleet.site.status(), SignedIn);
}

/// Only the store can decide which key is the first. Without its response, no client gets a bound token:
/// otherwise a thief's key could win.
#[test]
fn registration_without_an_answer_of_the_store_binds_no_key() {
    let (store, clock) = (FaultyStore::new(), Site::new(builder(DeviceBound::Off)).probe.clock);
    let shared: Arc<dyn SessionStore> = Arc::new(store.clone());
    let mut site = Site::on(node(&shared, &clock, DeviceBound::Preferred));
    let offer = site.sign_in("ada");
    let unbound = site.browser.clone();
    site.advance(5);
    store.set(Fault::Refused);
    let owner = std::mem::replace(&mut site.device, device());
    for _ in 0..2 {
        assert_eq!(site.register(&offer).status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(site.browser.cookies, unbound.cookies, "neither a token nor a proof");
        assert_eq!(site.status(), SignedIn);
        site.device = device();
    }
    store.set(Fault::None);
    site.device = owner;
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    let key = site.device.key();
    // From now on every other key is refused, also while the store is down.
    for fault in [Fault::None, Fault::Refused] {
        store.set(fault);
        let own = std::mem::replace(&mut site.browser, unbound.clone());
        let own_device = std::mem::replace(&mut site.device, device());
        assert!(!site.register(&offer).status.is_success(), "{fault:?}");
        assert_eq!(site.browser.cookies, unbound.cookies, "{fault:?}");
        (site.browser, site.device) = (own, own_device);
    }
    store.set(Fault::None);
    for _ in 0..10 {
        site.advance(20);
        assert_eq!(site.refresh().status, StatusCode::NO_CONTENT);
        assert_eq!(site.status(), SignedIn);
    }
    let sessions = site.probe.layer.sessions().unwrap();
    let page = now_or_never(sessions.list(&subject("ada"), None, 10)).unwrap();
    assert_eq!(page.sessions[0].binding.map(|it| it.key), key);
}

/// The store may have recorded the key of a failed registration. The browser has discarded that key.
#[test]
fn registration_that_the_store_records_and_fails_ends_with_a_new_sign_in() {
    let (store, clock) = (FaultyStore::new(), Site::new(builder(DeviceBound::Off)).probe.clock);
    let shared: Arc<dyn SessionStore> = Arc::new(store.clone());
    let mut site = Site::on(node(&shared, &clock, DeviceBound::Preferred));
    let offer = site.sign_in("ada");
    store.set(Fault::WritesAndFails);
    assert_eq!(site.register(&offer).status, StatusCode::SERVICE_UNAVAILABLE);
    store.set(Fault::None);
    assert_eq!(site.status(), SignedIn);
    let before = site.browser.cookies.clone();
    site.advance(20);
    assert_eq!(site.status(), SignedOut);
    assert_eq!(site.browser.cookies, before, "nothing is removed because of an unbound token");
    let offer = site.sign_in("ada");
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    assert_eq!(site.status(), SignedIn);
}

#[test]
fn bearer_token_from_before_the_binding_revokes_nothing() {
    let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new());
    let clock = Site::new(builder(DeviceBound::Off)).probe.clock;
    let mut site = Site::on(node(&store, &clock, DeviceBound::Preferred));
    let offer = site.sign_in("ada");
    let token = Arc::new(std::sync::Mutex::new(String::new()));
    let sink = Arc::clone(&token);
    site.run(move |jar| {
        let token = jar.session().unwrap().bearer_token().unwrap();
        *sink.lock().unwrap() = format!("Bearer {}", token.as_str());
    });
    assert_eq!(site.register(&offer).status, StatusCode::OK);
    site.advance(20);
    let other = node(&store, &clock, DeviceBound::Preferred);
    for _ in 0..2 {
        let mut request = get("/");
        request.headers_mut().insert("authorization", token.lock().unwrap().parse().unwrap());
        let result = other.send(request);
        assert!(result.session.is_some(), "the session is active");
        assert_eq!(result.events, []);
    }
    for probe in [other, node(&store, &clock, DeviceBound::Preferred)] {
        site.probe = probe;
        assert_eq!(site.status(), SignedIn);
    }
}

/// A sign-out does not query the store whether the token is from before the binding: see SECURITY.md.
#[test]
fn sign_out_with_an_unbound_token_works_where_the_binding_is_unknown() {
    for second in [9, 20] {
        let mut fleet = Fleet::in_memory();
        fleet.swap();
        fleet.site.advance(second);
        fleet.run_with_copy(|site| site.send(post("/sign-out", "")));
        assert_eq!(fleet.site.status(), SignedOut, "{second}");
    }
}

#[test]
fn change_of_claims_in_flight_to_another_process_is_written_with_the_key() {
    let mut fleet = Fleet::in_memory();
    fleet.swap();
    let site = &mut fleet.site;
    let own = std::mem::replace(&mut site.browser, fleet.unbound.clone());
    site.run(|jar| jar.update_claims(user("Ada Fernhill")).unwrap());
    let token = payload(&site.browser.cookies[COOKIE]);
    assert_eq!((&token["name"], token["cnf"].is_object()), (&"Ada Fernhill".into(), true));
    let written = site.browser.cookies.remove(COOKIE).unwrap();
    site.browser = own;
    site.browser.cookies.insert(COOKIE.to_owned(), written);
    site.advance(10);
    assert_eq!(site.status(), SignedIn);
}

#[test]
fn revocation_elsewhere_ends_the_bound_session() {
    let mut fleet = Fleet::in_memory();
    let sessions = fleet.other.layer.sessions().unwrap();
    now_or_never(sessions.revoke_all_of(&subject("ada"))).unwrap();
    fleet.site.advance(10);
    assert_eq!(fleet.site.refresh().status, StatusCode::UNAUTHORIZED);
    assert_eq!(fleet.site.status(), SignedOut);
    let mut fleet = Fleet::in_memory();
    fleet.site.run(|jar| {
        jar.sign_out_everywhere(None).unwrap();
    });
    assert!(fleet.site.browser.cookies.is_empty(), "{:?}", fleet.site.browser.cookies);
}

#[test]
fn bearer_token_ends_with_the_proof() {
    let mut fleet = Fleet::in_memory();
    fleet.site.advance(BOUND_FOR - 15);
    assert_eq!(fleet.site.status(), SignedIn);
    let token = Arc::new(std::sync::Mutex::new(None));
    let sink = Arc::clone(&token);
    fleet.site.run(move |jar| {
        let token = jar.session().unwrap().bearer_token().unwrap();
        *sink.lock().unwrap() = Some((token.expires_at(), token.as_str().to_owned()));
    });
    let (expires_at, _) = token.lock().unwrap().take().unwrap();
    let proof = payload(&fleet.site.browser.cookies[&fleet.site.proof_name()]);
    assert_eq!(proof["exp"], expires_at.as_unix_seconds());
}

#[test]
fn verified_factor_after_an_alarm_offers_to_bind_the_new_session() {
    let mut fleet = Fleet::in_memory();
    let offer = fleet.site.run(|jar| jar.mark_verified(Factor::First).unwrap());
    assert_eq!(offer.header("secure-session-registration"), "", "it stays bound");
    fleet.site.run(|jar| {
        jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
    });
    assert!(payload(&fleet.site.browser.cookies[COOKIE]).get("cnf").is_none());
    assert!(!fleet.site.browser.cookies.contains_key(&fleet.site.proof_name()));
    fleet.site.advance(BOUND_FOR);
    assert_ne!(fleet.site.status(), Unproven);
}

#[test]
fn stream_ends_when_the_proof_was_not_renewed() {
    let mut fleet = Fleet::in_memory();
    let site = &mut fleet.site;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap();
    let found = Arc::new(std::sync::Mutex::new(None));
    let sink = Arc::clone(&found);
    site.run(move |jar| *sink.lock().unwrap() = Some(jar.session().unwrap().ended()));
    let stream = runtime.spawn(found.lock().unwrap().take().unwrap());
    // Requests run without the runtime, on the service's own clock.
    let wait = |by| runtime.block_on(async move { tokio::time::sleep(seconds(by)).await });
    for second in [50, 50] {
        site.advance(second);
        site.refresh();
        site.run(|_| {});
        wait(second);
        assert!(!stream.is_finished(), "the proof was renewed");
    }
    site.advance(BOUND_FOR);
    wait(BOUND_FOR);
    runtime.block_on(stream).unwrap();
}
