//! Several accounts in one browser, rule by rule.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::Full;
use tower::{Layer as _, service_fn};
use tower_auth_session::{
    CookieConfig, KeyRing, RequireSessionLayer, SeededRandom, Session, SessionEngine, SessionEvent,
    SessionId, SessionJar, SessionStatusKind, SignIn, SignInError, SignInOutcome, Timestamp,
    engine::{AccountLimitPolicy, RejectReason, SessionEngineBuilder},
    testing::cookie_of,
};

use crate::support::{
    Browser, COOKIE, Events, SID_A, SID_B, START, User, engine_builder, get, key, layer_on, post,
    subject, user,
};

type Jar = SessionJar<User>;
const POINTER: &str = "__Host-session.active";

/// An engine, and one browser at it.
struct Site {
    engine: SessionEngine<User>,
    events: Events,
    browser: Browser,
    now: u64,
}

impl Site {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(change: impl FnOnce(SessionEngineBuilder<User>) -> SessionEngineBuilder<User>) -> Self {
        let (builder, events) = engine_builder();
        let engine = change(builder.multi_session(true)).build().unwrap();
        Self { engine, events, browser: Browser::default(), now: START }
    }

    /// Several accounts turned on or off by a restart.
    fn turn(&mut self, several: bool) {
        let (builder, events) = engine_builder();
        let random = SeededRandom::new(self.now + u64::from(several));
        self.engine = builder.random(random).multi_session(several).build().unwrap();
        self.events = events;
    }

    /// Opens a request with the browser's cookies.
    fn open(&self, mut request: Request<Full<Bytes>>) -> Jar {
        if let Some(cookies) = self.browser.cookie_header() {
            request.headers_mut().append(header::COOKIE, cookies.parse().unwrap());
        }
        self.engine.open(&request, Timestamp::from_unix_seconds(self.now))
    }

    fn close(&self, jar: &Jar) -> HeaderMap {
        let mut response = Response::new(());
        self.engine.close(jar, &mut response, Timestamp::from_unix_seconds(self.now)).unwrap();
        response.into_parts().0.headers
    }

    /// One whole request; what was done, and the names of the cookies that were set or removed.
    fn act<T>(
        &mut self,
        request: Request<Full<Bytes>>,
        act: impl FnOnce(&Jar) -> T,
    ) -> (T, Vec<String>) {
        let jar = self.open(request);
        let done = act(&jar);
        let headers = self.close(&jar);
        self.browser.store(&headers);
        (done, written(&headers))
    }

    fn post<T>(&mut self, act: impl FnOnce(&Jar) -> T) -> (T, Vec<String>) {
        self.act(post("/", ""), act)
    }

    fn try_sign_in(&mut self, name: &str, claims: User) -> Result<SignInOutcome, SignInError> {
        self.post(|jar| jar.sign_in(SignIn::new(subject(name), claims))).0
    }

    fn sign_in(&mut self, name: &str) -> SessionId {
        self.try_sign_in(name, user(name)).unwrap().session_id
    }

    fn switch(&mut self, id: SessionId) -> Vec<String> {
        let (switched, written) = self.post(|jar| jar.switch_to(id));
        assert_eq!(switched.unwrap().id(), id);
        written
    }

    /// Whom a plain request is served as.
    fn who(&mut self) -> Result<SessionId, SessionStatusKind> {
        self.who_at(get("/"))
    }

    fn who_at(&mut self, request: Request<Full<Bytes>>) -> Result<SessionId, SessionStatusKind> {
        self.act(request, served).0
    }

    fn who_named(&mut self, id: &str) -> Result<SessionId, SessionStatusKind> {
        self.who_at(naming(&[id]))
    }

    fn accounts(&mut self) -> Vec<SessionId> {
        self.act(get("/"), |jar| jar.accounts().iter().map(|found| found.session_id).collect()).0
    }

    /// The names of all cookies in the browser.
    fn names(&self) -> Vec<&str> {
        self.browser.cookies.keys().map(String::as_str).collect()
    }

    fn pointer(&self) -> Option<String> {
        self.browser.cookies.get(POINTER).cloned()
    }

    fn token(&self, id: SessionId) -> String {
        self.browser.cookies[&slot(id)].clone()
    }

