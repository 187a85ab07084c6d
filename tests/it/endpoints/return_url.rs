//! The return URL: from a guarded page through the chooser and back to that page.

use http::Request;
use http_body_util::Full;
use tower::{Layer as _, service_fn};
use tower_auth_session::{
    RequireSessionLayer, SessionLayer,
    config::{Endpoint, Endpoints, RedirectUrls},
};

use super::{App, Site, app, location};
use crate::support::{Browser, ORIGIN, TestResponse, User, engine_builder, get, layer_on};

const CHOOSE: &str = "/sign-in/choose";
/// The requested page, and the same as a parameter.
const REQUESTED: &str = "/reports/7?tab=a%20b&n=1";
const RETURN_PARAM: &str = "redirect_url=%2Freports%2F7%3Ftab%3Da%2520b%26n%3D1";

fn navigation(path: &str) -> Request<Full<bytes::Bytes>> {
    let mut request = get(path);
    request.headers_mut().insert("sec-fetch-mode", "navigate".parse().unwrap());
    request
}

/// Sends a request to the application behind a guard.
async fn guarded(
    layer: &SessionLayer<User>,
    browser: &mut Browser,
    request: Request<Full<bytes::Bytes>>,
) -> TestResponse {
    let service = layer.layer(RequireSessionLayer::new().layer(service_fn(app as App)));
    browser.send(&service, request).await
}

/// The forms of a page: the action of each, and its hidden fields as a body.
fn forms(page: &TestResponse) -> Vec<(String, String)> {
    let text = page.text().replace("&amp;", "&");
    let between = |text: &str, start: &str| {
        let rest = text.split_once(start)?.1;
        Some(rest.split_once('"')?.0.to_owned())
    };
    text.split("<form ")
        .skip(1)
        .map(|form| {
            let form = form.split("</form>").next().unwrap();
            let mut body = url::form_urlencoded::Serializer::new(String::new());
            for field in form.split("<input ").skip(1) {
                let name = between(field, "name=\"").unwrap();
                body.append_pair(&name, &between(field, "value=\"").unwrap());
            }
            (between(form, "action=\"").unwrap(), body.finish())
        })
        .collect()
}

/// Signs out of the active account, requests a guarded page and follows the redirect to the chooser.
async fn at_the_chooser(names: &[&str]) -> (Site, Vec<String>, TestResponse) {
    let (mut site, ids) = Site::signed_in(names).await;
    site.form("/sign-out", "", "/").await;
    let response = guarded(&site.layer, &mut site.browser, navigation(REQUESTED)).await;
    assert_eq!(location(&response), (303, &*format!("{CHOOSE}?{RETURN_PARAM}")));
    let page = site.send(get(response.header("location"))).await;
    (site, ids, page)
}

#[tokio::test]
async fn choosing_an_account_returns_to_the_requested_page() {
    let (mut site, ids, page) = at_the_chooser(&["ada", "grace", "barbara"]).await;
    let forms = forms(&page);
    let form = |action: &str, id: &str| {
        forms.iter().find(|(to, body)| to == action && body.contains(id)).unwrap().clone()
    };
    let (to, body) = form("/session/switch", &ids[0]);
    let (_, sign_out) = form("/sign-out", &ids[1]);

    // Signing out of one account keeps the other one and the return URL.
    let signed_out = site.form("/sign-out", &sign_out, "").await;
    let chooser = format!("{CHOOSE}?{RETURN_PARAM}");
    assert_eq!(location(&signed_out), (303, &*chooser));
    // A stale page: the account has been signed out meanwhile.
    let stale = form("/session/switch", &ids[1]).1;
    assert_eq!(location(&site.form("/session/switch", &stale, "").await), (303, &*chooser));

    assert_eq!(location(&site.form(&to, &body, "").await), (303, REQUESTED));
    let response = guarded(&site.layer, &mut site.browser, navigation(REQUESTED)).await;
    assert_eq!(response.text(), "application: ada");
}

