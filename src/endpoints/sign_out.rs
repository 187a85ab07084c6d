//! `POST /sign-out`: ends the session, takes its cookie from the browser and leads on.
//!
//! 1. POST only: other methods are 405 with `Allow: POST`, so that no link and no image signs
//!    anybody out. CORS preflights are the application's.
//! 2. Whether the request was forged by another site is decided from its head, before the body is
//!    read (ASVS 3.5.1): 403, and no cookie changes.
//! 3. Parameters `session_id`, `scope` (`this`, `browser` or `everywhere`) and `redirect_url`, in the
//!    query or in a urlencoded or JSON body of at most 8 KiB.
//! 4. `303 See Other` for browsers, `200 {"redirect_url": …}` for clients that ask for JSON. A
//!    `redirect_url` that is not safe is ignored in favour of the default.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL, CONTENT_TYPE, REFERER},
};

use super::{
    params::{ContentKind, Param, Params},
    read_body::BodyError,
};
use crate::{
    engine::{
        RedirectRefused, RedirectTarget, RequestHead, SessionEngine, SessionEvent, SessionJar,
    },
    rejection::{NO_STORE, Problem, accepts, redirect},
    time::Now,
};

/// A sign-out that may act, once its body is read.
pub(crate) struct SignOutCall<C> {
    jar: SessionJar<C>,
    params: Params,
    content: ContentKind,
    wants_json: bool,
    referer: Option<RedirectTarget>,
}

/// How much is signed out.
enum Scope {
    This,
    Browser,
}

impl<C> SignOutCall<C> {
    /// Whether the request is for this endpoint: exactly its path, so that no router and no proxy
    /// can see another one in it.
    pub(crate) fn is_for(engine: &SessionEngine<C>, head: RequestHead<'_>) -> bool {
        engine.sign_out_path() == Some(head.uri.path())
            && !(head.method == Method::OPTIONS
                && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD))
    }

    /// Decides from the head whether the request may act; else the answer.
    pub(crate) fn admit(jar: SessionJar<C>, head: RequestHead<'_>) -> Result<Self, Problem> {
        let engine = jar.engine();
        if head.method != Method::POST {
            return Err(METHOD_NOT_ALLOWED);
        }
        if let Err(reason) = engine.check_origin(head, jar.was_presented()) {
            engine.tell(&SessionEvent::CrossOriginRefused { reason });
            return Err(Problem::CROSS_ORIGIN);
        }
        let content = ContentKind::of(head.headers);
        let wants_json = wants_json(head.headers, content);
        let referer = same_origin_referer(engine, head.headers);
        let params = Params::from_query(head.uri.query().unwrap_or_default());
        Ok(Self { jar, params, content, wants_json, referer })
    }

    /// Signs out and answers. `now` is read when it is needed.
    pub(crate) fn answer(
        mut self,
        body: Result<Vec<u8>, BodyError>,
        now: impl FnOnce() -> Now,
    ) -> Response<Bytes> {
        let scope = match self.read(body) {
            Ok(scope) => scope,
            Err(problem) => return Self::refuse(problem),
        };
        let location = self.sign_out(&scope);
        let mut response = if self.wants_json { json(&location) } else { redirect(&location) };
        response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
        // Closing fails for sign-ins only.
        let _ = self.jar.engine().close(&self.jar, &mut response, now());
        response
    }

    /// The answer to a request that may not act.
    pub(crate) fn refuse(problem: Problem) -> Response<Bytes> {
        let mut response = problem.response();
        if problem == METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }

    fn read(&mut self, body: Result<Vec<u8>, BodyError>) -> Result<Scope, Problem> {
        let body = body.map_err(|error| match error {
            BodyError::TooLarge => BODY_TOO_LARGE,
            BodyError::Broken => bad_request("broken_body", "The body could not be read."),
        })?;
        match self.content {
            _ if body.is_empty() => {}
            ContentKind::Urlencoded => self.params.merge_urlencoded(&body),
            ContentKind::Json => self
                .params
                .merge_json(&body)
                .map_err(|_| bad_request("bad_json", "The body is not a JSON object."))?,
            ContentKind::None | ContentKind::Other => return Err(UNSUPPORTED_MEDIA_TYPE),
        }
        if self.params.session_id == Param::Invalid {
            let detail = "`session_id` comes at most once, as text.";
            return Err(bad_request("bad_session_id", detail));
        }
        match &self.params.scope {
            Param::Absent => Ok(Scope::This),
            Param::Once(scope) if scope == "this" => Ok(Scope::This),
            Param::Once(scope) if scope == "browser" => Ok(Scope::Browser),
            Param::Once(scope) if scope == "everywhere" => {
                Err(bad_request("needs_store", "Signing out everywhere needs a session store."))
            }
            _ => {
                let detail = "`scope` is `this`, `browser` or `everywhere`, once.";
                Err(bad_request("bad_scope", detail))
            }
        }
    }

    /// Signs out and says where to go.
    fn sign_out(&self, scope: &Scope) -> RedirectTarget {
        let after_sign_out = || self.jar.engine().redirects().after_sign_out.clone();
        match (scope, &self.params.session_id) {
            (Scope::Browser, _) => {
                self.jar.sign_out_all();
                after_sign_out()
            }
            (Scope::This, Param::Once(id)) => {
                let signed_out =
                    id.parse().ok().and_then(|id| self.jar.sign_out_session(id)).is_some();
                self.asked_for().unwrap_or_else(|| {
                    if signed_out {
                        after_sign_out()
                    } else {
                        self.referer.clone().unwrap_or(RedirectTarget::ROOT)
                    }
                })
            }
            (Scope::This, _) => {
                self.jar.sign_out();
                self.asked_for().unwrap_or_else(after_sign_out)
            }
        }
    }

    /// The `redirect_url` of the request, if it is safe.
    fn asked_for(&self) -> Option<RedirectTarget> {
        let engine = self.jar.engine();
        match &self.params.redirect_url {
            Param::Absent => None,
            Param::Once(url) => engine.redirect_target(url),
            Param::Invalid => {
                engine.tell(&SessionEvent::RedirectRefused { reason: RedirectRefused::Form });
                None
            }
        }
    }
}

