//! The pages: plain HTML that works without script.

use axum::{
    extract::{OriginalUri, Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;
use tower_auth_session::{Session, config::RedirectTarget};

use crate::{
    App,
    html::{Text, avatar, page, time},
    people::{self, Claims, MAX_ROLE, PEOPLE},
    second_factor,
    settings::MOST_ACCOUNTS,
    sign_in::Duration,
    support,
    visitor::{self, Visitor, sign_out, sign_out_of_all},
};

/// The query of [`made_room`].
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct MadeRoom {
    user: String,
    redirect_url: String,
}

/// `GET /`: public, and shows the signed-in user.
pub(crate) async fn home(visitor: Visitor) -> Response {
    let hello = match &visitor {
        Visitor::SignedIn { session, .. } => {
            let Claims { name, role, .. } = session.claims();
            format!(
                "<p class=\"state on\">Signed in</p>\
                 <h1>Hello, {}</h1>\
                 <p class=\"lead\">This browser has a session as {}, {}. It is renewed \
                 while you are active, and expires after inactivity.{}</p>\
                 <div class=\"actions\"><a class=\"button\" href=\"/me\">Your account</a>{}</div>",
                Text(name.split(' ').next().unwrap_or(name)),
                Text(name),
                Text(role),
                beside(&visitor),
                sign_out(session.id().as_str(), "Sign out"),
            )
        }
        Visitor::Choosing(accounts) => format!(
            "<p class=\"state\">No account is active</p>\
             <h1>Choose an account</h1>\
             <p class=\"lead\">Signed in from this browser: {}. None of them is active, so \
             guarded pages redirect to the account chooser.</p>\
             <div class=\"actions\"><a class=\"button\" href=\"/me\">Choose an account</a>{}</div>",
            visitor::names(accounts),
            sign_out_of_all(),
        ),
        Visitor::Pending { session, .. } => format!(
            "<p class=\"state\">Not signed in yet</p>\
             <h1>One more step</h1>\
             <p class=\"lead\">{} signs in with a second factor. Until then, guarded pages \
             redirect there, and scripts get a 403.</p>\
             <div class=\"actions\"><a class=\"button\" href=\"{}\">Finish signing in</a>{}</div>",
            Text(&session.claims().name),
            second_factor::PATH,
            sign_out(session.id().as_str(), "Cancel"),
        ),
        Visitor::SignedOut => "<p class=\"state\">Signed out</p>\
             <h1>You are not signed in</h1>\
             <p class=\"lead\">This browser has no session. Sign in as one of seven \
             people; no password needed.</p>\
             <div class=\"actions\"><a class=\"button\" href=\"/sign-in\">Sign in</a></div>"
            .to_owned(),
        Visitor::Unknown => "<p class=\"state\">Unknown</p>\
             <h1>Your session cannot be checked</h1>\
             <p class=\"lead\">The session store is unavailable at the moment. You have not been \
             signed out.</p>"
            .to_owned(),
    };
    let main = format!(
        r#"<section class="hero">{hello}</section>
<h2>Look around</h2>
<ul class="tiles">
<li><a href="/me">A guarded page</a><code>/me</code>
<p>If you are signed out, it redirects to the sign-in page, and back after signing in.</p></li>
<li><a href="/api/me">A guarded API</a><code>/api/me</code>
<p>Your session as JSON. Browsers are redirected to the sign-in page, scripts get a 401.</p></li>
<li><a href="/api/public">A public API</a><code>/api/public</code>
<p>Reports whether a user is signed in, and works without a session.</p></li>
<li><a href="/devices">Your devices</a><code>/devices</code>
<p>Every browser that you are signed in from, where there is a session store.</p></li>
<li><a href="/api/stream">A stream</a><code>/api/stream</code>
<p>Stays open while you are signed in. Sign out elsewhere: it ends within a second.</p></li>
<li><a href="/api/slow?ms=2000">A slow response</a><code>/api/slow?ms=2000</code>
<p>Takes two seconds. Sign out meanwhile: it cannot bring the session back.</p></li>
<li><a href="/react/">A React page</a><code>/react/</code>
<p>Two tabs, two accounts: each tab shows only the data of its own account.</p></li>
</ul>"#
    );
    page(StatusCode::OK, "Home", &visitor, &main)
}

/// `GET /me`: the extractor is the guard.
pub(crate) async fn me(
    State(app): State<App>,
    session: Session<Claims>,
    visitor: Visitor,
) -> Response {
    let Claims { name, email, role } = session.claims();
    // Personal actions are hidden from impersonated sessions.
    let is_own = session.actor().is_none();
    let devices = if is_own && app.sessions.is_some() {
        "<section class=\"card\">\n<h2>Your devices</h2>\n\
         <p>Every browser that you are signed in from, and how to sign it out.</p>\n\
         <div class=\"actions\"><a class=\"button\" href=\"/devices\">See your devices</a></div>\n\
         </section>\n"
    } else {
        ""
    };
    let support = if support::may_help(&session) {
        "<section class=\"card\">\n<h2>Support</h2>\n<p>Use the site as another user.</p>\n\
         <div class=\"actions\">\
         <a class=\"button\" href=\"/support\">Act as another user</a></div>\n\
         </section>\n"
    } else {
        ""
    };
    let main = format!(
        r#"<section class="profile">
{avatar}<div><h1>{name}</h1><p>{email}</p></div><p class="pill">{role}</p>
</section>
<section class="card">
<h2>This session</h2>
<dl>
<div><dt>Session id</dt><dd><code>{id}</code></dd></div>
<div><dt>Signed in</dt><dd>{signed_in}</dd></div>
<div><dt>Last active</dt><dd>{last_active}</dd></div>
<div><dt>Ends without more activity</dt><dd>{expires}</dd></div>
<div><dt>Bound to this device</dt><dd>{device}</dd></div>
</dl>
<div class="actions">{sign_out}<form method="post" action="/session/token"><input type="hidden" name="session_id"
 value="{id}"><button class="quiet">Get a bearer token</button></form>{confirm}<a href="/react/">The same as a React page</a></div>
</section>
{devices}{accounts}{support}{role_form}"#,
        role_form = if is_own { role_form(role) } else { String::new() },
        avatar = avatar(name),
        name = Text(name),
        email = Text(email),
        role = Text(role),
        id = Text(session.id().as_str()),
        signed_in = time(session.signed_in_at()),
        last_active = time(session.last_active_at()),
        expires = time(session.expires_at()),
        device = match session.device_proof() {
            Some(proof) => format!("yes, confirmed {}", time(proof.proven_at)),
            None => "no".to_owned(),
        },
        confirm = match session.device_proof() {
            Some(_) => "<a href=\"/me/device\">Confirm this device</a>",
            None => "",
        },
        sign_out = sign_out(session.id().as_str(), "Sign out"),
        accounts = visitor::card(&visitor),
    );
    page(StatusCode::OK, "Your account", &visitor, &main)
}

/// How recently the device must have been confirmed for [`confirm_device`].
pub(crate) const FRESH_DEVICE: std::time::Duration = std::time::Duration::from_secs(30);

/// `GET /me/device`: when the request passes its guard, the browser has confirmed the device.
pub(crate) async fn confirm_device() -> Redirect {
    Redirect::to("/me")
}

fn role_form(role: &str) -> String {
    format!(
        r#"<section class="card">
<h2>Role</h2>
<form method="post" action="/api/role">
<label for="role">New role</label>
<div class="row"><input id="role" name="role" value="{role}" required maxlength="{MAX_ROLE}"
 autocomplete="off" spellcheck="false" aria-describedby="role-note"><button>Change</button></div>
</form>
<p class="note" id="role-note">This browser has the new role at once. Your other browsers have it when
their token is next renewed: with the first request after a minute, or after
<code>SESSION_RENEW_AFTER</code>.</p>
</section>"#,
        role = Text(role),
    )
}

/// The sign-in form, with what was wrong with the last attempt.
pub(crate) fn sign_in(
    status: StatusCode,
    visitor: &Visitor,
    redirect_url: &str,
    problem: Option<&str>,
) -> Response {
    let problem = problem.map_or_else(String::new, |problem| {
        format!("<p class=\"problem\" role=\"alert\">{}</p>", Text(problem))
    });
    let accounts = visitor.accounts();
    let already = match visitor {
        Visitor::SignedIn { session, accounts: None } => format!(
            "<p class=\"note\">You are signed in as {}. Signing in ends that session.</p>",
            Text(&session.claims().name)
        ),
        Visitor::SignedIn { .. } | Visitor::Choosing(_) => format!(
            "<p class=\"note\">Signed in from this browser: {}. {}</p>",
            visitor::names(accounts),
            if accounts.len() < MOST_ACCOUNTS {
                "They stay signed in when you add another account."
            } else {
                "There is no room for more: a new account signs out the one that was least \
                 recently active."
            },
        ),
        _ => String::new(),
    };
    let is_here = |user: &str| accounts.iter().any(|account| account.subject.as_str() == user);
    let first_new = PEOPLE.iter().position(|person| !is_here(person.user)).unwrap_or_default();
    let people: String = PEOPLE
        .iter()
        .enumerate()
        .map(|(place, person)| {
            format!(
                "<label class=\"person\"><input type=\"radio\" name=\"user\" value=\"{user}\" \
                 required{checked}>{avatar}<span>{name}<small>{user}{here}</small></span></label>\n",
                user = Text(person.user),
                here = if is_here(person.user) { ", signed in" } else { "" },
                checked = if place == first_new { " checked" } else { "" },
                avatar = avatar(person.name),
                name = Text(person.name),
            )
        })
        .collect();
    let durations: String = Duration::ALL
        .iter()
        .map(|duration| {
            format!(
                "<label class=\"check\"><input type=\"radio\" name=\"duration\" \
                 value=\"{value}\"{checked}><span>{label}</span></label>\n",
                value = duration.value(),
                checked = if *duration == Duration::default() { " checked" } else { "" },
                label = duration.label(),
            )
        })
        .collect();
    let main = format!(
        r#"<h1>Sign in</h1>
<p class="lead">Choose an account. This demo has no passwords.</p>
{problem}{already}
<form method="post" action="/sign-in" class="card">
<input type="hidden" name="redirect_url" value="{redirect_url}">
<fieldset>
<legend>Account</legend>
{people}</fieldset>
<fieldset class="choices">
<legend>How long you stay signed in</legend>
{durations}</fieldset>
<button>Sign in</button>
</form>"#,
        redirect_url = Text(redirect_url),
    );
    page(status, "Sign in", visitor, &main)
}

/// `GET /sign-in/made-room`: names the user who was signed out by a sign-in beyond the maximum number of
/// accounts. The page shows only names of this site's users, never a text of the URL.
pub(crate) async fn made_room(
    State(App { engine, .. }): State<App>,
    visitor: Visitor,
    query: Result<Query<MadeRoom>, QueryRejection>,
) -> Response {
    let MadeRoom { user, redirect_url } = query.unwrap_or_default().0;
    let Some(person) = people::find(&user) else { return Redirect::to("/me").into_response() };
    let target = engine.redirect_target(&redirect_url);
    let main = format!(
        "<p class=\"state\">Signed out to make room</p><h1>{name} was signed out</h1>\
         <p class=\"lead\">This browser keeps {MOST_ACCOUNTS} accounts at most. {name} was least \
         recently active, so the new account took that place. You can sign in as {name} again at any \
         time.</p>\
         <div class=\"actions\"><a class=\"button\" href=\"{target}\">Continue</a></div>",
        name = Text(person.name),
        target = Text(target.as_ref().map_or("/me", RedirectTarget::as_str)),
    );
    page(StatusCode::OK, "Signed out to make room", &visitor, &main)
}

/// The page for a form whose action was refused.
pub(crate) fn problem(status: StatusCode, visitor: &Visitor, title: &str, text: &str) -> Response {
    let main = format!(
        "<h1>{}</h1><p class=\"lead\">{}</p>\
         <div class=\"actions\"><a class=\"button\" href=\"/me\">Back to your account</a></div>",
        Text(title),
        Text(text)
    );
    page(status, title, visitor, &main)
}

/// Every other path.
pub(crate) async fn not_found(OriginalUri(uri): OriginalUri, visitor: Visitor) -> Response {
    let main = format!(
        "<p class=\"state\">404</p><h1>There is no such page</h1>\
         <p class=\"lead\">Nothing is at <code>{}</code>.</p>\
         <div class=\"actions\"><a class=\"button\" href=\"/\">Home</a></div>",
        Text(uri.path())
    );
    page(StatusCode::NOT_FOUND, "Not found", &visitor, &main)
}

/// `GET /style.css`: the same for all users, so any cache may keep it.
pub(crate) async fn style() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, include_str!("style.css")).into_response()
}

/// The other signed-in accounts, as one more sentence.
fn beside(visitor: &Visitor) -> String {
    let names = visitor::names(visitor::others(visitor.accounts()));
    if names.is_empty() { names } else { format!(" Also signed in: {names}.") }
}
