//! [`EndpointRequest`]: the parameters and the client of a request to an endpoint.

use http::StatusCode;

use super::{
    params::{ContentKind, Param, Params},
    read_body::BodyError,
    response::EndpointResult,
};
use crate::{
    engine::{
        event::SessionEvent,
        jar::SessionJar,
        redirect::target::{RedirectError, RedirectTarget},
        request::head::RequestHead,
        session_engine::SessionEngine,
    },
    rejection::{
        client::{Client, accepts},
        problem::Problem,
    },
};

/// The client of a request to an endpoint.
#[derive(Debug)]
pub(super) struct EndpointClient {
    pub(super) client: Client,
    /// Whether it gets JSON in place of redirects.
    pub(super) wants_json: bool,
    /// The page of this site that the request came from.
    pub(super) referer: Option<RedirectTarget>,
}

impl EndpointClient {
    pub(super) fn from_head<C>(engine: &SessionEngine<C>, head: RequestHead<'_>) -> Self {
        let client = Client::from_head(head);
        // A script that sends JSON or names it.
        let wants_json = client == Client::Script
            && !accepts(head.headers, "text/html")
            && (accepts(head.headers, "application/json")
                || ContentKind::from_headers(head.headers) == ContentKind::Json);
        let referer = engine.redirects().referring_page(head.uri, head.headers);
        Self { client, wants_json, referer }
    }
}

/// The parameters of a request, and where its response may redirect.
pub(super) struct EndpointRequest<C> {
    pub(super) jar: SessionJar<C>,
    pub(super) params: Params,
    content: ContentKind,
    pub(super) client: EndpointClient,
}

impl<C: Send + Sync + 'static> EndpointRequest<C> {
    pub(super) fn new(jar: SessionJar<C>, head: RequestHead<'_>, client: EndpointClient) -> Self {
        let content = ContentKind::from_headers(head.headers);
        let params = Params::from_query(head.uri.query().unwrap_or_default());
        Self { jar, params, content, client }
    }

    /// Reads the parameters in the body.
    pub(super) fn read(&mut self, body: Result<Vec<u8>, BodyError>) -> Result<(), Problem> {
        let body = body.map_err(|error| match error {
            BodyError::TooLarge => BODY_TOO_LARGE,
            BodyError::Broken => bad_request("broken_body", "The body could not be read."),
            BodyError::TimedOut => BODY_TIMEOUT,
        })?;
        match self.content {
            _ if body.is_empty() => Ok(()),
            ContentKind::Urlencoded => {
                self.params.merge_urlencoded(&body);
                Ok(())
            }
            ContentKind::Json => self
                .params
                .merge_json(&body)
                .map_err(|_| bad_request("bad_json", "The body is not a JSON object.")),
            ContentKind::None | ContentKind::Other => Err(UNSUPPORTED_MEDIA_TYPE),
        }
    }

    /// Redirects to the `redirect_url` of the request if it is safe, else to `default`.
    pub(super) fn redirect_or(&self, default: impl FnOnce() -> RedirectTarget) -> EndpointResult {
        EndpointResult::Redirect(self.redirect().unwrap_or_else(default))
    }

    /// The `redirect_url` of the request, if it is safe.
    pub(super) fn redirect(&self) -> Option<RedirectTarget> {
        requested_redirect(self.jar.engine(), &self.params.redirect_url)
    }

    /// The referring page, if it is on this origin.
    pub(super) fn came_from(&self) -> RedirectTarget {
        let home = || self.jar.engine().redirects().home.clone();
        self.client.referer.clone().unwrap_or_else(home)
    }
}

/// The `redirect_url` of a request, if it is safe.
pub(super) fn requested_redirect<C: Send + Sync + 'static>(
    engine: &SessionEngine<C>,
    param: &Param,
) -> Option<RedirectTarget> {
    match param {
        Param::Absent => None,
        Param::Once(url) => engine.redirect_target(url),
        Param::Invalid => {
            engine.emit(&SessionEvent::RedirectRefused { reason: RedirectError::Form });
            None
        }
    }
}

const BODY_TOO_LARGE: Problem = Problem {
    status: StatusCode::PAYLOAD_TOO_LARGE,
    code: "body_too_large",
    detail: "The body is larger than 8 KiB.",
};
const BODY_TIMEOUT: Problem = Problem {
    status: StatusCode::REQUEST_TIMEOUT,
    code: "body_timeout",
    detail: "The body did not arrive in time.",
};
pub(super) const UNSUPPORTED_MEDIA_TYPE: Problem = Problem {
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    code: "unsupported_media_type",
    detail: "Send application/x-www-form-urlencoded or application/json.",
};

pub(super) const fn bad_request(code: &'static str, detail: &'static str) -> Problem {
    Problem { status: StatusCode::BAD_REQUEST, code, detail }
}
