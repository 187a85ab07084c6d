//! Axum extractors: `Session<C>`, `SessionIdentity`, `SessionJar<C>`, `SessionManager<C>` and
//! `SessionStatus`, and `Option`s of the first four. The front page of the documentation has the table of
//! what they do.
//!
//! A jar is no part of the response: return what the handler answers, the layer adds the cookies.

use std::sync::Arc;

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    SessionManager,
    engine::{
        jar::SessionJar,
        request::{
            head::RequestHead,
            session::{LayerLookupError, Session, SessionStatus},
            state::RequestState,
        },
        session::identity::{SessionIdentity, SessionStatusKind},
    },
    rejection::{Rejection, RejectionReason, warnings},
};

impl<S, C> FromRequestParts<S> for Session<C>
where
    S: Send + Sync,
    C: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let (record, session) = jar::<C>(parts)?.current();
        signed_in(session, parts, &record)
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
        signed_in_or_out(session, parts, &record)
    }
}

/// The session without its claims, for code that does not know their type.
impl<S: Send + Sync> FromRequestParts<S> for SessionIdentity {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let (identity, record) = identity(parts)?;
        signed_in(identity, parts, &record)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for SessionIdentity {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        let (identity, record) = identity(parts)?;
        signed_in_or_out(identity, parts, &record)
    }
}

/// The sessions in the layer's store. A layer without a store is refused with 500.
impl<S, C> FromRequestParts<S> for SessionManager<C>
where
    S: Send + Sync,
    C: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let jar = jar::<C>(parts)?;
        Self::from_jar(&jar).ok_or_else(|| {
            warnings::missing_store(std::any::type_name::<C>());
            refuse(RejectionReason::MissingStore, parts, &jar.current().0)
        })
    }
}

/// For handlers that also work without a store.
impl<S, C> OptionalFromRequestParts<S> for SessionManager<C>
where
    S: Send + Sync,
    C: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        Ok(Self::from_jar(&jar(parts)?))
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

/// `session`, or why there is none.
fn signed_in<T>(session: Option<T>, parts: &Parts, record: &RequestState) -> Result<T, Rejection> {
    record.mark_guarded();
    session.ok_or_else(|| {
        let kind = RejectionReason::from_status(record.status());
        refuse(kind.unwrap_or(RejectionReason::SignedOut), parts, record)
    })
}

/// `session`, unless it is unknown whether the request has one.
fn signed_in_or_out<T>(
    session: Option<T>,
    parts: &Parts,
    record: &RequestState,
) -> Result<Option<T>, Rejection> {
    record.mark_read();
    match record.status() {
        SessionStatusKind::SessionMismatch => {
            Err(refuse(RejectionReason::SessionMismatch, parts, record))
        }
        SessionStatusKind::Unavailable => Err(refuse(RejectionReason::Unavailable, parts, record)),
        _ => Ok(session),
    }
}

/// The session in the only layer, including the changes of this request, and the request's state.
fn identity(parts: &Parts) -> Result<(Option<SessionIdentity>, Arc<RequestState>), Rejection> {
    let status = parts.extensions.get::<SessionStatus>().ok_or(LayerLookupError::Missing);
    let record = status
        .and_then(|status| match status.is_ambiguous() {
            true => Err(LayerLookupError::Ambiguous),
            false => Ok(status.current_record()),
        })
        .map_err(|error| missing(error, "any", parts))?;
    let is_signed_in = record.status() == SessionStatusKind::SignedIn;
    let identity = record.identity().filter(|_| is_signed_in).cloned();
    Ok((identity, record))
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
