//! Attributes of sessions: pending tasks, step-up, impersonation, and revocation by sign-in time.

mod concurrent_claims_encoding;
mod copied_cookies;
mod impersonation;
mod pending;
mod revoke_signed_in_before;
mod step_up;

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{
    RequireSessionLayer, Session, SessionId, SessionJar, SessionLayer, SessionStatus,
    engine::SessionEngineBuilder, testing::ManualClock,
};

use crate::support::{
    Browser, Events, TestResponse, User, engine_builder, get, layer_on, post, seconds,
};

type Jar = SessionJar<User>;
type HandlerFn = Arc<dyn Fn(&Jar) + Send + Sync>;

/// A site and one browser. Each path except `/` has its own guard.
struct Site {
    layer: SessionLayer<User>,
    clock: ManualClock,
    events: Events,
    browser: Browser,
}

impl Site {
    fn new(change: impl FnOnce(SessionEngineBuilder<User>) -> SessionEngineBuilder<User>) -> Self {
        let (builder, events) = engine_builder();
        let (layer, clock) = layer_on(change(builder));
        Self { layer, clock, events, browser: Browser::default() }
    }

    fn multi_session() -> Self {
        Self::new(|builder| builder.multi_session(true))
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> TestResponse {
        self.browser.send(&self.layer.layer(service_fn(app)), request).await
    }

    async fn get(&mut self, path: &str) -> TestResponse {
        self.send(get(path)).await
    }

    /// The status and the problem report of a rejected request.
    async fn rejection(&mut self, path: &str) -> (u16, Value) {
        let response = self.get(path).await;
        let report = serde_json::from_slice(&response.body).unwrap_or_default();
        (response.status.as_u16(), report)
    }

    /// The user of a request, or the status without one.
    async fn current_user(&mut self) -> String {
        self.get("/").await.text().to_owned()
    }

    /// Sends a POST whose handler runs `act`.
    async fn run_handler(&mut self, act: impl Fn(&Jar) + Send + Sync + 'static) -> TestResponse {
        let mut request = post("/act", "");
        request.extensions_mut().insert::<HandlerFn>(Arc::new(act));
        self.send(request).await
    }

    async fn list(&mut self) -> Value {
        serde_json::from_slice(&self.get("/session").await.body).unwrap()
    }

    async fn active(&mut self) -> SessionId {
        self.list().await["active"].as_str().unwrap().parse().unwrap()
    }
}

async fn app(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let guard = match request.uri().path() {
        "/guarded" => RequireSessionLayer::new(),
        "/tasks" => RequireSessionLayer::new().allow_pending(),
        "/named-grace" => {
            RequireSessionLayer::new().allow_pending().claims(|user: &User| user.name == "Grace")
        }
        "/fresh" => RequireSessionLayer::new().first_factor_within(seconds(30)),
        "/second" => RequireSessionLayer::new().second_factor_within(seconds(30)),
        "/any" => RequireSessionLayer::new().any_factor_within(seconds(30)),
        "/own" => RequireSessionLayer::new().deny_impersonated(),
        _ => return Ok(respond(&request)),
    };
    let inner = service_fn(|request: Request<Full<Bytes>>| async move {
        Ok::<_, Infallible>(respond(&request))
    });
    let (parts, body) = guard.layer(inner).oneshot(request).await?.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Ok(Response::from_parts(parts, Full::from(body)))
}

fn respond(request: &Request<Full<Bytes>>) -> Response<Full<Bytes>> {
    let extensions = request.extensions();
    let jar = extensions.get::<SessionStatus>().unwrap().jar::<User>().unwrap();
    let session = extensions.get::<Session<User>>();
    assert_eq!(session.is_some(), jar.session().is_some());
    let status = extensions.get::<SessionStatus>().unwrap();
    assert_eq!(status.is_signed_in(), session.is_some());
    assert_eq!(status.identity().is_some(), session.is_some());
    assert_eq!(status.pending().is_some(), jar.pending().is_some());
    if let Some(act) = extensions.get::<HandlerFn>() {
        act(&jar);
    }
    let text = match (session, status.pending()) {
        (Some(session), _) => match session.actor() {
            None => session.subject().to_string(),
            Some(actor) => format!("{} by {}", session.subject(), actor.subject()),
        },
        (None, Some(pending)) => format!("{} {:?}", pending.subject(), names(pending.tasks())),
        (None, None) => format!("{:?}", status.kind()),
    };
    Response::new(Full::from(text))
}

fn names(tasks: &[tower_auth_session::engine::SessionTask]) -> Vec<&str> {
    tasks.iter().map(tower_auth_session::engine::SessionTask::name).collect()
}
