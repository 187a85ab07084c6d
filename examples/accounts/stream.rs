//! A response that stays open: server-sent events until the session ends.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{
    FutureExt as _, StreamExt as _,
    future::{Either, select},
    stream,
};
use serde_json::json;
use tower_auth_session::Session;

use crate::{App, people::Claims};

/// The interval of keep-alive comments, shorter than the timeout of proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /api/stream`: the event `session` when it opens, `ended` when the session has expired or was
/// revoked on any node. When the process stops the stream stops too, without `ended`: browsers then
/// reconnect.
pub(crate) async fn open(
    State(App { stop, .. }): State<App>,
    session: Session<Claims>,
) -> Response {
    let data = json!({ "session_id": session.id() }).to_string();
    let opened = Event::default().event("session").data(&data);
    let over = Event::default().event("ended").data(&data);
    // The guard checked the session when the request arrived; the stream checks it from here on.
    let rest = select(Box::pin(session.ended()), stop).map(|first| match first {
        Either::Left(_) => Some(over),
        Either::Right(_) => None,
    });
    let rest = stream::once(rest).filter_map(std::future::ready);
    let events = stream::iter([opened]).chain(rest).map(Ok::<_, Infallible>);
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        // nginx would hold events back.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    (headers, events).into_response()
}