    fn put(&mut self, name: &str, value: &str) {
        self.browser.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// How many cookies were refused since the last call.
    fn rejections(&self) -> usize {
        let is_rejection = |event: &SessionEvent| matches!(event, SessionEvent::Rejected { .. });
        self.events.take().iter().filter(|event| is_rejection(event)).count()
    }
}

fn served(jar: &Jar) -> Result<SessionId, SessionStatusKind> {
    jar.session().map(|session| session.id()).ok_or_else(|| jar.status().kind())
}

fn slot(id: SessionId) -> String {
    format!("{COOKIE}.{id}")
}

/// The cookies of a response by name, removals with a `-`.
fn written(headers: &HeaderMap) -> Vec<String> {
    let mut names: Vec<_> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .map(|set| {
            let (name, rest) = set.to_str().unwrap().split_once('=').unwrap();
            if rest.starts_with(';') { format!("-{name}") } else { name.to_owned() }
        })
        .collect();
    names.sort();
    names
}

fn naming(ids: &[&str]) -> Request<Full<Bytes>> {
    let mut request = get("/");
    for id in ids {
        request.headers_mut().append("session-id", id.parse().unwrap());
    }
    request
}

const CHOOSE: Result<SessionId, SessionStatusKind> = Err(SessionStatusKind::Choose);
const MISMATCH: Result<SessionId, SessionStatusKind> = Err(SessionStatusKind::Mismatch);
const SIGNED_OUT: Result<SessionId, SessionStatusKind> = Err(SessionStatusKind::SignedOut);

#[test]
fn two_accounts_have_a_cookie_each_and_the_newest_is_active() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let bob = site.sign_in("bob");
    let mut names = [slot(ada), slot(bob), POINTER.to_owned()];
    names.sort();
    assert_eq!(site.names(), names);
    assert_eq!(site.pointer(), Some(bob.to_string()));
    assert_eq!(site.who(), Ok(bob));
    assert_eq!(site.accounts(), [bob, ada]);
}

#[test]
fn switching_writes_the_pointer_only() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let bob = site.sign_in("bob");
    site.now += 20;
    assert_eq!(site.switch(ada), [POINTER]);
    assert_eq!(site.who(), Ok(ada));
    assert_eq!(site.switch(bob), [POINTER]);
    assert!(site.post(|jar| jar.switch_to(SID_A.parse().unwrap())).0.is_err());
    assert_eq!(site.who(), Ok(bob));
}

#[test]
fn the_same_subject_again_replaces_its_session() {
    let mut site = Site::new();
    let first = site.sign_in("ada");
    let bob = site.sign_in("bob");
    let copy = site.token(first);
    let outcome = site.try_sign_in("ada", user("ada")).unwrap();
    assert_eq!(outcome.replaced, Some(first));
    assert_ne!(outcome.session_id, first);
    assert!(!site.browser.cookies.contains_key(&slot(first)));
    assert_eq!(site.accounts(), [outcome.session_id, bob]);
    site.put(&slot(first), &copy);
    assert_eq!(site.who_named(first.as_str()), MISMATCH, "a copy is dead");
    assert!(!site.browser.cookies.contains_key(&slot(first)), "and goes");
}

#[test]
fn nobody_is_promoted_after_the_active_one_signs_out() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let bob = site.sign_in("bob");
    let (out, written) = site.post(|jar| jar.sign_out());
    assert_eq!(out.unwrap().id(), bob);
    assert_eq!(written, [format!("-{}", slot(bob)), POINTER.to_owned()]);
    assert_eq!((site.pointer(), site.who()), (Some("none".into()), CHOOSE));
    assert_eq!(site.post(|jar| jar.sign_out()).0, None, "no id, in choose state: nothing");
    assert_eq!((site.who(), site.accounts()), (CHOOSE, vec![ada]));
    site.switch(ada);
    assert_eq!(site.who(), Ok(ada));
    site.post(|jar| jar.sign_out());
    // The pointer stays, and names nobody: another tab may be signing in.
    assert_eq!((site.names().len(), site.who()), (1, SIGNED_OUT));
}

#[test]
fn signing_out_another_one_leaves_the_active_one() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let (out, written) = site.post(|jar| jar.sign_out_session(ada));
    assert_eq!((out.unwrap().id(), written), (ada, vec![format!("-{}", slot(ada))]));
    assert_eq!((site.who(), site.accounts()), (Ok(bob), vec![bob]));
    let (out, written) = site.post(|jar| jar.sign_out_session(ada));
    assert_eq!((out, written.len()), (None, 0), "an id that is not signed in here");
}

#[test]
fn a_tab_that_signs_out_its_own_account_leaves_the_active_one() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let (out, _) = site.act(naming(&[ada.as_str()]), |jar| jar.sign_out());
    assert_eq!(out.unwrap().id(), ada);
    assert_eq!((site.pointer(), site.who()), (Some(bob.to_string()), Ok(bob)));
}

