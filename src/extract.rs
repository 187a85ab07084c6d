//! Axum extractors: `Session<C>`, `SessionJar<C>`, `SessionStatus`, and `Option`s of the first two. The
//! front page of the documentation has the table of what they do.
//!
//! A jar is no part of the response: return what the handler answers, the layer adds the cookies.

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    engine::{
        jar::SessionJar,
        request::{
            head::RequestHead,
            session::{LayerLookupError, Session, SessionStatus},
            state::RequestState,
        },
        session::identity::SessionStatusKind,
    },
    rejection::{Rejection, RejectionReason},
};

impl<S, C> FromRequestParts<S> for Session<C>
where
    S: Send + Sync,
    C: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let (record, session) = jar::<C>(parts)?.current();
        record.mark_guarded();
        session.ok_or_else(|| {
            let kind = RejectionReason::from_status(record.status());
            refuse(kind.unwrap_or(RejectionReason::SignedOut), parts, &record)
        })
    }
}

impl<S, C> OptionalFromRequestParts<S> for Session<C>
where
    S: Send + Sync,
    C: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        let (record, session) = jar::<C>(parts)?.current();
        record.mark_read();
        match record.status() {
            SessionStatusKind::SessionMismatch => {
                Err(refuse(RejectionReason::SessionMismatch, parts, &record))
            }
            SessionStatusKind::Unavailable => {
                Err(refuse(RejectionReason::Unavailable, parts, &record))
            }
            _ => Ok(session),
        }
    }
}

impl<S, C> FromRequestParts<S> for SessionJar<C>
where
    S: Send + Sync,
    C: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        jar(parts)
    }
}

/// For handlers that are also used without a layer.
impl<S, C> OptionalFromRequestParts<S> for SessionJar<C>
where
    S: Send + Sync,
    C: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        match parts.extensions.get::<SessionStatus>() {
            None => Ok(None),
            Some(_) => jar(parts).map(Some),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SessionStatus {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| missing(LayerLookupError::Missing, "any", parts))
    }
}

/// The jar of the layer whose claims are `C`.
fn jar<C: Send + Sync + 'static>(parts: &Parts) -> Result<SessionJar<C>, Rejection> {
    let status = parts.extensions.get::<SessionStatus>().ok_or(LayerLookupError::Missing);
    status
        .and_then(SessionStatus::find)
        .map_err(|error| missing(error, std::any::type_name::<C>(), parts))
}

fn missing(error: LayerLookupError, required: &str, parts: &Parts) -> Rejection {
    Rejection::from_lookup_error(error, required, parts.extensions.get(), head(parts))
}

fn refuse(kind: RejectionReason, parts: &Parts, record: &RequestState) -> Rejection {
    Rejection::new(kind, head(parts), Some(record))
}

const fn head(parts: &Parts) -> RequestHead<'_> {
    RequestHead::new(&parts.method, &parts.uri, &parts.headers)
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.to_response().map(Body::from)
    }
}
