//! All sessions of a person, in every browser: the list, and how to revoke them.

use axum::{
    Json,
    extract::{FromRequestParts, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Redirect, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower_auth_session::{
    Rejection, Session, SessionId, SessionJar, SessionManager, Subject,
    store::{SessionRecord, StoreError},
    time::Timestamp,
};

use crate::{
    App,
    api::{self, Sent},
    html::{self, Text, time},
    pages,
    people::Claims,
    visitor::{Visitor, sign_out_everywhere},
};

/// How many sessions one call of the store returns.
const PAGE: usize = 100;
/// The maximum number of calls.
const PAGES: usize = 10;

/// Why something was not done.
#[derive(Clone, Copy)]
enum Failure {
    StoreRequired,
    Unknown,
    NoList,
    /// Revoked in this process; the store receives the revocation as soon as it is back.
    NotRecorded,
}

/// The person whose session the request carries.
pub(crate) struct Asking {
    app: App,
    session: Session<Claims>,
    jar: SessionJar<Claims>,
    is_form: bool,
}

#[derive(Deserialize)]
pub(crate) struct TargetForm {
    session_id: String,
}

/// `GET /api/devices`: the newest sign-in first; times are unix seconds.
pub(crate) async fn list(State(app): State<App>, session: Session<Claims>) -> Response {
    #[derive(Serialize)]
    struct Device<'a> {
        session_id: SessionId,
        label: Option<&'a str>,
        created_at: Timestamp,
        last_active_at: Timestamp,
        device_bound: bool,
        current: bool,
    }
    let devices = match of(&app, session.subject()).await {
        Ok(devices) => devices,
        Err(failure) => return failure.to_program(),
    };
    let devices: Vec<_> = devices
        .iter()
        .map(|device| Device {
            session_id: device.id,
            label: device.device.label.as_deref(),
            created_at: device.signed_in_at,
            last_active_at: device.last_active_at,
            device_bound: device.binding.is_some(),
            current: device.id == session.id(),
        })
        .collect();
    Json(devices).into_response()
}

/// `POST /api/devices/end`: ends the session `session_id`, if it is one of the person's own.
pub(crate) async fn end(asking: Asking, Sent(form): Sent<TargetForm>) -> Response {
    let ended = end_one(&asking, &form.session_id).await;
    asking.answer(ended.map(|()| 1), "ended")
}

/// `POST /api/devices/end-others`: every session of the person but this one.
pub(crate) async fn end_others(asking: Asking) -> Response {
    let ended = end_all_but(&asking).await;
    asking.answer(ended, "others")
}

/// `POST /api/password`: the step after a new password was stored. The old one may be known to an
/// attacker, so all other sessions are revoked (ASVS 7.4.3).
pub(crate) async fn change_password(asking: Asking) -> Response {
    let ended = end_all_but(&asking).await;
    asking.answer(ended, "password")
}

async fn of(app: &App, subject: &Subject) -> Result<Vec<SessionRecord>, Failure> {
    let sessions = app.sessions.as_ref().ok_or(Failure::StoreRequired)?;
    all_of(sessions, subject).await.map_err(|_| Failure::NoList)
}

async fn all_of(
    sessions: &SessionManager<Claims>,
    subject: &Subject,
) -> Result<Vec<SessionRecord>, StoreError> {
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..PAGES {
        let page = sessions.list(subject, after, PAGE).await?;
        found.extend(page.sessions);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(found)
}

async fn end_one(asking: &Asking, text: &str) -> Result<(), Failure> {
    let Asking { app, session, jar, .. } = asking;
    let sessions = app.sessions.as_ref().ok_or(Failure::StoreRequired)?;
    let id: SessionId = text.parse().map_err(|_| Failure::Unknown)?;
    // Looked up among the person's own sessions: knowing an id is not a permission to revoke it.
    let theirs = of(app, session.subject()).await?;
    let device = theirs.iter().find(|device| device.id == id).ok_or(Failure::Unknown)?;
    if id == session.id() {
        // Removes the browser's cookie too.
        jar.sign_out();
        return Ok(());
    }
    sessions.revoke(&device.key()).await.map_err(|_| Failure::NotRecorded)
}

async fn end_all_but(asking: &Asking) -> Result<u64, Failure> {
    let sessions = asking.app.sessions.as_ref().ok_or(Failure::StoreRequired)?;
    let session = asking.session.identity();
    sessions.revoke_others(session).await.map_err(|_| Failure::NotRecorded)
}

/// `GET /devices`. The query may name what was just done.
pub(crate) async fn page(
    State(app): State<App>,
    session: Session<Claims>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Response {
    let devices = match of(&app, session.subject()).await {
        Err(failure) => {
            let (status, _, detail) = failure.parts();
            return pages::problem(status, &visitor, "Your devices", detail);
        }
        Ok(mut devices) => {
            devices.sort_by_key(|device| device.id != session.id());
            rows(&devices, session.id())
        }
    };
    let done = match query.as_deref() {
        Some("done=ended") => "That session has ended.",
        Some("done=others") => "All your other sessions have ended.",
        Some("done=password") => "Your other sessions were revoked after the password change.",
        _ => "",
    };
    let done = match done {
        "" => String::new(),
        done => format!("<p class=\"state on\" role=\"status\">{done}</p>\n"),
    };
    let main = format!(
        r#"<h1>Your devices</h1>
<p class="lead">Every browser that is signed in as {name}.</p>
<section class="card">
<h2>Where you are signed in</h2>
{done}{devices}<div class="actions">
<form method="post" action="/api/devices/end-others"><button class="quiet">End all others</button></form>
{everywhere}</div>
</section>
<section class="card">
<h2>Password</h2>
<p id="password-note">This demo has no passwords: the button simulates a change. The old one may be known
to an attacker: all your other sessions are revoked, and this one stays.</p>
<form method="post" action="/api/password">
<button class="quiet" aria-describedby="password-note">I changed my password</button>
</form>
</section>
<div class="actions"><a href="/me">Back to your account</a></div>
"#,
        name = Text(&session.claims().name),
        everywhere = sign_out_everywhere(session.id().as_str()),
    );
    html::page(StatusCode::OK, "Your devices", &visitor, &main)
}

fn rows(devices: &[SessionRecord], current: SessionId) -> String {
    let rows: String = devices
        .iter()
        .map(|device| {
            let label = Text(device.device.label.as_deref().unwrap_or("Unknown device"));
            let signed_in = time(device.signed_in_at);
            let bound =
                if device.binding.is_some() { "<small>Bound to the device</small>" } else { "" };
            let end = if device.id == current {
                "<span class=\"pill\">This browser</span>".to_owned()
            } else {
                format!(
                    "<form method=\"post\" action=\"/api/devices/end\">\
                     <input type=\"hidden\" name=\"session_id\" value=\"{id}\">\
                     <button class=\"quiet\">End<span class=\"spoken\"> the session of {label}, \
                     signed in {signed_in}</span></button></form>",
                    id = device.id,
                )
            };
            format!(
                "<li><p>{label}<small>Signed in {signed_in}</small>\
                 <small>Last active {last_active}</small>{bound}</p>{end}</li>\n",
                last_active = time(device.last_active_at),
            )
        })
        .collect();
    format!("<ul role=\"list\" class=\"accounts\">\n{rows}</ul>\n")
}

impl Asking {
    fn answer(self, ended: Result<u64, Failure>, done: &str) -> Response {
        match ended {
            Ok(_) if self.is_form => Redirect::to(&format!("/devices?done={done}")).into_response(),
            Ok(ended) => Json(json!({ "ended": ended })).into_response(),
            Err(failure) if self.is_form => {
                let (status, _, detail) = failure.parts();
                let visitor = Visitor::of(&self.jar, self.app.several);
                pages::problem(status, &visitor, "The request failed", detail)
            }
            Err(failure) => failure.to_program(),
        }
    }
}

impl FromRequestParts<App> for Asking {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Rejection> {
        let session = Session::<Claims>::from_request_parts(parts, app).await?;
        let jar = SessionJar::<Claims>::from_request_parts(parts, app).await?;
        Ok(Self { app: app.clone(), session, jar, is_form: api::is_form(&parts.headers) })
    }
}

impl Failure {
    /// The status, the code for programs and the sentence for people.
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::StoreRequired => (
                StatusCode::NOT_IMPLEMENTED,
                "needs_store",
                "The list of devices needs a session store.",
            ),
            Self::Unknown => (
                StatusCode::NOT_FOUND,
                "unknown_session",
                "You have no such session, or it has already ended.",
            ),
            Self::NoList => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Your sessions cannot be looked up at the moment. No session was revoked.",
            ),
            Self::NotRecorded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The revocation is in effect in this process. The store has not recorded it yet; \
                 it is sent again until the store has.",
            ),
        }
    }

    /// A problem report (RFC 9457).
    fn to_program(self) -> Response {
        let (status, code, detail) = self.parts();
        let title = status.canonical_reason();
        let report =
            json!({ "title": title, "status": status.as_u16(), "code": code, "detail": detail });
        let kind = HeaderValue::from_static("application/problem+json");
        let mut headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ]);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        (status, headers, report.to_string()).into_response()
    }
}
