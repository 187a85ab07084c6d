//! Plain pages.

use std::fmt::{self, Write as _};

use axum::{
    http::StatusCode,
    response::{Html, IntoResponse as _, Response},
};
use tower_auth_session::{Session, engine::AccountSummary};

use crate::{User, provider::Failure};

/// Text as HTML.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => f.write_char(other),
        })
    }
}

const STYLE: &str = "
    :root { color-scheme: light dark }
    body { font: 1rem/1.6 system-ui; max-width: 40rem; margin: 2rem auto; padding: 0 1rem;
           background: #fff; color: #1a1a1a }
    a { color: #0b57d0 }
    button { font: inherit; margin: 0.2rem 0 }
    @media (prefers-color-scheme: dark) { body { background: #161616; color: #eee } a { color: #a8c7fa } }";

fn page(title: &str, main: impl fmt::Display) -> Html<String> {
    let title = Text(title);
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><link rel=\"icon\" href=\"data:,\">\
         <style>{STYLE}</style>\
         <main><h1>{title}</h1>{main}</main>"
    ))
}

pub(crate) fn home(session: Option<&Session<User>>, accounts: &[AccountSummary]) -> Html<String> {
    let mut main = String::new();
    for account in accounts {
        let (label, id) = (Text(&account.label), account.session_id);
        let state = if account.active { " (active)" } else { "" };
        let _ = write!(
            main,
            "<section><h2>{label}{state}</h2>\
             <form method=\"post\" action=\"/session/switch\">\
             <input type=\"hidden\" name=\"session_id\" value=\"{id}\">\
             <button>Switch to {label}</button></form>\
             <form method=\"post\" action=\"/sign-out\">\
             <input type=\"hidden\" name=\"session_id\" value=\"{id}\">\
             <button>Sign out {label}</button></form></section>"
        );
    }
    let title = match session {
        Some(session) => format!("Hello, {}", session.claims().name),
        None if accounts.is_empty() => "You are signed out".to_owned(),
        None => "Choose an account".to_owned(),
    };
    let more = if accounts.is_empty() {
        "<p><a href=\"/sign-in\">Sign in</a></p>"
    } else {
        "<p><a href=\"/account\">Your account</a></p>\
         <p><a href=\"/sign-in\">Add an account</a></p>\
         <form method=\"post\" action=\"/sign-out\">\
         <input type=\"hidden\" name=\"scope\" value=\"browser\">\
         <button>Sign out of all accounts</button></form>"
    };
    page(&title, format_args!("{main}{more}"))
}

pub(crate) fn account(session: &Session<User>) -> Html<String> {
    let User { name, email } = session.claims();
    let (subject, email) = (session.subject(), email.as_deref().unwrap_or("none"));
    let (subject, email) = (Text(subject.as_str()), Text(email));
    page(
        name,
        format_args!("<p>Subject: {subject}</p><p>Mail: {email}</p><p><a href=\"/\">Home</a></p>"),
    )
}

/// The provider did not sign the user in; `error` is its code (RFC 6749 §4.1.2.1).
pub(crate) fn refused(error: Option<&str>) -> Response {
    let error = Text(error.unwrap_or("no code"));
    let main = format!("<p>The provider says: {error}.</p><p><a href=\"/\">Home</a></p>");
    (StatusCode::BAD_REQUEST, page("You were not signed in", main)).into_response()
}

/// The details are for the operator.
#[expect(clippy::needless_pass_by_value, reason = "the argument of map_err")]
pub(crate) fn provider_failed(error: Failure) -> Response {
    eprintln!("the provider failed: {error}");
    let main = "<p>Try again in a minute.</p><p><a href=\"/\">Home</a></p>";
    (StatusCode::BAD_GATEWAY, page("The provider does not answer", main)).into_response()
}