#[test]
fn signing_out_all_takes_every_cookie() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let copies = site.browser.clone();
    site.put(&slot(SID_A.parse().unwrap()), "no.session.atall");
    let (out, _) = site.post(|jar| jar.sign_out_all());
    assert_eq!(out.len(), 2);
    assert!(out.iter().all(|session| [ada, bob].contains(&session.id())));
    assert_eq!(site.names(), [POINTER]);
    assert_eq!((site.pointer(), site.who()), (Some("none".into()), SIGNED_OUT));
    site.browser = copies;
    assert_eq!((site.who(), site.accounts()), (SIGNED_OUT, vec![]));
}

#[test]
fn a_named_session_is_served_or_nobody() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let (a, b) = (ada.to_string(), bob.to_string());
    assert_eq!((site.who_named(&a), site.who_named(&b), site.who()), (Ok(ada), Ok(bob), Ok(bob)));
    assert_eq!(site.who_at(naming(&[&a, &a])), Ok(ada), "twice the same");
    for names in [
        &[SID_A][..],
        &[&a, &b],
        &[&a, "x"],
        &["x", &a],
        &[""],
        &["none"],
        &["active"],
        &[&a[1..]],
        &[&format!("{a}, {b}")],
        &[&format!("{a}=")],
        &[&a.to_lowercase()],
    ] {
        assert_eq!(site.who_at(naming(names)), MISMATCH, "{names:?}");
    }
    let mut request = get("/");
    let bytes = header::HeaderValue::from_bytes(b"\xff").unwrap();
    request.headers_mut().insert("session-id", bytes);
    assert_eq!(site.who_at(request), MISMATCH);
    site.post(|jar| jar.sign_out_session(ada));
    assert_eq!(site.who_named(&a), MISMATCH, "never as another");
}

#[tokio::test]
async fn the_guard_answers_a_mismatch_with_409_and_choose_state_with_401() {
    let (builder, _) = engine_builder();
    let (layer, _) = layer_on(builder.multi_session(true));
    let mut browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("ada")));
    let guarded = RequireSessionLayer::new().layer(service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("private")))
    }));
    let service = layer.layer(guarded);
    assert_eq!(browser.send(&service, get("/")).await.status, StatusCode::OK);
    let answer = browser.send(&service, naming(&[SID_A])).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.text().contains("session_mismatch"), "{}", answer.text());
    browser.cookies.insert(POINTER.to_owned(), "none".to_owned());
    let answer = browser.send(&service, get("/")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.text().contains("choose"), "{}", answer.text());
}

#[test]
fn a_query_names_a_session_where_that_is_configured() {
    let mut site = Site::with(|builder| builder.named_by_query("s"));
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    assert_eq!(site.who_at(get(&format!("/?x=1&s={ada}&y"))), Ok(ada));
    assert_eq!(site.who_at(get(&format!("/?S={ada}&ss={ada}"))), Ok(bob));
    for query in
        [format!("s={ada}&s={bob}"), "s=".to_owned(), "s".to_owned(), format!("s=%41{ada}")]
    {
        assert_eq!(site.who_at(get(&format!("/?{query}"))), MISMATCH, "{query}");
    }
    let mut request = naming(&[ada.as_str()]);
    *request.uri_mut() = format!("/?s={bob}").parse().unwrap();
    assert_eq!(site.who_at(request), MISMATCH, "header and query disagree");

    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    assert_eq!(site.who_at(get(&format!("/?s={ada}&session-id={ada}&session_id={ada}"))), Ok(bob));
}

#[test]
fn without_several_accounts_a_request_names_nobody() {
    let mut site = Site::with(|builder| builder.multi_session(false).named_by_query("s"));
    let ada = site.sign_in("ada");
    assert_eq!(site.who_named(SID_A), Ok(ada));
    assert_eq!(site.who_at(get(&format!("/?s={SID_A}"))), Ok(ada));
}

#[test]
fn a_copy_under_the_name_of_another_session_speaks_for_neither() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    let (ada_token, bob_token) = (site.token(ada), site.token(bob));
    site.put(&slot(SID_A.parse().unwrap()), &ada_token);
    assert_eq!((site.who(), site.who_named(SID_A)), (Ok(bob), MISMATCH));
    assert_eq!(site.accounts(), [bob, ada]);
    assert_eq!(site.post(|jar| jar.sign_out_session(SID_A.parse().unwrap())).0, None);

    site.put(&slot(bob), &ada_token);
    assert_eq!(site.who(), CHOOSE, "Ada's token is not Bob's");
    assert_eq!((site.who_named(bob.as_str()), site.who_named(ada.as_str())), (MISMATCH, Ok(ada)));
    let both = format!("{}={ada_token}; {}={bob_token}", slot(bob), slot(bob));
    site.browser.cookies.remove(&slot(bob));
    let mut request = get("/");
    request.headers_mut().insert(header::COOKIE, both.parse().unwrap());
    let (served, written) = site.act(request, served);
    assert_eq!((served, written.len()), (Ok(bob), 0), "it does not take Bob's place either");
}

