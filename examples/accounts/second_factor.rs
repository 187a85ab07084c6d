//! The second step of a sign-in, for users who have one: the session is pending until it is done.

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
    SessionJar,
    engine::{SessionTask, TaskOutcome},
};

use crate::{
    App,
    html::{Text, page},
    people::Claims,
    sign_in::ReturnQuery,
    visitor::{Visitor, sign_out},
};

/// Where the step is done.
pub(crate) const PATH: &str = "/sign-in/second-factor";

/// What a phone would show. A real application makes a new one every 30 seconds, takes each once and
/// counts wrong guesses (ASVS 6.5.5, 6.6.3).
const CODE: &str = "314159";

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Fields {
    code: String,
    redirect_url: String,
}

/// `GET /sign-in/second-factor`: guards send browsers here whose session is pending.
pub(crate) async fn form(
    visitor: Visitor,
    query: Result<Query<ReturnQuery>, QueryRejection>,
) -> Response {
    let redirect_url = query.unwrap_or_default().0.redirect_url;
    show(StatusCode::OK, &visitor, &redirect_url, None)
}

/// `POST /sign-in/second-factor`.
pub(crate) async fn submit(
    State(App { engine, several, .. }): State<App>,
    jar: SessionJar<Claims>,
    fields: Result<Form<Fields>, FormRejection>,
) -> Response {
    let Form(fields) = fields.unwrap_or_default();
    if jar.pending().is_some() && fields.code.trim() != CODE {
        let visitor = Visitor::of(&jar, several);
        let problem = Some("That is not the code.");
        return show(StatusCode::UNPROCESSABLE_ENTITY, &visitor, &fields.redirect_url, problem);
    }
    // The activated session gets a new id.
    match jar.complete_task(&SessionTask::SECOND_FACTOR) {
        Ok(TaskOutcome::Activated(_)) => {}
        Ok(_) => return Redirect::to(PATH).into_response(),
        Err(error) => return error.into_response(),
    }
    match engine.redirect_target(&fields.redirect_url) {
        Some(target) => Redirect::to(target.as_str()).into_response(),
        None => Redirect::to("/me").into_response(),
    }
}

fn show(
    status: StatusCode,
    visitor: &Visitor,
    redirect_url: &str,
    problem: Option<&str>,
) -> Response {
    let Visitor::Pending { session, .. } = visitor else {
        let to = if matches!(visitor, Visitor::SignedIn { .. }) { "/me" } else { "/sign-in" };
        return Redirect::to(to).into_response();
    };
    let problem = problem.map_or_else(String::new, |problem| {
        format!("<p class=\"problem\" role=\"alert\">{}</p>", Text(problem))
    });
    let main = format!(
        r#"<h1>One more step</h1>
<p class="lead">{name} signs in with a second factor. This is a demo: the code is {CODE}.</p>
{problem}
<form method="post" action="{PATH}" class="card">
<input type="hidden" name="redirect_url" value="{redirect_url}">
<label for="code">Code</label>
<div class="row"><input id="code" name="code" required inputmode="numeric"
 autocomplete="one-time-code" maxlength="6"><button>Go on</button></div>
</form>
<div class="actions">{cancel}</div>"#,
        name = Text(&session.claims().name),
        redirect_url = Text(redirect_url),
        cancel = sign_out(session.id().as_str(), "Cancel"),
    );
    page(status, "One more step", visitor, &main)
}
