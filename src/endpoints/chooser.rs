//! `GET /sign-in/choose`: the page on which the user chooses one of the accounts of this browser.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::{
    config::{PageText, PageTexts},
    engine::{
        jar::{SessionJar, accounts::AccountSummary},
        redirect::target::RedirectTarget,
        request::routes::Endpoint,
    },
    pages::{
        Page,
        html::{Form, Html},
    },
};

/// The page. `back` is where the person wanted to go.
pub(super) fn page<C: Send + Sync + 'static>(
    jar: &SessionJar<C>,
    back: Option<&RedirectTarget>,
) -> Response<Bytes> {
    let engine = jar.engine();
    let design = &**engine.page_design();
    let texts = &design.texts;
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
        // Some screen readers ignore a list without markers, unless it has the role.
        html.raw("<ul role=\"list\">\n");
        for account in &accounts {
            let id = account.session_id.as_str();
            html.raw(if account.active { "<li aria-current=\"true\">\n" } else { "<li>\n" });
            if let Some(action) = &switch {
                let hidden = [("session_id", id), ("redirect_url", back_to.as_str())];
                html.form(&Form { action, class: "account", hidden: &hidden }, |html| {
                    describe(html, account, texts);
                });
            }
            if let Some(action) = &sign_out {
                // The settings decide where signing out of the active account redirects to.
                let leads_here = redirects.after_single() == &redirects.choose;
                let mut hidden = vec![("session_id", id)];
                if accounts.len() > 1 && (!account.active || leads_here && back.is_some()) {
                    hidden.push(("redirect_url", here.as_str()));
                }
                html.form(&Form { action, class: "leave", hidden: &hidden }, |html| {
                    html.text(texts.get(PageText::SignOut)).raw("<span class=\"aside\"> ");
                    html.text(texts.get(PageText::SignOutOf)).raw(" <bdi>").text(&account.label);
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
        let is_first = accounts.is_empty();
        let name = if is_first { PageText::SignIn } else { PageText::AddAccount };
        html.link(is_first, &redirects.with_return_url(sign_in, back), texts.get(name));
    } else if accounts.is_empty() {
        html.link(true, &redirects.home, texts.get(PageText::StartPage));
    }
    if let Some(action) = &sign_out
        && accounts.len() > 1
    {
        let hidden = [("scope", "browser")];
        html.form(&Form { action, class: "all", hidden: &hidden }, |html| {
            html.text(texts.get(PageText::SignOutOfAll));
        });
    }
    html.raw("</div>\n");

    let (title, sentence) = if accounts.is_empty() {
        (PageText::SignedOutTitle, PageText::NoAccountText)
    } else {
        (PageText::ChooseTitle, PageText::ChooseText)
    };
    Page {
        design,
        title,
        sentences: &[sentence],
        content: html,
        form_targets: &[redirects.after_sign_out(), redirects.after_single(), back_to],
        breaks_out_of_turbo_frame: false,
    }
    .into_response(StatusCode::OK)
}

fn describe(html: &mut Html, account: &AccountSummary, texts: &PageTexts) {
    html.raw("<span class=\"aside\">").text(texts.get(PageText::ContinueAs));
    html.raw(" </span><bdi class=\"label\">").text(&account.label).raw("</bdi>");
    if let Some(detail) = &account.detail {
        html.raw("<bdi class=\"detail\">").text(detail).raw("</bdi>");
    }
    if let Some(actor) = &account.actor {
        html.raw("<span class=\"active\">").text(texts.get(PageText::ImpersonatedBy));
        html.raw(" <bdi>").text(actor.subject().as_str()).raw("</bdi></span>");
    }
    if !account.tasks.is_empty() {
        html.raw("<span class=\"active\">").text(texts.get(PageText::PendingTitle)).raw("</span>");
    }
    if account.active {
        html.raw("<span class=\"active\">").text(texts.get(PageText::Active)).raw("</span>");
    }
}