#[test]
fn a_pointer_chooses_only_among_verified_sessions() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let token = site.token(ada);
    let other = slot(SID_B.parse().unwrap());
    for (pointer, forged) in [
        (SID_B, None),
        ("none", None),
        ("", None),
        ("NONE", None),
        ("x", None),
        (SID_B, Some("a.b.c")),
        (SID_B, Some(token.as_str())),
    ] {
        let mut site =
            Site { engine: site.engine.clone(), browser: site.browser.clone(), ..Site::new() };
        site.put(POINTER, pointer);
        if let Some(forged) = forged {
            site.put(&other, forged);
        }
        let (served, written) = site.act(get("/"), served);
        assert_eq!((served, written.len()), (CHOOSE, 0), "{pointer:?} {forged:?}");
        assert_eq!(site.who_named(ada.as_str()), Ok(ada));
        assert_eq!(site.accounts(), [ada]);
    }
}

#[test]
fn two_pointers_that_differ_point_to_nobody() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    for (second, expected) in [(ada.as_str(), CHOOSE), (bob.as_str(), Ok(bob)), ("none", CHOOSE)] {
        let mut request = get("/");
        let pair = format!("{POINTER}={second}");
        request.headers_mut().insert(header::COOKIE, pair.parse().unwrap());
        assert_eq!(site.who_at(request), expected, "{second}");
    }
    // The third agrees with the first: two of them still differ.
    let mut request = get("/");
    let pairs = format!("{POINTER}={bob}; {POINTER}={ada}");
    request.headers_mut().insert(header::COOKIE, pairs.parse().unwrap());
    assert_eq!(site.who_at(request), CHOOSE);
}

#[test]
fn without_a_pointer_two_accounts_are_a_choice() {
    let mut site = Site::new();
    let (ada, _) = (site.sign_in("ada"), site.sign_in("bob"));
    site.browser.cookies.remove(POINTER);
    assert_eq!(site.who(), CHOOSE);
    site.switch(ada);
    assert_eq!(site.who(), Ok(ada));
}

#[test]
fn without_a_pointer_signing_out_of_one_promotes_nobody() {
    let mut site = Site::new();
    let (_, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    site.browser.cookies.remove(POINTER);
    assert_eq!(site.who(), CHOOSE);
    site.post(|jar| jar.sign_out_session(bob));
    assert_eq!(site.who(), CHOOSE);
}

#[test]
fn turning_it_on_signs_nobody_out() {
    let mut site = Site::with(|builder| builder.multi_session(false));
    let ada = site.sign_in("ada");
    assert_eq!(site.names(), [COOKIE]);
    site.turn(true);
    let (who, written) = site.act(get("/"), served);
    assert_eq!((who, written.len()), (Ok(ada), 0), "active while there is no pointer");
    assert_eq!((site.who_named(ada.as_str()), site.who_named(SID_A)), (Ok(ada), MISMATCH));

    let mut moved =
        Site { engine: site.engine.clone(), browser: site.browser.clone(), ..Site::new() };
    moved.now += 10;
    let (_, written) = moved.act(get("/"), served);
    assert_eq!(written, [format!("-{COOKIE}"), slot(ada)], "it moves at its renewal");
    assert_eq!((moved.who(), moved.pointer()), (Ok(ada), None));

    let bob = site.sign_in("bob");
    assert_eq!((site.who(), site.accounts()), (Ok(bob), vec![bob, ada]));
    site.switch(ada);
    assert_eq!(site.who(), Ok(ada), "from where it is");
    site.now += 10;
    site.who().unwrap();
    assert!(!site.browser.cookies.contains_key(COOKIE));
    assert_eq!((site.who(), site.accounts()), (Ok(ada), vec![ada, bob]));
    site.switch(bob);
    let (out, _) = site.post(|jar| jar.sign_out_session(ada));
    assert_eq!((out.unwrap().id(), site.who()), (ada, Ok(bob)));
}

#[test]
fn a_session_that_has_not_moved_can_be_signed_out_by_id() {
    let mut site = Site::with(|builder| builder.multi_session(false));
    let ada = site.sign_in("ada");
    site.turn(true);
    let bob = site.sign_in("bob");
    let (out, written) = site.post(|jar| jar.sign_out_session(ada));
    assert_eq!((out.unwrap().id(), written), (ada, vec![format!("-{COOKIE}")]));
    assert_eq!((site.who(), site.accounts()), (Ok(bob), vec![bob]));
}

#[test]
fn turning_it_off_serves_the_pointers_session() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    site.switch(ada);
    site.turn(false);
    let (who, written) = site.act(get("/"), served);
    assert_eq!((who, written.len()), (Ok(ada), 0));
    site.now += 10;
    let (who, written) = site.act(get("/"), served);
    assert_eq!((who, written), (Ok(ada), vec![format!("-{}", slot(ada)), COOKIE.to_owned()]));
    assert!(site.browser.cookies.contains_key(&slot(bob)), "others are ignored");
    let outcome = site.try_sign_in("cyd", user("cyd")).unwrap();
    assert_eq!(site.names(), [COOKIE], "until somebody signs in");
    assert_eq!(site.who(), Ok(outcome.session_id));
}

