//! The layer behind Varnish, nginx and Apache httpd: no cache gives the page or the cookie of one user to
//! another client, and pages of signed-out visitors stay cacheable. `scripts/test caches` runs it.
#![cfg(all(
    unix,
    feature = "axum",
    feature = "test-util",
    any(feature = "aws-lc-rs", feature = "rust-crypto")
))]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod application;
mod client;
mod servers;

use http::StatusCode;
use url::form_urlencoded::Serializer;

use self::{
    application::Application,
    client::{Client, Received},
    servers::{Cache, Servers},
};

const ANONYMOUS: &str = "anonymous";

/// Headers of responses that the application did not mark for shared caches.
const UNMARKED: &[&[&str]] = &[
    &[],
    &["cache-control: max-age=3600"],
    &["cache-control: max-age=3600, must-revalidate"],
    &["cache-control: max-age=3600, stale-while-revalidate=3600"],
    &["cache-control: max-age=0"],
    &["cache-control: no-cache"],
    &["cache-control: max-age=3600", "vary: accept"],
    &["cache-control: private, max-age=3600"],
    &["cache-control: max-age=3600, private=\"x-name\""],
    &["cache-control: max-age=3600", "cdn-cache-control: private"],
    &["cache-control: max-age=3600", "x-accel-expires: 0"],
    &["expires: Thu, 01 Jan 2037 00:00:00 GMT"],
    &["last-modified: Thu, 01 Jan 2015 00:00:00 GMT"],
];

/// Headers that mark a response for everyone.
const MARKED: &[&[&str]] = &[
    &["cache-control: public, max-age=3600"],
    &["cache-control: public, max-age=0"],
    &["cache-control: max-age=0, s-maxage=3600"],
    &["cache-control: max-age=3600, immutable"],
    &["cache-control: max-age=3600", "cdn-cache-control: max-age=3600"],
    &["cache-control: max-age=3600", "surrogate-control: max-age=3600"],
    &["x-accel-expires: 3600"],
];

/// A page of the application.
#[derive(Debug, Clone, Copy)]
struct Page {
    path: &'static str,
    headers: &'static [&'static str],
    etag: bool,
    is_marked: bool,
    /// Whether the first request, whose response may be stored, is a user's.
    user_first: bool,
}

impl Page {
    /// All pages whose path is one of `paths`.
    fn all(paths: &[&'static str]) -> Vec<Self> {
        let all = UNMARKED.iter().map(|headers| (headers, false));
        let all: Vec<_> = all.chain(MARKED.iter().map(|headers| (headers, true))).collect();
        let mut pages = Vec::new();
        for path in paths {
            for (headers, is_marked) in &all {
                for (etag, user_first) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    pages.push(Self { path, headers, etag, is_marked: *is_marked, user_first });
                }
            }
        }
        pages
    }

    fn url(&self, cache: &Cache) -> String {
        let mut query = Serializer::new(String::new());
        for header in self.headers {
            query.append_pair("header", header);
        }
        if self.etag {
            query.append_pair("etag", "v1");
        }
        query.append_pair("user_first", &self.user_first.to_string());
        format!("http://{}{}?{}", cache.address, self.path, query.finish())
    }
}

/// What is wrong with a response to `client`, if anything.
fn violation(page: Page, client: &Client, received: &Received) -> Option<String> {
    let cookie_users = received.cookie_users();
    if cookie_users.iter().any(|user| *user != client.user) {
        return Some(format!("a cookie of {cookie_users:?}"));
    }
    let cache_control = received.cache_control();
    let is_stored = !["private", "no-store"].iter().all(|word| cache_control.contains(word));
    if !cookie_users.is_empty() && is_stored {
        return Some(format!("a cookie with Cache-Control: {cache_control}"));
    }
    // Marking a page that depends on the session for everyone is the application's mistake. A cache that
    // ignores `Vary` gives users the page of signed-out visitors, which reveals nothing.
    let is_personal = !["", "everyone", ANONYMOUS].contains(&&*received.user);
    if is_personal && received.user != client.user && !page.is_marked {
        return Some(format!("the page of {}", received.user));
    }
    let is_refused = received.status == StatusCode::UNAUTHORIZED;
    if is_refused && client.user != ANONYMOUS && !page.is_marked {
        return Some("a response to a signed-out client".to_owned());
    }
    None
}

#[derive(Default)]
struct Visits {
    violations: Vec<String>,
    /// The statuses of the responses that renewed a token.
    renewals: Vec<StatusCode>,
}

