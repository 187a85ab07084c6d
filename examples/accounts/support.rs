//! Ada is in support: she impersonates another user in a session that records her as the actor. Before
//! that she re-verifies her identity.

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
    RequireSessionLayer, Session, SessionJar, SignIn, Subject,
    engine::{Actor, Factor},
};

use crate::{
    App,
    html::{Text, page},
    pages,
    people::{self, Claims, PEOPLE},
    sign_in::ReturnQuery,
    visitor::Visitor,
};

/// The user in support. The demo's role does not decide it, because users choose their role.
const HELPER: &str = "ada";

/// The maximum age of the helper's verification, in seconds.
pub(crate) const FRESH: u64 = 300;

/// The guard of this page.
pub(crate) fn guard() -> RequireSessionLayer {
    let fresh = std::time::Duration::from_secs(FRESH);
    RequireSessionLayer::for_claims::<Claims>().deny_impersonated().first_factor_within(fresh)
}

pub(crate) fn may_help(session: &Session<Claims>) -> bool {
    session.subject().as_str() == HELPER && session.actor().is_none()
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct TargetForm {
    user: String,
}

/// `GET /support`.
pub(crate) async fn form(session: Session<Claims>, visitor: Visitor) -> Response {
    if !may_help(&session) {
        return refused(&visitor);
    }
    let people: String = PEOPLE
        .iter()
        .filter(|person| person.user != HELPER)
        .map(|person| {
            format!("<option value=\"{}\">{}</option>", Text(person.user), Text(person.name))
        })
        .collect();
    let main = format!(
        r#"<h1>Support</h1>
<p class="lead">Use the site as another user. Every page shows that you are the actor, the user's
personal actions are not available, and the session ends after an hour.</p>
<form method="post" action="/support" class="card">
<label for="user">Act as</label>
<div class="row"><select id="user" name="user">{people}</select><button>Begin</button></div>
</form>"#
    );
    page(StatusCode::OK, "Support", &visitor, &main)
}

/// `POST /support`.
pub(crate) async fn begin(
    session: Session<Claims>,
    jar: SessionJar<Claims>,
    visitor: Visitor,
    form: Result<Form<TargetForm>, FormRejection>,
) -> Response {
    let Form(TargetForm { user }) = form.unwrap_or_default();
    let subject = people::find(&user).and_then(|person| Subject::new(person.user).ok());
    let Some(subject) = subject.filter(|_| may_help(&session) && user != HELPER) else {
        return refused(&visitor);
    };
    let actor = Actor::new(session.subject().clone()).with_session_id(session.id().as_str());
    match jar.sign_in(SignIn::from_claims_source(subject).impersonated_by(actor)) {
        Ok(_) => Redirect::to("/me").into_response(),
        Err(error) => error.into_response(),
    }
}

/// `POST /support/end`: back to the helper's own account, if it is still signed in here.
pub(crate) async fn end(jar: SessionJar<Claims>) -> Response {
    let own = jar.session().and_then(|session| session.actor()?.session_id()?.parse().ok());
    let Some(own) = own else { return Redirect::to("/me").into_response() };
    jar.sign_out();
    // Otherwise the guard of that page redirects to the chooser or to sign in.
    let _ = jar.switch_to(own);
    Redirect::to("/me").into_response()
}

/// `GET /confirm`: guards that require a fresh factor send browsers here.
pub(crate) async fn ask(
    session: Session<Claims>,
    visitor: Visitor,
    query: Result<Query<ReturnQuery>, QueryRejection>,
) -> Response {
    let main = format!(
        r#"<h1>Confirm that it is you, {name}</h1>
<p class="lead">This action requires a recent verification of your identity.
This demo has no passwords.</p>
<form method="post" action="/confirm" class="card">
<input type="hidden" name="redirect_url" value="{redirect_url}">
<div class="row"><button>Confirm</button><a href="/me">Cancel</a></div>
</form>"#,
        name = Text(&session.claims().name),
        redirect_url = Text(&query.unwrap_or_default().0.redirect_url),
    );
    page(StatusCode::OK, "Confirm that it is you", &visitor, &main)
}

/// `POST /confirm`.
pub(crate) async fn confirm(
    State(App { engine, .. }): State<App>,
    jar: SessionJar<Claims>,
    query: Result<Form<ReturnQuery>, FormRejection>,
) -> Response {
    let Form(ReturnQuery { redirect_url }) = query.unwrap_or_default();
    // A real application has checked a password or a passkey by now.
    if let Err(error) = jar.mark_verified(Factor::First) {
        return error.into_response();
    }
    match engine.redirect_target(&redirect_url) {
        Some(target) => Redirect::to(target.as_str()).into_response(),
        None => Redirect::to("/me").into_response(),
    }
}

fn refused(visitor: &Visitor) -> Response {
    let text = "Only Ada can act as another user, and only from her own session.";
    pages::problem(StatusCode::FORBIDDEN, visitor, "You do not have access", text)
}