#[test]
fn turning_it_off_serves_the_only_session_and_else_nobody() {
    for pointer in [Some("none"), Some(SID_B), None] {
        let mut site = Site::new();
        let ada = site.sign_in("ada");
        let bob = site.sign_in("bob");
        match pointer {
            Some(pointer) => site.put(POINTER, pointer),
            None => drop(site.browser.cookies.remove(POINTER)),
        }
        site.turn(false);
        assert_eq!(site.who(), SIGNED_OUT, "two, and none of them chosen: {pointer:?}");
        let mut one =
            Site { engine: site.engine.clone(), browser: site.browser.clone(), ..Site::new() };
        one.browser.cookies.remove(&slot(ada));
        assert_eq!(one.who(), Ok(bob), "{pointer:?}");
        site.post(|jar| jar.sign_out());
        assert_eq!(site.names(), [""; 0], "{pointer:?}");
    }
}

#[test]
fn the_least_recently_active_one_makes_room() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(3));
    let ada = site.sign_in("ada");
    site.now += 1;
    let bob = site.sign_in("bob");
    site.now += 1;
    let cyd = site.sign_in("cyd");
    site.now += 10;
    assert_eq!(site.who_named(ada.as_str()), Ok(ada), "renewed");
    let copy = site.token(bob);
    site.events.take();
    let outcome = site.try_sign_in("dee", user("dee")).unwrap();
    assert_eq!((outcome.replaced, outcome.made_room), (None, vec![bob]));
    let told = site.events.take();
    let is_bobs = |event: &SessionEvent| matches!(event, SessionEvent::MadeRoom { session, .. } if session.id() == bob);
    assert_eq!(told.iter().filter(|event| is_bobs(event)).count(), 1, "{told:?}");
    assert_eq!(site.accounts().len(), 3);
    assert!(site.accounts().contains(&cyd));
    site.put(&slot(bob), &copy);
    assert_eq!(site.who_named(bob.as_str()), MISMATCH, "a copy is dead");
}

#[test]
fn whom_the_request_acts_as_is_the_last_to_make_room() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    let ada = site.sign_in("ada");
    site.now += 1;
    let bob = site.sign_in("bob");
    site.switch(ada);
    let outcome = site.try_sign_in("cyd", user("cyd")).unwrap();
    assert_eq!(outcome.made_room, [bob]);
    assert_eq!(site.who_named(ada.as_str()), Ok(ada));
}

#[test]
fn the_limit_can_refuse_instead() {
    let mut site = Site::with(|builder| {
        builder.max_sessions_per_browser(2).account_limit_policy(AccountLimitPolicy::Refuse)
    });
    site.sign_in("ada");
    let bob = site.sign_in("bob");
    let before = site.browser.cookies.clone();
    let refused = site.try_sign_in("cyd", user("cyd"));
    assert_eq!(refused, Err(SignInError::TooManyAccounts { most: 2 }));
    assert_eq!((site.who(), &site.browser.cookies), (Ok(bob), &before), "nothing has changed");
    let again = site.try_sign_in("ada", user("ada")).unwrap();
    assert!(again.replaced.is_some(), "no account more");
}

#[test]
fn five_accounts_with_large_claims_stay_within_the_budget() {
    let mut site = Site::with(|builder| builder.cookie_budget(8_000));
    for name in ["ada", "bob", "cyd", "dee", "eve"] {
        site.try_sign_in(name, user(&"x".repeat(800))).unwrap();
        site.now += 1;
    }
    assert_eq!(site.accounts().len(), 5);
    assert!(site.browser.cookie_header().unwrap().len() <= 8_000);
    let outcome = site.try_sign_in("ada", user(&"x".repeat(2_000))).unwrap();
    assert!(outcome.replaced.is_some());
    assert_eq!(outcome.made_room.len(), 1, "one of four goes for a larger one");
    assert!(site.browser.cookie_header().unwrap().len() <= 8_000);
    assert_eq!(site.accounts().len(), 4);
    assert_eq!(site.who(), Ok(outcome.session_id));
    assert_eq!(site.post(|jar| jar.sign_out_all()).0.len(), 4);
}

