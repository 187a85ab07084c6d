//! From a page that a guard keeps, over the chooser, to the page that was wanted.

use http::Request;
use http_body_util::Full;
use tower::{Layer as _, service_fn};
use tower_auth_session::{RequireSessionLayer, SessionLayer, SignOutRedirects};

use super::{App, Site, app, location};
use crate::support::{Browser, ORIGIN, TestResponse, User, engine_builder, get, layer_on};

const CHOOSE: &str = "/sign-in/choose";
/// A page that is wanted, and the same as a parameter.
const WANTED: &str = "/reports/7?tab=a%20b&n=1";
const BACK: &str = "redirect_url=%2Freports%2F7%3Ftab%3Da%2520b%26n%3D1";

fn navigation(path: &str) -> Request<Full<bytes::Bytes>> {
    let mut request = get(path);
    request.headers_mut().insert("sec-fetch-mode", "navigate".parse().unwrap());
    request
}

/// Asks for `path` behind a guard.
async fn guarded(
    layer: &SessionLayer<User>,
    browser: &mut Browser,
    request: Request<Full<bytes::Bytes>>,
) -> TestResponse {
    let service = layer.layer(RequireSessionLayer::new().layer(service_fn(app as App)));
    browser.send(&service, request).await
}

/// The forms of a page: where each goes, and its hidden fields as a body.
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

/// Signed out of the active one; asks, and follows to the chooser.
async fn at_the_chooser(names: &[&str]) -> (Site, Vec<String>, TestResponse) {
    let (mut site, ids) = Site::signed_in(names).await;
    site.form("/sign-out", "", "/").await;
    let response = guarded(&site.layer, &mut site.browser, navigation(WANTED)).await;
    assert_eq!(location(&response), (303, &*format!("{CHOOSE}?{BACK}")));
    let page = site.send(get(response.header("location"))).await;
    (site, ids, page)
}

#[tokio::test]
async fn whoever_chooses_gets_where_they_wanted() {
    let (mut site, ids, page) = at_the_chooser(&["ada", "grace", "barbara"]).await;
    let forms = forms(&page);
    let form = |starts: &str, id: &str| {
        forms.iter().find(|(to, body)| to == starts && body.contains(id)).unwrap().clone()
    };
    let (to, body) = form("/session/switch", &ids[0]);
    let (_, sign_out) = form("/sign-out", &ids[1]);

    // Signing out of one leaves the other, and the way back.
    let left = site.form("/sign-out", &sign_out, "").await;
    let chooser = format!("{CHOOSE}?{BACK}");
    assert_eq!(location(&left), (303, &*chooser));
    // A page that was open for too long: whom it offers has left.
    let gone = form("/session/switch", &ids[1]).1;
    assert_eq!(location(&site.form("/session/switch", &gone, "").await), (303, &*chooser));

    assert_eq!(location(&site.form(&to, &body, "").await), (303, WANTED));
    let response = guarded(&site.layer, &mut site.browser, navigation(WANTED)).await;
    assert_eq!(response.text(), "application: ada");
}

/// The page also serves who is signed in: its forms keep the way back there too.
#[tokio::test]
async fn signing_out_of_the_active_one_keeps_the_way_back() {
    for (after_single, leads_to) in [(None, "chooser"), (Some("/left"), "/left")] {
        let mut redirects = SignOutRedirects::new();
        if let Some(url) = after_single {
            redirects = redirects.after_multi_session_single_sign_out_url(url);
        }
        let mut site = Site::new(|builder| builder.sign_out_redirects(redirects));
        let ids = site.sign_in(&["ada", "grace"]).await;
        let chooser = format!("{CHOOSE}?{BACK}");
        let page = site.send(get(&chooser)).await;
        let leaves = forms(&page).into_iter().find(|(to, body)| {
            to == "/sign-out" && body.contains(&format!("session_id={}", ids[1]))
        });
        let left = site.form("/sign-out", &leaves.unwrap().1, "").await;
        let leads_to = if leads_to == "chooser" { &*chooser } else { leads_to };
        assert_eq!(location(&left), (303, leads_to));
    }
}

#[tokio::test]
async fn scripts_are_told_the_chooser_alone() {
    let (mut site, _) = Site::signed_in(&["ada", "grace"]).await;
    site.form("/sign-out", "", "/").await;
    let response = guarded(&site.layer, &mut site.browser, get(WANTED)).await;
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((response.status.as_u16(), &body["choose"]), (401, &CHOOSE.into()));
    let mut htmx = get(WANTED);
    htmx.headers_mut().insert("hx-request", "true".parse().unwrap());
    let response = guarded(&site.layer, &mut site.browser, htmx).await;
    assert_eq!((response.status.as_u16(), response.header("hx-redirect")), (401, CHOOSE));
}