/// Browsers send characters in a query that RFC 3986 does not allow.
#[tokio::test]
async fn requested_page_is_kept_as_browsers_send_it() {
    let (mut site, _) = Site::signed_in(&["ada", "grace"]).await;
    site.form("/sign-out", "", "/").await;
    for (path, param) in [
        ("/me?tab=a|b", "%2Fme%3Ftab%3Da%257Cb"),
        ("/p?filter={%22a%22:1}", "%2Fp%3Ffilter%3D%257B%2522a%2522%3A1%257D"),
        ("/p?q=`x`^100%", "%2Fp%3Fq%3D%2560x%2560%255E100%2525"),
    ] {
        let response = guarded(&site.layer, &mut site.browser, navigation(path)).await;
        let expected = format!("{CHOOSE}?redirect_url={param}");
        assert_eq!(location(&response), (303, &*expected), "{path}");
        // The chooser's page accepts it as a parameter.
        let page = site.send(get(&expected)).await;
        assert!(page.text().contains("name=\"redirect_url\""), "{path}");
    }
}

/// The chooser also works while an account is active, and its forms keep the return URL.
#[tokio::test]
async fn sign_out_of_the_active_account_keeps_the_return_url() {
    for (after_single, expected) in [(None, "chooser"), (Some("/left"), "/left")] {
        let mut redirects = RedirectUrls::new();
        if let Some(url) = after_single {
            redirects = redirects.after_multi_session_single_sign_out_url(url);
        }
        let mut site = Site::new(|builder| builder.redirect_urls(redirects));
        let ids = site.sign_in(&["ada", "grace"]).await;
        let chooser = format!("{CHOOSE}?{RETURN_PARAM}");
        let page = site.send(get(&chooser)).await;
        let sign_out_form = forms(&page).into_iter().find(|(to, body)| {
            to == "/sign-out" && body.contains(&format!("session_id={}", ids[1]))
        });
        let signed_out = site.form("/sign-out", &sign_out_form.unwrap().1, "").await;
        let expected = if expected == "chooser" { &*chooser } else { expected };
        assert_eq!(location(&signed_out), (303, expected));
    }
}

#[tokio::test]
async fn guard_gives_scripts_the_chooser_without_a_return_url() {
    let (mut site, _) = Site::signed_in(&["ada", "grace"]).await;
    site.form("/sign-out", "", "/").await;
    let response = guarded(&site.layer, &mut site.browser, get(REQUESTED)).await;
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((response.status.as_u16(), &body["choose"]), (401, &CHOOSE.into()));
    let mut htmx = get(REQUESTED);
    htmx.headers_mut().insert("hx-request", "true".parse().unwrap());
    let response = guarded(&site.layer, &mut site.browser, htmx).await;
    assert_eq!((response.status.as_u16(), response.header("hx-redirect")), (401, CHOOSE));
}