#[test]
fn the_budget_counts_every_byte_and_can_refuse() {
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
fn the_largest_token_pushes_out_the_others_and_is_signed_in() {
    let mut site = Site::new();
    site.sign_in("ada");
    let bob = site.try_sign_in("bob", user(&"x".repeat(2_750))).unwrap();
    let cyd = site.try_sign_in("cyd", user(&"x".repeat(2_750))).unwrap();
    assert!(cyd.made_room.contains(&bob.session_id));
    assert!(site.browser.cookie_header().unwrap().len() <= 7_000);
    assert_eq!(site.who(), Ok(cyd.session_id));
}

#[test]
fn a_renewal_over_the_budget_keeps_the_old_claims() {
    let mut site = Site::with(|builder| builder.cookie_budget(4_200));
    site.try_sign_in("ada", user(&"x".repeat(1_000))).unwrap();
    site.now += 1;
    let bob = site.try_sign_in("bob", user("bob")).unwrap().session_id;
    assert_eq!(site.accounts().len(), 2);
    site.events.take();
    let _ = site.post(|jar| jar.update_claims(user(&"x".repeat(2_500))));
    let length = site.browser.cookie_header().unwrap().len();
    assert!(length <= 4_200, "{length} bytes of cookies");
    assert_eq!(site.who(), Ok(bob));
}

#[test]
fn expired_accounts_are_removed_quietly() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    site.now += 50;
    let bob = site.sign_in("bob");
    site.now += 50;
    site.events.take();
    let (accounts, written) = site.act(get("/"), |jar| jar.accounts().len());
    assert_eq!((accounts, written.len()), (1, 2));
    assert!(written.contains(&format!("-{}", slot(ada))));
    assert_eq!(site.events.take_names(), ["Expired", "Renewed"]);
    assert_eq!(site.who(), Ok(bob));
    site.now += 100;
    assert_eq!(site.who(), SIGNED_OUT);
    assert_eq!(site.names(), [POINTER]);
}

#[test]
fn others_are_verified_only_when_asked_for() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let bob = site.sign_in("bob");
    site.put(&slot(SID_A.parse().unwrap()), "a.b.c");
    site.events.take();
    site.who().unwrap();
    site.who_named(ada.as_str()).unwrap();
    assert_eq!(site.events.take(), [], "a plain request");
    assert_eq!((site.accounts(), site.rejections()), (vec![bob, ada], 1));
    assert_eq!(site.post(|jar| jar.switch_to(ada).is_ok()), (true, vec![POINTER.to_owned()]));
    assert_eq!(site.rejections(), 1);
    site.post(|jar| jar.sign_out_all());
    assert_eq!(site.rejections(), 1, "once");
}

#[test]
fn at_most_twice_as_many_cookies_as_accounts_are_looked_at() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    for index in 0..9 {
        let id = SID_A.replacen('A', &index.to_string(), 1);
        site.put(&format!("{COOKIE}.{id}"), &format!("a.b.{index}"));
    }
    site.accounts();
    let reasons = site.events.take();
    let tokens = |event: &&SessionEvent| {
        matches!(event, SessionEvent::Rejected { reason: RejectReason::Token(_), .. })
    };
    assert_eq!(reasons.iter().filter(tokens).count(), 4, "{reasons:?}");
}

#[test]
fn a_name_of_another_shape_is_none_of_ours() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let token = site.token(ada);
    for suffix in [".", ".x", &format!(".{ada}."), &format!(".{ada}x"), &format!("..{ada}")] {
        site.put(&format!("{COOKIE}{suffix}"), &token);
    }
    site.events.take();
    let (all, written) = site.post(|jar| jar.sign_out_all());
    assert_eq!((all.len(), written.len(), site.rejections()), (1, 2, 0));
    assert_eq!(site.names().len(), 5 + 1, "somebody else's, and the pointer");
}

#[test]
fn a_renewal_in_flight_undoes_no_switch() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    site.now += 10;
    let slow = site.open(get("/"));
    site.switch(ada);
    let late = site.close(&slow);
    assert_eq!(written(&late), [slot(bob)]);
    site.browser.store(&late);
    assert_eq!((site.who(), site.who_named(bob.as_str())), (Ok(ada), Ok(bob)));
}

