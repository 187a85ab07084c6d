//! Settings that are valid by themselves and contradict each other. `docs/operating.md` has the table
//! of all combinations and the reasons.
//!
//! A combination that cannot work is a problem, and `build` fails. One that works, but rarely as
//! intended, is a warning in the log.

use crate::{
    engine::{
        cookie::config::CookieConfig,
        redirect::{
            origin::{Origin, host_of, is_below, split_origin},
            settings::{REDIRECT_PARAM, RedirectPage, ResolvedRedirects},
        },
        request::routes::{Endpoint, Paths, is_within},
    },
    error::ConfigProblem,
};

/// The settings of an engine that issues sessions, each valid by itself.
pub(super) struct Combinations<'a> {
    pub(super) cookie: &'a CookieConfig,
    pub(super) redirects: &'a ResolvedRedirects,
    /// The redirect URLs that were set.
    pub(super) pages: &'a [RedirectPage],
    pub(super) paths: &'a Paths,
    pub(super) own: Option<&'a Origin>,
    pub(super) trusted: &'a [Origin],
    pub(super) multi_session: bool,
    /// Whether sessions are bound to devices.
    pub(super) device_bound: bool,
    pub(super) session_query_param: Option<&'a str>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<ConfigProblem>,
    pub(super) warnings: Vec<ConfigProblem>,
}

