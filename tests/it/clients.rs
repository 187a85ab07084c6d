//! Each kind of client, from the guard to the endpoints and the errors of handlers: users get pages and
//! redirects that their client follows, scripts get problem documents.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use serde_json::Value;
use tower::Layer as _;
use tower_auth_session::{
    RequireSessionLayer, Session, SignIn,
    config::{PageColors, PageText, PageTexts, PageTheme, RedirectUrls},
    engine::SessionEngineBuilder,
};

use crate::support::{
    Browser, ORIGIN, SID_B, TestResponse, User, engine_builder, get, layer_on, post, site, subject,
    user,
};

const NAVIGATION: &[(&str, &str)] = &[("sec-fetch-mode", "navigate"), ("accept", "text/html")];
const SCRIPT: &[(&str, &str)] = &[("sec-fetch-mode", "cors"), ("accept", "*/*")];
const JSON: &[(&str, &str)] = &[("sec-fetch-mode", "cors"), ("accept", "application/json")];
const HTMX: &[(&str, &str)] = &[
    ("sec-fetch-mode", "cors"),
    ("hx-request", "true"),
    ("hx-current-url", "https://app.example.com/board?tab=2"),
];
const TURBO: &[(&str, &str)] = &[
    ("sec-fetch-mode", "cors"),
    ("accept", "text/vnd.turbo-stream.html, text/html, application/xhtml+xml"),
];
const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc")];
const GRPC_WEB: &[(&str, &str)] = &[("content-type", "application/grpc-web+proto")];

/// What arrives: the status, where it leads, and the kind of the body.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: u16,
    /// `Location`, `HX-Redirect` or the member `redirect_url`, with its name.
    target: String,
    body: &'static str,
}

impl Outcome {
    fn of(response: &TestResponse) -> Self {
        let kind = response.header("content-type");
        let json = || serde_json::from_slice::<Value>(&response.body).unwrap();
        let (body, listed) = match kind {
            "application/problem+json" => ("problem", None),
            "application/json" => ("json", json()["redirect_url"].as_str().map(str::to_owned)),
            kind if kind.starts_with("text/html") => {
                check_page(response);
                ("page", None)
            }
            kind if kind.starts_with("application/grpc") => {
                assert_eq!(response.header("content-type").contains("web"), kind.contains("web"));
                ("grpc", Some(response.header("grpc-status").to_owned()))
            }
            _ => ("", None),
        };
        assert_eq!(response.body.is_empty(), matches!(body, "" | "grpc"), "{response:?}");
        let headers = ["location", "hx-redirect"].into_iter().filter_map(|name| {
            let value = response.headers.get(name)?.to_str().unwrap();
            Some(format!("{name} {}", value.strip_prefix(ORIGIN).unwrap_or(value)))
        });
        let target = headers.chain(listed).collect::<Vec<_>>().join(", ");
        Self { status: response.status.as_u16(), target, body }
    }
}

/// The rules that every page keeps.
fn check_page(response: &TestResponse) {
    let text = response.text();
    assert_eq!(text.matches("<h1>").count(), 1, "{text}");
    assert!(text.contains("<html lang=\"en\""), "{text}");
    assert!(!text.contains("<script") && !text.contains("style="), "{text}");
    let title = text.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    assert!(text.contains(&format!("<h1>{title}</h1>")), "{text}");
    assert_eq!(response.header("cache-control"), "private, no-store");
    assert_eq!(response.header("referrer-policy"), "same-origin");
    assert_eq!(response.header("x-content-type-options"), "nosniff");
    let policy = response.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.ends_with("base-uri 'none'; frame-ancestors 'none'"), "{policy}");
}

