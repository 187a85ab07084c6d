//! [`Rejection`]: why a request is refused, in the form that a browser, a script or a gRPC client
//! expects.
//!
//! `client.rs` has the kinds of clients.

pub(crate) mod client;
pub(crate) mod error_page;
pub(crate) mod problem;
pub(crate) mod warnings;

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{HeaderName, LOCATION, REFRESH, SET_COOKIE},
};

use self::{
    client::{Client, is_read},
    error_page::ErrorPage,
    problem::{Problem, ProblemExtensions, no_store},
};
use crate::{
    config::{PageText, page_theme::PageDesign},
    engine::{
        bearer::CredentialKind,
        redirect::{
            csrf::CrossOriginReason,
            settings::{COOKIE_MISSING_PARAM, ResolvedRedirects},
            target::RedirectTarget,
        },
        request::{
            head::RequestHead,
            session::{LayerLookupError, SessionStatus},
            state::RequestState,
        },
        session::{
            factor::FreshnessRequirement,
            identity::{SessionIdentity, SessionStatusKind},
            task::SessionTask,
        },
    },
};

/// Why a request was refused.
///
/// ```
/// use axum::{http::StatusCode, response::{IntoResponse as _, Response}};
/// use tower_auth_session::{Rejection, error::RejectionReason};
///
/// /// Pages whose existence is confidential are not found by users without access.
/// fn respond(rejection: Rejection) -> Response {
///     match rejection.kind() {
///         RejectionReason::Forbidden => StatusCode::NOT_FOUND.into_response(),
///         _ => rejection.into_response(),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionReason {
    /// No user is signed in.
    SignedOut,
    /// No account is active, but others are signed in from this browser.
    AccountSelectionRequired,
    /// The session is pending: a task is open.
    Pending,
    /// The request names a session that is not signed in here.
    SessionMismatch,
    /// The session cannot be checked now.
    Unavailable,
    /// The session is bound to a device, and the request has no proof that it comes from there.
    Unproven,
    /// The session must be bound to a device, and is not.
    NotDeviceBound,
    /// The device of the session proved its key too long ago for this request.
    ProofTooOld,
    /// A cross-site WebSocket handshake.
    CrossOrigin(CrossOriginReason),
    /// A predicate over the claims failed.
    Forbidden,
    /// The user was verified too long ago for this request.
    NotFresh,
    /// The session is impersonated, and this request requires the user.
    Impersonated,
    /// No `SessionLayer` wraps this service, or only one for another type of claims.
    MissingLayer,
    /// Several session layers with different engines wrap this service, and none is named.
    AmbiguousLayer,
    /// The handler needs the sessions of a store, and the layer has none.
    MissingStore,
}

