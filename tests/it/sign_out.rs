//! `POST /sign-out`: the check of the origin, the effect, and the redirect.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tower::{Layer as _, service_fn};
use tower_auth_session::{
    Session, SessionLayer, SessionStatus, SignIn,
    config::{Endpoint, Endpoints, RedirectUrls},
    event::SessionEvent,
};

use crate::support::{
    Browser, COOKIE, Events, ORIGIN, User, engine_builder, get, layer_on, post, seconds, subject,
    user,
};

/// `/in` signs in. Every response names the signed-in user and comes from the application.
async fn app(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
    if request.uri().path() == "/in" {
        jar.sign_in(SignIn::new(subject("ada"), user("Ada"))).unwrap();
    }
    let who = request.extensions().get::<Session<User>>().map_or("signed out", |_| "Ada");
    Ok(Response::new(Full::from(format!("application: {who}"))))
}

fn site() -> (SessionLayer<User>, Events) {
    let (builder, events) = engine_builder();
    let builder = builder
        .trusted_origins(["https://accounts.example.com"])
        .allowed_redirect_origins(["https://accounts.example.com"])
        .redirect_urls(RedirectUrls::new().after_sign_out_url("/bye"));
    (layer_on(builder).0, events)
}

macro_rules! service {
    ($layer:expr) => {
        $layer.layer(service_fn(app))
    };
}

/// The rows of the origin table: number, method, `Sec-Fetch-Site` lines, `Origin`, `Referer`, whether the
/// request has the session cookie, and the status.
#[tokio::test]
async fn sign_out_is_accepted_from_trusted_origins_only() {
    const OWN: &str = ORIGIN;
    const EVIL: &str = "https://evil.example";
    const TRUSTED: &str = "https://accounts.example.com";
    type Row<'a> = (u8, &'a str, &'a [&'a str], &'a str, &'a str, bool, u16);
    let rows: [Row<'_>; 23] = [
        (1, "POST", &["same-origin"], OWN, "", true, 303),
        (2, "POST", &["none"], "", "", true, 303),
        (3, "POST", &["cross-site"], EVIL, "", true, 403),
        (4, "POST", &["same-site"], "https://blog.example.com", "", true, 403),
        (5, "POST", &["same-site"], TRUSTED, "", true, 303),
        (6, "POST", &["cross-site"], TRUSTED, "", true, 303),
        (7, "POST", &[], OWN, "", true, 303),
        (8, "POST", &[], "http://app.example.com", "", true, 403),
        (9, "POST", &[], EVIL, "", true, 403),
        (10, "POST", &[], "null", "", true, 403),
        (11, "POST", &["same-origin"], "null", "", true, 303),
        (12, "POST", &[], "", "", true, 403),
        (13, "POST", &[], "", "https://app.example.com/account?a=1", true, 303),
        (14, "POST", &[], "", "https://evil.example/?https://app.example.com", true, 403),
        (15, "POST", &[], "", "", false, 303),
        (16, "POST", &["SAME-ORIGIN"], EVIL, "", true, 403),
        (17, "POST", &["same-origin", "cross-site"], OWN, "", true, 403),
        (18, "POST", &["cross-site"], "https://app.example.com.evil.com", "", true, 403),
        (19, "POST", &["none"], EVIL, "", true, 403),
        (20, "GET", &["cross-site"], "", "", true, 405),
        (23, "PUT", &["same-origin"], OWN, "", true, 405),
        (23, "DELETE", &["same-origin"], OWN, "", true, 405),
        (23, "TRACE", &["same-origin"], OWN, "", true, 405),
    ];
    for (row, method, sites, origin, referer, with_cookie, status) in rows {
        let (layer, events) = site();
        let service = service!(layer);
        let mut ada = Browser::default();
        ada.send(&service, post("/in", "")).await;
        events.take();
        let mut sender = if with_cookie { ada.clone() } else { Browser::default() };
        let mut request = get("/sign-out");
        *request.method_mut() = method.parse().unwrap();
        for site in sites {
            request.headers_mut().append("sec-fetch-site", site.parse().unwrap());
        }
        for (name, value) in [("origin", origin), ("referer", referer)] {
            if !value.is_empty() {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
        }
        let response = sender.send(&service, request).await;
        assert_eq!(response.status, status, "row {row}");
        assert!(response.header("cache-control").contains("no-store"), "row {row}");
        let signs_out = status == 303 && with_cookie;
        assert_eq!(response.set_cookies().len(), usize::from(signs_out), "row {row}");
        let is_signed_in = ada.send(&service, get("/")).await.text() == "application: Ada";
        assert_eq!(is_signed_in, !signs_out, "row {row}");
        let refused =
            |event: &SessionEvent| matches!(event, SessionEvent::CrossOriginRefused { .. });
        assert_eq!(events.take().iter().any(refused), status == 403, "row {row}");
        match status {
            303 => assert_eq!((response.header("location"), response.text()), ("/bye", "")),
            405 => assert_eq!(response.header("allow"), "POST"),
            _ => assert!(!response.text().contains("evil"), "row {row}: {}", response.text()),
        }
    }
    // Rows 21 and 22 are WebSocket handshakes, which `service.rs` tests.
    let (layer, _) = site();
    let service = service!(layer);
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    let mut request = post("/sign-out", "");
    let headers = request.headers_mut();
    headers.insert("x-http-method-override", "GET".parse().unwrap());
    headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
    headers.insert("origin", EVIL.parse().unwrap());
    headers.insert("x-forwarded-host", "evil.example".parse().unwrap());
    headers.insert("host", "evil.example".parse().unwrap());
    assert_eq!(ada.send(&service, request).await.status, 403, "row 24");
}