/// Sign-in URLs of every allowed form. For a sign-in page on another site the return URL is absolute if
/// the service's origin is known, because a path would refer to that site.
#[tokio::test]
async fn return_url_is_added_to_every_form_of_sign_in_url() {
    let absolute =
        "redirect_url=https%3A%2F%2Fapp.example.com%2Freports%2F7%3Ftab%3Da%2520b%26n%3D1";
    for (setting, sign_in, choose, tail) in [
        ("/login", "/login?", "/login/choose?", RETURN_PARAM),
        ("/login/", "/login/?", "/login/choose?", RETURN_PARAM),
        ("/login?lang=de", "/login?lang=de&", "/login/choose?lang=de&", RETURN_PARAM),
        ("/login?redirect_url=/x&a=b", "/login?a=b&", "/login/choose?a=b&", RETURN_PARAM),
        ("/login/?a=b#top", "/login/?a=b&", "/login/choose?a=b&", &*format!("{RETURN_PARAM}#top")),
        ("https://app.example.com/login", "/login?", "/login/choose?", RETURN_PARAM),
        ("https://id.example.com/in", "https://id.example.com/in?", "/in/choose?", absolute),
        ("https://id.example.com/in/", "https://id.example.com/in/?", "/in/choose?", absolute),
        ("https://id.example.com", "https://id.example.com?", "/choose?", absolute),
        ("https://id.example.com?a=b", "https://id.example.com?a=b&", "/choose?a=b&", absolute),
    ] {
        let redirects = RedirectUrls::new().sign_in_url(setting);
        let mut site = Site::new(|builder| builder.redirect_urls(redirects));
        let response = guarded(&site.layer, &mut Browser::default(), navigation(REQUESTED)).await;
        assert_eq!(location(&response), (303, &*format!("{sign_in}{tail}")), "{setting}");

        site.sign_in(&["ada", "grace"]).await;
        site.form("/sign-out", "", "").await;
        let response = guarded(&site.layer, &mut site.browser, navigation(REQUESTED)).await;
        let site = setting.find("//id").map_or("", |at| &setting[..at + "//id.example.com".len()]);
        assert_eq!(location(&response), (303, &*format!("{site}{choose}{tail}")), "{setting}");
    }
}

/// An application that guards its own chooser by mistake must not get a URL that grows with each
/// redirect.
#[tokio::test]
async fn chooser_and_sign_in_pages_are_not_return_urls() {
    let (mut site, _) = Site::signed_in(&["ada", "grace"]).await;
    site.form("/sign-out", "", "/").await;
    for url in [format!("{CHOOSE}?{RETURN_PARAM}"), CHOOSE.to_owned(), format!("{ORIGIN}{CHOOSE}")]
    {
        let page = site.send(get(&format!("{CHOOSE}?redirect_url={url}"))).await;
        assert_eq!(page.text().matches("name=\"redirect_url\" value=\"/\"").count(), 1, "{url}");
    }

    let builder = engine_builder()
        .0
        .multi_session(true)
        .endpoints(Endpoints::new().disable(Endpoint::Chooser));
    let layer = layer_on(builder.redirect_urls(RedirectUrls::new().sign_in_url("/in"))).0;
    let response = guarded(&layer, &mut Browser::default(), navigation("/in?x=1")).await;
    assert_eq!(response.header("location"), "/in");
}

#[tokio::test]
async fn unsafe_or_too_long_return_url_is_dropped() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace", "barbara"]).await;
    site.form("/sign-out", "", "/").await;
    for back in ["https%3A%2F%2Fevil.example%2F", "%2F%2Fevil.example", "%2Fa&redirect_url=%2Fb"] {
        let page = site.send(get(&format!("{CHOOSE}?redirect_url={back}"))).await;
        assert!(!page.text().contains("evil"), "{}", page.text());
        let switches = page.text().matches("name=\"redirect_url\" value=\"/\"").count();
        let sign_out_form =
            page.text().matches("name=\"redirect_url\" value=\"/sign-in/choose\"").count();
        assert_eq!((switches, sign_out_form), (2, 2), "{back}");
        let form = format!("session_id={}x&redirect_url={back}", ids[0]);
        assert_eq!(location(&site.form("/session/switch", &form, "").await), (303, CHOOSE));
    }
    // A return URL that fits, in a form of a chooser URL that does not.
    let long = format!("/{}", "%26".repeat(600));
    let url = format!("{CHOOSE}?redirect_url={}", long.replace('%', "%25"));
    let forms = forms(&site.send(get(&url)).await);
    let sign_out_form =
        forms.iter().find(|(to, body)| to == "/sign-out" && body.contains(&*ids[0]));
    assert_eq!(
        location(&site.form("/sign-out", &sign_out_form.unwrap().1, "").await),
        (303, CHOOSE)
    );
}