/// A refused request, which converts into a response. It is also in the extensions of the response.
///
/// | client | signed out | account selection | pending | mismatch | unavailable |
/// |---|---|---|---|---|---|
/// | navigation, Turbo | 303 to sign in, with `redirect_url` | 303 to choose, with it | 303 to the tasks, else to sign in, with it | 303 home; a form: 409 | 503 |
/// | script, HTMX | 401 | 401 with `choose` | 403 | 409 | 503 |
/// | gRPC, in `grpc-status` | 16 | 16 | 7 | 9 | 14 |
///
/// A request without the proof that its device-bound session needs is 401 (16); a browser gets a page that
/// tries again. A session that must be bound and is not is 403 (7). A GET or HEAD request whose proof is too
/// old or invalid is redirected to itself (307) without the proof, so that the browser brings a new one; other
/// requests with such a proof are 401 (16). Cross-site WebSocket handshakes, failed predicates and refused impersonated sessions are 403 (7). A
/// factor that was verified too long ago is treated as signed out, with the re-verification page as the
/// target if there is one. A missing layer or store is 500 (13). Where bearer tokens are accepted, a 401 and a
/// gRPC status 16 carry `www-authenticate` (RFC 6750 §3).
///
/// A client that shows responses to the user gets a page in plain words where it is not redirected; the
/// others get `application/problem+json` (RFC 9457), which lists the open tasks in `tasks`, and in
/// `reverification` the required factor and its maximum age in seconds. HTMX gets `HX-Redirect` with
/// its 401; with other failures of a boosted link it names the requested page, which the browser then
/// requests as a navigation. `redirect_url` is the requested page; for a form, a frame or HTMX it is the
/// page that caused the request, if it is on this origin. A redirect is always a 303, so that no body is
/// sent again.
///
/// ```
/// use http::Response;
/// use tower_auth_session::{Rejection, error::RejectionReason};
///
/// /// Counts refusals by their reason, in a layer outside of the guard.
/// fn count<B>(response: &Response<B>) -> Option<String> {
///     let refusal = response.extensions().get::<Rejection>()?;
///     let target = refusal.location().map_or("none", |target| target.as_str());
///     Some(match refusal.kind() {
///         RejectionReason::Pending => format!("pending: {:?}", refusal.tasks()),
///         RejectionReason::NotFresh => format!("not fresh: {:?}", refusal.freshness()),
///         kind => format!("{kind:?}: {}, to {target}", refusal.status()),
///     })
/// }
///
/// /// This crate's response, for a layer that replaces some of them.
/// fn response(refusal: &Rejection) -> Response<bytes::Bytes> {
///     refusal.to_response()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    kind: RejectionReason,
    client: Client,
    location: Option<RedirectTarget>,
    /// Whether the response redirects to `location` itself.
    is_redirect: bool,
    /// For a client that shows pages.
    page: Option<Box<PageParts>>,
    credential: CredentialKind,
    accepts_bearer: bool,
    tasks: Vec<SessionTask>,
    freshness: Option<FreshnessRequirement>,
    proof_retry: Option<Box<ProofRetry>>,
}

/// A redirect to the requested page without its proof, which the browser renews on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ProofRetry {
    page: RedirectTarget,
    removal: HeaderValue,
}

impl ProofRetry {
    fn new(
        kind: RejectionReason,
        client: Client,
        head: RequestHead<'_>,
        (record, redirects): (&RequestState, &ResolvedRedirects),
    ) -> Option<Self> {
        let is_about_proof =
            matches!(kind, RejectionReason::Unproven | RejectionReason::ProofTooOld);
        if !is_about_proof || !is_read(head.method) || matches!(client, Client::Grpc(_)) {
            return None;
        }
        let session = record.identity().map(SessionIdentity::id);
        // Without a proof in the request, the browser could not renew it just now.
        let removal = record.context.proof_removal(session, head.headers)?;
        let page = redirects.requested_page(record.path.as_ref()?.as_str())?;
        Some(Self { page, removal })
    }

    fn to_response(&self) -> Response<Bytes> {
        let mut response = redirect(&self.page);
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        response.headers_mut().insert(SET_COOKIE, self.removal.clone());
        response
    }
}

/// What the page about a rejection needs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PageParts {
    design: Arc<PageDesign>,
    home: RedirectTarget,
    back: Option<RedirectTarget>,
    /// For a session that its device may not be able to prove any more.
    sign_in: Option<RedirectTarget>,
    /// Whether the request changes nothing, so that it can be tried again.
    is_read: bool,
}

impl Rejection {
    pub(crate) fn new(
        kind: RejectionReason,
        head: RequestHead<'_>,
        record: Option<&RequestState>,
    ) -> Self {
        Self::with_redirects(kind, head, record.map(|record| (record, &**record.redirects())))
    }

