//! The layer before a handler that waits for its orders, and its cookies as the model reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{
    Session, SessionId, SessionJar, SessionLayer, SessionStatus, SessionStatusKind, SignIn,
    SignInError, SignInOutcome,
};

use super::PEOPLE;
use crate::support::{COOKIE, User, post, subject, token_forge::payload, user};

/// What a handler is told to do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verb {
    Look,
    List,
    SignIn(usize),
    Switch(SessionId),
    SignOut,
    SignOutSession(SessionId),
    SignOutAll,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Said {
    Nothing,
    Accounts(Vec<SessionId>),
    SignedIn(Result<SignInOutcome, SignInError>),
    Switched(bool),
    SignedOut(Vec<SessionId>),
}

/// What the handler was given: the status, the session and whose name is in its claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) kind: SessionStatusKind,
    pub(super) session: Option<(SessionId, usize)>,
}

#[derive(Default)]
struct Desk {
    given: Option<Given>,
    verb: Option<Verb>,
    said: Option<Said>,
}

/// A request that has been opened and waits for its handler.
pub(super) struct Flight {
    desk: Arc<Mutex<Desk>>,
    response: Pin<Box<dyn Future<Output = HeaderMap>>>,
}

impl Flight {
    /// Opens a request.
    pub(super) fn open(
        layer: &SessionLayer<User>,
        cookies: Option<&str>,
        named: Option<SessionId>,
    ) -> (Self, Given) {
        let desk = Arc::<Mutex<Desk>>::default();
        let mut request = request(cookies, named);
        request.extensions_mut().insert(Arc::clone(&desk));
        let response = layer.layer(service_fn(app)).oneshot(request);
        let response = Box::pin(async { response.await.unwrap().into_parts().0.headers });
        let mut flight = Self { desk, response };
        assert!(flight.poll().is_pending());
        let given = flight.desk.lock().unwrap().given.take().unwrap();
        (flight, given)
    }

    /// Lets the handler act, and closes the response.
    pub(super) fn handle(mut self, verb: Verb) -> (Said, HeaderMap) {
        self.desk.lock().unwrap().verb = Some(verb);
        let Poll::Ready(headers) = self.poll() else { panic!("the handler waits") };
        let said = self.desk.lock().unwrap().said.take().unwrap();
        (said, headers)
    }

    fn poll(&mut self) -> Poll<HeaderMap> {
        self.response.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }
}

/// A request of one of our own pages.
pub(super) fn request(cookies: Option<&str>, named: Option<SessionId>) -> Request<Full<Bytes>> {
    let mut request = post("/", "");
    if let Some(cookies) = cookies {
        request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
    }
    if let Some(id) = named {
        request.headers_mut().insert("session-id", id.as_str().parse().unwrap());
    }
    request
}

/// Whose session it is, by its subject and its claims.
pub(super) fn owner(session: &Session<User>) -> (SessionId, usize) {
    assert_eq!(session.claims().name, session.subject().as_str());
    let person = PEOPLE.iter().position(|name| *name == session.subject().as_str()).unwrap();
    (session.id(), person)
}

async fn app(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let extensions = request.extensions();
    let desk = extensions.get::<Arc<Mutex<Desk>>>().unwrap();
    let kind = extensions.get::<SessionStatus>().unwrap().kind();
    let session = extensions.get::<Session<User>>().map(owner);
    desk.lock().unwrap().given = Some(Given { kind, session });
    let verb = poll_fn(|_| desk.lock().unwrap().verb.take().map_or(Poll::Pending, Poll::Ready));
    let verb = verb.await;
    let said = act(&extensions.get::<SessionStatus>().unwrap().jar().unwrap(), verb);
    desk.lock().unwrap().said = Some(said);
    Ok(Response::new(Full::default()))
}

