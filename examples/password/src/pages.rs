//! The handlers and their HTML.

use std::{error::Error, fmt, net::SocketAddr};

use axum::{
    Form,
    extract::{ConnectInfo, Path, Query, State},
    http::{StatusCode, header::RETRY_AFTER},
    response::{Html, IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use tower_auth_session::{Session, SessionJar, SessionManager, SignIn};

use crate::{App, Claims, NewUserError, Role, TooManyAttempts, users::Verified};

/// A failure that the user cannot do anything about. It is logged, and the user sees a plain page.
pub(crate) struct Failed(Box<dyn Error + Send + Sync>);

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        eprintln!("request failed: {}", self.0);
        let main = "<h1>Something went wrong</h1><p>Please try again later.</p>";
        page(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", main)
    }
}

impl IntoResponse for TooManyAttempts {
    fn into_response(self) -> Response {
        let seconds = self.wait.as_secs().max(1);
        let main = format!(
            "<h1>Too many attempts</h1><p>Try again in {} minutes.</p>",
            seconds.div_ceil(60)
        );
        let page = page(StatusCode::TOO_MANY_REQUESTS, "Too many attempts", &main);
        ([(RETRY_AFTER, seconds.to_string())], page).into_response()
    }
}

pub(crate) async fn home(session: Option<Session<Claims>>) -> Response {
    let main = match session {
        Some(session) => format!(
            "<h1>Hello, {}</h1><p><a href=\"/account\">Your account</a></p>",
            Text(&session.claims().name)
        ),
        None => "<h1>Hello</h1><p><a href=\"/sign-in\">Sign in</a></p>".to_owned(),
    };
    page(StatusCode::OK, "Home", &main)
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SignInForm {
    name: String,
    password: String,
    redirect_url: String,
}

/// `GET /sign-in`: guards redirect here, with the page to return to in `redirect_url`.
pub(crate) async fn sign_in_form(Query(form): Query<SignInForm>) -> Response {
    sign_in_page(StatusCode::OK, "", &form)
}

/// `POST /sign-in`.
pub(crate) async fn sign_in(
    State(app): State<App>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    jar: SessionJar<Claims>,
    Form(form): Form<SignInForm>,
) -> Result<Response, Failed> {
    if let Err(refused) = app.attempts.count(&form.name, client.ip()) {
        return Ok(refused.into_response());
    }
    let user = match app.users.verify(&form.name, &form.password).await? {
        Verified::User(user) => user,
        Verified::Disabled => {
            return Ok(sign_in_page(StatusCode::FORBIDDEN, "This account is disabled.", &form));
        }
        Verified::Wrong => {
            let message = "The name or the password is wrong.";
            return Ok(sign_in_page(StatusCode::UNPROCESSABLE_ENTITY, message, &form));
        }
    };
    // The claims source supplies the claims.
    if let Err(error) = jar.sign_in(SignIn::from_claims_source(user.subject()?)) {
        return Ok(error.into_response());
    }
    let target = app.engine.redirect_target(&form.redirect_url);
    Ok(Redirect::to(target.as_ref().map_or("/account", |target| target.as_str())).into_response())
}

fn sign_in_page(status: StatusCode, message: &str, form: &SignInForm) -> Response {
    let main = format!(
        r#"<h1>Sign in</h1>
<p role="alert">{message}</p>
<form method="post" action="/sign-in">
<input type="hidden" name="redirect_url" value="{redirect_url}">
<label>Name <input name="name" value="{name}" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Sign in</button>
</form>"#,
        redirect_url = Text(&form.redirect_url),
        name = Text(&form.name),
    );
    page(status, "Sign in", &main)
}

/// `GET /account`: the user's sessions in all browsers.
pub(crate) async fn account(
    session: Session<Claims>,
    sessions: SessionManager<Claims>,
) -> Result<Response, Failed> {
    account_page(StatusCode::OK, "", &session, &sessions).await
}

#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    current: String,
    new: String,
}

/// `POST /account/password`: a new password ends all other sessions of the user.
pub(crate) async fn change_password(
    State(app): State<App>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    session: Session<Claims>,
    sessions: SessionManager<Claims>,
    Form(form): Form<PasswordForm>,
) -> Result<Response, Failed> {
    let name = &session.claims().name;
    if let Err(refused) = app.attempts.count(name, client.ip()) {
        return Ok(refused.into_response());
    }
    let Verified::User(_) = app.users.verify(name, &form.current).await? else {
        let message = "The current password is wrong.";
        return account_page(StatusCode::UNPROCESSABLE_ENTITY, message, &session, &sessions).await;
    };
    match app.users.set_password(session.subject(), name, &form.new).await {
        Ok(()) => {}
        Err(NewUserError::Failed(error)) => return Err(error.into()),
        Err(refused) => {
            let (status, message) = (StatusCode::UNPROCESSABLE_ENTITY, refused.to_string());
            return account_page(status, &message, &session, &sessions).await;
        }
    }
    // After the new password is saved: a session that signs in with the old one in between ends too.
    let ended = sessions.revoke_others(session.identity()).await?;
    let message = format!("The password was changed. {ended} other sessions were signed out.");
    account_page(StatusCode::OK, &message, &session, &sessions).await
}

async fn account_page(
    status: StatusCode,
    message: &str,
    session: &Session<Claims>,
    sessions: &SessionManager<Claims>,
) -> Result<Response, Failed> {
    let list = sessions.list(session.subject(), None, 100).await?;
    let list: String = list
        .sessions
        .iter()
        .map(|other| {
            let note = if other.id == session.id() { " (this one)" } else { "" };
            format!("<li>signed in at {}{note}</li>", other.signed_in_at)
        })
        .collect();
    let Claims { name, role } = session.claims();
    let admin = match role {
        Role::Admin => "<p><a href=\"/admin/users\">Users</a></p>",
        Role::Member => "",
    };
    let main = format!(
        r#"<h1>{name}</h1>
<p role="status">{message}</p>{admin}
<h2>Sessions</h2><ul>{list}</ul>
<h2>Change the password</h2>
<form method="post" action="/account/password">
<label>Current <input name="current" type="password" autocomplete="current-password" required></label>
<label>New <input name="new" type="password" autocomplete="new-password" minlength="{min}" required></label>
<button>Change it and sign out everywhere else</button>
</form>
<form method="post" action="/sign-out"><button>Sign out</button></form>"#,
        name = Text(name),
        message = Text(message),
        min = crate::Users::MIN_PASSWORD,
    );
    Ok(page(status, "Your account", &main))
}

/// `GET /admin/users`, for administrators.
pub(crate) async fn list_users(State(app): State<App>) -> Result<Response, Failed> {
    let users: String = app
        .users
        .all()
        .await?
        .iter()
        .map(|user| {
            let (state, action) = match user.is_disabled {
                true => ("disabled", "enable"),
                false => ("", "disable"),
            };
            format!(
                r#"<li>{name} {role:?} {state}
<form method="post" action="/admin/users/{id}"><button name="action" value="{action}">{action}</button></form></li>"#,
                name = Text(&user.name),
                role = user.role,
                id = user.id,
            )
        })
        .collect();
    Ok(page(StatusCode::OK, "Users", &format!("<h1>Users</h1><ul>{users}</ul>")))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", tag = "action")]
pub(crate) enum Change {
    Disable,
    Enable,
}

/// `POST /admin/users/{id}`: changes the table only, as an operator could with SQL. The claims source
/// ends the sessions of a disabled user within a minute. `SessionManager::revoke_all_of` ends them at
/// once.
pub(crate) async fn set_disabled(
    State(app): State<App>,
    Path(id): Path<i64>,
    Form(change): Form<Change>,
) -> Result<Redirect, Failed> {
    app.users.set_disabled(id, matches!(change, Change::Disable)).await?;
    Ok(Redirect::to("/admin/users"))
}

fn page(status: StatusCode, title: &str, main: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <main>{main}</main></html>"
    );
    (status, Html(html)).into_response()
}

/// Text in HTML, in attributes too.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                char => write!(f, "{char}")?,
            }
        }
        Ok(())
    }
}
