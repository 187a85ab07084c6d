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
    header::{
        ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL, CONTENT_TYPE, REFERER,
    },
};

use super::{
    params::{ContentKind, Param, Params},
    read_body::BodyError,
};
use crate::{
    engine::{RedirectTarget, RequestHead, SessionEngine, SessionEvent, SessionJar},
    rejection::{accepts, problem, redirect},
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
    pub(crate) fn admit(
        jar: SessionJar<C>,
        head: RequestHead<'_>,
    ) -> Result<Self, Response<Bytes>> {
        let engine = jar.engine();
        if head.method != Method::POST {
            let (status, detail) = (StatusCode::METHOD_NOT_ALLOWED, "Sign out with POST.");
            let mut response = refuse(status, "method_not_allowed", detail);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return Err(response);
        }
        if let Err(reason) = engine.check_origin(head, jar.was_presented()) {
            engine.tell(&SessionEvent::CrossOriginRefused { reason });
            let detail = "The request comes from another site.";
            return Err(refuse(StatusCode::FORBIDDEN, "cross_origin", detail));
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
            Err(response) => return response,
        };
        let location = self.sign_out(&scope);
        let mut response =
            if self.wants_json { json(&location) } else { redirect(&location) };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Closing fails for sign-ins only.
        let _ = self.jar.engine().close(&self.jar, &mut response, now());
        response
    }

    fn read(&mut self, body: Result<Vec<u8>, BodyError>) -> Result<Scope, Response<Bytes>> {
        let body = body.map_err(|error| match error {
            BodyError::TooLarge => refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "The body is larger than 8 KiB.",
            ),
            BodyError::Broken => {
                refuse(StatusCode::BAD_REQUEST, "broken_body", "The body could not be read.")
            }
        })?;
        match self.content {
            _ if body.is_empty() => {}
            ContentKind::Urlencoded => self.params.merge_urlencoded(&body),
            ContentKind::Json => self.params.merge_json(&body).map_err(|_| {
                refuse(StatusCode::BAD_REQUEST, "bad_json", "The body is not a JSON object.")
            })?,
            ContentKind::None | ContentKind::Other => {
                return Err(refuse(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "unsupported_media_type",
                    "Send application/x-www-form-urlencoded or application/json.",
                ));
            }
        }
        if self.params.session_id == Param::Invalid {
            let detail = "`session_id` comes at most once, as text.";
            return Err(refuse(StatusCode::BAD_REQUEST, "bad_session_id", detail));
        }
        match &self.params.scope {
            Param::Absent => Ok(Scope::This),
            Param::Once(scope) if scope == "this" => Ok(Scope::This),
            Param::Once(scope) if scope == "browser" => Ok(Scope::Browser),
            Param::Once(scope) if scope == "everywhere" => Err(refuse(
                StatusCode::BAD_REQUEST,
                "needs_store",
                "Signing out everywhere needs a session store.",
            )),
            _ => Err(refuse(
                StatusCode::BAD_REQUEST,
                "bad_scope",
                "`scope` is `this`, `browser` or `everywhere`, once.",
            )),
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
        let reason = match &self.params.redirect_url {
            Param::Absent => return None,
            Param::Once(url) if url.is_empty() => return None,
            Param::Once(url) => match engine.redirect_policy().check(url) {
                Ok(target) => return Some(target),
                Err(reason) => reason,
            },
            Param::Invalid => crate::engine::RedirectRefused::Form,
        };
        engine.tell(&SessionEvent::RedirectRefused { reason });
        None
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

fn refuse(status: StatusCode, code: &'static str, detail: &'static str) -> Response<Bytes> {
    let mut response = problem(status, code, detail, None);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
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
