//! The layer's endpoints with multi-session enabled.

mod base_path;
mod chooser;
mod foreign_ids;
#[cfg(feature = "axum")]
mod nested_routers;
mod paths;
mod renewal;
mod return_url;
#[cfg(feature = "axum-router")]
mod router;
mod sign_out;
mod sign_out_table;
mod switch;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use serde_json::Value;
use tower::{Layer as _, service_fn};
use tower_auth_session::{
    Session, SessionLayer, SessionStatus, SignIn, config::RedirectUrls,
    engine::SessionEngineBuilder, middleware::SessionService, testing::ManualClock,
};

use crate::support::{
    Browser, ORIGIN, TestResponse, User, engine_builder, get, layer_on, post, subject, user,
};

type App =
    fn(Request<Full<Bytes>>) -> std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>;

/// `/in/NAME` signs in. Every response names the signed-in user and comes from the application.
#[allow(clippy::needless_pass_by_value, reason = "the signature of a service function")]
fn app(
    request: Request<Full<Bytes>>,
) -> std::future::Ready<Result<Response<Full<Bytes>>, Infallible>> {
    let extensions = request.extensions();
    if let Some(name) = request.uri().path().strip_prefix("/in/") {
        let jar = extensions.get::<SessionStatus>().unwrap().jar::<User>().unwrap();
        jar.sign_in(SignIn::new(subject(name), user(&name.to_uppercase()))).unwrap();
    }
    let who = extensions.get::<Session<User>>().map_or("signed out", |it| it.subject().as_str());
    std::future::ready(Ok(Response::new(Full::from(format!("application: {who}")))))
}

/// A service and one browser.
struct Site {
    layer: SessionLayer<User>,
    service: SessionService<tower::util::ServiceFn<App>, User>,
    clock: ManualClock,
    browser: Browser,
}

impl Site {
    fn new(change: impl FnOnce(SessionEngineBuilder<User>) -> SessionEngineBuilder<User>) -> Self {
        let builder = engine_builder()
            .0
            .multi_session(true)
            .redirect_urls(RedirectUrls::new().after_sign_out_url("/bye"));
        let (layer, clock) = layer_on(change(builder));
        let service = layer.layer(service_fn(app as App));
        Self { layer, service, clock, browser: Browser::default() }
    }

    /// A site where these users are signed in; the last one is active.
    async fn signed_in(names: &[&str]) -> (Self, Vec<String>) {
        let mut site = Self::new(|builder| builder);
        let ids = site.sign_in(names).await;
        (site, ids)
    }

    async fn sign_in(&mut self, names: &[&str]) -> Vec<String> {
        let mut ids = Vec::new();
        for name in names {
            self.send(post(&format!("/in/{name}"), "")).await;
            ids.push(self.list().await["active"].as_str().unwrap().to_owned());
        }
        ids
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> TestResponse {
        self.browser.send(&self.service, request).await
    }

    /// Posts a form from the page at `referer`.
    async fn form(&mut self, path: &str, form: &str, referer: &str) -> TestResponse {
        let mut request = post(path, "").map(|_| Full::from(form.to_owned()));
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, "text/html,*/*;q=0.8".parse().unwrap());
        if !referer.is_empty() {
            headers.insert(header::REFERER, format!("{ORIGIN}{referer}").parse().unwrap());
        }
        self.send(request).await
    }

    async fn who(&mut self) -> String {
        let response = self.send(get("/")).await;
        response.text().strip_prefix("application: ").unwrap().to_owned()
    }

    async fn list(&mut self) -> Value {
        let response = self.send(get("/session")).await;
        assert_eq!(response.header("content-type"), "application/json");
        serde_json::from_slice(&response.body).unwrap()
    }

    /// The subjects of the browser's accounts.
    async fn subjects(&mut self) -> Vec<String> {
        let list = self.list().await;
        let sessions = list["sessions"].as_array().unwrap().iter();
        let mut subjects: Vec<_> =
            sessions.map(|session| session["subject"].as_str().unwrap().to_owned()).collect();
        subjects.sort();
        subjects
    }
}

/// The status and the `Location`, without the service's own origin.
fn location(response: &TestResponse) -> (u16, &str) {
    let location = response.header("location");
    (response.status.as_u16(), location.strip_prefix(ORIGIN).unwrap_or(location))
}

#[tokio::test]
async fn session_list_describes_each_account() {
    let (mut site, ids) = Site::signed_in(&["ada", "grace"]).await;
    let response = site.send(get("/session")).await;
    assert_eq!(response.header("cache-control"), "no-store");
    assert_eq!(response.header("vary"), "Cookie, session-id");
    let list: Value = serde_json::from_slice(&response.body).unwrap();
    let start = crate::support::START;
    let session = |id: &str, name: &str| {
        serde_json::json!({
            "session_id": id, "subject": name, "label": name.to_uppercase(), "detail": null,
            "signed_in_at": start, "expires_at": start + 100, "status": "active",
        })
    };
    let (ada, grace) = (session(&ids[0], "ada"), session(&ids[1], "grace"));
    assert_eq!(list, serde_json::json!({ "active": ids[1], "sessions": [grace, ada] }));
    for token in site.browser.cookies.values().filter(|value| value.contains('.')) {
        assert!(!response.text().contains(token.rsplit('.').next().unwrap()));
    }

    let mut head = get("/session");
    *head.method_mut() = http::Method::HEAD;
    let head = site.send(head).await;
    let length = response.body.len().to_string();
    assert_eq!((head.header("content-length"), head.body.len()), (length.as_str(), 0));

    let response = site.send(post("/session", "")).await;
    assert_eq!((response.status.as_u16(), response.header("allow")), (405, "GET, HEAD"));

    let empty = Site::new(|builder| builder).list().await;
    assert_eq!(empty, serde_json::json!({ "active": null, "sessions": [] }));
}

/// A page that polls every few seconds must not keep an abandoned session active.
#[tokio::test]
async fn session_list_requests_do_not_count_as_activity() {
    let (mut site, _) = Site::signed_in(&["ada"]).await;
    for _ in 0..9 {
        site.clock.advance(crate::support::seconds(11));
        assert_eq!(site.subjects().await, ["ada"]);
    }
    site.clock.advance(crate::support::seconds(1));
    assert_eq!(site.subjects().await, [""; 0]);
}