/// The page the request came from, if it is one of ours.
fn same_origin_referer<C>(
    engine: &SessionEngine<C>,
    headers: &HeaderMap,
) -> Option<RedirectTarget> {
    let mut fields = headers.get_all(REFERER).iter();
    let (Some(referer), None) = (fields.next(), fields.next()) else { return None };
    engine.redirect_policy().check_own(referer.to_str().ok()?)
}

/// A client that sends JSON or names it, and no browser's form, which names HTML.
fn wants_json(headers: &HeaderMap, content: ContentKind) -> bool {
    !accepts(headers, "text/html")
        && (accepts(headers, "application/json") || content == ContentKind::Json)
}

const METHOD_NOT_ALLOWED: Problem = Problem {
    status: StatusCode::METHOD_NOT_ALLOWED,
    code: "method_not_allowed",
    detail: "Sign out with POST.",
};
const BODY_TOO_LARGE: Problem = Problem {
    status: StatusCode::PAYLOAD_TOO_LARGE,
    code: "body_too_large",
    detail: "The body is larger than 8 KiB.",
};
const UNSUPPORTED_MEDIA_TYPE: Problem = Problem {
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    code: "unsupported_media_type",
    detail: "Send application/x-www-form-urlencoded or application/json.",
};

const fn bad_request(code: &'static str, detail: &'static str) -> Problem {
    Problem { status: StatusCode::BAD_REQUEST, code, detail }
}

fn json(location: &RedirectTarget) -> Response<Bytes> {
    #[derive(serde::Serialize)]
    struct Answer<'a> {
        redirect_url: &'a str,
    }
    let answer = Answer { redirect_url: location.as_str() };
    let mut response = Response::new(serde_json::to_vec(&answer).unwrap_or_default().into());
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