fn act(jar: &SessionJar<User>, verb: Verb) -> Said {
    match verb {
        Verb::Look => Said::Nothing,
        Verb::List => Said::Accounts(jar.accounts().iter().map(|a| a.session_id).collect()),
        Verb::SignIn(person) => {
            let name = PEOPLE[person];
            Said::SignedIn(jar.sign_in(SignIn::new(subject(name), user(name))))
        }
        Verb::Switch(id) => Said::Switched(jar.switch_to(id).is_ok()),
        Verb::SignOut => Said::SignedOut(jar.sign_out().iter().map(|s| s.id()).collect()),
        Verb::SignOutSession(id) => {
            Said::SignedOut(jar.sign_out_session(id).iter().map(|s| s.id()).collect())
        }
        Verb::SignOutAll => Said::SignedOut(jar.sign_out_all().iter().map(|s| s.id()).collect()),
    }
}

/// A cookie's token, unverified. Every request is activity, so it was issued when it was last active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) id: SessionId,
    pub(super) person: usize,
    pub(super) signed_in_at: u64,
    pub(super) issued_at: u64,
    pub(super) expires_at: u64,
}

impl Token {
    pub(super) fn read(text: &str) -> Self {
        let claims = payload(text);
        let number = |name: &str| claims[name].as_u64();
        Self {
            id: claims["sid"].as_str().unwrap().parse().unwrap(),
            person: PEOPLE.iter().position(|name| *name == claims["sub"]).unwrap(),
            signed_in_at: number("auth_time").unwrap(),
            issued_at: number("iat").unwrap(),
            expires_at: number("exp").unwrap(),
        }
    }
}

/// The pointer as a browser has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pointer {
    #[default]
    Absent,
    Nobody,
    Session(SessionId),
}

/// The cookies of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Presented {
    pub(super) only: Option<Token>,
    pub(super) slots: BTreeMap<SessionId, Token>,
    pub(super) pointer: Pointer,
}

impl Presented {
    pub(super) fn read(cookies: Option<&str>) -> Self {
        let mut found = Self::default();
        for pair in cookies.unwrap_or_default().split("; ").filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap();
            match name.strip_prefix(COOKIE).unwrap() {
                "" => found.only = Some(Token::read(value)),
                ".active" if value == "none" => found.pointer = Pointer::Nobody,
                ".active" => found.pointer = Pointer::Session(value.parse().unwrap()),
                slot => {
                    let token = Token::read(value);
                    assert_eq!(slot[1..], *token.id.as_str());
                    found.slots.insert(token.id, token);
                }
            }
        }
        found
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.only.iter().chain(self.slots.values())
    }
}

/// What a response writes, each name once and each with every attribute.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) set: Vec<(String, Token)>,
    pub(super) removed: BTreeSet<String>,
    /// The pointer's new value, empty when it goes.
    pub(super) pointer: Option<String>,
}

impl Written {
    pub(super) fn read(headers: &HeaderMap, now: u64) -> Self {
        let mut written = Self::default();
        let mut names = BTreeSet::new();
        for set in headers.get_all(header::SET_COOKIE) {
            let (pair, attributes) = set.to_str().unwrap().split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let suffix = name.strip_prefix(COOKIE).unwrap();
            assert!(names.insert(name.to_owned()), "two of {name}");
            let fixed = "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=";
            let max_age: u64 = attributes.strip_prefix(fixed).unwrap().parse().unwrap();
            assert_eq!(max_age == 0, value.is_empty(), "{set:?}");
            if suffix == ".active" {
                written.pointer = Some(value.to_owned());
            } else if value.is_empty() {
                written.removed.insert(name.to_owned());
            } else {
                let token = Token::read(value);
                assert_eq!(max_age, token.expires_at - now, "{set:?}");
                assert!(suffix.is_empty() || suffix[1..] == *token.id.as_str());
                written.set.push((name.to_owned(), token));
            }
        }
        written
    }
}

pub(super) fn slot(id: SessionId) -> String {
    format!("{COOKIE}.{id}")
}
