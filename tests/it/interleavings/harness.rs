//! A server and a browser whose requests overlap in the order that a test chooses: they run on several
//! threads and are held by channels and barriers, never by time.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::Full;
use tokio::{
    sync::{Barrier, Mutex, oneshot},
    task::JoinHandle,
};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{
    SessionId, SessionJar, SessionLayer, SessionStatus, SignIn,
    engine::{SessionEngineBuilder, SessionStatusKind},
    event::SessionEvent,
    testing::ManualClock,
};

use crate::support::{
    Browser, COOKIE, Events, START, User, engine_builder, layer_on, post, seconds, subject, user,
};

type Jar = SessionJar<User>;

pub(super) const ACTIVE_COOKIE: &str = "__Host-session.active";

/// What the handler of a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    ReadSession,
    SignIn(&'static str),
    Switch(SessionId),
    SignOut,
    SignOutOf(SessionId),
    SignOutAll,
}

impl Action {
    fn run(self, jar: &Jar) {
        match self {
            Self::ReadSession => drop(jar.session()),
            Self::SignIn(name) => {
                jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
            }
            Self::Switch(id) => drop(jar.switch_to(id)),
            Self::SignOut => drop(jar.sign_out()),
            Self::SignOutOf(id) => drop(jar.sign_out_session(id)),
            Self::SignOutAll => drop(jar.sign_out_all()),
        }
    }
}

/// A request of a tab, with or without a `session-id` header.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlannedRequest {
    pub(super) session_header: Option<SessionId>,
    pub(super) action: Action,
}

pub(super) const fn without_header(action: Action) -> PlannedRequest {
    PlannedRequest { session_header: None, action }
}

pub(super) const fn with_header(id: SessionId, action: Action) -> PlannedRequest {
    PlannedRequest { session_header: Some(id), action }
}

/// A request that has been opened and is held before its handler runs, and again before its response is
/// closed.
pub(super) struct OpenRequest {
    may_run: oneshot::Sender<Option<Arc<Barrier>>>,
    has_run: oneshot::Receiver<()>,
    may_close: oneshot::Sender<()>,
    response: JoinHandle<HeaderMap>,
}

/// The handler's side of an [`OpenRequest`].
struct HandlerControl {
    action: Action,
    is_open: oneshot::Sender<()>,
    may_run: oneshot::Receiver<Option<Arc<Barrier>>>,
    has_run: oneshot::Sender<()>,
    may_close: oneshot::Receiver<()>,
}

type SharedControl = Arc<Mutex<Option<HandlerControl>>>;

async fn handler(mut request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let shared: SharedControl = request.extensions_mut().remove().unwrap();
    let control = shared.lock().await.take().unwrap();
    let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
    control.is_open.send(()).ok();
    match control.may_run.await.unwrap() {
        // All handlers at once, and without a stop before the response.
        Some(barrier) => {
            barrier.wait().await;
            control.action.run(&jar);
        }
        None => {
            control.action.run(&jar);
            control.has_run.send(()).ok();
            control.may_close.await.unwrap();
        }
    }
    Ok(Response::new(Full::default()))
}

pub(super) struct Server {
    pub(super) layer: SessionLayer<User>,
    pub(super) clock: ManualClock,
    events: Events,
    pub(super) revoked: BTreeSet<SessionId>,
    /// Every session that was ever started, and its subject.
    pub(super) subjects: BTreeMap<SessionId, String>,
    now: u64,
}

impl Server {
    pub(super) fn new(
        change: impl FnOnce(SessionEngineBuilder<User>) -> SessionEngineBuilder<User>,
    ) -> Self {
        let (builder, events) = engine_builder();
        let (layer, clock) = layer_on(change(builder.multi_session(true)));
        let (revoked, subjects) = (BTreeSet::new(), BTreeMap::new());
        Self { layer, clock, events, revoked, subjects, now: START }
    }

    pub(super) fn wait(&mut self, pause: u64) {
        self.clock.advance(seconds(pause));
        self.now += pause;
    }

    /// Opens a request with the current cookies of `browser`.
    pub(super) async fn send(&self, browser: &Browser, plan: PlannedRequest) -> OpenRequest {
        let (is_open, opened) = oneshot::channel();
        let (may_run, acts) = oneshot::channel();
        let (ran, has_run) = oneshot::channel();
        let (may_close, closes) = oneshot::channel();
        let control = HandlerControl {
            action: plan.action,
            is_open,
            may_run: acts,
            has_run: ran,
            may_close: closes,
        };
        let mut request = request(browser, plan.session_header);
        request.extensions_mut().insert::<SharedControl>(Arc::new(Mutex::new(Some(control))));
        let service = self.layer.layer(service_fn(handler));
        let response =
            tokio::spawn(
                async move { service.oneshot(request).await.unwrap().into_parts().0.headers },
            );
        opened.await.unwrap();
        OpenRequest { may_run, has_run, may_close, response }
    }

    /// Sends a request and stores its response.
    pub(super) async fn complete(&mut self, browser: &mut Browser, plan: PlannedRequest) {
        let mut open_request = Some(self.send(browser, plan).await);
        let ran = run(open_request.take().unwrap()).await;
        browser.store(&close(ran).await);
        self.apply_events();
    }

    /// Signs in and returns the new session's id.
    pub(super) async fn sign_in(&mut self, browser: &mut Browser, name: &'static str) -> SessionId {
        self.complete(browser, without_header(Action::SignIn(name))).await;
        browser.cookies[ACTIVE_COOKIE].parse().unwrap()
    }