    /// The refusal of a request with the redirect targets of its guard.
    pub(crate) fn with_redirects(
        kind: RejectionReason,
        head: RequestHead<'_>,
        found: Option<(&RequestState, &ResolvedRedirects)>,
    ) -> Self {
        let record = found.map(|(record, _)| record);
        let (credential, accepts_bearer) = record
            .map_or_else(Default::default, |record| (record.credential, record.accepts_bearer));
        let client = match (Client::from_head(head), credential) {
            (grpc @ Client::Grpc(_), _) => grpc,
            // Responses to bearer tokens are not shown to a user.
            (_, CredentialKind::BearerToken) => Client::Script,
            (client, _) => client,
        };
        let is_read = is_read(head.method);
        let back = found.and_then(|(record, redirects)| {
            let requested = record.path.as_ref().map(|path| path.as_str());
            client.way_back(head, requested, redirects)
        });
        let location = found.and_then(|(record, redirects)| {
            let and_back = |page| redirects.with_return_url(page, back.as_ref());
            match kind {
                RejectionReason::SignedOut => redirects.sign_in.as_ref().map(|page| {
                    let is_lost = client == Client::Navigation
                        && is_read
                        && !record.context.has_own_cookie(head.headers)
                        && redirects.came_from_sign_in(head.uri, head.headers);
                    let target = and_back(page);
                    if is_lost { target.with_query(COOKIE_MISSING_PARAM, "1") } else { target }
                }),
                RejectionReason::NotFresh => redirects.reverify.as_ref().map(and_back),
                RejectionReason::AccountSelectionRequired => Some(and_back(&redirects.choose)),
                RejectionReason::Pending => redirects.tasks.as_ref().map(and_back),
                RejectionReason::SessionMismatch => Some(redirects.home.clone()),
                _ => None,
            }
        });
        // HTMX shows no failure. It loads the page of a boosted link again, as a navigation.
        let location = location.or_else(|| back.clone().filter(|_| client.is_boosted_link(head)));
        // A form that belongs to another account is lost, which its user must learn.
        let may_redirect = is_read || kind != RejectionReason::SessionMismatch;
        let is_redirect = may_redirect
            && found
                .zip(location.as_ref())
                .is_some_and(|((_, redirects), location)| client.follows(location, redirects));
        if client.shows_pages() {
            let path = head.uri.path();
            match (&location, kind) {
                (None, RejectionReason::SignedOut) => {
                    if let Some(engine) = record.and_then(|it| it.context.logged_warnings()) {
                        warnings::no_sign_in_url(path, engine);
                    }
                }
                (Some(target), _) if is_path_of(target, path) => warnings::guarded_target(path),
                _ => {}
            }
        }
        let page = client.shows_pages().then(|| {
            let design = record.map(|record| Arc::clone(record.page_design())).unwrap_or_default();
            let home = found.map_or(RedirectTarget::DEFAULT, |(_, it)| it.home.clone());
            let offers_sign_in =
                matches!(kind, RejectionReason::Unproven | RejectionReason::NotDeviceBound);
            let sign_in = found.filter(|_| offers_sign_in).and_then(|(_, redirects)| {
                let page = redirects.sign_in.as_ref()?;
                Some(redirects.with_return_url(page, back.as_ref()))
            });
            Box::new(PageParts { design, home, back, sign_in, is_read })
        });
        let pending = record.filter(|_| kind == RejectionReason::Pending);
        let identity = pending.and_then(|record| record.identity());
        let tasks = identity.map(|identity| identity.tasks().to_vec()).unwrap_or_default();
        Self {
            kind,
            client,
            location,
            is_redirect,
            page,
            credential,
            accepts_bearer,
            tasks,
            freshness: None,
            proof_retry: found
                .and_then(|found| ProofRetry::new(kind, client, head, found))
                .map(Box::new),
        }
    }

    /// The refusal of a request for which a look-up of `required` (a claims type or a layer's name) found
    /// no layer. It logs the claims types of the layers that there are.
    pub(crate) fn from_lookup_error(
        error: LayerLookupError,
        required: &str,
        nearest: Option<&SessionStatus>,
        head: RequestHead<'_>,
    ) -> Self {
        let found: Vec<_> = nearest
            .into_iter()
            .flat_map(|status| status.chain().map(|status| status.claims_type()))
            .collect();
        match error {
            LayerLookupError::Missing => warnings::missing_layer(required, &found),
            LayerLookupError::Ambiguous => warnings::ambiguous_layer(required, &found),
        }
        Self::new(error.into(), head, None)
    }

