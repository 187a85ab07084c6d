//! The process-wide provider of jsonwebtoken belongs to the application. If both back ends are compiled in
//! and none is installed, its first use panics, so the crate must never use it.
//!
//! A separate test binary, because a process has one provider.
#![cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::{convert::Infallible, path::Path};

use http::{Request, Response, header};
use http_body_util::Full;
use jsonwebtoken::crypto::{CryptoProvider, KeyUtils};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{
    Algorithm, KeyRing, Session, SessionEngine, SessionJar, SessionLayer, SessionStatus, SignIn,
    SigningKey, Subject, keys::VerifyingKey, time::Timestamp,
};

static PANICKING_PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| panic!("signed with the application's provider"),
    verifier_factory: |_, _| panic!("verified with the application's provider"),
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| panic!("used the application's provider"),
        rsa_pub_components_from_public_key: |_| panic!("used the application's provider"),
        ec_pub_components_from_private_key: |_, _| panic!("used the application's provider"),
        ed_pub_components_from_private_key: |_, _| panic!("used the application's provider"),
        compute_digest: |_, _| panic!("used the application's provider"),
    },
};

/// Installs a provider that panics, once for all tests of this binary.
fn install_panicking_provider() {
    if PANICKING_PROVIDER.install_default().is_ok() {
        // The functions of jsonwebtoken that use the provider must panic now.
        let key = jsonwebtoken::EncodingKey::from_secret(&[1; 32]).unwrap();
        let result = std::panic::catch_unwind(|| {
            #[expect(clippy::disallowed_methods, reason = "checks that the provider panics")]
            jsonwebtoken::crypto::sign(b"m", &key, jsonwebtoken::Algorithm::HS256)
        });
        assert!(result.is_err());
    }
}

fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/keys");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Signing keys from every constructor.
fn keys() -> Vec<SigningKey> {
    let mut keys: Vec<_> = [
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::EdDsa,
        Algorithm::Es256,
        Algorithm::Es384,
    ]
    .into_iter()
    .map(|algorithm| SigningKey::generate(format!("new-{algorithm}"), algorithm).unwrap())
    .collect();
    for (name, algorithm) in [
        ("ed25519.pem", Algorithm::EdDsa),
        ("p256.pem", Algorithm::Es256),
        ("p384.pem", Algorithm::Es384),
        ("rsa2048.pem", Algorithm::Rs256),
        ("rsa2048.pkcs1.pem", Algorithm::Ps256),
    ] {
        keys.push(SigningKey::from_pem(name, algorithm, file(name)).unwrap());
    }
    let secret = "hTz9v2Qp0sXa7LmR4kJc8WfY1bNg6UeDhTz9v2Qp0sXa8LmR4kJc8WfY1bNg6UeD";
    keys.push(SigningKey::hs512("code", secret).unwrap());
    // RFC 7515 §A.3, RFC 8037 §A.1.
    for jwk in [
        r#"{"kty":"EC","crv":"P-256","kid":"ec",
            "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#,
        r#"{"kty":"OKP","crv":"Ed25519","kid":"okp",
            "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    ] {
        keys.push(SigningKey::from_jwk(jwk).unwrap());
    }
    keys
}

#[test]
fn keys_do_not_use_the_process_wide_provider() {
    install_panicking_provider();
    for (name, algorithm) in [
        ("ed25519.pub.pem", Algorithm::EdDsa),
        ("p256.pub.pem", Algorithm::Es256),
        ("p384.pub.pem", Algorithm::Es384),
        ("rsa2048.pub.pem", Algorithm::Rs512),
        ("rsa2048.pkcs1.pub.pem", Algorithm::Ps512),
    ] {
        let key = VerifyingKey::from_pem(name, algorithm, file(name)).unwrap();
        SessionEngine::<()>::builder(KeyRing::verify_only().with_key(key)).build().unwrap();
    }
    let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"okp",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    SessionEngine::<()>::builder(KeyRing::from_jwks(jwks).unwrap()).build().unwrap();
}

/// Signs in, renews and signs out with each key, through the engine without a layer.
#[test]
fn sessions_do_not_use_the_process_wide_provider() {
    install_panicking_provider();
    let at = |seconds: u64| Timestamp::from_unix_seconds(1_800_000_000 + seconds);
    for key in keys() {
        let kid = key.kid().to_owned();
        let engine = SessionEngine::<()>::builder(KeyRing::new(key)).build().unwrap();
        let step = |cookie: Option<&str>, seconds, handler: &dyn Fn(&SessionJar)| {
            let mut request = Request::new(());
            if let Some(cookie) = cookie {
                request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
            }
            let jar = engine.open(&request, at(seconds));
            let user = jar.session().map(|session| session.subject().to_string());
            handler(&jar);
            let mut response = Response::new(());
            engine.close(&jar, &mut response, at(seconds)).unwrap();
            let set = response.headers().get(header::SET_COOKIE);
            let pair = set.map(|set| set.to_str().unwrap().split(';').next().unwrap().to_owned());
            (user, pair)
        };
        let ada = Subject::new("ada").unwrap();
        let (_, cookie) = step(None, 0, &|jar| {
            jar.sign_in(SignIn::new(ada.clone(), ())).unwrap();
        });
        let (user, cookie) = step(cookie.as_deref(), 60, &|_| {});
        assert_eq!(user.as_deref(), Some("ada"), "{kid}");
        let (user, removed) = step(cookie.as_deref(), 61, &|jar| drop(jar.sign_out()));
        assert_eq!((user.as_deref(), removed.as_deref()), (Some("ada"), Some("__Host-session=")));
        let forged = cookie.unwrap().replace('.', "..").replacen("..", ".", 1).replace("..", ".A");
        assert_eq!(step(Some(&forged), 62, &|_| {}), (None, None), "{kid}");
    }
}

#[tokio::test]
async fn services_do_not_use_the_process_wide_provider() {
    install_panicking_provider();
    let ring = KeyRing::new(SigningKey::generate("k", Algorithm::Es256).unwrap());
    let engine = SessionEngine::<()>::builder(ring).origin("https://app.example.com");
    let service = SessionLayer::new(engine.build().unwrap()).layer(service_fn(
        |request: Request<Full<bytes::Bytes>>| async move {
            let jar = request.extensions().get::<SessionStatus>().unwrap().jar::<()>().unwrap();
            if request.uri().path() == "/in" {
                jar.sign_in(SignIn::new(Subject::new("ada").unwrap(), ())).unwrap();
            }
            jar.renew_now();
            let status = if request.extensions().get::<Session>().is_some() { 200 } else { 401 };
            Ok::<_, Infallible>(
                Response::builder().status(status).body(Full::<bytes::Bytes>::default()).unwrap(),
            )
        },
    ));
    let mut cookie = String::new();
    for (method, path, status) in [
        ("GET", "/", 401),
        ("POST", "/in", 401),
        ("GET", "/", 200),
        ("POST", "/", 200),
        ("POST", "/sign-out", 303),
        ("GET", "/", 401),
    ] {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ORIGIN, "https://app.example.com")
            .body(Full::default())
            .unwrap();
        if !cookie.is_empty() {
            request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        }
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        if let Some(set) = response.headers().get(header::SET_COOKIE) {
            set.to_str().unwrap().split(';').next().unwrap().clone_into(&mut cookie);
        }
    }
    assert_eq!(cookie, "__Host-session=");
}
