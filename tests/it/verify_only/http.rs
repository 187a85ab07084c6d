//! The built-in HTTP client, with a local server.
#![cfg(feature = "jwks-http")]

use std::{convert::Infallible, time::Duration};

use ::http::{Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tower_auth_session::verify_only::{HttpJwksFetcher, JwksFetcher as _, TrustedIssuer};

use super::{
    issuer::{Site, claims, header as jose, token, with},
    jwks_refresh::{jwk, jwks},
};

/// An issuer on a loopback port.
async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: Request<Incoming>| async move {
                let set = jwks([jwk("k1")]);
                let response = Response::builder();
                let response = match request.uri().path() {
                    "/.well-known/jwks.json" | "/text" => response.body(Full::from(set)),
                    "/moved" => {
                        response.status(302).header(header::LOCATION, "/text").body(Full::from(set))
                    }
                    "/long" => response.body(Full::from(" ".repeat(64 * 1024 + 1))),
                    "/never" => {
                        tokio::time::sleep(Duration::from_secs(600)).await;
                        response.body(Full::default())
                    }
                    _ => response.status(404).body(Full::<bytes::Bytes>::default()),
                };
                Ok::<_, Infallible>(response.unwrap())
            });
            tokio::spawn(
                hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .into_owned(),
            );
        }
    });
    origin
}

#[tokio::test]
async fn jwks_is_fetched_over_http_within_limits() {
    let origin = serve().await;
    let mut site = Site::trusting([TrustedIssuer::new(origin.as_str())]);
    site.layer = site.layer.jwks_fetcher(HttpJwksFetcher::new().unwrap());
    let token = token(&jose("k1"), &with(claims(), "iss", origin.as_str().into()));
    assert_eq!(site.bearer(&token).await, "Ada");

    let fetch = HttpJwksFetcher::new().unwrap();
    for (path, is_fetched) in
        [("/text", true), ("/moved", false), ("/long", false), ("/nowhere", false)]
    {
        let fetched = fetch.fetch(&format!("{origin}{path}")).await;
        assert_eq!(fetched.is_ok(), is_fetched, "{path}");
    }
    assert!(fetch.fetch("http://127.0.0.1:1/").await.is_err(), "connection refused");
    tokio::time::pause();
    assert!(fetch.fetch(&format!("{origin}/never")).await.is_err(), "timeout");
}
