//! The HTTP client of the simulated browsers, with persistent connections.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Longer than any request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client that sends requests from the pages of one origin.
#[derive(Clone)]
pub(crate) struct Web {
    client: Client<HttpConnector, Full<Bytes>>,
    origin: String,
}

pub(crate) struct HttpReply {
    /// 0 if the connection failed, 1 after a timeout.
    pub(crate) status: u16,
    /// Cookies in order; those without a value are removed.
    pub(crate) set: Vec<(String, Option<String>)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) sent: Instant,
    pub(crate) took: Duration,
}

impl Web {
    pub(crate) fn new(origin: String) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(5))
            .build(HttpConnector::new());
        Self { client, origin }
    }

    pub(crate) async fn get(&self, to: &str, path: &str, cookies: &Jar) -> HttpReply {
        self.send("GET", to, path, cookies, String::new()).await
    }

    pub(crate) async fn post(
        &self,
        to: &str,
        path: &str,
        cookies: &Jar,
        form: String,
    ) -> HttpReply {
        self.send("POST", to, path, cookies, form).await
    }

    async fn send(&self, method: &str, to: &str, path: &str, jar: &Jar, form: String) -> HttpReply {
        let mut request = Request::builder().method(method).uri(format!("http://{to}{path}"));
        let cookies = jar.line();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies);
        }
        if method == "POST" {
            request = request
                .header(header::ORIGIN, &self.origin)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        self.respond(request.body(Full::from(form)).unwrap()).await
    }

    /// Sends a request that a browser makes by itself.
    pub(crate) async fn exchange(
        &self,
        to: &str,
        jar: &Jar,
        mut request: Request<Full<Bytes>>,
    ) -> HttpReply {
        *request.uri_mut() = format!("http://{to}{}", request.uri()).parse().unwrap();
        if let Ok(cookies) = jar.line().parse() {
            request.headers_mut().insert(header::COOKIE, cookies);
        }
        self.respond(request).await
    }

    async fn respond(&self, request: Request<Full<Bytes>>) -> HttpReply {
        let sent = Instant::now();
        let response = tokio::time::timeout(TIMEOUT, async {
            let (parts, body) = self.client.request(request).await.ok()?.into_parts();
            Some((parts, body.collect().await.ok()?.to_bytes()))
        });
        let (status, set, headers, body) = match response.await {
            Ok(Some((parts, body))) => {
                let set = parts.headers.get_all(header::SET_COOKIE).iter();
                (
                    parts.status.as_u16(),
                    set.map(|set| cookie(set.to_str().unwrap())).collect(),
                    parts.headers.clone(),
                    body,
                )
            }
            Ok(None) => (0, Vec::new(), HeaderMap::new(), Bytes::new()),
            Err(_) => (1, Vec::new(), HeaderMap::new(), Bytes::new()),
        };
        HttpReply { status, set, headers, body, sent, took: sent.elapsed() }
    }
}

fn cookie(set: &str) -> (String, Option<String>) {
    let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
    (name.to_owned(), (!set.ends_with("Max-Age=0")).then(|| value.to_owned()))
}

impl HttpReply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The response as the library's helpers read it.
    pub(crate) fn response(&self) -> Response<Bytes> {
        let mut response = Response::new(self.body.clone());
        *response.headers_mut() = self.headers.clone();
        response
    }

    /// The session that a sign-in started in a browser with the cookies `before`.
    pub(crate) fn session_started(&self, before: &Jar) -> Option<String> {
        let mut set = self.set.iter().filter(|(_, value)| value.is_some());
        let id = set.find_map(|(name, _)| id_of(name).filter(|id| before.value(id).is_none()));
        id.map(str::to_owned)
    }
}

/// The id of the session whose cookie has this name.
pub(crate) fn id_of(name: &str) -> Option<&str> {
    name.strip_prefix("__Host-session.").filter(|id| *id != "active" && !id.starts_with("proof."))
}

/// A browser's cookies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jar(BTreeMap<String, String>);

impl Jar {
    /// A jar with a copy of one cookie.
    pub(crate) fn with_session_cookie(id: &str, value: &str) -> Self {
        Self(BTreeMap::from([(format!("__Host-session.{id}"), value.to_owned())]))
    }

    pub(crate) fn store(&mut self, set: &[(String, Option<String>)]) {
        for (name, value) in set {
            match value {
                Some(value) => self.0.insert(name.clone(), value.clone()),
                None => self.0.remove(name),
            };
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn sessions(&self) -> Vec<String> {
        self.0.keys().filter_map(|name| id_of(name)).map(str::to_owned).collect()
    }

    pub(crate) fn value(&self, id: &str) -> Option<&str> {
        self.0.get(&format!("__Host-session.{id}")).map(String::as_str)
    }

    /// Whether it has a proof of the device for the session `id`.
    pub(crate) fn has_proof(&self, id: &str) -> bool {
        self.0.contains_key(&format!("__Host-session.proof.{id}"))
    }

    /// The active session.
    pub(crate) fn active(&self) -> Option<String> {
        match self.0.get("__Host-session.active") {
            Some(id) => self.value(id).map(|_| id.clone()),
            None => self.sessions().pop().filter(|_| self.0.len() == 1),
        }
    }

    fn line(&self) -> String {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }
}