#[test]
fn a_renewal_in_flight_undoes_no_sign_out() {
    let mut site = Site::new();
    let (ada, bob) = (site.sign_in("ada"), site.sign_in("bob"));
    site.now += 10;
    let (slow, slower) = (site.open(get("/")), site.open(get("/")));
    let on_the_wire = site.close(&slow);
    site.post(|jar| jar.sign_out());
    assert_eq!(written(&site.close(&slower)), [""; 0], "dropped");
    site.browser.store(&on_the_wire);
    assert!(site.browser.cookies.contains_key(&slot(bob)), "a zombie");
    let (who, written) = site.act(get("/"), served);
    assert_eq!((who, written), (CHOOSE, vec![format!("-{}", slot(bob))]), "gone on first use");
    assert_eq!((site.accounts(), site.pointer()), (vec![ada], Some("none".into())));
}

#[test]
fn two_sign_ins_at_once_both_survive() {
    let mut site = Site::new();
    let (first, second) = (site.open(post("/", "")), site.open(post("/", "")));
    let sign_in = |jar: &Jar, name| jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
    let (ada, bob) = (sign_in(&first, "ada").session_id, sign_in(&second, "bob").session_id);
    let (first, second) = (site.close(&first), site.close(&second));
    site.browser.store(&second);
    site.browser.store(&first);
    assert_eq!((site.who(), site.accounts()), (Ok(ada), vec![ada, bob]), "the last one delivered");
}

#[test]
fn what_one_request_does_in_turn_adds_up() {
    let sign_in = |jar: &Jar, name| jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
    let start = || {
        let mut site = Site::new();
        let ids = (site.sign_in("ada"), site.sign_in("bob"));
        (site, ids)
    };
    let (mut site, (ada, bob)) = start();
    site.post(|jar| (jar.switch_to(ada).unwrap(), jar.sign_out().unwrap()));
    assert_eq!((site.who(), site.accounts()), (CHOOSE, vec![bob]), "switched, then signed out");

    let (mut site, (ada, _)) = start();
    let (cyd, _) = site.post(|jar| (jar.sign_out(), sign_in(jar, "cyd")).1.session_id);
    assert_eq!((site.who(), site.accounts()), (Ok(cyd), vec![cyd, ada]), "out, then in");

    let (mut site, _) = start();
    let (cyd, _) = site.post(|jar| (jar.sign_out_all(), sign_in(jar, "cyd")).1.session_id);
    assert_eq!((site.who(), site.accounts()), (Ok(cyd), vec![cyd]), "all out, then in");

    let (mut site, (ada, bob)) = start();
    site.post(|jar| (sign_in(jar, "cyd"), jar.sign_out()));
    assert_eq!((site.who(), site.accounts()), (Ok(bob), vec![bob, ada]), "taken back");

    let (mut site, (ada, bob)) = start();
    let (cyd, _) = site.post(|jar| (sign_in(jar, "cyd"), jar.sign_out_session(ada)).0.session_id);
    assert_eq!((site.who(), site.accounts()), (Ok(cyd), vec![cyd, bob]), "in, and another out");

    let (mut site, (_, bob)) = start();
    site.post(|jar| (jar.sign_out(), jar.switch_to(bob).unwrap_err()));
    assert_eq!(site.who(), CHOOSE, "no way back to what is over");
}

#[test]
fn the_settings_have_bounds() {
    let build = |change: fn(SessionEngineBuilder<User>) -> SessionEngineBuilder<User>| {
        let built = change(engine_builder().0.multi_session(true)).build();
        built.err().map(|error| error.problems()[0].field().to_owned())
    };
    let field = |name: &str| Some(name.to_owned());
    assert_eq!(build(|b| b.max_sessions_per_browser(0)), field("max_sessions_per_browser"));
    assert_eq!(build(|b| b.max_sessions_per_browser(21)), field("max_sessions_per_browser"));
    assert_eq!(build(|b| b.cookie_budget(4_199)), field("cookie_budget"));
    assert_eq!(build(|b| b.named_by_query("a b")), field("named_by_query"));
    assert_eq!(build(|b| b.cookie(CookieConfig::new("a.b"))), field("cookie.name"));
    assert_eq!(build(|b| b.max_sessions_per_browser(1)), None);
}

#[test]
fn one_account_at_most_is_a_replacement() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(1));
    let ada = site.sign_in("ada");
    let outcome = site.try_sign_in("bob", user("bob")).unwrap();
    assert_eq!((outcome.replaced, outcome.made_room), (None, vec![ada]));
    assert_eq!(site.accounts(), [outcome.session_id]);
}

#[test]
fn signing_out_all_takes_every_cookie_however_many() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    site.sign_in("ada");
    for index in 0..9 {
        let id = SID_A.replacen('A', &index.to_string(), 1);
        site.put(&format!("{COOKIE}.{id}"), &format!("a.b.{index}"));
    }
    site.post(|jar| jar.sign_out_all());
    assert_eq!(site.names(), [POINTER]);
}