impl Combinations<'_> {
    pub(super) fn check(&self) -> Findings {
        let mut findings = Findings::default();
        self.check_development(&mut findings);
        self.check_domain(&mut findings);
        self.check_cookie_path(&mut findings);
        self.check_pages(&mut findings);
        self.check_origins(&mut findings);
        if let Some(name) = self.session_query_param
            && [REDIRECT_PARAM, self.redirects.param()].contains(&name)
        {
            let remedy = "another name: redirects use this one for the page to return to";
            findings.problem("session_query_param", name, remedy);
        }
        findings
    }

    /// `insecure_for_development` and the scheme of the origin.
    fn check_development(&self, findings: &mut Findings) {
        let own = self.own.map(Origin::as_str);
        match (self.cookie.is_secure(), own) {
            (false, Some(own)) if own.starts_with("https://") => findings.problem(
                "cookie.insecure_for_development",
                own,
                "remove it: origin is https, and the session cookie needs Secure there",
            ),
            (false, _) => findings.warning(
                "cookie.insecure_for_development",
                own.unwrap_or("no origin"),
                "for development only: session cookies are sent without Secure, so anyone on the \
                 network path can read them. Remove it in production",
            ),
            (true, Some(own)) if own.starts_with("http://") => findings.warning(
                "origin",
                own,
                "WebKit (Safari) drops Secure cookies over http, so that no one can sign in with it: \
                 set CookieConfig::insecure_for_development during development",
            ),
            (true, _) => {}
        }
    }

    /// `cookie.domain` and the origin.
    fn check_domain(&self, findings: &mut Findings) {
        if let (Some(own), Some(domain)) = (self.own, self.cookie.cookie_domain())
            && !own.is_below(domain)
        {
            let remedy = format!(
                "browsers drop the cookie unless the domain is the host of origin ({own}) or a parent \
                 of it"
            );
            findings.problem("cookie.domain", domain, remedy);
        }
    }

    /// `cookie.path`, the endpoints and the pages that read the session.
    fn check_cookie_path(&self, findings: &mut Findings) {
        let cookie_path = self.cookie.cookie_path();
        let not_sent = |remedy: &str| {
            format!(
                "browsers do not send the session cookie there, because cookie.path is \
                 {cookie_path:?}: {remedy}"
            )
        };
        // The public keys are the same without a cookie. Without bound sessions, no browser calls the
        // endpoints for devices.
        let needs_cookie = |endpoint| match endpoint {
            Endpoint::Jwks => false,
            // The problem is reported for `sign_in_url`, from which the path follows.
            Endpoint::Chooser => !self.chooser_is_below_sign_in(),
            Endpoint::DeviceRegistration | Endpoint::DeviceRefresh => self.device_bound,
            _ => true,
        };
        for (endpoint, path) in self.paths.iter().filter(|(it, _)| needs_cookie(*it)) {
            let path = self.redirects.public_path(path);
            if !is_within(&path, cookie_path) {
                let remedy = "move the endpoint below that path, disable it, or set base_path if a \
                              router removes the prefix";
                findings.problem(endpoint.field(), path, not_sent(remedy));
            }
        }
        for page in self.pages {
            let Some(path) = self.redirects.own_path(&page.target) else { continue };
            if is_within(path, cookie_path) {
                continue;
            }
            match page.field {
                "tasks_url" | "reverify_url" => {
                    let remedy = not_sent("move the page below that path");
                    findings.problem(page.field, page.target.as_str(), remedy);
                }
                "sign_in_url" if self.multi_session && self.chooser_is_below_sign_in() => {
                    let remedy = not_sent(
                        "move the page below that path, so that it and the account chooser can read \
                         the accounts",
                    );
                    findings.problem(page.field, page.target.as_str(), remedy);
                }
                "sign_in_url" => {
                    let remedy = not_sent(
                        "a sign-in there does not revoke the session that it replaces. Move the \
                         page below that path",
                    );
                    findings.warning(page.field, page.target.as_str(), remedy);
                }
                _ => {}
            }
        }
    }

    /// Whether the URL of the account chooser follows from `sign_in_url`.
    fn chooser_is_below_sign_in(&self) -> bool {
        let sign_in = self.redirects.sign_in.as_ref();
        sign_in.is_some_and(|page| self.redirects.choose == page.append_segment("choose"))
    }

    /// The pages that people are redirected to, the endpoints and the cookie.
    fn check_pages(&self, findings: &mut Findings) {
        for page in self.pages {
            let url = page.target.as_str();
            let own_path = self.redirects.own_path(&page.target);
            for (endpoint, path) in self.paths.iter() {
                let is_chooser = endpoint == Endpoint::Chooser && page.is_after_sign_out();
                if own_path == Some(&*self.redirects.public_path(path)) && !is_chooser {
                    let remedy = match page.is_after_sign_out() {
                        true => format!(
                            "{} redirects there, and the endpoint is not a page",
                            page.field
                        ),
                        false => format!("the application's page is there ({})", page.field),
                    };
                    findings.problem(endpoint.field(), path, remedy);
                }
            }
            if page.is_after_sign_out() {
                continue;
            }
            let Some(host) = split_origin(url).and_then(|(origin, _)| host_of(origin)) else {
                continue;
            };
            if url.starts_with("http://") && !Origin::is_loopback_host(host) {
                let remedy =
                    "use https: passwords that are entered on this page can be read on the way";
                findings.warning(page.field, url, remedy);
            }
            let Some(own) = self.own else {
                let remedy = "set origin: the redirect_url of a page on another origin must be a \
                              whole URL, so that the page can redirect back";
                findings.warning(page.field, url, remedy);
                continue;
            };
            let own_host = host_of(own.as_str()).unwrap_or_default();
            if page.field != "sign_in_url" && !self.cookie_reaches(own_host, host) {
                let remedy = format!(
                    "browsers do not send the session cookie of {own} there: use a page of this \
                     origin, or set cookie.domain to a parent of both hosts"
                );
                findings.warning(page.field, url, remedy);
            }
            if page.field == "sign_in_url"
                && self.cookie.is_strict()
                && !may_be_same_site(own_host, host)
            {
                let remedy = "with SameSite=Strict, browsers send no session cookie with the \
                              redirect back from another site: use SameSite::Lax";
                findings.warning("cookie.same_site", "Strict", remedy);
            }
        }
    }

    /// Whether the cookie of `own_host` is sent to `host`. Cookies ignore ports.
    fn cookie_reaches(&self, own_host: &str, host: &str) -> bool {
        match self.cookie.cookie_domain() {
            Some(domain) => is_below(host, domain),
            None => host == own_host,
        }
    }

    /// `origin` and `trusted_origins`.
    fn check_origins(&self, findings: &mut Findings) {
        let in_production = self.own.is_some_and(|own| own.as_str().starts_with("https://"));
        for trusted in self.trusted.iter().filter(|_| in_production) {
            if trusted.as_str().starts_with("http://") {
                let remedy = "remove it in production: any program on the user's computer can serve \
                              a page there that signs the user in and out";
                findings.warning("trusted_origins", trusted.as_str(), remedy);
            }
        }
    }
}

impl Findings {
    pub(super) fn problem(
        &mut self,
        field: &'static str,
        value: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems.push(ConfigProblem::new(field, value, remedy));
    }

    pub(super) fn warning(
        &mut self,
        field: &'static str,
        value: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.warnings.push(ConfigProblem::new(field, value, remedy));
    }
}

/// Whether two hosts can be of one site: the last two labels are equal. Public suffixes are not known
/// here, so that this errs on the side of no warning.
fn may_be_same_site(one: &str, other: &str) -> bool {
    let site = |host: &str| host.rsplitn(3, '.').take(2).map(str::to_owned).collect::<Vec<_>>();
    one == other || site(one) == site(other)
}
