//! A verify-only service never sets a cookie and never issues a token.

use ::http::{Method, Request, Response, header};
use http_body_util::Full;
use tower::{ServiceExt as _, service_fn};
use tower_auth_session::{
    RequireSessionLayer, SessionEngine, SessionStatus, SignIn, bearer::BearerTokenOptions,
    error::SignInError, verify_only::TrustedIssuer,
};
use tower_layer::Layer as _;

use super::issuer::{Site, good, known, request};
use crate::support::{COOKIE, User, subject, user};

type Body = Full<bytes::Bytes>;

#[tokio::test]
async fn verify_only_jar_never_sets_a_cookie() {
    let site = Site::trusting([known().cookie(COOKIE)]);
    for is_signed_in in [true, false] {
        for action in 0..7 {
            let handler = service_fn(move |request: Request<Body>| async move {
                let jar =
                    request.extensions().get::<SessionStatus>().unwrap().jar::<User>().unwrap();
                assert_eq!(jar.session().is_some(), is_signed_in);
                let sign_in = || SignIn::new(subject("eve"), user("Eve"));
                match action {
                    0 => assert_eq!(jar.sign_in(sign_in()), Err(SignInError::VerifiesOnly)),
                    1 => assert!(jar.update_claims(user("Eve")).is_err()),
                    2 => jar.renew_now(),
                    3 => drop(jar.sign_out()),
                    4 => drop(jar.sign_out_all()),
                    5 => {
                        let token_is_refused =
                            jar.session().map(|session| session.bearer_token().is_err());
                        assert_ne!(token_is_refused, Some(false));
                    }
                    _ => assert!(jar.accounts().is_empty() || is_signed_in),
                }
                Ok::<_, std::convert::Infallible>(Response::new(Body::default()))
            });
            let token = if is_signed_in { good() } else { "a.b.c".to_owned() };
            let request = Request::get("/")
                .header(header::COOKIE, format!("{COOKIE}={token}; {COOKIE}.active=none"))
                .body(Body::default())
                .unwrap();
            // A new site for each action, because some revoke the session.
            let site = Site::trusting([known().cookie(COOKIE)]);
            let response = site.layer.layer(handler).oneshot(request).await.unwrap();
            assert!(!response.headers().contains_key(header::SET_COOKIE), "verb {action}");
        }
    }
    drop(site);
}

/// A shared cache must not serve the response of one user to another.
#[tokio::test]
async fn response_varies_by_cookie_and_authorization() {
    let site = Site::trusting([known()]);
    let handler = service_fn(|_: Request<Body>| async {
        Ok::<_, std::convert::Infallible>(Response::new(Body::default()))
    });
    let service = site.layer.layer(RequireSessionLayer::new().layer(handler));
    for (token, status) in [(good(), 200), ("bad".to_owned(), 401)] {
        let response = service.clone().oneshot(super::issuer::bearer(&token)).await.unwrap();
        let response = crate::support::TestResponse::of(response).await;
        assert_eq!(response.status, status);
        let vary: Vec<_> = response.headers.get_all(header::VARY).iter().collect();
        let vary = format!("{vary:?}").to_lowercase();
        assert!(vary.contains("cookie") && vary.contains("authorization"), "{vary}");
        assert!(response.header("cache-control").contains("no-store"));
    }
}

/// All paths belong to the application.
#[tokio::test]
async fn verify_only_layer_serves_no_endpoints() {
    let site = Site::trusting([known()]);
    assert_eq!(site.layer.engine().endpoint_paths().count(), 0);
    for path in
        ["/sign-out", "/session", "/session/switch", "/session/token", "/.well-known/jwks.json"]
    {
        let handler = service_fn(|_: Request<Body>| async {
            Ok::<_, std::convert::Infallible>(Response::new(Body::from("the application's")))
        });
        for method in [Method::GET, Method::POST] {
            let request =
                Request::builder().method(method).uri(path).body(Body::default()).unwrap();
            let response = site.layer.layer(handler).oneshot(request).await.unwrap();
            assert_eq!(
                crate::support::TestResponse::of(response).await.text(),
                "the application's"
            );
        }
    }
}

#[test]
fn invalid_issuer_settings_are_build_errors() {
    let issuer = TrustedIssuer::new;
    for (bad, field) in [
        (issuer(""), "trusted_issuer"),
        (issuer("http://accounts.example.com"), "trusted_issuer.jwks_url"),
        (issuer("accounts.example.com"), "trusted_issuer.jwks_url"),
        (issuer("a").jwks_url("ftp://a.example/keys"), "trusted_issuer.jwks_url"),
        (issuer("a").jwks_url("https://A.example/keys"), "trusted_issuer.jwks_url"),
        (issuer("a").jwks_url("https://user@a.example/keys"), "trusted_issuer.jwks_url"),
        (issuer("a").jwks_url("https://a.example/k#1"), "trusted_issuer.jwks_url"),
        (known().algorithms([]), "trusted_issuer.algorithms"),
        (known().allow_absent_azp(), "trusted_issuer.authorized_parties"),
        (known().audience(""), "trusted_issuer.audience"),
        (known().cookie("a b"), "trusted_issuer.cookie"),
        (known().cookie(""), "trusted_issuer.cookie"),
        (known().keys(tower_auth_session::KeyRing::verify_only()), "keys"),
        (
            issuer("https://a.example").algorithms([tower_auth_session::Algorithm::Hs256]),
            "trusted_issuer.algorithms",
        ),
        (
            issuer("https://a.example").min_refetch_interval(std::time::Duration::ZERO),
            "trusted_issuer.min_refetch_interval",
        ),
    ] {
        let error = SessionEngine::<()>::verify_only([bad]).build().unwrap_err();
        assert!(
            error.problems().iter().any(|problem| problem.field() == field),
            "{field}: {error}"
        );
    }
    let twice = SessionEngine::<()>::verify_only([known(), known()]).build();
    assert!(twice.is_err());
    for good in ["http://127.0.0.1:3000", "http://localhost:3000/", "https://a.example/b"] {
        SessionEngine::<()>::verify_only([issuer(good)]).build().unwrap();
    }
}

/// A service that also issues its own tokens must not issue one for an external session.
#[tokio::test]
async fn bearer_token_is_not_issued_for_an_external_session() {
    let site = Site::trusting([known()]);
    assert_eq!(site.bearer(&good()).await, "Ada");
    let by_header = site.result.lock().unwrap().take().unwrap();
    let site = Site::trusting([known().cookie("__session")]);
    let request = request().header(header::COOKIE, format!("__session={}", good()));
    assert_eq!(site.current_user(request.body(Full::default()).unwrap()).await, "Ada");
    let by_cookie = site.result.lock().unwrap().take().unwrap();
    let issues = crate::support::engine_builder().0.build().unwrap();
    for session in [by_header, by_cookie] {
        let now = tower_auth_session::time::Timestamp::from_unix_seconds(crate::support::START);
        assert!(issues.bearer_token(&session, &BearerTokenOptions::new(), now).is_err());
    }
}
