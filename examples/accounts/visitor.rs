//! The visitor of a page: the session, the browser's other accounts, and the forms for both.

use axum::{extract::FromRequestParts, http::request::Parts};
use tower_auth_session::{
    Rejection, Session, SessionJar,
    engine::{AccountSummary, SessionStatusKind},
};

use crate::{
    App,
    html::{Text, avatar},
    people::Claims,
};

/// The visitor of a page.
pub(crate) enum Visitor {
    SignedIn {
        session: Session<Claims>,
        /// All of the browser's, this one first; `None` where a browser has one.
        accounts: Option<Vec<AccountSummary>>,
    },
    /// None of these accounts is active: the active one signed out, and no other is activated by itself.
    Choosing(Vec<AccountSummary>),
    /// The sign-in requires one more step.
    Pending {
        session: Session<Claims>,
        /// As above.
        accounts: Vec<AccountSummary>,
    },
    SignedOut,
    /// The session cannot be checked now.
    Unknown,
}

impl Visitor {
    pub(crate) fn of(jar: &SessionJar<Claims>, several: bool) -> Self {
        if let Some(session) = jar.pending() {
            let accounts = if several { jar.accounts() } else { Vec::new() };
            return Self::Pending { session, accounts };
        }
        match (jar.session(), jar.status().kind()) {
            (Some(session), _) => {
                Self::SignedIn { session, accounts: several.then(|| jar.accounts()) }
            }
            (None, SessionStatusKind::Unavailable) => Self::Unknown,
            (None, SessionStatusKind::AccountSelectionRequired) => Self::Choosing(jar.accounts()),
            (None, _) => Self::SignedOut,
        }
    }

    /// Every account of a browser that may have several.
    pub(crate) fn accounts(&self) -> &[AccountSummary] {
        match self {
            Self::SignedIn { accounts: Some(accounts), .. }
            | Self::Pending { accounts, .. }
            | Self::Choosing(accounts) => accounts,
            _ => &[],
        }
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Rejection> {
        let jar = SessionJar::<Claims>::from_request_parts(parts, app).await?;
        Ok(Self::of(&jar, app.several))
    }
}

/// The names of `accounts`, as a sentence has them.
pub(crate) fn names<'a>(accounts: impl IntoIterator<Item = &'a AccountSummary>) -> String {
    let names: Vec<_> =
        accounts.into_iter().map(|account| Text(&account.label).to_string()).collect();
    names.join(", ")
}

/// All but the active one.
pub(crate) fn others(accounts: &[AccountSummary]) -> impl Iterator<Item = &AccountSummary> {
    accounts.iter().filter(|account| !account.active)
}

/// The account menu in the header, for browsers with several accounts. The browser opens it, and closes
/// it with Escape or a click beside it, without script.
pub(crate) fn menu(session: &Session<Claims>, accounts: &[AccountSummary]) -> String {
    let name = &session.claims().name;
    let switches: String = others(accounts)
        .map(|account| {
            let row = format!(
                "{avatar}<span><span class=\"spoken\">Switch to </span>{label}{detail}</span>",
                avatar = avatar(&account.label),
                label = Text(&account.label),
                detail = detail(account),
            );
            format!("<li>{}</li>\n", switch(account, &row))
        })
        .collect();
    let (list, all) = if switches.is_empty() {
        (String::new(), "")
    } else {
        (format!("<ul role=\"list\">\n{switches}</ul>\n"), sign_out_of_all())
    };
    format!(
        "<div class=\"menu\"><button popovertarget=\"account-menu\">{avatar}{name}</button>\n\
         <div popover id=\"account-menu\"><a href=\"/me\">Your account</a>\n\
         {list}<a href=\"/sign-in\">Add account</a>\n{all}</div></div>",
        avatar = avatar(name),
        name = Text(name),
    )
}

/// The part of the account page about the others, where there may be some.
pub(crate) fn card(visitor: &Visitor) -> String {
    let Visitor::SignedIn { accounts: Some(accounts), .. } = visitor else { return String::new() };
    let rows: String = others(accounts)
        .map(|account| {
            let name = Text(&account.label);
            let spoken = |joint| format!("<span class=\"spoken\"> {joint} {name}</span>");
            format!(
                "<li>{avatar}<p>{name}{detail}</p>{switch}{leave}</li>\n",
                avatar = avatar(&account.label),
                detail = detail(account),
                switch = switch(account, &format!("Switch{}", spoken("to"))),
                leave = sign_out(account.session_id.as_str(), &format!("Sign out{}", spoken("of"))),
            )
        })
        .collect();
    let (list, all) = if rows.is_empty() {
        ("<p>No other account is signed in from this browser.</p>\n".to_owned(), "")
    } else {
        (format!("<ul role=\"list\" class=\"accounts\">\n{rows}</ul>\n"), sign_out_of_all())
    };
    format!(
        "<section class=\"card\">\n<h2>Other accounts</h2>\n{list}\
         <div class=\"actions\"><a class=\"button\" href=\"/sign-in\">Add account</a>{all}</div>\n\
         </section>\n"
    )
}

/// The form names its session, so that a page left open cannot sign out another one. It sends no
/// `redirect_url`: the operator configures the redirect. `button` is HTML.
pub(crate) fn sign_out(session_id: &str, button: &str) -> String {
    format!(
        "<form method=\"post\" action=\"/sign-out\">\
         <input type=\"hidden\" name=\"session_id\" value=\"{}\">\
         <button class=\"quiet\">{button}</button></form>",
        Text(session_id)
    )
}

pub(crate) fn sign_out_of_all() -> &'static str {
    "<form method=\"post\" action=\"/sign-out\">\
     <input type=\"hidden\" name=\"scope\" value=\"browser\">\
     <button class=\"quiet\">Sign out of all</button></form>"
}

/// Signs out all sessions of the person. Another person's account in this browser stays.
pub(crate) fn sign_out_everywhere(session_id: &str) -> String {
    format!(
        "<form method=\"post\" action=\"/sign-out\">\
         <input type=\"hidden\" name=\"session_id\" value=\"{}\">\
         <input type=\"hidden\" name=\"scope\" value=\"everywhere\">\
         <button class=\"quiet\">Sign out everywhere</button></form>",
        Text(session_id)
    )
}

fn switch(account: &AccountSummary, button: &str) -> String {
    format!(
        "<form method=\"post\" action=\"/session/switch\">\
         <input type=\"hidden\" name=\"session_id\" value=\"{}\">\
         <input type=\"hidden\" name=\"redirect_url\" value=\"/me\">\
         <button class=\"quiet\">{button}</button></form>",
        Text(account.session_id.as_str())
    )
}

fn detail(account: &AccountSummary) -> String {
    let mut lines: Vec<String> = account.detail.iter().cloned().collect();
    if let Some(actor) = &account.actor {
        lines.push(format!("with {} acting", actor.subject()));
    }
    if !account.tasks.is_empty() {
        lines.push("not signed in yet".to_owned());
    }
    let lines = lines.join(", ");
    if lines.is_empty() { lines } else { format!("<small>{}</small>", Text(&lines)) }
}
