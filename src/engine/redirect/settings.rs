//! [`RedirectUrls`]: the configured redirect targets.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Uri, header::REFERER};

use super::{
    csrf::{is_target, single},
    origin::{Origin, split_origin},
    target::{RedirectTarget, split_before},
};
use crate::error::ConfigProblem;

/// The URLs that endpoints and guards redirect to.
///
/// Each setting is an absolute path (`/goodbye`) or an absolute URL of any origin
/// (`https://www.example.com/`), and is validated when the layer is built.
///
/// ```
/// use tower_auth_session::config::RedirectUrls;
///
/// let redirects = RedirectUrls::new()
///     .sign_in_url("/sign-in") // guards send users here, with `redirect_url`
///     .tasks_url("/sign-in/code") // while a task of the sign-in is open
///     .reverify_url("/confirm") // for routes that require a recent factor
///     .after_sign_out_url("https://www.example.com/goodbye")
///     .after_multi_session_single_sign_out_url("/choose") // other accounts are still signed in
///     .redirect_param("next"); // in place of `redirect_url`
/// # let _ = redirects;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedirectUrls {
    pub(crate) sign_in_url: Option<String>,
    pub(crate) after_sign_out_url: Option<String>,
    pub(crate) after_multi_session_single_sign_out_url: Option<String>,
    pub(crate) tasks_url: Option<String>,
    pub(crate) reverify_url: Option<String>,
    redirect_param: Option<Cow<'static, str>>,
}

impl RedirectUrls {
    /// The defaults: after a sign-out `/` if no account remains signed in, otherwise
    /// `/sign-in/choose`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The application's sign-in page. The account chooser is at this path with `choose` appended: for
    /// `https://example.com/sign-in`, at `https://example.com/sign-in/choose`. If that is a page of this
    /// origin, the layer serves it; see [`Endpoint::Chooser`](crate::config::Endpoint::Chooser).
    ///
    /// Guards redirect to both with a `redirect_url`, the page that was requested. It is a path, or
    /// a whole URL if the sign-in page is on another site and
    /// [`origin`](crate::engine::SessionEngineBuilder::origin) is set.
    ///
    /// Where the request came from the sign-in page and carries no session cookie, the redirect has
    /// `cookie_missing=1` too. The page can then show that, if the user has just signed in, the browser
    /// did not keep the cookie.
    ///
    /// Not set by default: the chooser is then at `/sign-in/choose`.
    #[must_use]
    pub fn sign_in_url(mut self, url: impl Into<String>) -> Self {
        self.sign_in_url = Some(url.into());
        self
    }

    /// Redirect target after the last account, or all accounts, signed out. Default: `/`.
    #[must_use]
    pub fn after_sign_out_url(mut self, url: impl Into<String>) -> Self {
        self.after_sign_out_url = Some(url.into());
        self
    }

    /// Redirect target after one account signed out while others remain. Default: the account
    /// chooser.
    #[must_use]
    pub fn after_multi_session_single_sign_out_url(mut self, url: impl Into<String>) -> Self {
        self.after_multi_session_single_sign_out_url = Some(url.into());
        self
    }

    /// The page on which the user completes the tasks of a [pending](crate::SignIn::with_tasks)
    /// sign-in. Guards redirect to it with a `redirect_url`. Default: the sign-in page.
    #[must_use]
    pub fn tasks_url(mut self, url: impl Into<String>) -> Self {
        self.tasks_url = Some(url.into());
        self
    }

    /// The page on which a signed-in user verifies a factor again, for
    /// [`mark_verified`](crate::SessionJar::mark_verified). Guards that require it redirect to it
    /// with a `redirect_url`. Default: the sign-in page.
    #[must_use]
    pub fn reverify_url(mut self, url: impl Into<String>) -> Self {
        self.reverify_url = Some(url.into());
        self
    }

    /// The query parameter in which guards and extractors name the page to return to, for applications
    /// whose sign-in page reads another name, such as `next`. Default: `redirect_url`.
    ///
    /// This crate's own endpoints and account chooser read and write `redirect_url` nevertheless.
    #[must_use]
    pub fn redirect_param(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.redirect_param = Some(name.into());
        self
    }

    /// The URLs that were set and are valid, for checks against other settings.
    pub(crate) fn pages(&self) -> Vec<RedirectPage> {
        [
            ("sign_in_url", &self.sign_in_url),
            ("tasks_url", &self.tasks_url),
            ("reverify_url", &self.reverify_url),
            (AFTER_SIGN_OUT, &self.after_sign_out_url),
            (AFTER_SINGLE, &self.after_multi_session_single_sign_out_url),
        ]
        .into_iter()
        .filter_map(|(field, url)| {
            let target = RedirectTarget::from_setting(field, url.as_deref()?).ok()?;
            Some(RedirectPage { field, target })
        })
        .collect()
    }