/// A sign-in page of every form that a setting may have. On another site a path would mean a page of
/// that site, so it is sent whole where our origin is known.
#[tokio::test]
async fn below_every_sign_in_page() {
    let whole = "redirect_url=https%3A%2F%2Fapp.example.com%2Freports%2F7%3Ftab%3Da%2520b%26n%3D1";
    for (setting, sign_in, choose, tail) in [
        ("/login", "/login?", "/login/choose?", BACK),
        ("/login/", "/login/?", "/login/choose?", BACK),
        ("/login?lang=de", "/login?lang=de&", "/login/choose?lang=de&", BACK),
        ("/login?redirect_url=/x&a=b", "/login?a=b&", "/login/choose?a=b&", BACK),
        ("/login/?a=b#top", "/login/?a=b&", "/login/choose?a=b&", &*format!("{BACK}#top")),
        ("https://app.example.com/login", "/login?", "/login/choose?", BACK),
        ("https://id.example.com/in", "https://id.example.com/in?", "/in/choose?", whole),
        ("https://id.example.com/in/", "https://id.example.com/in/?", "/in/choose?", whole),
        ("https://id.example.com", "https://id.example.com?", "/choose?", whole),
        ("https://id.example.com?a=b", "https://id.example.com?a=b&", "/choose?a=b&", whole),
    ] {
        let redirects = SignOutRedirects::new().sign_in_url(setting);
        let mut site = Site::new(|builder| builder.sign_out_redirects(redirects));
        let response = guarded(&site.layer, &mut Browser::default(), navigation(WANTED)).await;
        assert_eq!(location(&response), (303, &*format!("{sign_in}{tail}")), "{setting}");

        site.sign_in(&["ada", "grace"]).await;
        site.form("/sign-out", "", "").await;
        let response = guarded(&site.layer, &mut site.browser, navigation(WANTED)).await;
        let site = setting.find("//id").map_or("", |at| &setting[..at + "//id.example.com".len()]);
        assert_eq!(location(&response), (303, &*format!("{site}{choose}{tail}")), "{setting}");
    }
}

/// A chooser of the application's that it has put behind its own guard: still a mistake, and no URL
/// that grows with every turn.
#[tokio::test]
async fn a_page_is_no_way_back_to_itself() {
    let (mut site, _) = Site::signed_in(&["ada", "grace"]).await;
    site.form("/sign-out", "", "/").await;
    for url in [format!("{CHOOSE}?{BACK}"), CHOOSE.to_owned(), format!("{ORIGIN}{CHOOSE}")] {
        let page = site.send(get(&format!("{CHOOSE}?redirect_url={url}"))).await;
        assert_eq!(page.text().matches("name=\"redirect_url\" value=\"/\"").count(), 1, "{url}");
    }

    let builder = engine_builder().0.multi_session(true).without_chooser_path();
    let layer = layer_on(builder.sign_out_redirects(SignOutRedirects::new().sign_in_url("/in"))).0;
    let response = guarded(&layer, &mut Browser::default(), navigation("/in?x=1")).await;
    assert_eq!(response.header("location"), "/in");
}

#[tokio::test]
async fn what_is_unsafe_or_too_long_is_dropped() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace", "barbara"]).await;
    site.form("/sign-out", "", "/").await;
    for back in ["https%3A%2F%2Fevil.example%2F", "%2F%2Fevil.example", "%2Fa&redirect_url=%2Fb"] {
        let page = site.send(get(&format!("{CHOOSE}?redirect_url={back}"))).await;
        assert!(!page.text().contains("evil"), "{}", page.text());
        let switches = page.text().matches("name=\"redirect_url\" value=\"/\"").count();
        let leaves = page.text().matches("name=\"redirect_url\" value=\"/sign-in/choose\"").count();
        assert_eq!((switches, leaves), (2, 2), "{back}");
        let form = format!("session_id={}x&redirect_url={back}", ids[0]);
        assert_eq!(location(&site.form("/session/switch", &form, "").await), (303, CHOOSE));
    }
    // A way back that fits, within one that does not.
    let long = format!("/{}", "%26".repeat(600));
    let url = format!("{CHOOSE}?redirect_url={}", long.replace('%', "%25"));
    let forms = forms(&site.send(get(&url)).await);
    let leaves = forms.iter().find(|(to, body)| to == "/sign-out" && body.contains(&*ids[0]));
    assert_eq!(location(&site.form("/sign-out", &leaves.unwrap().1, "").await), (303, CHOOSE));
}
