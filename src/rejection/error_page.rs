//! [`ErrorPage`]: a problem in plain words, for a user who opened a page or sent a form.

use bytes::Bytes;
use http::Response;

use super::{client::Client, problem::Problem};
use crate::{
    config::{PageText, RedirectTarget, page_theme::PageDesign},
    engine::session_engine::SessionEngine,
    pages::{Page, html::Html},
};

/// The parts of a page about a problem, apart from the problem itself.
#[derive(Debug)]
pub(crate) struct ErrorPage<'a> {
    pub(crate) design: &'a PageDesign,
    /// The default page.
    pub(crate) home: &'a RedirectTarget,
    /// The sign-in page, if a sign-in may also solve the problem.
    pub(crate) sign_in: Option<&'a RedirectTarget>,
    /// The page on which the user continues, with the text of the link.
    pub(crate) next: Option<(PageText, &'a RedirectTarget)>,
    /// Whether the refused request was a form whose content is lost.
    pub(crate) lost_input: bool,
    /// Whether Turbo would show the page in a frame.
    pub(crate) in_turbo_frame: bool,
}

impl<'a> ErrorPage<'a> {
    /// A page with a link to the default page only.
    pub(crate) fn new<C>(engine: &'a SessionEngine<C>, client: Client) -> Self {
        Self {
            design: engine.page_design(),
            home: &engine.redirects().home,
            sign_in: None,
            next: None,
            lost_input: false,
            in_turbo_frame: client == Client::Turbo { in_frame: true },
        }
    }

    pub(super) fn response(&self, problem: Problem) -> Response<Bytes> {
        let (title, text) = words(problem);
        let sentences = [text, PageText::NotSaved];
        let shown = if self.lost_input { &sentences[..] } else { &sentences[..1] };
        let mut content = Html::default();
        content.raw("<div class=\"more\">\n");
        let next = self.next.filter(|(_, target)| *target != self.home);
        let sign_in = self.sign_in.map(|target| (PageText::SignIn, target));
        let home = (PageText::StartPage, self.home);
        // The first one is the primary action.
        for (place, (name, target)) in next.into_iter().chain(sign_in).chain([home]).enumerate() {
            content.link(place == 0, target, self.design.texts.get(name));
        }
        content.raw("</div>\n");
        Page {
            design: self.design,
            title,
            sentences: shown,
            content,
            form_targets: &[],
            breaks_out_of_turbo_frame: self.in_turbo_frame,
        }
        .into_response(problem.status)
    }
}

/// The title and the sentence for a problem. Codes that only scripts meet share the last ones.
fn words(problem: Problem) -> (PageText, PageText) {
    use PageText as T;
    match problem.code {
        "signed_out" => (T::SignedOutTitle, T::SignedOutText),
        "choose" => (T::ChooseTitle, T::ChooseText),
        "pending" => (T::PendingTitle, T::PendingText),
        "not_fresh" => (T::NotFreshTitle, T::NotFreshText),
        "session_mismatch" | "not_signed_in_here" => {
            (T::SessionMismatchTitle, T::SessionMismatchText)
        }
        "forbidden" => (T::ForbiddenTitle, T::ForbiddenText),
        "impersonated" | "impersonating" => (T::ForbiddenTitle, T::ImpersonatedText),
        "cross_origin" => (T::CrossOriginTitle, T::CrossOriginText),
        "device_unproven" | "device_proof_too_old" => (T::UnprovenTitle, T::UnprovenText),
        "device_not_bound" => (T::NotDeviceBoundTitle, T::NotDeviceBoundText),
        "unavailable" => (T::UnavailableTitle, T::UnavailableText),
        "too_many_accounts" => (T::LimitTitle, T::TooManyAccountsText),
        "too_many_sessions" => (T::LimitTitle, T::TooManySessionsText),
        "method_not_allowed" => (T::WrongMethodTitle, T::WrongMethodText),
        "unknown_flow" => (T::UnknownFlowTitle, T::UnknownFlowText),
        _ if problem.status.is_client_error() => (T::BadRequestTitle, T::BadRequestText),
        _ => (T::InternalTitle, T::InternalText),
    }
}
