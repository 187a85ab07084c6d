//! A client that sends the cookie it was given and keeps no other, like a copy of a browser.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::application::ORIGIN;

#[derive(Clone)]
pub(crate) struct Client {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    /// The user, or `anonymous`.
    pub(crate) user: String,
    cookie: Option<String>,
}

/// What a client received.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The user that the page is about.
    pub(crate) user: String,
    /// The number of the response of the application, if there is a page.
    pub(crate) number: Option<u64>,
}

impl Client {
    pub(crate) fn new(user: &str, cookie: Option<String>) -> Self {
        let http = HttpClient::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { http, user: user.to_owned(), cookie }
    }

    /// Requests a page, with `If-None-Match` if `is_conditional`.
    pub(crate) async fn get(&self, url: &str, is_conditional: bool) -> Received {
        let request = Request::get(url);
        let request =
            if is_conditional { request.header(header::IF_NONE_MATCH, "\"v1\"") } else { request };
        self.send(request).await
    }

    pub(crate) async fn sign_out(&self, address: impl std::fmt::Display) -> Received {
        let request =
            Request::post(format!("http://{address}/sign-out")).header(header::ORIGIN, ORIGIN);
        self.send(request).await
    }

    async fn send(&self, mut request: http::request::Builder) -> Received {
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(Full::default()).unwrap();
        let (parts, body) = self.http.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        // Other responses, such as those of guards, are about no user.
        let page =
            text.split_once(' ').and_then(|(user, number)| Some((user, number.parse().ok()?)));
        let (user, number) = page.map_or(("", None), |(user, number)| (user, Some(number)));
        let user = user.to_owned();
        Received { status: parts.status, headers: parts.headers, user, number }
    }
}

impl Received {
    /// The users whose cookies the response sets.
    pub(crate) fn cookie_users(&self) -> Vec<String> {
        let cookies = self.headers.get_all(header::SET_COOKIE).iter();
        cookies.map(|cookie| cookie_user(cookie.to_str().unwrap())).collect()
    }

    pub(crate) fn cache_control(&self) -> String {
        let fields = self.headers.get_all(header::CACHE_CONTROL).iter();
        fields.map(|field| field.to_str().unwrap()).collect::<Vec<_>>().join(", ")
    }
}

/// The user of a session cookie, from the `sub` of its token, or of the unprotected page's cookie.
fn cookie_user(cookie: &str) -> String {
    let value = cookie.split(';').next().unwrap().split_once('=').unwrap().1;
    let Some(payload) = value.split('.').nth(1) else { return value.to_owned() };
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    claims["sub"].as_str().unwrap().to_owned()
}
