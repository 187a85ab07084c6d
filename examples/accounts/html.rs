//! What every page has in common: the frame, escaped text, times.

use std::fmt::{self, Write as _};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse as _, Response},
};
use cookie::time::OffsetDateTime;
use tower_auth_session::time::Timestamp;

use crate::{
    second_factor,
    visitor::{Visitor, menu},
};

/// Text from anywhere, written so that it is text in HTML and in quoted attributes too.
pub(crate) struct Text<'a>(pub(crate) &'a str);

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

/// A point in time, for people and for programs.
pub(crate) fn time(at: Timestamp) -> String {
    // Timestamps end with the year 9999, as this type does.
    let seconds = i64::try_from(at.as_unix_seconds()).unwrap_or_default();
    let Ok(at) = OffsetDateTime::from_unix_timestamp(seconds) else { return seconds.to_string() };
    let (year, month, day) = (at.year(), at.month(), at.day());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    let number = u8::from(month);
    format!(
        "<time datetime=\"{year:04}-{number:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z\">\
         {day} {month} {year}, {hour:02}:{minute:02}:{second:02} UTC</time>"
    )
}

/// A circle with the initials of `name`.
pub(crate) fn avatar(name: &str) -> String {
    let initials: String = name.split(' ').filter_map(|word| word.chars().next()).collect();
    format!("<span class=\"avatar\" aria-hidden=\"true\">{}</span>", Text(&initials))
}

/// A whole page around `main`, which is HTML already.
///
/// Every page shows who is signed in, so no cache may store it: the back button shows nothing after
/// signing out.
pub(crate) fn page(status: StatusCode, title: &str, visitor: &Visitor, main: &str) -> Response {
    let account = match visitor {
        Visitor::SignedIn { session, accounts: None } => {
            let name = &session.claims().name;
            format!("<a href=\"/me\">{}{}</a>", avatar(name), Text(name))
        }
        Visitor::SignedIn { session, accounts: Some(accounts) } => menu(session, accounts),
        // The guard of that page knows where accounts are chosen.
        Visitor::Choosing(_) => "<a href=\"/me\">Choose an account</a>".to_owned(),
        Visitor::Pending { .. } => {
            format!("<a href=\"{}\">Finish signing in</a>", second_factor::PATH)
        }
        Visitor::SignedOut => "<a href=\"/sign-in\">Sign in</a>".to_owned(),
        Visitor::Unknown => String::new(),
    };
    let banner = match visitor {
        Visitor::SignedIn { session, .. } => session.actor().map(|actor| {
            format!(
                "<aside class=\"banner\" aria-label=\"Support\"><p>You act as {}; you are {}.</p>\
                 <form method=\"post\" action=\"/support/end\"><button class=\"quiet\">Stop\
                 </button></form></aside>",
                Text(&session.claims().name),
                Text(actor.subject().as_str()),
            )
        }),
        _ => None,
    };
    let html = format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Accounts</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<a class="brand" href="/">Accounts</a>
<nav aria-label="Account">{account}</nav>
</header>
{banner}
<main id="main">
{main}
</main>
<footer>
<p>A demo of <strong>tower-auth-session</strong>. {cookies}: out of reach for scripts, for
this site only.</p>
</footer>
</body>
</html>
"##,
        title = Text(title),
        banner = banner.unwrap_or_default(),
        cookies = match visitor {
            Visitor::SignedIn { accounts: Some(_), .. } | Visitor::Choosing(_) =>
                "Each account has one signed cookie, and another cookie selects the active account",
            Visitor::SignedIn { accounts: None, .. } => "Your session is one signed cookie",
            _ => "A session is one signed cookie",
        },
    );
    let private = [(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"))];
    (status, private, Html(html)).into_response()
}
