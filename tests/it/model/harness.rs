//! The layer in front of a handler that runs on command, and its cookies as the model reads them.

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
    Session, SessionId, SessionJar, SessionLayer, SessionStatus, SignIn,
    engine::{SessionStatusKind, SignInOutcome},
    error::SignInError,
};

use super::USERS;
use crate::support::{COOKIE, User, post, subject, token_forge::payload, user};

/// What a handler does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    ReadSession,
    List,
    SignIn(usize),
    Switch(SessionId),
    SignOut,
    SignOutSession(SessionId),
    SignOutAll,
}

/// The result of an action.
#[derive(Debug)]
pub(super) enum ActionResult {
    Nothing,
    Accounts(Vec<SessionId>),
    SignedIn(Result<SignInOutcome, SignInError>),
    Switched(bool),
    SignedOut(Vec<SessionId>),
}

/// What the handler gets: the status, the session and its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HandlerInput {
    pub(super) kind: SessionStatusKind,
    pub(super) session: Option<(SessionId, usize)>,
}

#[derive(Default)]
struct HandlerControl {
    input: Option<HandlerInput>,
    action: Option<Action>,
    result: Option<ActionResult>,
}

/// A request that has been opened and not yet handled.
pub(super) struct OpenRequest {
    control: Arc<Mutex<HandlerControl>>,
    response: Pin<Box<dyn Future<Output = HeaderMap>>>,
}

impl OpenRequest {
    /// Opens a request.
    pub(super) fn open(
        layer: &SessionLayer<User>,
        cookies: Option<&str>,
        session_header: Option<SessionId>,
    ) -> (Self, HandlerInput) {
        let control = Arc::<Mutex<HandlerControl>>::default();
        let mut request = request(cookies, session_header);
        request.extensions_mut().insert(Arc::clone(&control));
        let response = layer.layer(service_fn(app)).oneshot(request);
        let response = Box::pin(async { response.await.unwrap().into_parts().0.headers });
        let mut open_request = Self { control, response };
        assert!(open_request.poll().is_pending());
        let input = open_request.control.lock().unwrap().input.take().unwrap();
        (open_request, input)
    }

    /// Runs the handler with `action`, and closes the response.
    pub(super) fn handle(mut self, action: Action) -> (ActionResult, HeaderMap) {
        self.control.lock().unwrap().action = Some(action);
        let Poll::Ready(headers) = self.poll() else { panic!("the handler is pending") };
        let result = self.control.lock().unwrap().result.take().unwrap();
        (result, headers)
    }

    fn poll(&mut self) -> Poll<HeaderMap> {
        self.response.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }
}

/// A request from a page of the service's own origin.
pub(super) fn request(
    cookies: Option<&str>,
    session_header: Option<SessionId>,
) -> Request<Full<Bytes>> {
    let mut request = post("/", "");
    if let Some(cookies) = cookies {
        request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
    }
    if let Some(id) = session_header {
        request.headers_mut().insert("session-id", id.as_str().parse().unwrap());
    }
    request
}

/// The owner of a session, by its subject and its claims.
pub(super) fn owner(session: &Session<User>) -> (SessionId, usize) {
    assert_eq!(session.claims().name, session.subject().as_str());
    let owner_index = USERS.iter().position(|name| *name == session.subject().as_str()).unwrap();
    (session.id(), owner_index)
}

async fn app(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let extensions = request.extensions();
    let control = extensions.get::<Arc<Mutex<HandlerControl>>>().unwrap();
    let kind = extensions.get::<SessionStatus>().unwrap().kind();
    let session = extensions.get::<Session<User>>().map(owner);
    control.lock().unwrap().input = Some(HandlerInput { kind, session });
    let action =
        poll_fn(|_| control.lock().unwrap().action.take().map_or(Poll::Pending, Poll::Ready));
    let action = action.await;
    let result = run(&extensions.get::<SessionStatus>().unwrap().jar().unwrap(), action);
    control.lock().unwrap().result = Some(result);
    Ok(Response::new(Full::default()))
}

fn run(jar: &SessionJar<User>, action: Action) -> ActionResult {
    match action {
        Action::ReadSession => ActionResult::Nothing,
        Action::List => {
            ActionResult::Accounts(jar.accounts().iter().map(|a| a.session_id).collect())
        }
        Action::SignIn(owner_index) => {
            let name = USERS[owner_index];
            ActionResult::SignedIn(jar.sign_in(SignIn::new(subject(name), user(name))))
        }
        Action::Switch(id) => ActionResult::Switched(jar.switch_to(id).is_ok()),
        Action::SignOut => ActionResult::SignedOut(jar.sign_out().iter().map(|s| s.id()).collect()),
        Action::SignOutSession(id) => {
            ActionResult::SignedOut(jar.sign_out_session(id).iter().map(|s| s.id()).collect())
        }
        Action::SignOutAll => {
            ActionResult::SignedOut(jar.sign_out_all().iter().map(|s| s.id()).collect())
        }
    }
}

/// The token of a cookie, unverified. Every request is activity, so `issued_at` is the last activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) id: SessionId,
    pub(super) owner_index: usize,
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
            owner_index: USERS.iter().position(|name| *name == claims["sub"]).unwrap(),
            signed_in_at: number("auth_time").unwrap(),
            issued_at: number("iat").unwrap(),
            expires_at: number("exp").unwrap(),
        }
    }
}

/// The active-account cookie of a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ActiveCookie {
    #[default]
    Absent,
    None,
    Session(SessionId),
}

/// The cookies of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestCookies {
    pub(super) only: Option<Token>,
    pub(super) slots: BTreeMap<SessionId, Token>,
    pub(super) active_cookie: ActiveCookie,
}

impl RequestCookies {
    pub(super) fn read(cookies: Option<&str>) -> Self {
        let mut found = Self::default();
        for pair in cookies.unwrap_or_default().split("; ").filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap();
            match name.strip_prefix(COOKIE).unwrap() {
                "" => found.only = Some(Token::read(value)),
                ".active" if value == "none" => found.active_cookie = ActiveCookie::None,
                ".active" => found.active_cookie = ActiveCookie::Session(value.parse().unwrap()),
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

/// The cookies that a response sets. Reading checks that each name is unique and has all attributes.
#[derive(Debug, Default)]
pub(super) struct ResponseCookies {
    pub(super) set: Vec<(String, Token)>,
    pub(super) removed: BTreeSet<String>,
    /// The new value of the active-account cookie, empty when it is removed.
    pub(super) active_cookie: Option<String>,
}

impl ResponseCookies {
    pub(super) fn read(headers: &HeaderMap, now: u64) -> Self {
        let mut cookies = Self::default();
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
                cookies.active_cookie = Some(value.to_owned());
            } else if value.is_empty() {
                cookies.removed.insert(name.to_owned());
            } else {
                let token = Token::read(value);
                assert_eq!(max_age, token.expires_at - now, "{set:?}");
                assert!(suffix.is_empty() || suffix[1..] == *token.id.as_str());
                cookies.set.push((name.to_owned(), token));
            }
        }
        cookies
    }
}

pub(super) fn slot(id: SessionId) -> String {
    format!("{COOKIE}.{id}")
}
