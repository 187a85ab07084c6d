//! [`HttpJwksFetcher`]: fetches key sets over HTTPS, with hyper and rustls.

use std::{fmt, future::poll_fn, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header::ACCEPT};
use http_body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::crypto::aws_lc_rs;

use super::jwks::{JwksFetchError, JwksFetcher, JwksFuture};
use crate::engine::issuer::jwks_cache::RemoteKeys;

/// Timeout of a fetch, from the DNS look-up to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Fetches key sets over HTTP/1.1 with TLS 1.2 or 1.3, on the current tokio runtime. Server
/// certificates are verified with the operating system's trust store. Redirects are not followed; a
/// fetch is limited to five seconds and 64 KiB.
///
/// Feature `jwks-http`. Clones share connections.
///
/// ```no_run
/// use tower_auth_session::{SessionEngine, SessionLayer, verify_only::HttpJwksFetcher};
///
/// fn layer(engine: SessionEngine) -> Result<SessionLayer, Box<dyn std::error::Error>> {
///     Ok(SessionLayer::new(engine).jwks_fetcher(HttpJwksFetcher::new()?))
/// }
/// ```
#[derive(Clone)]
pub struct HttpJwksFetcher {
    client: Client<HttpsConnector<HttpConnector>, String>,
}

impl HttpJwksFetcher {
    /// Creates a client.
    ///
    /// # Errors
    ///
    /// When the operating system trusts no certificates: install its `ca-certificates`.
    pub fn new() -> Result<Self, JwksFetchError> {
        // The process-wide provider of rustls belongs to the application.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(JwksFetchError::new)?
            // A plain `http` URL is rejected by the configuration, unless the host is a loopback
            // one.
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            // Connections would be idle between two refreshes.
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self { client })
    }

    async fn get(&self, url: &str) -> Result<Bytes, JwksFetchError> {
        let mut request = Request::new(String::new());
        *request.uri_mut() = url.parse().map_err(|_| JwksFetchError::new("the URL is invalid"))?;
        let accepted = HeaderValue::from_static("application/jwk-set+json, application/json");
        request.headers_mut().insert(ACCEPT, accepted);
        let response = self.client.request(request).await.map_err(JwksFetchError::new)?;
        if response.status() != StatusCode::OK {
            return Err(JwksFetchError::new(format!("the status is {}", response.status())));
        }
        let mut body = pin!(response.into_body());
        let mut read = Vec::new();
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let Ok(data) = frame.map_err(JwksFetchError::new)?.into_data() else { continue };
            if read.len().saturating_add(data.len()) > RemoteKeys::MAX_BYTES {
                return Err(JwksFetchError::new("the key set is longer than 64 KiB"));
            }
            read.extend_from_slice(&data);
        }
        Ok(read.into())
    }
}

impl JwksFetcher for HttpJwksFetcher {
    fn fetch<'a>(&'a self, url: &'a str) -> JwksFuture<'a> {
        Box::pin(async move {
            tokio::time::timeout(TIMEOUT, self.get(url)).await.unwrap_or_else(|_| {
                Err(JwksFetchError::new("the fetch took more than five seconds"))
            })
        })
    }
}

impl fmt::Debug for HttpJwksFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpJwksFetcher").finish_non_exhaustive()
    }
}
