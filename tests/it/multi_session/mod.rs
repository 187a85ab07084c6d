//! Several accounts in one browser, rule by rule.

mod concurrent;
mod enable_disable;
mod forged_cookies;
mod limits;
mod session_header;
mod sign_out;
mod switching;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::Full;
use tower_auth_session::{
    SeededRandom, SessionEngine, SessionEvent, SessionId, SessionJar, SessionStatusKind, SignIn,
    SignInError, SignInOutcome, Timestamp, engine::SessionEngineBuilder,
};

use crate::support::{
    Browser, COOKIE, Events, START, User, engine_builder, get, post, subject, user,
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
    fn run_handler<T>(
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
        self.run_handler(post("/", ""), act)
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
        self.run_handler(request, served).0
    }

    fn who_named(&mut self, id: &str) -> Result<SessionId, SessionStatusKind> {
        self.who_at(naming(&[id]))
    }

    fn accounts(&mut self) -> Vec<SessionId> {
        self.run_handler(get("/"), |jar| {
            jar.accounts().iter().map(|found| found.session_id).collect()
        })
        .0
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
        let is_rejection =
            |event: &SessionEvent| matches!(event, SessionEvent::CredentialRejected { .. });
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

const CHOOSE: Result<SessionId, SessionStatusKind> =
    Err(SessionStatusKind::AccountSelectionRequired);
const MISMATCH: Result<SessionId, SessionStatusKind> = Err(SessionStatusKind::SessionMismatch);
const SIGNED_OUT: Result<SessionId, SessionStatusKind> = Err(SessionStatusKind::SignedOut);
