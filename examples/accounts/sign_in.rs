//! Signing in: the form, and the session that it creates.

use std::time::Duration;

use axum::{
    Form,
    extract::{
        Query, State,
        rejection::{FormRejection, QueryRejection},
    },
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;
use tower_auth_session::{
    SessionJar, SignIn, Subject,
    config::{LifetimeOverride, RedirectTarget},
    engine::SessionTask,
    error::CommitError,
};

use crate::{
    App, pages,
    people::{self, Claims, PEOPLE},
    second_factor,
    visitor::Visitor,
};

/// How long "keep me signed in" is.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);

/// The maximum lifetime of a session whose cookie the browser may remove when it closes. The browser
/// decides when it removes the cookie.
const UNTIL_CLOSED: Duration = Duration::from_secs(3600);

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReturnQuery {
    pub(crate) redirect_url: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Fields {
    user: String,
    remember: String,
    until_closed: String,
    redirect_url: String,
}

/// What a guard adds to the URL of the sign-in page.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct FromGuard {
    redirect_url: String,
    cookie_missing: String,
}

const COOKIE_MISSING: &str = "If you have just signed in, your browser did not keep the cookie. Allow \
     cookies for this site. Over http, Safari keeps no cookie that is marked Secure: see \
     SESSION_INSECURE_COOKIES in examples/accounts.";

/// `GET /sign-in`: guards send browsers here, with the requested page as `redirect_url`.
pub(crate) async fn form(
    visitor: Visitor,
    query: Result<Query<FromGuard>, QueryRejection>,
) -> Response {
    let FromGuard { redirect_url, cookie_missing } = query.unwrap_or_default().0;
    let problem = is_checked(&cookie_missing).then_some(COOKIE_MISSING);
    pages::sign_in(StatusCode::OK, &visitor, &redirect_url, problem)
}

/// `POST /sign-in`.
pub(crate) async fn submit(
    State(App { engine, several, .. }): State<App>,
    jar: SessionJar<Claims>,
    fields: Result<Form<Fields>, FormRejection>,
) -> Response {
    let again = |status, redirect_url: &str, problem: &str| {
        pages::sign_in(status, &Visitor::of(&jar, several), redirect_url, Some(problem))
    };
    let fields = match fields {
        Ok(Form(fields)) => fields,
        Err(rejection) => return again(rejection.status(), "", &rejection.body_text()),
    };
    let Some(subject) =
        people::find(&fields.user).and_then(|person| Subject::new(person.user).ok())
    else {
        let users: Vec<_> = PEOPLE.iter().map(|person| person.user).collect();
        let problem = format!("There is no such user. Choose one of {}.", users.join(", "));
        return again(StatusCode::UNPROCESSABLE_ENTITY, &fields.redirect_url, &problem);
    };

    // A real application has verified a password or a passkey by now.
    let mut sign_in =
        SignIn::from_claims_source(subject).persistent(!is_checked(&fields.until_closed));
    if is_checked(&fields.until_closed) {
        sign_in = sign_in.lifetime(LifetimeOverride::both(UNTIL_CLOSED));
    } else if is_checked(&fields.remember) {
        sign_in = sign_in.lifetime(LifetimeOverride::both(REMEMBERED));
    }
    if people::find(&fields.user).is_some_and(|person| person.second_factor) {
        sign_in = sign_in.with_tasks([SessionTask::SECOND_FACTOR]);
    }
    if let Err(error) = jar.sign_in(sign_in) {
        return error.into_response();
    }
    // The store may refuse the sign-in. Without this handler's page the layer would answer.
    match jar.commit().await {
        Ok(()) => {}
        Err(CommitError::TooManySessions) => {
            let problem = "You have the maximum number of sessions. Sign out in another browser \
                 first.";
            return again(StatusCode::CONFLICT, &fields.redirect_url, problem);
        }
        Err(CommitError::StoreUnavailable) => {
            let problem = "Signing in is not possible at the moment. Try again shortly.";
            return again(StatusCode::SERVICE_UNAVAILABLE, &fields.redirect_url, problem);
        }
        Err(error) => return error.into_response(),
    }
    // Only an allowed redirect target is followed, never one that a foreign link chose.
    let target = engine.redirect_target(&fields.redirect_url);
    let target = target.as_ref().map_or("/me", RedirectTarget::as_str);
    if jar.pending().is_some() {
        let then: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
        let step = format!("{}?redirect_url={then}", second_factor::PATH);
        return Redirect::to(&step).into_response();
    }
    Redirect::to(target).into_response()
}

/// A checkbox sends its value or nothing.
fn is_checked(value: &str) -> bool {
    !matches!(value, "" | "0" | "off" | "false")
}