fn with_headers(
    mut request: Request<Full<Bytes>>,
    headers: &[(&'static str, &str)],
) -> Request<Full<Bytes>> {
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

/// A form of the page `/form` that the client with these headers sends.
fn form(path: &str, body: &'static str, headers: &[(&'static str, &str)]) -> Request<Full<Bytes>> {
    let referer = format!("{ORIGIN}/form");
    with_headers(with_headers(post(path, body), &[("referer", &referer)]), headers)
}

fn builder() -> SessionEngineBuilder<User> {
    engine_builder()
        .0
        .multi_session(true)
        .redirect_urls(RedirectUrls::new().sign_in_url("/sign-in").after_sign_out_url("/bye"))
}

#[tokio::test]
async fn guard_answers_each_client_in_a_form_that_it_follows() {
    let (layer, _) = layer_on(builder());
    let service = site!(layer, RequireSessionLayer::new());
    let denied = site!(layer, RequireSessionLayer::new().claims(|_: &User| false));
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    let (asked, page) = ("%2Fme", "%2Fform");
    for (is_form, headers, signed_out, forbidden) in [
        (false, NAVIGATION, (303, format!("location /sign-in?redirect_url={asked}"), ""), "page"),
        (true, NAVIGATION, (303, format!("location /sign-in?redirect_url={page}"), ""), "page"),
        (true, TURBO, (303, format!("location /sign-in?redirect_url={page}"), ""), "page"),
        (
            true,
            HTMX,
            (401, "hx-redirect /sign-in?redirect_url=%2Fboard%3Ftab%3D2".to_owned(), "problem"),
            "problem",
        ),
        (false, SCRIPT, (401, String::new(), "problem"), "problem"),
        (true, JSON, (401, String::new(), "problem"), "problem"),
        (true, GRPC, (200, "16".to_owned(), "grpc"), "grpc"),
        (true, GRPC_WEB, (200, "16".to_owned(), "grpc"), "grpc"),
    ] {
        let request = || match is_form {
            true => form("/me", "", headers),
            false => with_headers(get("/me"), headers),
        };
        let response = Browser::default().send(&service, request()).await;
        let (status, target, body) = signed_out;
        assert_eq!(Outcome::of(&response), Outcome { status, target, body }, "{headers:?}");
        let response = ada.send(&denied, request()).await;
        let expected = match forbidden {
            "grpc" => Outcome { status: 200, target: "7".to_owned(), body: "grpc" },
            body => Outcome { status: 403, target: String::new(), body },
        };
        assert_eq!(Outcome::of(&response), expected, "{headers:?}");
    }
    // A form of a page whose account was signed out is lost, and its user learns of it.
    let mismatch = form("/me", "", &[NAVIGATION, &[("session-id", SID_B)][..]].concat());
    let response = ada.send(&service, mismatch).await;
    assert_eq!((response.status.as_u16(), Outcome::of(&response).body), (409, "page"));
    assert!(response.text().contains("What you sent was not saved."), "{}", response.text());
    assert!(response.text().contains("href=\"/form\">Go back</a>"), "{}", response.text());
}

#[tokio::test]
async fn endpoints_answer_each_client_in_a_form_that_it_follows() {
    let (layer, _) = layer_on(builder());
    let service = site!(layer, RequireSessionLayer::new());
    let problem = |status| (status, "", "problem");
    for (headers, signed_out, unknown, bad) in [
        (
            NAVIGATION,
            (303, "location /bye", ""),
            (303, "location /sign-in/choose", ""),
            (400, "", "page"),
        ),
        (
            TURBO,
            (303, "location /bye", ""),
            (303, "location /sign-in/choose", ""),
            (400, "", "page"),
        ),
        (
            HTMX,
            (204, "hx-redirect /bye", ""),
            (204, "hx-redirect /sign-in/choose", ""),
            problem(400),
        ),
        (SCRIPT, (303, "location /bye", ""), problem(409), problem(400)),
        (JSON, (200, "/bye", "json"), problem(409), problem(400)),
        (GRPC, (200, "12", "grpc"), (200, "12", "grpc"), (200, "12", "grpc")),
        (GRPC_WEB, (200, "12", "grpc"), (200, "12", "grpc"), (200, "12", "grpc")),
    ] {
        let mut ada = Browser::default();
        ada.send(&service, post("/in", "")).await;
        for (path, body, expected) in [
            ("/sign-out", "scope=nonsense", bad),
            ("/session/switch", "session_id=BBBBBBBBBBBBBBBBBBBBBQ", unknown),
            ("/sign-out", "", signed_out),
        ] {
            let response = ada.send(&service, form(path, body, headers)).await;
            let (status, target, body) = expected;
            let expected = Outcome { status, target: target.to_owned(), body };
            assert_eq!(Outcome::of(&response), expected, "{path} {headers:?}");
        }
        let is_grpc = headers == GRPC || headers == GRPC_WEB;
        assert_eq!(ada.has_no_session(), !is_grpc, "{headers:?}");
    }
    // A user who types the address or follows an old link, and a form of another site.
    let response =
        Browser::default().send(&service, with_headers(get("/sign-out"), NAVIGATION)).await;
    assert_eq!((Outcome::of(&response).body, response.header("allow")), ("page", "POST"));
    let remedy = PageText::WrongMethodText.english();
    assert!(response.text().contains(remedy), "{}", response.text());
    let mut foreign = form("/sign-out", "", NAVIGATION);
    foreign.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
    let response = Browser::default().send(&service, foreign).await;
    assert_eq!((response.status.as_u16(), Outcome::of(&response).body), (403, "page"));
}

/// A handler's error does not know its request: the layer renders it for the client.
#[cfg(feature = "axum")]
#[tokio::test]
async fn errors_of_handlers_are_pages_for_users() {
    use axum::{Router, routing::post as on};
    use tower_auth_session::{SessionJar, error::SignInError, error::UpdateClaimsError};

    async fn sign_in(jar: SessionJar<User>) -> Result<&'static str, SignInError> {
        jar.sign_in(SignIn::new(subject("ada"), user("Ada")))?;
        Ok("welcome")
    }
    async fn rename(jar: SessionJar<User>) -> Result<&'static str, UpdateClaimsError> {
        jar.update_claims(user("Grace"))?;
        Ok("renamed")
    }
    let (layer, _) = layer_on(builder());
    let app = Router::new()
        .route("/in", on(sign_in))
        .route("/rename", on(rename))
        .route("/private", on(|_: Session<User>| async {}))
        .layer(layer);
    let foreign = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    for (headers, body, grpc) in [
        (NAVIGATION, "page", None),
        (TURBO, "page", None),
        (HTMX, "problem", None),
        (SCRIPT, "problem", None),
        (JSON, "problem", None),
        (GRPC, "grpc", Some(("7", "16"))),
        (GRPC_WEB, "grpc", Some(("7", "16"))),
    ] {
        let mut browser = Browser::default();
        let cross_site = form("/in", "", &[headers, &foreign].concat());
        let refused = Outcome::of(&browser.send(&app, cross_site).await);
        let signed_out = Outcome::of(&browser.send(&app, form("/rename", "", headers)).await);
        let expected = grpc.map_or((403, "", 401, ""), |(a, b)| (200, a, 200, b));
        let found = (refused.status, &*refused.target, signed_out.status, &*signed_out.target);
        assert_eq!(found, expected, "{headers:?}");
        assert_eq!((refused.body, signed_out.body), (body, body), "{headers:?}");
        let extracted = Outcome::of(&browser.send(&app, form("/private", "", headers)).await);
        assert_eq!(extracted.body == "problem", body == "problem", "{headers:?}");
    }
}