    /// Validates all settings. An invalid setting is added to `problems` and treated as not set.
    pub(crate) fn resolve(&self, problems: &mut Vec<ConfigProblem>) -> ResolvedRedirects {
        let mut read = |field, url: &Option<String>| match RedirectTarget::from_setting(
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
        let after_sign_out = read(AFTER_SIGN_OUT, &self.after_sign_out_url);
        let after_single = read(AFTER_SINGLE, &self.after_multi_session_single_sign_out_url);
        let tasks = read("tasks_url", &self.tasks_url).or_else(|| sign_in.clone());
        let reverify = read("reverify_url", &self.reverify_url).or_else(|| sign_in.clone());
        let param = self.redirect_param.clone().unwrap_or(Cow::Borrowed(REDIRECT_PARAM));
        if !is_param_name(&param) || param == COOKIE_MISSING_PARAM {
            let remedy =
                "1 to 64 letters, digits, `-`, `_` or `.`, and not `cookie_missing`: `next`";
            problems.push(ConfigProblem::new("redirect_param", &*param, remedy));
        }
        let choose =
            sign_in.as_ref().map_or(RedirectTarget::CHOOSE, |url| url.append_segment("choose"));
        ResolvedRedirects {
            sign_in,
            after_sign_out,
            after_single,
            home: RedirectTarget::DEFAULT,
            base: Box::default(),
            own: None,
            choose,
            serves_chooser: false,
            tasks,
            reverify,
            param,
        }
    }
}

/// The default query parameter for the page to return to.
pub(crate) const REDIRECT_PARAM: &str = "redirect_url";

/// The query parameter of a redirect to the sign-in page from which the browser came without any
/// session cookie: it did not keep the cookie of a sign-in, or the user has not signed in.
pub(crate) const COOKIE_MISSING_PARAM: &str = "cookie_missing";

fn is_param_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_allowed)
}

const AFTER_SIGN_OUT: &str = "after_sign_out_url";
const AFTER_SINGLE: &str = "after_multi_session_single_sign_out_url";

/// A redirect URL that was set.
#[derive(Debug)]
pub(crate) struct RedirectPage {
    /// The name of its setting.
    pub(crate) field: &'static str,
    pub(crate) target: RedirectTarget,
}

impl RedirectPage {
    /// Whether it is a target after a sign-out.
    pub(crate) fn is_after_sign_out(&self) -> bool {
        [AFTER_SIGN_OUT, AFTER_SINGLE].contains(&self.field)
    }
}

/// The validated [`RedirectUrls`].
#[derive(Debug, Clone)]
pub(crate) struct ResolvedRedirects {
    pub(crate) sign_in: Option<RedirectTarget>,
    after_sign_out: Option<RedirectTarget>,
    after_single: Option<RedirectTarget>,
    /// The page for the tasks of a pending session.
    pub(crate) tasks: Option<RedirectTarget>,
    /// The page for re-verification.
    pub(crate) reverify: Option<RedirectTarget>,
    /// The account chooser.
    pub(crate) choose: RedirectTarget,
    /// Whether this crate serves the account chooser, and not the application.
    serves_chooser: bool,
    /// The query parameter for the page to return to.
    param: Cow<'static, str>,
    /// The default redirect target.
    pub(crate) home: RedirectTarget,
    base: Box<str>,
    own: Option<Origin>,
}

impl ResolvedRedirects {
    /// The redirect target when no account remains signed in.
    pub(crate) fn after_sign_out(&self) -> &RedirectTarget {
        self.after_sign_out.as_ref().unwrap_or(&self.home)
    }

    /// The redirect target when one account signed out and others remain.
    pub(crate) fn after_single(&self) -> &RedirectTarget {
        self.after_single.as_ref().unwrap_or(&self.choose)
    }

