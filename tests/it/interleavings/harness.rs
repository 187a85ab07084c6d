//! A server and a browser whose requests overlap as a test says: on threads of their own, held by
//! channels and barriers. Nothing here waits for time to pass.

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
    ManualClock, SessionEvent, SessionId, SessionJar, SessionLayer, SessionStatus,
    SessionStatusKind, SignIn, engine::SessionEngineBuilder,
};

use crate::support::{
    Browser, COOKIE, Events, START, User, engine_builder, layer_on, post, seconds, subject, user,
};

type Jar = SessionJar<User>;

pub(super) const POINTER: &str = "__Host-session.active";

/// What a handler does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Look,
    SignIn(&'static str),
    Switch(SessionId),
    SignOut,
    SignOutOf(SessionId),
    SignOutAll,
}

impl Verb {
    fn act(self, jar: &Jar) {
        match self {
            Self::Look => drop(jar.session()),
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

/// Who sends a request: a tab that names its session, or one that does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) named: Option<SessionId>,
    pub(super) verb: Verb,
}

pub(super) const fn plain(verb: Verb) -> Plan {
    Plan { named: None, verb }
}

pub(super) const fn tab(id: SessionId, verb: Verb) -> Plan {
    Plan { named: Some(id), verb }
}

/// A request that has been opened and is held before it acts, and once more before its response is
/// closed.
pub(super) struct Flight {
    may_act: oneshot::Sender<Option<Arc<Barrier>>>,
    has_acted: oneshot::Receiver<()>,
    may_close: oneshot::Sender<()>,
    response: JoinHandle<HeaderMap>,
}

/// What the handler holds of a [`Flight`].
struct Desk {
    verb: Verb,
    is_open: oneshot::Sender<()>,
    may_act: oneshot::Receiver<Option<Arc<Barrier>>>,
    has_acted: oneshot::Sender<()>,
    may_close: oneshot::Receiver<()>,
}

type Held = Arc<Mutex<Option<Desk>>>;

async fn handler(mut request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let held: Held = request.extensions_mut().remove().unwrap();
    let desk = held.lock().await.take().unwrap();
    let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
    desk.is_open.send(()).ok();
    match desk.may_act.await.unwrap() {
        // All at once, and straight on to the response.
        Some(barrier) => {
            barrier.wait().await;
            desk.verb.act(&jar);
        }
        None => {
            desk.verb.act(&jar);
            desk.has_acted.send(()).ok();
            desk.may_close.await.unwrap();
        }
    }
    Ok(Response::new(Full::default()))
}

pub(super) struct World {
    pub(super) layer: SessionLayer<User>,
    pub(super) clock: ManualClock,
    events: Events,
    pub(super) ended: BTreeSet<SessionId>,
    /// Everybody who ever signed in, and as whom.
    pub(super) known: BTreeMap<SessionId, String>,
    now: u64,
}

impl World {
    pub(super) fn new(
        change: impl FnOnce(SessionEngineBuilder<User>) -> SessionEngineBuilder<User>,
    ) -> Self {
        let (builder, events) = engine_builder();
        let (layer, clock) = layer_on(change(builder.multi_session(true)));
        let (ended, known) = (BTreeSet::new(), BTreeMap::new());
        Self { layer, clock, events, ended, known, now: START }
    }

    pub(super) fn wait(&mut self, pause: u64) {
        self.clock.advance(seconds(pause));
        self.now += pause;
    }

    /// A request with the cookies that `browser` has now, opened.
    pub(super) async fn send(&self, browser: &Browser, plan: Plan) -> Flight {
        let (is_open, opened) = oneshot::channel();
        let (may_act, acts) = oneshot::channel();
        let (acted, has_acted) = oneshot::channel();
        let (may_close, closes) = oneshot::channel();
        let desk =
            Desk { verb: plan.verb, is_open, may_act: acts, has_acted: acted, may_close: closes };
        let mut request = request(browser, plan.named);
        request.extensions_mut().insert::<Held>(Arc::new(Mutex::new(Some(desk))));
        let service = self.layer.layer(service_fn(handler));
        let response =
            tokio::spawn(
                async move { service.oneshot(request).await.unwrap().into_parts().0.headers },
            );
        opened.await.unwrap();
        Flight { may_act, has_acted, may_close, response }
    }

    /// A request from beginning to end.
    pub(super) async fn whole(&mut self, browser: &mut Browser, plan: Plan) {
        let mut flight = Some(self.send(browser, plan).await);
        let acted = act(flight.take().unwrap()).await;
        browser.store(&close(acted).await);
        self.follow();
    }

    /// Signs in, and says as whom.
    pub(super) async fn sign_in(&mut self, browser: &mut Browser, name: &'static str) -> SessionId {
        self.whole(browser, plain(Verb::SignIn(name))).await;
        browser.cookies[POINTER].parse().unwrap()
    }

    /// Takes in what the engine told: who signed in, and who is over.
    pub(super) fn follow(&mut self) {
        for event in self.events.take() {
            match event {
                SessionEvent::SignedIn { session, .. } => {
                    self.known.insert(session.id(), session.subject().to_string());
                }
                SessionEvent::SignedOut { session, .. }
                | SessionEvent::Replaced { session, .. }
                | SessionEvent::Evicted { session, .. } => {
                    self.ended.insert(session.id());
                }
                _ => {}
            }
        }
    }

    /// Whom a request is served as.
    pub(super) fn served(
        &self,
        browser: &Browser,
        named: Option<SessionId>,
    ) -> Result<SessionId, SessionStatusKind> {
        let now = tower_auth_session::Timestamp::from_unix_seconds(self.now);
        let jar = self.layer.engine().open(&request(browser, named), now);
        jar.session().map(|session| session.id()).ok_or_else(|| jar.status().kind())
    }

    pub(super) fn accounts(&self, browser: &Browser) -> BTreeSet<SessionId> {
        let now = tower_auth_session::Timestamp::from_unix_seconds(self.now);
        let jar = self.layer.engine().open(&request(browser, None), now);
        jar.accounts().iter().map(|account| account.session_id).collect()
    }

    /// Whose sessions these are, each once.
    pub(super) fn people(&self, sessions: &BTreeSet<SessionId>) -> BTreeSet<&str> {
        sessions.iter().map(|id| &*self.known[id]).collect()
    }

    /// What holds whatever has been delivered and whatever not.
    pub(super) fn check(&self, browser: &Browser, pointer: Option<&str>) {
        let sent: BTreeSet<SessionId> = slots(browser).collect();
        for id in &sent {
            let served = self.served(browser, Some(*id));
            if self.ended.contains(id) {
                assert_eq!(served, Err(SessionStatusKind::SessionMismatch), "{id} is over");
            } else {
                assert_eq!(served, Ok(*id), "{id} lives");
            }
        }
        let live: BTreeSet<_> = sent.difference(&self.ended).copied().collect();
        assert_eq!(browser.cookies.get(POINTER).map(String::as_str), pointer, "the last one");
        let pointed = pointer.and_then(|id| id.parse().ok()).filter(|id| live.contains(id));
        let nobody = match live.is_empty() {
            true => SessionStatusKind::SignedOut,
            false => SessionStatusKind::AccountSelectionRequired,
        };
        assert_eq!(self.served(browser, None), pointed.ok_or(nobody), "nobody is promoted");
        let (accounts, people) = (self.accounts(browser), self.people(&live));
        assert!(accounts.is_subset(&live));
        assert_eq!((self.people(&accounts), accounts.len()), (people.clone(), people.len()));
        // A zombie is gone after its first use.
        for id in sent.intersection(&self.ended) {
            let mut after = browser.clone();
            let now = tower_auth_session::Timestamp::from_unix_seconds(self.now);
            let jar = self.layer.engine().open(&request(&after, Some(*id)), now);
            let mut response = Response::new(());
            self.layer.engine().close(&jar, &mut response, now).unwrap();
            after.store(response.headers());
            assert!(!slots(&after).any(|left| left == *id), "{id} stays");
        }
        self.events.take();
    }
}

/// Lets a flight act, and holds it before its response.
pub(super) async fn act(flight: Flight) -> Acted {
    let Flight { may_act, has_acted, may_close, response } = flight;
    may_act.send(None).unwrap();
    has_acted.await.unwrap();
    Acted { may_close, response }
}

pub(super) struct Acted {
    may_close: oneshot::Sender<()>,
    response: JoinHandle<HeaderMap>,
}

pub(super) async fn close(acted: Acted) -> HeaderMap {
    acted.may_close.send(()).unwrap();
    acted.response.await.unwrap()
}

/// Lets all of them act at once and run to their ends.
pub(super) async fn at_once(flights: Vec<Flight>) -> Vec<HeaderMap> {
    let barrier = Arc::new(Barrier::new(flights.len()));
    let mut answers = Vec::new();
    for flight in flights {
        flight.may_act.send(Some(Arc::clone(&barrier))).unwrap();
        answers.push(flight.response);
    }
    let mut headers = Vec::new();
    for response in answers {
        headers.push(response.await.unwrap());
    }
    headers
}

fn request(browser: &Browser, named: Option<SessionId>) -> Request<Full<Bytes>> {
    let mut request = post("/", "");
    if let Some(cookies) = browser.cookie_header() {
        request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
    }
    if let Some(id) = named {
        request.headers_mut().insert("session-id", id.as_str().parse().unwrap());
    }
    request
}

/// The sessions whose cookies the browser has.
pub(super) fn slots(browser: &Browser) -> impl Iterator<Item = SessionId> {
    let prefix = format!("{COOKIE}.");
    browser.cookies.keys().filter_map(move |name| name.strip_prefix(&prefix)?.parse().ok())
}

/// The pointer that a response writes.
pub(super) fn pointer_of(headers: &HeaderMap) -> Option<String> {
    headers.get_all(header::SET_COOKIE).iter().find_map(|set| {
        let (name, rest) = set.to_str().unwrap().split_once('=')?;
        (name == POINTER).then(|| rest.split(';').next().unwrap().to_owned())
    })
}