#[tokio::test]
async fn cross_site_sign_in_is_refused_with_or_without_a_cookie() {
    let (layer, _) = site();
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
        let text = match jar.sign_in(SignIn::new(subject("mallory"), user("Mallory"))) {
            Ok(_) => "in".to_owned(),
            Err(error) => error.to_string(),
        };
        Ok::<_, Infallible>(Response::new(Full::from(text)))
    }));
    for (site, origin, allowed) in [
        ("same-origin", ORIGIN, true),
        ("cross-site", "https://evil.example", false),
        ("cross-site", "", false),
        ("", "https://evil.example", false),
        ("", "null", false),
        // Not a browser, because every browser sends `Origin` with a POST.
        ("", "", true),
    ] {
        let mut request = post("/", "");
        request.headers_mut().remove("origin");
        for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
            if !value.is_empty() {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
        }
        let response = Browser::default().send(&service, request).await;
        assert_eq!(response.text() == "in", allowed, "{site} {origin}: {}", response.text());
        assert_eq!(response.set_cookies().len(), usize::from(allowed));
    }
    // An identity provider redirects its user back by a cross-site navigation.
    let mut request = get("/callback");
    request.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
    assert_eq!(Browser::default().send(&service, request).await.text(), "in");
}

#[tokio::test]
async fn sign_out_redirects_to_the_allowed_target_or_the_default() {
    let rows: [(&str, &str, &str, &str); 16] = [
        // Body, content type, Accept, redirect target.
        ("", "", "", "/bye"),
        ("redirect_url=/goodbye%3Fa%3D1", "form", "", "/goodbye?a=1"),
        ("redirect_url=", "form", "", "/bye"),
        ("redirect_url=https%3A%2F%2Fapp.example.com%2Fx", "form", "", "https://app.example.com/x"),
        (
            "redirect_url=https%3A%2F%2Faccounts.example.com%2F",
            "form",
            "",
            "https://accounts.example.com/",
        ),
        ("redirect_url=https%3A%2F%2Fevil.example%2F", "form", "", "/bye"),
        ("redirect_url=%2F%2Fevil.example", "form", "", "/bye"),
        ("redirect_url=/%0d%0aSet-Cookie:a=b", "form", "", "/bye"),
        ("redirect_url=/a&redirect_url=/b", "form", "", "/bye"),
        ("redirect_url=%ff", "form", "", "/bye"),
        ("scope=this&redirect_url=/a", "form", "", "/a"),
        ("scope=browser&redirect_url=/a", "form", "", "/bye"),
        ("scope=browser", "form", "text/html,application/json", "/bye"),
        (r#"{"redirect_url":"/a"}"#, "json", "", "json /a"),
        (r#"{"redirect_url":7}"#, "json", "", "json /bye"),
        ("redirect_url=/a", "form", "application/json", "json /a"),
    ];
    for (body, content, accept, expected) in rows {
        let (layer, _) = site();
        let service = service!(layer);
        let mut ada = Browser::default();
        ada.send(&service, post("/in", "")).await;
        let mut request = post("/sign-out", body);
        match content {
            "json" => {
                let json = "application/json; charset=utf-8".parse().unwrap();
                request.headers_mut().insert(header::CONTENT_TYPE, json);
            }
            "" => {
                request.headers_mut().remove(header::CONTENT_TYPE);
            }
            _ => {}
        }
        if !accept.is_empty() {
            request.headers_mut().insert(header::ACCEPT, accept.parse().unwrap());
        }
        let response = ada.send(&service, request).await;
        match expected.strip_prefix("json ") {
            Some(url) => {
                assert_eq!((response.status, response.header("location")), (StatusCode::OK, ""));
                let json: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
                assert_eq!(json, serde_json::json!({ "redirect_url": url }));
            }
            None => {
                assert_eq!(response.status, StatusCode::SEE_OTHER, "{body}");
                assert_eq!(response.header("location"), expected, "{body}");
            }
        }
        assert!(ada.cookies.is_empty(), "{body}");
    }
    let (layer, _) = site();
    let service = service!(layer);
    let response = Browser::default().send(&service, post("/sign-out?redirect_url=/q", "")).await;
    assert_eq!(response.header("location"), "/q", "the query is read too");
    let response = Browser::default()
        .send(&service, post("/sign-out?redirect_url=/q", "redirect_url=/q"))
        .await;
    assert_eq!(response.header("location"), "/bye", "at most one value in query and body together");
}

#[tokio::test]
async fn sign_out_by_id_revokes_only_a_session_of_this_browser() {
    let (layer, events) = site();
    let service = service!(layer);
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    let reported = events.take();
    let SessionEvent::SignedIn { session, .. } = &reported[0] else { panic!("{reported:?}") };

    // An id that this browser does not have changes nothing and redirects back to the referring page.
    for (body, location) in [
        ("session_id=AAAAAAAAAAAAAAAAAAAAAA", "https://app.example.com/account"),
        ("session_id=../../etc/passwd", "https://app.example.com/account"),
        ("session_id=AAAAAAAAAAAAAAAAAAAAAA&redirect_url=/a", "/a"),
    ] {
        let mut request = post("/sign-out", body);
        let referer = "https://app.example.com/account".parse().unwrap();
        request.headers_mut().insert(header::REFERER, referer);
        let response = ada.send(&service, request).await;
        assert_eq!(
            (response.status, response.header("location")),
            (StatusCode::SEE_OTHER, location)
        );
        assert_eq!(response.set_cookies(), Vec::<&str>::new());
    }
    let body = "session_id=AAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(ada.send(&service, post("/sign-out", body)).await.header("location"), "/");
    assert_eq!(ada.send(&service, get("/")).await.text(), "application: Ada");

    let request = Request::post(format!("/sign-out?session_id={}", session.id()))
        .header(header::ORIGIN, ORIGIN)
        .body(Full::default())
        .unwrap();
    assert_eq!(ada.send(&service, request).await.header("location"), "/bye");
    assert!(ada.cookies.is_empty());
}

#[tokio::test]
async fn invalid_sign_out_request_is_refused_and_changes_nothing() {
    let (layer, _) = site();
    let service = service!(layer);
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    let large: &'static str = Box::leak(format!("redirect_url=/{}", "x".repeat(8_192)).into());
    for (content, body, status) in [
        ("application/x-www-form-urlencoded", large, 413),
        ("application/x-www-form-urlencoded", "session_id=a&session_id=b", 400),
        ("application/x-www-form-urlencoded", "scope=all", 400),
        ("application/x-www-form-urlencoded", "scope=this&scope=browser", 400),
        ("application/x-www-form-urlencoded", "scope=everywhere", 400),
        ("application/json", "[1]", 400),
        ("application/json", "{", 400),
        ("application/json", r#"{"scope":1}"#, 400),
        ("text/plain", "scope=this", 415),
        ("multipart/form-data; boundary=x", "--x", 415),
    ] {
        let mut request = post("/sign-out", body);
        request.headers_mut().insert(header::CONTENT_TYPE, content.parse().unwrap());
        let response = ada.send(&service, request).await;
        assert_eq!(response.status, status, "{content} {body:.40}");
        assert_eq!(response.set_cookies(), Vec::<&str>::new());
        assert_eq!(response.header("content-type"), "application/problem+json");
    }
    assert_eq!(ada.send(&service, get("/")).await.text(), "application: Ada");
}

/// The user wants the cookie to be removed, whatever it contains.
#[tokio::test]
async fn sign_out_removes_invalid_cookies() {
    let (layer, _) = site();
    let service = service!(layer);
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    let token = ada.cookies[COOKIE].clone();
    let forged = format!("{}x", &token[..token.len() - 1]);
    for value in [forged.as_str(), "garbage", "", "a.b.c"] {
        let mut browser = Browser::default();
        browser.cookies.insert(COOKIE.to_owned(), value.to_owned());
        let response = browser.send(&service, post("/sign-out", "")).await;
        assert_eq!(response.status, StatusCode::SEE_OTHER);
        assert!(browser.cookies.is_empty(), "{value}");
    }
    let response = Browser::default().send(&service, post("/sign-out", "")).await;
    assert_eq!((response.status, response.set_cookies().len()), (StatusCode::SEE_OTHER, 0));
    assert_eq!(ada.send(&service, get("/")).await.text(), "application: Ada");
}

#[tokio::test]
async fn sign_out_revokes_both_sessions_under_one_cookie_name() {
    let (layer, _) = site();
    let service = service!(layer);
    let (mut first, mut second) = (Browser::default(), Browser::default());
    first.send(&service, post("/in", "")).await;
    second.send(&service, post("/in", "")).await;
    let mut request = post("/sign-out", "");
    let both = format!("{COOKIE}={}; {COOKIE}={}", first.cookies[COOKIE], second.cookies[COOKIE]);
    request.headers_mut().insert(header::COOKIE, both.parse().unwrap());
    let response = Browser::default().send(&service, request).await;
    assert_eq!((response.status, response.set_cookies().len()), (StatusCode::SEE_OTHER, 1));
    for browser in [&mut first, &mut second] {
        assert_eq!(browser.send(&service, get("/")).await.text(), "application: signed out");
    }
}

#[tokio::test]
async fn sign_out_path_is_exact_and_can_be_moved_or_disabled() {
    let (layer, _) = site();
    let service = service!(layer);
    for path in ["/sign-out/", "//sign-out", "/Sign-Out", "/%73ign-out", "/sign-out/x"] {
        let response = Browser::default().send(&service, post(path, "")).await;
        assert_eq!(response.text(), "application: signed out", "{path}");
    }
    let mut preflight = get("/sign-out");
    *preflight.method_mut() = Method::OPTIONS;
    for name in ["x-other", "access-control-request-method"] {
        // Browsers always send a preflight with `Origin`.
        preflight.headers_mut().insert(name, "POST".parse().unwrap());
        let response = Browser::default().send(&service, preflight.clone()).await;
        assert_eq!(
            (response.status, response.header("allow")),
            (StatusCode::METHOD_NOT_ALLOWED, "POST")
        );
    }
    preflight.headers_mut().insert(header::ORIGIN, "https://spa.example.com".parse().unwrap());
    let response = Browser::default().send(&service, preflight).await;
    assert_eq!(response.text(), "application: signed out", "the application handles preflights");

    for moved in [true, false] {
        let (builder, _) = engine_builder();
        let builder = if moved {
            builder.endpoints(Endpoints::new().path(Endpoint::SignOut, "/account/leave"))
        } else {
            builder.endpoints(Endpoints::new().disable(Endpoint::SignOut))
        };
        let service = service!(layer_on(builder).0);
        let response = Browser::default().send(&service, post("/sign-out", "")).await;
        assert_eq!(response.text(), "application: signed out");
        let response = Browser::default().send(&service, post("/account/leave", "")).await;
        assert_eq!(response.status == StatusCode::SEE_OTHER, moved);
    }
}

#[tokio::test]
async fn sign_out_with_a_due_renewal_removes_the_cookie() {
    let (builder, _) = engine_builder();
    let (layer, clock) = layer_on(builder);
    let service = service!(layer);
    let mut ada = Browser::default();
    ada.send(&service, post("/in", "")).await;
    clock.advance(seconds(50));
    let response = ada.send(&service, post("/sign-out", "")).await;
    assert_eq!(response.set_cookies().len(), 1);
    assert!(ada.cookies.is_empty());
}
