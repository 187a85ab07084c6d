//! Dispatch: which endpoint a request is for, and whether it may act.
//!
//! 1. Endpoints that change something take POST, the others GET or HEAD. Other methods are 405 with
//!    `Allow`, so that no link and no image signs a user out. CORS preflights go to the application.
//! 2. A cross-site POST is refused from its head, before the body is read (ASVS 3.5.1): 403, and no
//!    cookie changes. A request with a bearer token cannot be forged by another site.
//! 3. Parameters come in the query or in a urlencoded or JSON body of at most 8 KiB.
//! 4. `303 See Other` for browsers, `HX-Redirect` for HTMX, `200 {"redirect_url": …}` for scripts that
//!    prefer JSON. A `redirect_url` that is not safe is ignored in favour of the default. A user gets
//!    pages about failures, a script problem documents ([`Client`](crate::rejection::client::Client)).

use http::Method;

use super::{
    device::{self, SignedChallenge},
    jwks::JwksResponse,
    params::Params,
    read_body::BodyError,
    request::{EndpointClient, EndpointRequest, UNSUPPORTED_MEDIA_TYPE, requested_redirect},
    response::{EndpointResponse, EndpointResult},
    sign_out, switch, token,
};
use crate::{
    engine::{
        event::SessionEvent,
        jar::SessionJar,
        redirect::csrf::CrossOriginReason,
        request::{head::RequestHead, routes::Endpoint},
    },
    rejection::{client::Client, problem::Problem},
};

/// The endpoint that a request is for, and what to do next.
pub(crate) enum EndpointMatch<C> {
    /// It may act, once its body is read.
    Read(EndpointCall<C>),
    /// It is answered without its body.
    Response(EndpointResponse<C>),
}

impl<C: Send + Sync + 'static> EndpointMatch<C> {
    /// `None` for a request of the application's.
    pub(crate) fn from_request(jar: &SessionJar<C>, head: RequestHead<'_>) -> Option<Self> {
        let endpoint = jar.engine().paths().find(head.uri.path())?;
        if head.is_preflight() {
            return None;
        }
        let action = match endpoint {
            Endpoint::SignOut => Action::SignOut,
            Endpoint::Switch => Action::Switch,
            Endpoint::Jwks => {
                let answer = keys(jar, head)?;
                let client = EndpointClient::from_head(jar.engine(), head);
                return Some(Self::Response(EndpointResponse::new(jar.clone(), client, answer)));
            }
            Endpoint::Token => Action::Token,
            Endpoint::Touch => Action::Touch,
            Endpoint::DeviceRegistration => {
                Action::DeviceRegistration(device::signed_challenge(head.headers))
            }
            Endpoint::DeviceRefresh => {
                Action::DeviceRefresh(device::signed_challenge(head.headers))
            }
            Endpoint::Sessions | Endpoint::Chooser => {
                let client = EndpointClient::from_head(jar.engine(), head);
                let answer = show(jar, endpoint, head);
                return Some(Self::Response(EndpointResponse::new(jar.clone(), client, answer)));
            }
        };
        let client = EndpointClient::from_head(jar.engine(), head);
        let refused = if head.method != Method::POST {
            EndpointResult::WrongMethod { allow: "POST" }
        } else if matches!(client.client, Client::Grpc(_)) {
            // The endpoints have no messages of gRPC.
            EndpointResult::Refused(UNSUPPORTED_MEDIA_TYPE)
        } else if let Err(reason) = check_origin(jar, head) {
            jar.engine().report_refused_origin(head);
            jar.engine().emit(&SessionEvent::CrossOriginRefused { reason });
            EndpointResult::Refused(Problem::CROSS_ORIGIN)
        } else {
            return Some(Self::Read(EndpointCall {
                action,
                asked: EndpointRequest::new(jar.clone(), head, client),
            }));
        };
        Some(Self::Response(EndpointResponse::new(jar.clone(), client, refused)))
    }
}

const WRONG_TO_SHOW: EndpointResult = EndpointResult::WrongMethod { allow: "GET, HEAD" };

fn is_read(head: RequestHead<'_>) -> bool {
    matches!(*head.method, Method::GET | Method::HEAD)
}

/// Whether another site made the request. Browsers never send a bearer token by themselves, and such a
/// request changes no cookie.
fn check_origin<C>(jar: &SessionJar<C>, head: RequestHead<'_>) -> Result<(), CrossOriginReason>
where
    C: Send + Sync + 'static,
{
    if jar.is_by_bearer() {
        return Ok(());
    }
    jar.engine().check_origin(head, jar.has_session_cookie())
}

fn show<C: Send + Sync + 'static>(
    jar: &SessionJar<C>,
    endpoint: Endpoint,
    head: RequestHead<'_>,
) -> EndpointResult {
    if !is_read(head) {
        return WRONG_TO_SHOW;
    }
    if endpoint == Endpoint::Sessions {
        return EndpointResult::Sessions;
    }
    let params = Params::from_query(head.uri.query().unwrap_or_default());
    EndpointResult::Chooser { back: requested_redirect(jar.engine(), &params.redirect_url) }
}

/// `None` where there are no public keys to show.
fn keys<C>(jar: &SessionJar<C>, head: RequestHead<'_>) -> Option<EndpointResult> {
    let now = jar.received_at();
    let (keys, max_age) = jar.engine().public_keys(now)?;
    if !is_read(head) {
        return Some(WRONG_TO_SHOW);
    }
    JwksResponse::new(keys, max_age, head.headers, now).map(EndpointResult::Keys)
}

/// The actions of the POST endpoints.
#[derive(Debug)]
enum Action {
    SignOut,
    Switch,
    Token,
    Touch,
    DeviceRegistration(SignedChallenge),
    DeviceRefresh(SignedChallenge),
}

/// A request that may act, once its body is read.
pub(crate) struct EndpointCall<C> {
    action: Action,
    asked: EndpointRequest<C>,
}

impl<C: Send + Sync + 'static> EndpointCall<C> {
    pub(crate) const fn jar(&self) -> &SessionJar<C> {
        &self.asked.jar
    }

    /// Performs the action.
    pub(crate) fn act(self, body: Result<Vec<u8>, BodyError>) -> EndpointResponse<C> {
        let Self { action, mut asked } = self;
        let answer = asked
            .read(body)
            .and_then(|()| match action {
                Action::SignOut => sign_out::act(&asked),
                Action::Switch => switch::act(&asked),
                Action::Touch => Ok(EndpointResult::Touch),
                Action::DeviceRegistration(signed) => device::register(&asked.jar, signed),
                Action::DeviceRefresh(signed) => device::refresh(&asked.jar, signed),
                Action::Token => token::TokenRequest::from_params(&asked.params)
                    .map(|wanted| EndpointResult::Token { wanted }),
            })
            .unwrap_or_else(EndpointResult::Refused);
        EndpointResponse::new(asked.jar, asked.client, answer)
    }
}