    /// The same, with the required freshness.
    pub(crate) const fn wanting(mut self, freshness: Option<FreshnessRequirement>) -> Self {
        self.freshness = freshness;
        self
    }

    /// The reason.
    #[must_use]
    pub const fn kind(&self) -> RejectionReason {
        self.kind
    }

    /// The redirect target for a user: the sign-in page, or the account chooser.
    #[must_use]
    pub const fn location(&self) -> Option<&RedirectTarget> {
        self.location.as_ref()
    }

    /// The open tasks, if they are the reason.
    #[must_use]
    pub fn tasks(&self) -> &[SessionTask] {
        &self.tasks
    }

    /// The required freshness, if that is the reason.
    #[must_use]
    pub const fn freshness(&self) -> Option<FreshnessRequirement> {
        self.freshness
    }

    /// The status for clients that are not redirected and do not use gRPC.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.kind.problem().status
    }

    /// Whether the client shows the response to its user: a browser that loads a page or sends a form,
    /// or Turbo. Other clients are programs, and expect a status and a problem document.
    ///
    /// ```
    /// use axum::response::{Html, IntoResponse as _, Response};
    /// use tower_auth_session::Rejection;
    ///
    /// /// A page of the application for people, this crate's response for programs.
    /// fn respond(rejection: Rejection) -> Response {
    ///     if rejection.shows_page() && rejection.location().is_none() {
    ///         (rejection.status(), Html("<h1>Sorry</h1>")).into_response()
    ///     } else {
    ///         rejection.into_response()
    ///     }
    /// }
    /// ```
    #[must_use]
    pub const fn shows_page(&self) -> bool {
        self.page.is_some()
    }

    /// The response, which caches must not store.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let problem = self.kind.problem();
        let mut response = match (self.client, &self.location) {
            (Client::Grpc(grpc), _) => problem.to_grpc(grpc),
            (_, Some(location)) if self.is_redirect => redirect(location),
            (Client::Htmx, Some(location)) => {
                let mut response = self.problem();
                response.headers_mut().insert(HX_REDIRECT, location.to_header_value());
                response
            }
            _ => match (&self.proof_retry, &self.page) {
                (Some(retry), _) => retry.to_response(),
                (None, Some(page)) => self.page(problem, page),
                (None, None) => self.problem(),
            },
        };
        problem.challenge(self.credential, self.accepts_bearer, response.headers_mut());
        no_store(response.headers_mut());
        response.extensions_mut().insert(self.clone());
        response
    }

    fn page(&self, problem: Problem, page: &PageParts) -> Response<Bytes> {
        /// In seconds: enough for a browser to reach the service again.
        const RETRY: HeaderValue = HeaderValue::from_static("10");
        let mut response = problem.page(&self.error_page(page));
        if self.kind == RejectionReason::Unproven && page.is_read {
            response.headers_mut().insert(REFRESH, RETRY);
        }
        response
    }

    fn error_page<'a>(&'a self, page: &'a PageParts) -> ErrorPage<'a> {
        let back = page.back.as_ref();
        let next = match (&self.location, self.kind) {
            (Some(location), RejectionReason::SignedOut) => Some((PageText::SignIn, location)),
            (Some(location), RejectionReason::AccountSelectionRequired) => {
                Some((PageText::ChooseTitle, location))
            }
            (Some(location), RejectionReason::Pending | RejectionReason::NotFresh) => {
                Some((PageText::Continue, location))
            }
            (_, RejectionReason::Unavailable | RejectionReason::Unproven) if page.is_read => {
                back.map(|back| (PageText::TryAgain, back))
            }
            _ if page.is_read => None,
            _ => back.map(|back| (PageText::GoBack, back)),
        };
        ErrorPage {
            design: &page.design,
            home: &page.home,
            sign_in: page.sign_in.as_ref(),
            next,
            lost_input: !page.is_read,
            in_turbo_frame: self.client == Client::Turbo { in_frame: true },
        }
    }

    fn problem(&self) -> Response<Bytes> {
        let choose = match (self.kind, &self.location) {
            (RejectionReason::AccountSelectionRequired, Some(location)) => Some(location.as_str()),
            _ => None,
        };
        let more = ProblemExtensions { choose, tasks: &self.tasks, reverification: self.freshness };
        self.kind.problem().response_with(&more)
    }
}