    /// Applies the engine's events: started and revoked sessions.
    pub(super) fn apply_events(&mut self) {
        for event in self.events.take() {
            match event {
                SessionEvent::SignedIn { session, .. } => {
                    self.subjects.insert(session.id(), session.subject().to_string());
                }
                SessionEvent::SignedOut { session, .. }
                | SessionEvent::Replaced { session, .. }
                | SessionEvent::Evicted { session, .. } => {
                    self.revoked.insert(session.id());
                }
                _ => {}
            }
        }
    }

    /// The session that a request gets, or the status without one.
    pub(super) fn session_of(
        &self,
        browser: &Browser,
        session_header: Option<SessionId>,
    ) -> Result<SessionId, SessionStatusKind> {
        let now = tower_auth_session::time::Timestamp::from_unix_seconds(self.now);
        let jar = self.layer.engine().open(&request(browser, session_header), now);
        jar.session().map(|session| session.id()).ok_or_else(|| jar.status().kind())
    }

    pub(super) fn accounts(&self, browser: &Browser) -> BTreeSet<SessionId> {
        let now = tower_auth_session::time::Timestamp::from_unix_seconds(self.now);
        let jar = self.layer.engine().open(&request(browser, None), now);
        jar.accounts().iter().map(|account| account.session_id).collect()
    }

    /// The distinct subjects of these sessions.
    pub(super) fn distinct_subjects(&self, sessions: &BTreeSet<SessionId>) -> BTreeSet<&str> {
        sessions.iter().map(|id| &*self.subjects[id]).collect()
    }

    /// Checks what must hold whichever responses were delivered.
    pub(super) fn check(&self, browser: &Browser, active: Option<&str>) {
        let sent: BTreeSet<SessionId> = session_cookies(browser).collect();
        for id in &sent {
            let session_of = self.session_of(browser, Some(*id));
            if self.revoked.contains(id) {
                assert_eq!(session_of, Err(SessionStatusKind::SessionMismatch), "{id} is revoked");
            } else {
                assert_eq!(session_of, Ok(*id), "{id} is valid");
            }
        }
        let valid: BTreeSet<_> = sent.difference(&self.revoked).copied().collect();
        assert_eq!(
            browser.cookies.get(ACTIVE_COOKIE).map(String::as_str),
            active,
            "the last one delivered"
        );
        let active_session = active.and_then(|id| id.parse().ok()).filter(|id| valid.contains(id));
        let without_session = match valid.is_empty() {
            true => SessionStatusKind::SignedOut,
            false => SessionStatusKind::AccountSelectionRequired,
        };
        assert_eq!(
            self.session_of(browser, None),
            active_session.ok_or(without_session),
            "no other account becomes active"
        );
        let (accounts, distinct_subjects) =
            (self.accounts(browser), self.distinct_subjects(&valid));
        assert!(accounts.is_subset(&valid));
        assert_eq!(
            (self.distinct_subjects(&accounts), accounts.len()),
            (distinct_subjects.clone(), distinct_subjects.len())
        );
        // The cookie of a revoked session is removed when it is first presented.
        for id in sent.intersection(&self.revoked) {
            let mut after = browser.clone();
            let now = tower_auth_session::time::Timestamp::from_unix_seconds(self.now);
            // A page that is fetched ahead does not apply the browser's limits: the next check sees the
            // same sessions.
            let mut request = request(&after, Some(*id));
            request.headers_mut().insert("sec-purpose", "prefetch".parse().unwrap());
            let jar = self.layer.engine().open(&request, now);
            let mut response = Response::new(());
            self.layer.engine().close(&jar, &mut response, now).unwrap();
            after.store(response.headers());
            assert!(!session_cookies(&after).any(|left| left == *id), "{id} is still there");
        }
        self.events.take();
    }
}

/// Runs the handler of a request, and holds it before its response.
pub(super) async fn run(open_request: OpenRequest) -> CompletedHandler {
    let OpenRequest { may_run, has_run, may_close, response } = open_request;
    may_run.send(None).unwrap();
    has_run.await.unwrap();
    CompletedHandler { may_close, response }
}

pub(super) struct CompletedHandler {
    may_close: oneshot::Sender<()>,
    response: JoinHandle<HeaderMap>,
}

pub(super) async fn close(ran: CompletedHandler) -> HeaderMap {
    ran.may_close.send(()).unwrap();
    ran.response.await.unwrap()
}

/// Runs the handlers of all requests at once and returns their responses.
pub(super) async fn at_once(open_requests: Vec<OpenRequest>) -> Vec<HeaderMap> {
    let barrier = Arc::new(Barrier::new(open_requests.len()));
    let mut responses = Vec::new();
    for open_request in open_requests {
        open_request.may_run.send(Some(Arc::clone(&barrier))).unwrap();
        responses.push(open_request.response);
    }
    let mut headers = Vec::new();
    for response in responses {
        headers.push(response.await.unwrap());
    }
    headers
}

fn request(browser: &Browser, session_header: Option<SessionId>) -> Request<Full<Bytes>> {
    let mut request = post("/", "");
    if let Some(cookies) = browser.cookie_header() {
        request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
    }
    if let Some(id) = session_header {
        request.headers_mut().insert("session-id", id.as_str().parse().unwrap());
    }
    request
}

/// The sessions of the browser's cookies.
pub(super) fn session_cookies(browser: &Browser) -> impl Iterator<Item = SessionId> {
    let prefix = format!("{COOKIE}.");
    browser.cookies.keys().filter_map(move |name| name.strip_prefix(&prefix)?.parse().ok())
}

/// The value of the active-account cookie that a response sets.
pub(super) fn active_cookie_of(headers: &HeaderMap) -> Option<String> {
    headers.get_all(header::SET_COOKIE).iter().find_map(|set| {
        let (name, rest) = set.to_str().unwrap().split_once('=')?;
        (name == ACTIVE_COOKIE).then(|| rest.split(';').next().unwrap().to_owned())
    })
}
