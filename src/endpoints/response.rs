//! [`EndpointResult`]: the decision of an endpoint, and its response.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use serde::Serialize;

use super::{chooser, device, jwks::JwksResponse, request::EndpointClient, sessions, token};
use crate::{
    config::PageText,
    engine::{
        jar::SessionJar,
        redirect::target::RedirectTarget,
        session::{id::SessionId, identity::SessionStatusKind},
    },
    pages::NOSNIFF,
    rejection::{
        HX_REDIRECT, RejectionReason,
        client::Client,
        error_page::ErrorPage,
        problem::{Problem, no_store},
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
    Redirect(RedirectTarget),
    Sessions,
    /// Activity was recorded when the request came in.
    Touch,
    /// The session is bound to a device, once the store confirmed it.
    DeviceRegistered(SessionId),
    /// The session is not bound. Nothing changes.
    DeviceDeclined,
    /// The device has to sign. Nothing changes.
    DeviceChallenge(SessionId),
    /// The device has signed.
    DeviceProven,
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
    client: EndpointClient,
    answer: EndpointResult,
}

impl<C: Send + Sync + 'static> EndpointResponse<C> {
    pub(super) const fn new(
        jar: SessionJar<C>,
        client: EndpointClient,
        answer: EndpointResult,
    ) -> Self {
        Self { jar, client, answer }
    }

    /// The status after the action.
    pub(crate) fn status(&self) -> SessionStatusKind {
        self.jar.status_untracked()
    }

    /// The jar whose cookies the response sets.
    pub(crate) fn jar(&self) -> Option<&SessionJar<C>> {
        let changes_nothing = matches!(
            self.answer,
            EndpointResult::Refused(_)
                | EndpointResult::AccountSelection(_)
                | EndpointResult::WrongMethod { .. }
                | EndpointResult::Keys(_)
                | EndpointResult::DeviceDeclined
                | EndpointResult::DeviceChallenge(_)
        );
        (!changes_nothing).then_some(&self.jar)
    }

    /// Whether it shows a person which accounts are signed in.
    pub(crate) const fn shows_accounts(&self) -> bool {
        matches!(self.answer, EndpointResult::Sessions | EndpointResult::Chooser { .. })
    }

    /// The response to a change that the store does not know of, with the cookies that go.
    pub(crate) fn unavailable(&self, now: impl FnOnce() -> ClockReading) -> Response<Bytes> {
        let mut response = self.problem(Problem::UNAVAILABLE);
        // Closing fails for sign-ins only.
        let _ = self.jar.engine().close(&self.jar, &mut response, now());
        response
    }

    /// The response, cookies included.
    pub(crate) fn finish(&self, now: impl FnOnce() -> ClockReading) -> Response<Bytes> {
        let now = now();
        let mut response = match &self.answer {
            EndpointResult::Refused(problem) => self.problem(*problem),
            EndpointResult::WrongMethod { allow } => {
                let mut response = self.problem(METHOD_NOT_ALLOWED);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
                response
            }
            EndpointResult::AccountSelection(location) | EndpointResult::Redirect(location) => {
                self.redirect(location)
            }
            // The sessions cannot be checked now, which is not the same as signed out.
            EndpointResult::Sessions
                if self.jar.status().kind() == SessionStatusKind::Unavailable =>
            {
                self.problem(Problem::UNAVAILABLE)
            }
            EndpointResult::Keys(keys) => return keys.response(),
            EndpointResult::DeviceRegistered(id) => {
                self.or_problem(device::registered(&self.jar, *id))
            }
            EndpointResult::DeviceDeclined => device::declined(),
            EndpointResult::DeviceChallenge(id) => {
                self.or_problem(device::challenge(&self.jar, *id))
            }
            EndpointResult::DeviceProven => self.or_problem(device::proven(&self.jar)),
            EndpointResult::Sessions => sessions::list(&self.jar),
            EndpointResult::Touch => {
                touched(&self.jar).unwrap_or_else(|problem| self.refuse(problem))
            }
            EndpointResult::Token { wanted } => token::token_response(&self.jar, wanted)
                .unwrap_or_else(|problem| self.refuse(problem)),
            EndpointResult::Chooser { back } => chooser::page(&self.jar, back.as_ref()),
        };
        no_store(response.headers_mut());
        if let Some(jar) = self.jar() {
            // Closing fails for sign-ins only.
            let _ = jar.engine().close(jar, &mut response, now);
        }
        response
    }

    fn or_problem(&self, response: Result<Response<Bytes>, Problem>) -> Response<Bytes> {
        response.unwrap_or_else(|problem| self.problem(problem))
    }

    fn problem(&self, problem: Problem) -> Response<Bytes> {
        problem.response_to(self.client.client, || {
            let next = self.client.referer.as_ref().map(|page| (PageText::GoBack, page));
            ErrorPage { next, ..ErrorPage::new(self.jar.engine(), self.client.client) }
        })
    }

    /// The refusal of a guard, with the challenge for the credential that the request sent.
    fn refuse(&self, problem: Problem) -> Response<Bytes> {
        let record = self.jar.current().0;
        let mut response = self.problem(problem);
        problem.challenge(record.credential, record.accepts_bearer, response.headers_mut());
        response
    }

    fn redirect(&self, location: &RedirectTarget) -> Response<Bytes> {
        if self.client.wants_json {
            return json(&RedirectUrl { redirect_url: location.as_str() });
        }
        if self.client.client != Client::Htmx {
            return redirect(location);
        }
        let mut response = no_content();
        response.headers_mut().insert(HX_REDIRECT, location.to_header_value());
        response
    }
}

/// 204 for an active session, whose cookie goes out if it was due; else the refusal of a guard.
fn touched<C: Send + Sync + 'static>(jar: &SessionJar<C>) -> Result<Response<Bytes>, Problem> {
    let (state, _) = jar.current();
    state.mark_guarded();
    if let Some(reason) = RejectionReason::from_status(state.status()) {
        return Err(reason.problem());
    }
    Ok(no_content())
}

pub(super) fn no_content() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
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
