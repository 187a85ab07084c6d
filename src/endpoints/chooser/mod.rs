//! `GET /sign-in/choose`: the page on which a person chooses one of the accounts of this browser.
//!
//! Plain HTML forms and no script, so that it works wherever a browser does. The policy allows one
//! style, by its hash, and forms to this site (ASVS 3.4.3); whatever comes from claims or from the
//! request is escaped (ASVS 1.2.1).

pub(crate) mod html;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY},
};

use self::html::{Form, Html, Page};
use super::response::NOSNIFF;
use crate::engine::{
    jar::{SessionJar, accounts::AccountSummary},
    redirect::target::RedirectTarget,
    request::routes::Endpoint,
};

/// The page. `back` is where the person wanted to go.
pub(super) fn page<C: Send + Sync + 'static>(
    jar: &SessionJar<C>,
    back: Option<&RedirectTarget>,
) -> Response<Bytes> {
    let engine = jar.engine();
    let redirects = engine.redirects();
    let action_of = |endpoint| engine.paths().of(endpoint).map(|path| redirects.public_path(path));
    let (switch, sign_out) = (action_of(Endpoint::Switch), action_of(Endpoint::SignOut));
    let back = back.filter(|back| !redirects.is_same_page(&redirects.choose, back));
    let back_to = back.unwrap_or(&redirects.home);
    // Back to this page while there is something left to choose.
    let here = Some(redirects.with_return_url(&redirects.choose, back))
        .filter(|here| here.as_str().len() <= RedirectTarget::MAX_LENGTH)
        .unwrap_or_else(|| redirects.choose.clone());
    let accounts = jar.accounts();

    let mut html = Html::default();
    if !accounts.is_empty() {
        // Some readers take a list without markers for none, unless it says so.
        html.raw("<ul role=\"list\">\n");
        for account in &accounts {
            let id = account.session_id.as_str();
            html.raw(if account.active { "<li aria-current=\"true\">\n" } else { "<li>\n" });
            if let Some(action) = &switch {
                let hidden = [("session_id", id), ("redirect_url", back_to.as_str())];
                html.form(&Form { action, class: "account", hidden: &hidden }, |html| {
                    describe(html, account);
                });
            }
            if let Some(action) = &sign_out {
                // Where signing out of the active account leads is for the settings to say.
                let leads_here = redirects.after_single() == &redirects.choose;
                let mut hidden = vec![("session_id", id)];
                if accounts.len() > 1 && (!account.active || leads_here && back.is_some()) {
                    hidden.push(("redirect_url", here.as_str()));
                }
                html.form(&Form { action, class: "leave", hidden: &hidden }, |html| {
                    html.raw("Sign out<span class=\"aside\"> of <bdi>").text(&account.label);
                    if let Some(detail) = &account.detail {
                        html.raw("</bdi>, <bdi>").text(detail);
                    }
                    html.raw("</bdi></span>");
                });
            }
            html.raw("</li>\n");
        }
        html.raw("</ul>\n");
    }
    html.raw("<div class=\"more\">\n");
    if let Some(sign_in) = &redirects.sign_in {
        html.raw("<a href=\"").text(redirects.with_return_url(sign_in, back).as_str()).raw("\">");
        html.raw(if accounts.is_empty() { "Sign in" } else { "Add another account" });
        html.raw("</a>\n");
    } else if accounts.is_empty() {
        html.raw("<a href=\"").text(redirects.home.as_str()).raw("\">Go to the start page</a>\n");
    }
    if let Some(action) = &sign_out
        && accounts.len() > 1
    {
        let hidden = [("scope", "browser")];
        html.form(&Form { action, class: "all", hidden: &hidden }, |html| {
            html.raw("Sign out of all accounts");
        });
    }
    html.raw("</div>\n");

    let page = if accounts.is_empty() {
        Page { title: "You are not signed in", says: "No account is signed in from this browser." }
    } else {
        Page { title: "Choose an account", says: "These accounts are signed in from this browser." }
    };
    let mut response = Response::new(Bytes::from(page.around(&html)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let leads_to = [redirects.after_sign_out(), redirects.after_single(), back_to];
    headers.insert(CONTENT_SECURITY_POLICY, policy(&leads_to));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    let (name, value): (HeaderName, HeaderValue) = NOSNIFF;
    headers.insert(name, value);
    response
}

fn describe(html: &mut Html, account: &AccountSummary) {
    html.raw("<span class=\"aside\">Continue as </span><bdi class=\"label\">");
    html.text(&account.label).raw("</bdi>");
    if let Some(detail) = &account.detail {
        html.raw("<bdi class=\"detail\">").text(detail).raw("</bdi>");
    }
    if let Some(actor) = &account.actor {
        html.raw("<span class=\"active\">Impersonated by <bdi>");
        html.text(actor.subject().as_str()).raw("</bdi></span>");
    }
    if !account.tasks.is_empty() {
        html.raw("<span class=\"active\">Signing in is not complete</span>");
    }
    if account.active {
        html.raw("<span class=\"active\">Active now</span>");
    }
}

/// The policy of the page. Browsers ask it again where the answer to a form redirects (CSP 3 §6.3.1),
/// so other origins that our own forms lead to are in it.
fn policy(leads_to: &[&RedirectTarget]) -> HeaderValue {
    let mut policy =
        format!("default-src 'none'; style-src '{}'; form-action 'self'", html::STYLE_HASH);
    let mut origins: Vec<&str> = leads_to.iter().filter_map(|target| origin_of(target)).collect();
    origins.sort_unstable();
    origins.dedup();
    for origin in origins {
        policy.push(' ');
        policy.push_str(origin);
    }
    policy.push_str("; base-uri 'none'; frame-ancestors 'none'");
    // Targets are checked, so this is always a header value; the other one keeps it free of a panic.
    HeaderValue::from_str(&policy)
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

/// The origin of an absolute URL.
fn origin_of(target: &RedirectTarget) -> Option<&str> {
    let url = target.as_str();
    let host = url.find("://")? + "://".len();
    if url.starts_with('/') {
        return None;
    }
    let end = url.get(host..)?.find(['/', '?', '#']).map_or(url.len(), |length| host + length);
    url.get(..end)
}

#[cfg(test)]
mod tests {
    use crate::endpoints::chooser::*;

    #[test]
    fn redirect_target_origin_is_extracted_from_absolute_urls() {
        for (url, origin) in [
            ("/", None),
            ("/x?y=https://evil.example", None),
            ("https://a.example", Some("https://a.example")),
            ("https://a.example:8443?x=/", Some("https://a.example:8443")),
            ("http://a.example/b;c#d", Some("http://a.example")),
        ] {
            assert_eq!(origin_of(&RedirectTarget::parse(url).unwrap()), origin, "{url}");
        }
    }
}
