use std::sync::Arc;

use http::Request;

use super::client::Grpc;
use crate::{
    engine::{
        bearer::CredentialKind,
        redirect::settings::{RedirectUrls, ResolvedRedirects},
        request::{presented::FetchMode, state::UpdatedState},
    },
    rejection::*,
    time::Timestamp,
};

fn redirects(sign_in: Option<&str>) -> Arc<ResolvedRedirects> {
    let redirects = match sign_in {
        Some(url) => RedirectUrls::new().sign_in_url(url),
        None => RedirectUrls::new(),
    };
    let mut problems = Vec::new();
    let resolved = redirects.resolve(&mut problems);
    assert_eq!(problems, []);
    Arc::new(resolved)
}

fn reject(kind: RejectionReason, request: &Request<()>, sign_in: Option<&str>) -> Rejection {
    rejection_of(kind, request, sign_in, CredentialKind::Cookie)
}

fn rejection_of(
    kind: RejectionReason,
    request: &Request<()>,
    sign_in: Option<&str>,
    credential: CredentialKind,
) -> Rejection {
    let record = RequestState::new(
        SessionStatusKind::SignedOut,
        (credential, false),
        request.uri().path_and_query().cloned(),
        Timestamp::EPOCH,
        UpdatedState::alone(redirects(sign_in)),
    );
    Rejection::new(kind, RequestHead::from_request(request), Some(&record))
}

fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// The table of the module, cell by cell.
#[test]
fn rejection_response_matches_the_kind_of_client() {
    use RejectionReason as K;
    let navigation =
        request("GET", "/me?a=1&b=%20", &[("sec-fetch-mode", "navigate"), ("accept", "*/*")]);
    let script = request("GET", "/me", &[("accept", "application/json")]);
    let htmx = request("GET", "/me", &[("hx-request", "true"), ("accept", "text/html")]);
    let grpc = request("POST", "/s/M", &[("content-type", "application/grpc+proto")]);
    let sign_in = "/sign-in?redirect_url=%2Fme%3Fa%3D1%26b%3D%2520";
    let choose_then = "/sign-in/choose?redirect_url=%2Fme%3Fa%3D1%26b%3D%2520";
    let foreign = K::CrossOrigin(CrossOriginReason::Origin);
    for (kind, to, status, code, grpc_status) in [
        (K::SignedOut, Some(sign_in), 401, "signed_out", "16"),
        (K::AccountSelectionRequired, Some(choose_then), 401, "choose", "16"),
        (K::Pending, Some(sign_in), 403, "pending", "7"),
        (K::SessionMismatch, Some("/"), 409, "session_mismatch", "9"),
        (K::Unavailable, None, 503, "unavailable", "14"),
        (foreign, None, 403, "cross_origin", "7"),
        (K::Forbidden, None, 403, "forbidden", "7"),
        (K::NotFresh, Some(sign_in), 401, "not_fresh", "16"),
        (K::Impersonated, None, 403, "impersonated", "7"),
        (K::MissingLayer, None, 500, "layer_missing", "13"),
    ] {
        let answer = reject(kind, &navigation, Some("/sign-in")).to_response();
        assert!(answer.headers()["cache-control"].to_str().unwrap().ends_with("no-store"));
        assert_eq!(answer.extensions().get::<Rejection>().unwrap().kind(), kind);
        match to {
            Some(url) => {
                assert_eq!(answer.status(), 303, "{kind:?}");
                assert_eq!(answer.headers()["location"], url, "{kind:?}");
                assert!(answer.body().is_empty());
            }
            None => {
                assert_eq!(answer.status(), status, "{kind:?}");
                assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
                assert_eq!(answer.headers()["cache-control"], "private, no-store");
                assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
            }
        }

        let answer = reject(kind, &script, Some("/sign-in")).to_response();
        assert_eq!(answer.status(), status, "{kind:?}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401);
        assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
        let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!((&body["code"], &body["status"]), (&code.into(), &status.into()));
        let choose = (kind == K::AccountSelectionRequired).then_some("/sign-in/choose");
        assert_eq!(body.get("choose").and_then(serde_json::Value::as_str), choose);

        let answer = reject(kind, &htmx, Some("/sign-in")).to_response();
        assert_eq!(answer.status(), status);
        let location = to.map(|url| url.split('?').next().unwrap());
        let redirect = answer.headers().get("hx-redirect");
        assert_eq!(redirect.map(|url| url.to_str().unwrap()), location, "{kind:?}");

        let answer = reject(kind, &grpc, Some("/sign-in")).to_response();
        assert_eq!((answer.status(), answer.body().len()), (StatusCode::OK, 0));
        assert_eq!(answer.headers()["grpc-status"], grpc_status, "{kind:?}");
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        assert!(!answer.headers().contains_key("location"));
    }
}

#[test]
fn client_is_recognised_by_its_headers() {
    const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");
    const CORS: (&str, &str) = ("sec-fetch-mode", "cors");
    const HTML: (&str, &str) = ("accept", "text/html");
    const HTMX: (&str, &str) = ("hx-request", "true");
    const STREAMS: (&str, &str) =
        ("accept", "text/vnd.turbo-stream.html, text/html, application/xhtml+xml");
    let page = Client::Turbo { in_frame: false };
    for (method, headers, expected) in [
        ("GET", &[NAVIGATE][..], Client::Navigation),
        ("GET", &[("sec-fetch-dest", "document")], Client::Navigation),
        ("HEAD", &[NAVIGATE], Client::Navigation),
        ("GET", &[("accept", "text/html,application/xhtml+xml;q=0.9")], Client::Navigation),
        ("GET", &[("accept", "application/json, TEXT/HTML ;q=0.1")], Client::Navigation),
        ("GET", &[HTML, CORS], Client::Script),
        ("GET", &[HTML, ("sec-fetch-dest", "image")], Client::Script),
        ("GET", &[("accept", "*/*")], Client::Script),
        ("GET", &[], Client::Script),
        ("GET", &[("sec-fetch-mode", "websocket")], Client::Script),
        ("POST", &[NAVIGATE, HTML], Client::Navigation),
        ("POST", &[HTML], Client::Navigation),
        ("POST", &[HTML, CORS], Client::Script),
        ("POST", &[("content-type", "application/json")], Client::Script),
        ("DELETE", &[HTML], Client::Script),
        ("OPTIONS", &[HTML], Client::Script),
        ("GET", &[HTMX, HTML], Client::Htmx),
        ("POST", &[HTMX, CORS], Client::Htmx),
        ("GET", &[("hx-request", "false"), HTML], Client::Navigation),
        ("GET", &[HTMX, ("hx-history-restore-request", "true"), CORS], Client::Navigation),
        ("GET", &[("turbo-frame", "list"), HTML, CORS], Client::Turbo { in_frame: true }),
        ("POST", &[("turbo-frame", "list"), STREAMS], Client::Turbo { in_frame: true }),
        ("GET", &[("x-turbo-request-id", "1"), HTML, CORS], page),
        ("POST", &[STREAMS, CORS], page),
        ("POST", &[("content-type", "application/grpc+proto")], Client::Grpc(Grpc::Http2)),
        ("POST", &[("content-type", "application/grpc-web+proto")], Client::Grpc(Grpc::Web)),
        ("GET", &[("content-type", "application/grpc"), NAVIGATE], Client::Navigation),
    ] {
        let request = request(method, "/", headers);
        let head = RequestHead::from_request(&request);
        assert_eq!(Client::from_head(head), expected, "{method} {headers:?}");
        // The cheaper form does not look for libraries that load a page again.
        let is_library = |name: &str| name.starts_with("hx-") || name.contains("turbo");
        if method == "POST" || !headers.iter().any(|(name, _)| is_library(name)) {
            assert_eq!(
                Client::for_replacement(head, FetchMode::find(head.headers)),
                expected,
                "{method} {headers:?}"
            );
        }
    }
}

/// The page to which each client returns after signing in.
#[test]
fn way_back_is_a_page_of_this_site_that_can_be_requested_again() {
    const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");
    const HTMX: (&str, &str) = ("hx-request", "true");
    const CURRENT: (&str, &str) = ("hx-current-url", "https://app.example.com/board?tab=2#top");
    const REFERER: (&str, &str) = ("referer", "https://app.example.com/form?a=b|c");
    const FOREIGN: (&str, &str) = ("referer", "https://evil.example/form");
    const HOST: (&str, &str) = ("host", "app.example.com");
    const TURBO: (&str, &str) = ("x-turbo-request-id", "1");
    const FRAME: (&str, &str) = ("turbo-frame", "f");
    let (asked, form, board) = ("%2Fsave%3Fx", "%2Fform%3Fa%3Db%257Cc", "%2Fboard%3Ftab%3D2");
    for (method, headers, back) in [
        ("GET", &[NAVIGATE, REFERER][..], Some(asked)),
        ("POST", &[NAVIGATE, REFERER], Some(form)),
        ("POST", &[NAVIGATE], None),
        ("POST", &[NAVIGATE, FOREIGN], None),
        ("POST", &[NAVIGATE, ("referer", "https://app.example.com.evil.example/")], None),
        ("POST", &[NAVIGATE, ("referer", "https://app.example.com")], Some("%2F")),
        ("POST", &[NAVIGATE, ("referer", "https://app.example.com//evil.example")], None),
        ("POST", &[NAVIGATE, REFERER, REFERER], None),
        ("GET", &[HTMX, CURRENT, REFERER], Some(board)),
        ("POST", &[HTMX, CURRENT], Some(board)),
        ("GET", &[HTMX, CURRENT, ("hx-boosted", "true")], Some(asked)),
        ("POST", &[HTMX, CURRENT, ("hx-boosted", "true")], Some(board)),
        ("GET", &[HTMX, ("hx-current-url", "https://evil.example/")], None),
        ("GET", &[HTMX, ("hx-current-url", "/board")], None),
        ("GET", &[TURBO], Some(asked)),
        ("POST", &[TURBO, REFERER], Some(form)),
        ("GET", &[FRAME, REFERER], Some(form)),
        ("POST", &[("content-type", "application/json"), REFERER], None),
    ] {
        let mut headers = headers.to_vec();
        headers.push(HOST);
        let refused =
            reject(RejectionReason::SignedOut, &request(method, "/save?x", &headers), Some("/in"));
        let expected =
            back.map_or_else(|| "/in".to_owned(), |back| format!("/in?redirect_url={back}"));
        assert_eq!(refused.location().unwrap().as_str(), expected, "{method} {headers:?}");
    }
}

/// HTMX shows no response with such a status. The browser requests the page again, and shows the failure.
#[test]
fn failure_of_a_boosted_link_loads_the_requested_page_as_a_navigation() {
    use RejectionReason as K;
    let (htmx, boosted) = (("hx-request", "true"), ("hx-boosted", "true"));
    let target = |kind, method, headers: &[_]| {
        let answer = reject(kind, &request(method, "/me?a=1", headers), None).to_response();
        assert_eq!(answer.status(), kind.problem().status);
        answer.headers().get("hx-redirect").map(|url| url.to_str().unwrap().to_owned())
    };
    for kind in [K::Forbidden, K::Unavailable, K::Impersonated, K::SignedOut, K::Pending] {
        assert_eq!(target(kind, "GET", &[htmx, boosted]).as_deref(), Some("/me?a=1"), "{kind:?}");
        assert_eq!(target(kind, "GET", &[htmx]), None, "a part of a page: {kind:?}");
        assert_eq!(target(kind, "POST", &[htmx, boosted]), None, "a form: {kind:?}");
    }
    let other_page = target(K::SessionMismatch, "GET", &[htmx, boosted]);
    assert_eq!(other_page.as_deref(), Some("/"));
}

/// What a user reads where there is no redirect, and where the page leads.
#[test]
fn page_states_the_reason_and_where_to_go_on() {
    use RejectionReason as K;
    let navigate = ("sec-fetch-mode", "navigate");
    let form = &[navigate, ("host", "a.example"), ("referer", "https://a.example/form")][..];
    let frame = &[("turbo-frame", "f"), ("host", "a.example"), ("referer", "https://a.example/p")];
    let turbo = &[("x-turbo-request-id", "1")];
    let links = |kind, method, headers, sign_in| {
        let response = reject(kind, &request(method, "/me", headers), sign_in).to_response();
        let page = std::str::from_utf8(response.body()).unwrap().to_owned();
        let links: Vec<_> = page
            .split(" href=\"")
            .skip(1)
            .map(|it| it.split("</a>").next().unwrap().replace("\">", " "))
            .collect();
        (response.status().as_u16(), page.contains("was not saved"), links.join(", "))
    };
    let start = "/ Go to the start page";
    for (kind, method, headers, sign_in, status, lost, expected) in [
        (K::SignedOut, "GET", &[navigate][..], None, 401, false, ""),
        (K::SignedOut, "POST", form, None, 401, true, "/form Go back, "),
        (K::Forbidden, "GET", &[navigate], None, 403, false, ""),
        (K::Forbidden, "POST", form, None, 403, true, "/form Go back, "),
        (K::Impersonated, "POST", form, None, 403, true, "/form Go back, "),
        (K::SessionMismatch, "POST", form, None, 409, true, "/form Go back, "),
        (K::Unavailable, "GET", &[navigate], None, 503, false, "/me Try again, "),
        (K::Unavailable, "POST", form, None, 503, true, "/form Go back, "),
        (K::MissingLayer, "GET", &[navigate], None, 500, false, ""),
        // Turbo follows no redirect to another origin, and none in a frame.
        (
            K::SignedOut,
            "GET",
            turbo,
            Some("https://id.example"),
            401,
            false,
            "https://id.example?redirect_url=%2Fme Sign in, ",
        ),
        (K::SignedOut, "GET", frame, Some("/in"), 401, false, "/in?redirect_url=%2Fp Sign in, "),
        (K::Pending, "GET", frame, Some("/in"), 403, false, "/in?redirect_url=%2Fp Continue, "),
    ] {
        let found = links(kind, method, headers, sign_in);
        assert_eq!(found, (status, lost, format!("{expected}{start}")), "{kind:?} {method}");
    }
    for (headers, breaks_out) in [(&frame[..], true), (turbo, false)] {
        let response = reject(K::Forbidden, &request("GET", "/me", headers), None).to_response();
        let page = std::str::from_utf8(response.body()).unwrap();
        assert_eq!(page.contains("turbo-visit-control"), breaks_out, "{headers:?}");
    }
}

#[test]
fn response_to_a_bearer_token_is_not_a_page() {
    let request = request("GET", "/me", &[("sec-fetch-mode", "navigate")]);
    let credential = CredentialKind::BearerToken;
    let rejection = rejection_of(RejectionReason::Forbidden, &request, None, credential);
    assert_eq!(rejection.to_response().headers()["content-type"], "application/problem+json");
}

/// A path that would lead to another site after signing in is not gone back to.
#[test]
fn rejection_of_unsafe_path_redirects_without_return_url() {
    let navigate = &[("sec-fetch-mode", "navigate")];
    for (uri, location) in [
        ("//evil.example/a", "/sign-in"),
        ("/a/../b", "/sign-in"),
        ("/%2f/evil.example", "/sign-in"),
        ("https://app.example.com/me", "/sign-in?redirect_url=%2Fme"),
    ] {
        let rejection =
            reject(RejectionReason::SignedOut, &request("GET", uri, navigate), Some("/sign-in"));
        assert_eq!(rejection.location().unwrap().as_str(), location, "{uri}");
    }
    let nowhere = reject(RejectionReason::SignedOut, &request("GET", "/me", navigate), None);
    assert_eq!(nowhere.to_response().status(), 401, "there is no page to sign in at");
}
