use std::sync::Arc;

use http::Request;

use super::client::Grpc;
use crate::{
    engine::{
        bearer::CredentialKind,
        redirect::settings::{RedirectUrls, ResolvedRedirects},
        request::state::UpdatedState,
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
    let record = RequestState::new(
        SessionStatusKind::SignedOut,
        None,
        (CredentialKind::Cookie, false),
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

/// DESIGN §10, cell by cell.
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
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.extensions().get::<Rejection>().unwrap().kind(), kind);
        match to {
            Some(url) => {
                assert_eq!(answer.status(), 303, "{kind:?}");
                assert_eq!(answer.headers()["location"], url, "{kind:?}");
                assert!(answer.body().is_empty());
            }
            None => assert_eq!(answer.status(), status, "{kind:?}"),
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
fn client_kind_is_navigation_only_for_documents_requested_by_get() {
    for (method, headers, expected) in [
        ("GET", &[("sec-fetch-mode", "navigate")][..], Client::Navigation),
        ("GET", &[("sec-fetch-dest", "document")], Client::Navigation),
        ("HEAD", &[("sec-fetch-mode", "navigate")], Client::Navigation),
        ("GET", &[("accept", "text/html,application/xhtml+xml;q=0.9")], Client::Navigation),
        ("GET", &[("accept", "application/json, TEXT/HTML ;q=0.1")], Client::Navigation),
        ("GET", &[("accept", "text/html"), ("sec-fetch-mode", "cors")], Client::Other),
        ("GET", &[("accept", "text/html"), ("sec-fetch-dest", "image")], Client::Other),
        ("GET", &[("accept", "*/*")], Client::Other),
        ("GET", &[], Client::Other),
        ("POST", &[("sec-fetch-mode", "navigate"), ("accept", "text/html")], Client::Other),
        ("DELETE", &[("accept", "text/html")], Client::Other),
        ("GET", &[("hx-request", "false"), ("accept", "text/html")], Client::Navigation),
        ("POST", &[("content-type", "application/grpc-web+proto")], Client::Grpc(Grpc::Web)),
        ("POST", &[("content-type", "application/json")], Client::Other),
    ] {
        let request = request(method, "/", headers);
        assert_eq!(
            Client::from_head(RequestHead::from_request(&request)),
            expected,
            "{method} {headers:?}"
        );
    }
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