/// A signed-out visitor and two users request each page from each cache, before and after the tokens are
/// due.
async fn visit(
    application: &Application,
    caches: &[Cache],
    pages: &[Page],
    [ada, grace]: &[Client; 2],
) -> Visits {
    let anonymous = &Client::new(ANONYMOUS, None);
    let fresh = [anonymous, ada, ada, grace, anonymous].map(|client| (client, false));
    let due = [
        (ada, false),
        (grace, false),
        (anonymous, false),
        (ada, true),
        (grace, true),
        (anonymous, true),
        (anonymous, false),
    ];
    let mut visits = Visits::default();
    for is_due in [false, true] {
        for (cache, page) in
            caches.iter().flat_map(|cache| pages.iter().map(move |page| (cache, page)))
        {
            let requests = match (is_due, page.user_first) {
                (false, false) => &fresh[..],
                (false, true) => &fresh[1..],
                (true, _) => &due,
            };
            for (client, is_conditional) in requests {
                let received = client.get(&page.url(cache), *is_conditional).await;
                if !received.cookie_users().is_empty() {
                    visits.renewals.push(received.status);
                }
                if let Some(problem) = violation(*page, client, &received) {
                    let description = format!("{}: {page:?}: {}", cache.name, client.user);
                    visits.violations.push(format!("{description} got {problem}"));
                }
            }
        }
        application.make_due();
    }
    visits
}

#[tokio::test]
#[ignore = "it needs the caches: scripts/test caches"]
async fn no_client_gets_the_page_or_the_cookie_of_another() {
    let application = Application::start().await;
    let servers = Servers::start("pages", application.address);
    let clients = ["ada", "grace"].map(|user| Client::new(user, Some(application.sign_in(user))));
    let pages = Page::all(&["/none", "/optional", "/required", "/guarded"]);
    let caches = [&servers.caches[..], &[Cache::none(application.address)]].concat();
    let visits = visit(&application, &caches, &pages, &clients).await;
    assert!(visits.violations.is_empty(), "{:#?}", visits.violations);
    for status in [StatusCode::OK, StatusCode::NOT_MODIFIED] {
        assert!(visits.renewals.contains(&status), "no {status} renewed a token");
    }

    // The copy of a cookie is the client itself: it keeps the cookie after its sign-out.
    let [ada, _] = &clients;
    let mut violations = Vec::new();
    for cache in &caches {
        let received = ada.sign_out(cache.address).await;
        assert_eq!(received.status, StatusCode::SEE_OTHER, "{}", cache.name);
        for page in pages.iter().filter(|page| !page.is_marked) {
            for is_conditional in [false, true] {
                let received = ada.get(&page.url(cache), is_conditional).await;
                if received.user == ada.user || !received.cookie_users().concat().is_empty() {
                    violations.push(format!("{}: {page:?}: {received:?}", cache.name));
                }
            }
        }
    }
    assert!(violations.is_empty(), "{violations:#?}");
}

/// A control: the tests find an application that lets caches store what belongs to one user.
#[tokio::test]
#[ignore = "it needs the caches: scripts/test caches"]
async fn unprotected_pages_and_cookies_reach_other_clients() {
    let application = Application::start().await;
    let servers = Servers::start("unprotected", application.address);
    let clients = ["ada", "grace"].map(|user| Client::new(user, Some(format!("session={user}"))));
    let pages = Page::all(&["/unprotected"]);
    let visits = visit(&application, &servers.caches, &pages, &clients).await;
    let is_found = |cache: &str, problem: &str| {
        let mut violations = visits.violations.iter();
        violations.any(|text| text.starts_with(cache) && text.contains(problem))
    };
    for cache in servers.caches.iter().filter(|cache| cache.caches_with_cookies) {
        assert!(is_found(cache.name, "the page of"), "{}: {:#?}", cache.name, visits.violations);
    }
    // It merges the cookie of a 304 into the stored response.
    assert!(is_found("Apache httpd", "a cookie of"), "{:#?}", visits.violations);
}

#[tokio::test]
#[ignore = "it needs the caches: scripts/test caches"]
async fn pages_of_signed_out_visitors_stay_cacheable() {
    let application = Application::start().await;
    let servers = Servers::start("anonymous", application.address);
    let anonymous = Client::new(ANONYMOUS, None);
    let ada = Client::new("ada", Some(application.sign_in("ada")));
    application.make_due();
    let max_age = Page::all(&["/none", "/optional"]);
    let max_age = max_age.iter().filter(|page| {
        page.headers == ["cache-control: max-age=3600"]
            || page.headers == ["cache-control: public, max-age=3600"]
    });
    for (page, cache) in
        max_age.flat_map(|page| servers.caches.iter().map(move |cache| (page, cache)))
    {
        let url = page.url(cache);
        let stored = anonymous.get(&url, false).await.number.unwrap();
        // Neither a user's request nor the renewal in its response replaces the stored page.
        let of_ada = ada.get(&url, false).await;
        let again = anonymous.get(&url, false).await.number.unwrap();
        assert_eq!(again, stored, "{}: {page:?}", cache.name);
        // A page for everyone that does not read the session is stored once.
        if page.is_marked && page.path == "/none" && cache.caches_with_cookies {
            assert_eq!(of_ada.number, Some(stored), "{}: {page:?}", cache.name);
        }
    }
}