    /// Sets the public prefix of this crate's paths, and the chooser's path unless it is below the
    /// sign-in page. An invalid path is reported by the validation of the endpoints.
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
        if let Ok(chooser) = RedirectTarget::parse(&self.public_path(chooser)) {
            self.choose = chooser;
        }
    }

    /// Sets whether this crate serves the account chooser.
    pub(crate) const fn set_serves_chooser(&mut self, serves_chooser: bool) {
        self.serves_chooser = serves_chooser;
    }

    /// The redirects of a guard with its own sign-in page, its own query parameter, or both.
    pub(crate) fn for_guard(
        &self,
        sign_in: Option<&RedirectTarget>,
        param: Option<&Cow<'static, str>>,
    ) -> Self {
        let mut own = self.clone();
        if let Some(page) = sign_in {
            for target in [&mut own.tasks, &mut own.reverify] {
                if *target == self.sign_in {
                    *target = Some(page.clone());
                }
            }
            own.sign_in = Some(page.clone());
        }
        if let Some(param) = param {
            own.param = param.clone();
        }
        own
    }

    /// The query parameter for the page to return to.
    pub(crate) fn param(&self) -> &str {
        &self.param
    }

    /// Sets the public origin of this site.
    pub(crate) fn set_origin(&mut self, own: Option<Origin>) {
        self.own = own;
    }

    /// `page` with the query parameter for the page to return to set to `back`, if there is one.
    ///
    /// A page of another site would read a path as its own, so it gets the whole URL if the origin
    /// is known. A page never gets itself as the page to return to, because a guard around it would make
    /// the URL grow with each redirect.
    pub(crate) fn with_return_url(
        &self,
        page: &RedirectTarget,
        back: Option<&RedirectTarget>,
    ) -> RedirectTarget {
        let is_own_chooser = self.serves_chooser && *page == self.choose;
        let param = if is_own_chooser { REDIRECT_PARAM } else { &*self.param };
        let is_named = |back: &&RedirectTarget| !param.is_empty() && !self.is_same_page(page, back);
        let Some(back) = back.filter(is_named) else {
            return page.clone();
        };
        match &self.own {
            Some(own) if self.is_foreign(page) && back.as_str().starts_with('/') => {
                page.with_query(param, &format!("{}{back}", own.as_str()))
            }
            _ => page.with_query(param, back.as_str()),
        }
    }

    pub(crate) fn is_same_page(&self, one: &RedirectTarget, other: &RedirectTarget) -> bool {
        let page = |target| split_before(self.strip_origin(target), ['?', '#']).0;
        page(one) == page(other)
    }

    /// The page at `path_and_query`, as this site's router sees it, for a redirect back to it. `None`
    /// if there is no safe form of its URL.
    pub(crate) fn requested_page(&self, path_and_query: &str) -> Option<RedirectTarget> {
        let url = self.public_path(path_and_query);
        RedirectTarget::from_own_page(&url).ok()
    }

    /// The page of this site that contains the link or form of a request, as a whole URL if the origin
    /// is configured.
    pub(crate) fn referring_page(&self, uri: &Uri, headers: &HeaderMap) -> Option<RedirectTarget> {
        let page = self.named_page(&REFERER, uri, headers)?;
        match &self.own {
            Some(own) => page.on_origin(own),
            None => Some(page),
        }
    }

    /// The page of this site that a header names by its whole URL, for a redirect back to it. Without a
    /// configured origin, the host that the request was sent to counts as this site.
    pub(crate) fn named_page(
        &self,
        header: &HeaderName,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<RedirectTarget> {
        let url = single(headers, header).ok()??;
        let (origin, page) = split_origin(url)?;
        let is_own = match &self.own {
            Some(own) => own.as_str() == origin,
            None => is_target(origin, uri, headers),
        };
        let page = if page.is_empty() { "/" } else { page };
        let page = split_before(page, ['#']).0;
        is_own.then(|| RedirectTarget::from_own_page(page).ok()).flatten()
    }

    /// Whether a target is on another site.
    pub(crate) fn is_foreign(&self, target: &RedirectTarget) -> bool {
        !self.strip_origin(target).starts_with(['/', '?', '#'])
    }

    /// Whether `Referer` states that the request came from the sign-in page, directly or by the redirect
    /// that answered its form.
    pub(crate) fn came_from_sign_in(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let Some(sign_in) = &self.sign_in else { return false };
        self.named_page(&REFERER, uri, headers)
            .is_some_and(|page| self.is_same_page(&page, sign_in))
    }

    /// The path of a page of this site, without its query.
    pub(crate) fn own_path<'a>(&self, target: &'a RedirectTarget) -> Option<&'a str> {
        let page = self.strip_origin(target);
        page.starts_with('/').then(|| split_before(page, ['?', '#']).0)
    }

    /// The part of a URL after this site's origin; a URL of another site is returned whole.
    fn strip_origin<'a>(&self, target: &'a RedirectTarget) -> &'a str {
        let url = target.as_str();
        let rest = self.own.as_ref().and_then(|own| url.strip_prefix(own.as_str()));
        match rest {
            Some("") => "/",
            Some(rest) if rest.starts_with(['/', '?', '#']) => rest,
            _ => url,
        }
    }

    /// The path of the account chooser as the layer receives it, if it is a page of this origin below the
    /// base path.
    pub(crate) fn chooser_path(&self) -> Option<&str> {
        let path = self.own_path(&self.choose)?.strip_prefix(&*self.base)?;
        path.starts_with('/').then_some(path)
    }

    /// The public form of one of this crate's paths.
    pub(crate) fn public_path(&self, path: &str) -> String {
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
    fn url_of_another_site_is_foreign_whatever_it_begins_with() {
        let mut urls = RedirectUrls::new().resolve(&mut Vec::new());
        urls.set_origin(Some(Origin::parse("https://app.example.com").unwrap()));
        for (url, own_path) in [
            ("/a?b", Some("/a")),
            ("https://app.example.com", Some("/")),
            ("https://app.example.com/a?b#c", Some("/a")),
            ("https://app.example.com.evil.example/a", None),
            ("https://app.example.com:8443/a", None),
            ("https://other.example/a", None),
        ] {
            let target = RedirectTarget::parse(url).unwrap();
            assert_eq!(AsRef::<str>::as_ref(&target), url);
            assert_eq!(urls.is_foreign(&target), own_path.is_none(), "{url}");
            assert_eq!(urls.own_path(&target), own_path, "{url}");
        }
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