impl From<LayerLookupError> for RejectionReason {
    fn from(error: LayerLookupError) -> Self {
        match error {
            LayerLookupError::Missing => Self::MissingLayer,
            LayerLookupError::Ambiguous => Self::AmbiguousLayer,
        }
    }
}

impl RejectionReason {
    /// The status, code and text for programs.
    pub(crate) const fn problem(self) -> Problem {
        let (status, code, detail) = match self {
            Self::SignedOut => return Problem::SIGNED_OUT,
            Self::Unavailable => return Problem::UNAVAILABLE,
            Self::CrossOrigin(_) => return Problem::CROSS_ORIGIN,
            Self::Unproven => (
                StatusCode::UNAUTHORIZED,
                "device_unproven",
                "The request has no proof that it comes from the device of the session.",
            ),
            Self::NotDeviceBound => (
                StatusCode::FORBIDDEN,
                "device_not_bound",
                "The session must be bound to a device, which this browser has not done.",
            ),
            Self::ProofTooOld => (
                StatusCode::UNAUTHORIZED,
                "device_proof_too_old",
                "The device of the session proved its key too long ago.",
            ),
            Self::AccountSelectionRequired => (
                StatusCode::UNAUTHORIZED,
                "choose",
                "Choose one of the accounts that are signed in.",
            ),
            Self::Pending => (StatusCode::FORBIDDEN, "pending", "The sign-in is not complete."),
            Self::SessionMismatch => (
                StatusCode::CONFLICT,
                "session_mismatch",
                "The session that the request names is not signed in here.",
            ),
            Self::Forbidden => {
                (StatusCode::FORBIDDEN, "forbidden", "This account may not do that.")
            }
            Self::NotFresh => {
                (StatusCode::UNAUTHORIZED, "not_fresh", "Please verify your identity again.")
            }
            Self::Impersonated => {
                (StatusCode::FORBIDDEN, "impersonated", "An impersonated session may not do that.")
            }
            Self::MissingLayer => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "layer_missing",
                "SessionLayer does not wrap this service, or only with another type of claims: \
                 add it outside of the guard or extractor.",
            ),
            Self::AmbiguousLayer => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "layer_ambiguous",
                "Several SessionLayers with different engines wrap this service: name the one that \
                 the guard or extractor uses.",
            ),
            Self::MissingStore => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "store_missing",
                "This handler needs a session store: set one with SessionLayer::store.",
            ),
        };
        Problem { status, code, detail }
    }

    /// The reason for a status without a signed-in session.
    pub(crate) const fn from_status(kind: SessionStatusKind) -> Option<Self> {
        match kind {
            SessionStatusKind::SignedIn => None,
            SessionStatusKind::SignedOut => Some(Self::SignedOut),
            SessionStatusKind::AccountSelectionRequired => Some(Self::AccountSelectionRequired),
            SessionStatusKind::Pending => Some(Self::Pending),
            SessionStatusKind::SessionMismatch => Some(Self::SessionMismatch),
            SessionStatusKind::Unavailable => Some(Self::Unavailable),
            SessionStatusKind::Unproven => Some(Self::Unproven),
            SessionStatusKind::NotDeviceBound => Some(Self::NotDeviceBound),
            SessionStatusKind::CrossOrigin(reason) => Some(Self::CrossOrigin(reason)),
            SessionStatusKind::Ambiguous => Some(Self::AmbiguousLayer),
        }
    }
}

/// Whether `target` is the page at `path`, whatever its query.
fn is_path_of(target: &RedirectTarget, path: &str) -> bool {
    target.as_str().split(['?', '#']).next() == Some(path)
}

/// HTMX loads the page that this header names, whatever the status of the response.
pub(crate) const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

pub(crate) fn redirect(location: &RedirectTarget) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, location.to_header_value());
    response
}

#[cfg(test)]
mod tests;
