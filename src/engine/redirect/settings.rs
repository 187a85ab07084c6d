//! [`RedirectUrls`]: where a browser goes after a sign-out.

use super::{
    origin::Origin,
    target::{RedirectTarget, split_before},
};
use crate::error::ConfigProblem;

/// Where a browser goes after a sign-out that asked for no place of its own.
///
/// Each setting is an absolute path (`/goodbye`) or an absolute URL of any origin
/// (`https://www.example.com/`), and is checked when the layer is built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedirectUrls {
    sign_in_url: Option<String>,
    after_sign_out_url: Option<String>,
    after_multi_session_single_sign_out_url: Option<String>,
    tasks_url: Option<String>,
    reverify_url: Option<String>,
}

impl RedirectUrls {
    /// The defaults: `/` once nobody is signed in here any more, else `/sign-in/choose`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The application's sign-in page. `choose` is added to its path for the page on which one of
    /// the accounts still signed in is chosen: `https://example.com/sign-in` makes it
    /// `https://example.com/sign-in/choose`.
    ///
    /// Guards lead to both with a `redirect_url`, the page that was wanted: as a path, and as a whole
    /// URL to a page of another site, if [`origin`](crate::engine::SessionEngineBuilder::origin) is
    /// set.
    ///
    /// Not set by default: the chooser is then the crate's own, at `/sign-in/choose`.
    #[must_use]
    pub fn sign_in_url(mut self, url: impl Into<String>) -> Self {
        self.sign_in_url = Some(url.into());
        self
    }

    /// Where to go when the last account, or all of them, signed out. Default: `/`.
    #[must_use]
    pub fn after_sign_out_url(mut self, url: impl Into<String>) -> Self {
        self.after_sign_out_url = Some(url.into());
        self
    }

    /// Where to go when one account signed out while others remain signed in. Default: the page on
    /// which one of them is chosen.
    #[must_use]
    pub fn after_multi_session_single_sign_out_url(mut self, url: impl Into<String>) -> Self {
        self.after_multi_session_single_sign_out_url = Some(url.into());
        self
    }

    /// The page on which what is left to do of a [pending](crate::SignIn::with_tasks) sign-in is done.
    /// Guards lead to it with a `redirect_url`, as to the sign-in page, which stands in where this is
    /// not set.
    #[must_use]
    pub fn tasks_url(mut self, url: impl Into<String>) -> Self {
        self.tasks_url = Some(url.into());
        self
    }

    /// The page on which somebody who is signed in proves once more who they are, for
    /// [`reverified`](crate::SessionJar::mark_verified). Guards that ask for it lead to it with a
    /// `redirect_url`; the sign-in page stands in where this is not set.
    #[must_use]
    pub fn reverify_url(mut self, url: impl Into<String>) -> Self {
        self.reverify_url = Some(url.into());
        self
    }

    /// Checks all settings. Each that is wrong adds to `problems` and counts as not set.
    pub(crate) fn resolve(&self, problems: &mut Vec<ConfigProblem>) -> ResolvedRedirects {
        let mut read = |field, url: &Option<String>| match RedirectTarget::of_setting(
            field,
            url.as_deref()?,
        ) {
            Ok(target) => Some(target),
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        let sign_in = read("sign_in_url", &self.sign_in_url);
        let after_sign_out = read("after_sign_out_url", &self.after_sign_out_url);
        let after_single = read(
            "after_multi_session_single_sign_out_url",
            &self.after_multi_session_single_sign_out_url,
        );
        let tasks = read("tasks_url", &self.tasks_url).or_else(|| sign_in.clone());
        let reverify = read("reverify_url", &self.reverify_url).or_else(|| sign_in.clone());
        let choose =
            sign_in.as_ref().map_or(RedirectTarget::CHOOSE, |url| url.append_segment("choose"));
        ResolvedRedirects {
            sign_in,
            after_sign_out,
            after_single,
            home: RedirectTarget::ROOT,
            base: Box::default(),
            own: None,
            choose,
            tasks,
            reverify,
        }
    }
}

/// [`RedirectUrls`] after its check.
#[derive(Debug, Clone)]
pub(crate) struct ResolvedRedirects {
    pub(crate) sign_in: Option<RedirectTarget>,
    after_sign_out: Option<RedirectTarget>,
    after_single: Option<RedirectTarget>,
    /// Where the tasks of a pending session are done.
    pub(crate) tasks: Option<RedirectTarget>,
    /// Where somebody proves once more who they are.
    pub(crate) reverify: Option<RedirectTarget>,
    /// The account chooser.
    pub(crate) choose: RedirectTarget,
    /// Where everything goes that has no better place.
    pub(crate) home: RedirectTarget,
    base: Box<str>,
    own: Option<Origin>,
}

impl ResolvedRedirects {
    /// Nobody is signed in any more.
    pub(crate) fn after_sign_out(&self) -> &RedirectTarget {
        self.after_sign_out.as_ref().unwrap_or(&self.home)
    }