/// An outage of the store, for a user who opens a page, signs in and signs out.
#[cfg(feature = "memory")]
#[tokio::test]
async fn outage_is_a_page_for_users() {
    use crate::support::faulty_store::{Fault, FaultyStore};

    for (headers, body) in
        [(NAVIGATION, "page"), (TURBO, "page"), (HTMX, "problem"), (SCRIPT, "problem")]
    {
        let store = FaultyStore::new();
        let (layer, clock) = layer_on(builder());
        let service = site!(layer.store(store.clone()), RequireSessionLayer::new());
        let mut ada = Browser::default();
        ada.send(&service, post("/in", "")).await;
        clock.advance(crate::support::seconds(60));
        store.set(Fault::Refused);
        for request in [
            with_headers(get("/me"), headers),
            form("/me", "", headers),
            form("/in", "", headers),
            form("/sign-out", "", headers),
        ] {
            let case = format!("{} {headers:?}", request.uri());
            let response = ada.clone().send(&service, request).await;
            assert_eq!(
                (response.status.as_u16(), Outcome::of(&response).body),
                (503, body),
                "{case}"
            );
            assert_eq!(response.header("retry-after"), "5", "{case}");
        }
    }
}

#[tokio::test]
async fn pages_use_the_configured_texts() {
    let texts = PageTexts::german().text(PageText::ForbiddenTitle, "<Nein>");
    let theme = PageTheme::new().site_name("B&W").light(PageColors::light().accent("#8a1c7c"));
    let engine = engine_builder().0.multi_session(true).page_texts(texts).page_theme(theme);
    let (layer, _) = layer_on(engine);
    let service = site!(layer, RequireSessionLayer::new().claims(|_: &User| false));
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    let page = ada.send(&service, with_headers(get("/me"), NAVIGATION)).await;
    assert!(page.text().contains("<html lang=\"de\""), "{}", page.text());
    assert!(page.text().contains("<h1>&lt;Nein&gt;</h1>"), "{}", page.text());
    assert!(page.text().contains("Zur Startseite"), "{}", page.text());
    let chooser = ada.send(&service, get("/sign-in/choose")).await;
    assert!(!chooser.text().contains("Choose"), "{}", chooser.text());
    for text in [page.text(), chooser.text()] {
        assert!(text.contains(" · B&amp;W</title>"), "{text}");
        assert!(text.contains("<p class=\"site\">B&amp;W</p>"), "{text}");
        assert!(text.contains("--accent: #8a1c7c; --on-accent: #ffffff }"), "{text}");
    }
    assert!(
        page.text().contains("<a class=\"primary\" href=\"/\">Zur Startseite"),
        "{}",
        page.text()
    );
}
