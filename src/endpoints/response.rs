//! [`EndpointResult`]: the decision of an endpoint, and its response.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use serde::Serialize;

use super::{chooser, jwks::JwksResponse, sessions, token};
use crate::{
    engine::{
        jar::SessionJar, redirect::target::RedirectTarget, session::identity::SessionStatusKind,
    },
    rejection::{
        RejectionReason,
        problem::{NO_STORE, Problem},
        redirect,
    },
    time::ClockReading,
};

/// What an endpoint decided.
#[derive(Debug)]
pub(super) enum EndpointResult {
    /// Nothing changes, no cookie either.
    Refused(Problem),
    /// A browser named a session that is not signed in: nothing changes.
    AccountSelection(RedirectTarget),
    WrongMethod {
        allow: &'static str,
    },
    Redirect {
        location: RedirectTarget,
        as_json: bool,
    },
    Sessions,
    /// Activity was recorded when the request came in.
    Touch,
    /// The same for all clients.
    Keys(JwksResponse),
    Token {
        wanted: token::TokenRequest,
    },
    Chooser {
        /// Where the person wanted to go.
        back: Option<RedirectTarget>,
    },
}

/// A request to an endpoint after its action was performed.
pub(crate) struct EndpointResponse<C> {
    jar: SessionJar<C>,
    answer: EndpointResult,
}

impl<C: Send + Sync + 'static> EndpointResponse<C> {
    pub(super) const fn new(jar: SessionJar<C>, answer: EndpointResult) -> Self {
        Self { jar, answer }
    }

    /// The jar whose cookies the response sets.
    pub(crate) fn jar(&self) -> Option<&SessionJar<C>> {
        let changes_nothing = matches!(
            self.answer,
            EndpointResult::Refused(_)
                | EndpointResult::AccountSelection(_)
                | EndpointResult::WrongMethod { .. }
                | EndpointResult::Keys(_)
        );
        (!changes_nothing).then_some(&self.jar)
    }

    /// Whether it shows a person which accounts are signed in.
    pub(crate) const fn shows_accounts(&self) -> bool {
        matches!(self.answer, EndpointResult::Sessions | EndpointResult::Chooser { .. })
    }

    /// The response to a change that the store does not know of, with the cookies that go.
    pub(crate) fn unavailable(&self, now: impl FnOnce() -> ClockReading) -> Response<Bytes> {
        let mut response = Problem::UNAVAILABLE.response();
        // Closing fails for sign-ins only.
        let _ = self.jar.engine().close(&self.jar, &mut response, now());
        response
    }

    /// The response, cookies included.
    pub(crate) fn finish(&self, now: impl FnOnce() -> ClockReading) -> Response<Bytes> {
        let now = now();
        let mut response = match &self.answer {
            EndpointResult::Refused(problem) => problem.response(),
            EndpointResult::WrongMethod { allow } => {
                let mut response = METHOD_NOT_ALLOWED.response();
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
                response
            }
            EndpointResult::AccountSelection(location)
            | EndpointResult::Redirect { location, as_json: false } => redirect(location),
            EndpointResult::Redirect { location, as_json: true } => {
                json(&RedirectUrl { redirect_url: location.as_str() })
            }
            // The sessions cannot be checked now, which is not the same as signed out.
            EndpointResult::Sessions
                if self.jar.status().kind() == SessionStatusKind::Unavailable =>
            {
                Problem::UNAVAILABLE.response()
            }
            EndpointResult::Keys(keys) => return keys.response(),
            EndpointResult::Sessions => sessions::list(&self.jar),
            EndpointResult::Touch => touched(&self.jar),
            EndpointResult::Token { wanted } => token::token_response(&self.jar, wanted),
            EndpointResult::Chooser { back } => chooser::page(&self.jar, back.as_ref()),
        };
        response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
        if let Some(jar) = self.jar() {
            // Closing fails for sign-ins only.
            let _ = jar.engine().close(jar, &mut response, now);
        }
        response
    }
}

/// 204 for an active session, whose cookie goes out if it was due; else the refusal of a guard.
fn touched<C: Send + Sync + 'static>(jar: &SessionJar<C>) -> Response<Bytes> {
    let (state, _) = jar.current();
    state.mark_guarded();
    match RejectionReason::from_status(state.status()) {
        None => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Some(reason) => reason.problem().response_for(&state),
    }
}

#[derive(Serialize)]
struct RedirectUrl<'a> {
    redirect_url: &'a str,
}

const METHOD_NOT_ALLOWED: Problem = Problem {
    status: StatusCode::METHOD_NOT_ALLOWED,
    code: "method_not_allowed",
    detail: "The resource has other methods: see the header Allow.",
};

/// A response for a script.
pub(super) fn json(value: &impl Serialize) -> Response<Bytes> {
    let mut response = Response::new(serde_json::to_vec(value).unwrap_or_default().into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let (name, value) = NOSNIFF;
    headers.insert(name, value);
    response
}

/// Browsers must not sniff the content type (ASVS 3.4.4).
pub(super) const NOSNIFF: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