    /// One account signed out, others remain.
    pub(crate) fn after_single(&self) -> &RedirectTarget {
        self.after_single.as_ref().unwrap_or(&self.choose)
    }

    /// Browsers have `base` before every path of ours, and the chooser is at `chooser` if not below
    /// the sign-in page. What is no path is left to whoever checks it.
    pub(crate) fn set_base_path(&mut self, base: Option<&str>, chooser: Option<&str>) {
        if let Some(base) = base
            && let Ok(home) = RedirectTarget::parse(base)
        {
            (self.home, self.base) = (home, base.into());
        }
        let chooser = match (chooser, &self.sign_in) {
            (Some(path), _) => path,
            (None, None) => RedirectTarget::CHOOSE_PATH,
            (None, Some(_)) => return,
        };
        if let Ok(chooser) = RedirectTarget::parse(&self.external(chooser)) {
            self.choose = chooser;
        }
    }

    /// The origin by which browsers know this site.
    pub(crate) fn set_origin(&mut self, own: Option<Origin>) {
        self.own = own;
    }

    /// `page`, which leads on to `back` afterwards, if there is one: in its parameter `redirect_url`.
    ///
    /// A page of another site would take a path for one of its own, so it is given the whole URL where
    /// our origin is known. No page leads on to itself: a guard around it would make the URL grow for
    /// ever.
    pub(crate) fn with_return_url(
        &self,
        page: &RedirectTarget,
        back: Option<&RedirectTarget>,
    ) -> RedirectTarget {
        let Some(back) = back.filter(|back| !self.is_same_page(page, back)) else {
            return page.clone();
        };
        let is_foreign = !self.strip_origin(page).starts_with(['/', '?', '#']);
        match &self.own {
            Some(own) if is_foreign && back.as_str().starts_with('/') => {
                page.with_query("redirect_url", &format!("{}{back}", own.as_str()))
            }
            _ => page.with_query("redirect_url", back.as_str()),
        }
    }

    pub(crate) fn is_same_page(&self, one: &RedirectTarget, other: &RedirectTarget) -> bool {
        let page = |target| split_before(self.strip_origin(target), ['?', '#']).0;
        page(one) == page(other)
    }

    /// A URL of ours from its path on.
    fn strip_origin<'a>(&self, target: &'a RedirectTarget) -> &'a str {
        let url = target.as_str();
        let rest = self.own.as_ref().and_then(|own| url.strip_prefix(own.as_str()));
        match rest {
            Some("") => "/",
            Some(rest) if rest.starts_with(['/', '?', '#']) => rest,
            _ => url,
        }
    }

    /// A path of ours as browsers have it.
    pub(crate) fn external(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::redirect::settings::*;

    fn resolved(settings: &RedirectUrls) -> [String; 3] {
        let mut problems = Vec::new();
        let urls = settings.resolve(&mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        [urls.after_sign_out(), urls.after_single(), &urls.choose].map(ToString::to_string)
    }

    #[test]
    fn explicit_redirect_url_takes_precedence_over_the_chooser() {
        let none = RedirectUrls::new();
        assert_eq!(resolved(&none), ["/", "/sign-in/choose", "/sign-in/choose"]);
        let sign_in = none.clone().sign_in_url("https://example.com/sign-in");
        let choose = "https://example.com/sign-in/choose";
        assert_eq!(resolved(&sign_in), ["/", choose, choose]);
        let all = sign_in
            .after_sign_out_url("http://www.example.com/bye?x=1")
            .after_multi_session_single_sign_out_url("/accounts");
        assert_eq!(resolved(&all), ["http://www.example.com/bye?x=1", "/accounts", choose]);
        assert_eq!(
            resolved(&none.after_multi_session_single_sign_out_url("/accounts")),
            ["/", "/accounts", "/sign-in/choose"]
        );
    }

    #[test]
    fn redirect_url_problems_are_reported_together() {
        let mut problems = Vec::new();
        let urls = RedirectUrls::new()
            .sign_in_url("//example.com/sign-in")
            .after_sign_out_url("")
            .after_multi_session_single_sign_out_url("https://Example.com/")
            .resolve(&mut problems);
        let named: Vec<_> = problems.iter().map(|p| (p.field(), p.value())).collect();
        assert_eq!(
            named,
            [
                ("sign_in_url", "//example.com/sign-in"),
                ("after_sign_out_url", ""),
                ("after_multi_session_single_sign_out_url", "https://Example.com/"),
            ]
        );
        assert_eq!((urls.sign_in, urls.choose), (None, RedirectTarget::CHOOSE));
    }
}
