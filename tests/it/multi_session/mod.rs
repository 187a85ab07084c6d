//! The rules for several accounts in one browser.

mod concurrent;
mod enable_disable;
mod forged_cookies;
mod limits;
mod limits_later;
mod session_header;
mod sign_out;
mod switching;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::Full;
use tower_auth_session::{
    SessionEngine, SessionId, SessionJar, SignIn,
    engine::{SessionEngineBuilder, SessionStatusKind, SignInOutcome},
    error::SignInError,
    event::SessionEvent,
    testing::SeededRandom,
    time::Timestamp,
};

use crate::support::{
    Browser, COOKIE, Events, START, User, engine_builder, get, post, subject, user,
};

type Jar = SessionJar<User>;
const ACTIVE_COOKIE: &str = "__Host-session.active";

/// An engine and one browser.
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

    /// Restarts the service with multi-session enabled or disabled.
    fn restart_with_multi_session(&mut self, enabled: bool) {
        let (builder, events) = engine_builder();
        let random = SeededRandom::new(self.now + u64::from(enabled));
        self.engine = builder.random(random).multi_session(enabled).build().unwrap();
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

    /// Sends one request whose handler is `handler`; returns its result, and the cookies that were set or
    /// removed.
    fn run_handler<T>(
        &mut self,
        request: Request<Full<Bytes>>,
        handler: impl FnOnce(&Jar) -> T,
    ) -> (T, Vec<String>) {
        let jar = self.open(request);
        let result = handler(&jar);
        let headers = self.close(&jar);
        self.browser.store(&headers);
        (result, cookie_changes(&headers))
    }

    fn post<T>(&mut self, handler: impl FnOnce(&Jar) -> T) -> (T, Vec<String>) {
        self.run_handler(post("/", ""), handler)
    }

    fn try_sign_in(&mut self, name: &str, claims: User) -> Result<SignInOutcome, SignInError> {
        self.post(|jar| jar.sign_in(SignIn::new(subject(name), claims))).0
    }

    fn sign_in(&mut self, name: &str) -> SessionId {
        self.try_sign_in(name, user(name)).unwrap().session_id
    }

    fn switch(&mut self, id: SessionId) -> Vec<String> {
        let (switched, cookie_changes) = self.post(|jar| jar.switch_to(id));
        assert_eq!(switched.unwrap().id(), id);
        cookie_changes
    }

    /// The session of a request without a `session-id` header.
    fn current_session(&mut self) -> Result<SessionId, SessionStatusKind> {
        self.session_for(get("/"))
    }

    fn session_for(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<SessionId, SessionStatusKind> {
        self.run_handler(request, session_of).0
    }

    fn session_with_header(&mut self, id: &str) -> Result<SessionId, SessionStatusKind> {
        self.session_for(with_session_header(&[id]))
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

    fn active_cookie(&self) -> Option<String> {
        self.browser.cookies.get(ACTIVE_COOKIE).cloned()
    }

    fn token(&self, id: SessionId) -> String {
        self.browser.cookies[&cookie_name(id)].clone()
    }

    fn put(&mut self, name: &str, value: &str) {
        self.browser.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// The number of cookies that were rejected since the last call.
    fn rejections(&self) -> usize {
        let is_rejection =
            |event: &SessionEvent| matches!(event, SessionEvent::CredentialRejected { .. });
        self.events.take().iter().filter(|event| is_rejection(event)).count()
    }
}

fn session_of(jar: &Jar) -> Result<SessionId, SessionStatusKind> {
    jar.session().map(|session| session.id()).ok_or_else(|| jar.status().kind())
}

fn cookie_name(id: SessionId) -> String {
    format!("{COOKIE}.{id}")
}

/// The cookies of a response by name, removals with a `-`.
fn cookie_changes(headers: &HeaderMap) -> Vec<String> {
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

fn with_session_header(ids: &[&str]) -> Request<Full<Bytes>> {
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

impl Site {
    /// Signs in with a request that carries no cookies, as a cross-site callback does.
    fn sign_in_without_cookies(&mut self, name: &str) -> SessionId {
        let cookies = std::mem::take(&mut self.browser.cookies);
        let id = self.sign_in(name);
        let set = std::mem::replace(&mut self.browser.cookies, cookies);
        self.browser.cookies.extend(set);
        id
    }

    /// Whether the service accepts a copy of this cookie.
    fn accepts(&mut self, id: SessionId, token: &str) -> bool {
        let mut request = get("/");
        let cookie = format!("{}={token}", cookie_name(id));
        request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        let jar = self.engine.open(&request, Timestamp::from_unix_seconds(self.now));
        jar.session().is_some()
    }
}
