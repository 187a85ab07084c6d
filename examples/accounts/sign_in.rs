//! Signing in: the form, and the session that it creates.

use std::time;

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

/// How long the user wants to stay signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Duration {
    /// As the operator configured it.
    #[default]
    Usual,
    Month,
    /// At most an hour, and the browser may remove the cookie when it closes. The browser decides when
    /// it removes it.
    Hour,
}

impl Duration {
    pub(crate) const ALL: [Self; 3] = [Self::Usual, Self::Month, Self::Hour];

    pub(crate) const fn value(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Month => "month",
            Self::Hour => "hour",
        }
    }

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Usual => "Sign me out after the usual time",
            Self::Month => "Keep me signed in for 30 days",
            Self::Hour => "Shared computer: forget me after an hour",
        }
    }

    fn apply<C>(self, sign_in: SignIn<C>) -> SignIn<C> {
        let hours = |hours: u64| LifetimeOverride::both(time::Duration::from_secs(hours * 3600));
        match self {
            Self::Usual => sign_in,
            Self::Month => sign_in.lifetime(hours(30 * 24)),
            Self::Hour => sign_in.lifetime(hours(1)).persistent(false),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReturnQuery {
    pub(crate) redirect_url: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Fields {
    user: String,
    duration: Duration,
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
    let problem = (cookie_missing == "1").then_some(COOKIE_MISSING);
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
    let mut sign_in = fields.duration.apply(SignIn::from_claims_source(subject));
    if people::find(&fields.user).is_some_and(|person| person.second_factor) {
        sign_in = sign_in.with_tasks([SessionTask::SECOND_FACTOR]);
    }
    // After the sign-in, the jar has only the accounts that remain.
    let before = jar.accounts();
    let evicted = match jar.sign_in(sign_in) {
        Ok(outcome) => before
            .into_iter()
            .find(|account| outcome.evicted.contains(&account.session_id))
            .map(|account| account.subject),
        Err(error) => return error.into_response(),
    };
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
    let mut target = target.as_ref().map_or("/me", RedirectTarget::as_str).to_owned();
    if let Some(user) = evicted {
        target =
            with_query("/sign-in/made-room", &[("user", user.as_str()), ("redirect_url", &target)]);
    }
    if jar.pending().is_some() {
        target = with_query(second_factor::PATH, &[("redirect_url", &target)]);
    }
    Redirect::to(&target).into_response()
}

fn with_query(path: &str, fields: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    format!("{path}?{query}")
}