#[test]
fn whom_the_browser_names_is_looked_at_whatever_else_there_is() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(2));
    let ada = site.sign_in("ada");
    // Of keys that are no longer known, for one: such cookies are never removed.
    for index in 0..4 {
        let id = SID_A.replacen("AA", &format!("-{index}"), 1);
        site.put(&format!("{COOKIE}.{id}"), &format!("a.b.{index}"));
    }
    assert_eq!((site.who_named(ada.as_str()), site.who()), (Ok(ada), Ok(ada)));
}

#[test]
fn an_end_is_told_once() {
    let mut site = Site::with(|builder| builder.max_sessions_per_browser(1));
    let ada = site.sign_in("ada");
    site.events.take();
    site.post(|jar| {
        jar.sign_in(SignIn::new(subject("bob"), user("bob"))).unwrap();
        jar.sign_out_session(ada)
    });
    assert_eq!(site.events.take_names(), ["SignedOut", "SignedIn"]);
}

#[test]
fn the_accounts_after_a_sign_in_have_the_new_one() {
    let mut site = Site::new();
    site.sign_in("ada");
    let ((session, active), _) = site.post(|jar| {
        jar.sign_in(SignIn::new(subject("bob"), user("bob"))).unwrap();
        let active = jar.accounts().iter().find(|account| account.active).map(|a| a.session_id);
        (jar.session().map(|session| session.id()), active)
    });
    assert_eq!(active, session);
}

#[test]
fn a_slow_sign_out_promotes_nobody() {
    let mut site = Site::new();
    let ada = site.sign_in("ada");
    let slow = site.open(post("/", ""));
    let bob = site.sign_in("bob");
    site.switch(ada);
    site.post(|jar| jar.sign_out());
    assert_eq!(site.who(), CHOOSE);
    slow.sign_out();
    let late = site.close(&slow);
    site.browser.store(&late);
    assert_eq!(site.who(), CHOOSE, "nobody chose {bob}");
}

#[test]
fn the_largest_token_survives_that_several_accounts_are_turned_on() {
    let mut site = Site::with(|builder| builder.multi_session(false));
    let largest = (2_000..3_100)
        .rev()
        .find(|length| site.try_sign_in("ada", user(&"x".repeat(*length))).is_ok());
    assert!(largest.is_some());
    site.turn(true);
    let ada = site.who().unwrap();
    for _ in 0..4 {
        site.now += 40;
        assert_eq!(site.who(), Ok(ada), "active all the time");
    }
}

#[test]
fn switching_to_claims_that_do_not_decode_signs_nobody_in() {
    let mut site = Site::new();
    let other = SessionEngine::<()>::builder(KeyRing::new(key("k1"))).multi_session(true);
    let now = Timestamp::from_unix_seconds(START);
    let cookie = cookie_of(&other.build().unwrap(), SignIn::new(subject("bob"), ()), now).unwrap();
    let (name, value) = cookie.to_str().unwrap().split_once('=').unwrap();
    let bob = name.strip_prefix("__Host-session.").unwrap().parse().unwrap();
    site.sign_in("ada");
    site.put(name, value);
    let ((kind, session), _) = site.post(|jar| {
        let _ = jar.switch_to(bob);
        (jar.status().kind(), jar.session().is_some())
    });
    assert_eq!(kind == SessionStatusKind::SignedIn, session);
}

#[tokio::test]

async fn a_response_varies_by_the_header_that_names_the_session() {
    let (builder, _) = engine_builder();
    let (layer, _) = layer_on(builder.multi_session(true));
    let mut browser = Browser::signed_in(&layer, SignIn::new(subject("ada"), user("ada")));
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        let session = request.extensions().get::<Session<User>>().unwrap();
        let response = Response::builder().header("cache-control", "private, max-age=60");
        Ok::<_, Infallible>(response.body(Full::<Bytes>::from(session.id().to_string())).unwrap())
    }));
    let answer = browser.send(&service, get("/")).await;
    let vary = answer.header("vary").to_ascii_lowercase();
    assert!(vary.contains("session-id"), "two tabs send the same cookies: {vary}");
}

#[test]
fn the_application_says_what_accounts_are_called() {
    let label = |user: &User| (format!("Dr {}", user.name), Some("staff".to_owned()));
    for (mut site, label, detail) in [
        (Site::new(), "ada", None),
        (Site::with(|builder| builder.account_label(label)), "Dr ada", Some("staff".to_owned())),
    ] {
        site.sign_in("ada");
        let (accounts, _) = site.post(|jar| jar.accounts());
        assert_eq!((accounts[0].label.as_str(), &accounts[0].detail), (label, &detail));
    }
}
