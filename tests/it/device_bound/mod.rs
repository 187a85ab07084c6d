//! Sessions that are bound to a device: a browser with a simulated device, and copies of its cookies.

mod endpoints;
mod guards;
#[cfg(feature = "memory")]
mod removal;
mod requests;
#[cfg(feature = "memory")]
mod store;
#[cfg(feature = "memory")]
mod tables;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;
use tower_auth_session::{
    SessionJar, SignIn,
    config::DeviceBound,
    engine::{SessionEngineBuilder, SessionStatusKind},
    event::{DeviceProofError, SessionEvent},
    testing::DeviceClient,
};

use crate::support::{
    Browser, ORIGIN, TestResponse, User, engine_builder, get, probe::Probe, seconds, subject, user,
};

pub(crate) const REGISTER: &str = "/session/bound/register";
pub(crate) const REFRESH: &str = "/session/bound/refresh";

/// How long a proof counts.
pub(crate) const BOUND_FOR: u64 = 60;

/// A service, a browser of Ada's, and the device that the browser runs on.
pub(crate) struct Site {
    pub(crate) probe: Probe<User>,
    pub(crate) browser: Browser,
    pub(crate) device: DeviceClient,
}

pub(crate) fn builder(mode: DeviceBound) -> SessionEngineBuilder<User> {
    engine_builder()
        .0
        .device_bound(mode)
        .bound_for(seconds(BOUND_FOR))
        .binding_tolerance(seconds(5))
}

pub(crate) fn device() -> DeviceClient {
    DeviceClient::new(ORIGIN).unwrap()
}

pub(crate) fn http(response: &TestResponse) -> Response<Bytes> {
    let mut copy = Response::new(response.body.clone());
    *copy.status_mut() = response.status;
    *copy.headers_mut() = response.headers.clone();
    copy
}

impl Site {
    pub(crate) fn new(builder: SessionEngineBuilder<User>) -> Self {
        Self::on(Probe::new(builder))
    }

    pub(crate) fn on(probe: Probe<User>) -> Self {
        Self { probe, browser: Browser::default(), device: device() }
    }

    /// A browser in which Ada is signed in and bound.
    pub(crate) fn bound() -> Self {
        let mut site = Self::new(builder(DeviceBound::Preferred));
        let response = site.sign_in("ada");
        assert_eq!(site.register(&response).status, StatusCode::OK);
        site
    }

    pub(crate) fn run(
        &mut self,
        handler: impl Fn(&SessionJar<User>) + Send + Sync + 'static,
    ) -> TestResponse {
        let result = self.probe.run_handler(self.request("/"), move |jar, _| handler(jar));
        self.browser.store(&result.response.headers);
        self.device.receive(&http(&result.response));
        self.probe.events.take();
        result.events.iter().for_each(|event| self.probe.events.push(event));
        result.response
    }

    pub(crate) fn sign_in(&mut self, name: &'static str) -> TestResponse {
        self.run(move |jar| {
            jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
        })
    }

    fn request(&self, path: &str) -> Request<Full<Bytes>> {
        let mut request = get(path);
        if let Some(cookies) = self.browser.cookie_header() {
            request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
        }
        request
    }

    /// The status of the next request.
    pub(crate) fn status(&mut self) -> SessionStatusKind {
        let found = std::sync::Arc::new(std::sync::Mutex::new(None));
        let sink = std::sync::Arc::clone(&found);
        self.run(move |jar| *sink.lock().unwrap() = Some(jar.status().kind()));
        let kind = *found.lock().unwrap();
        kind.unwrap()
    }

    /// Sends a request of the browser itself.
    pub(crate) fn send(&mut self, mut request: Request<Full<Bytes>>) -> TestResponse {
        if let Some(cookies) = self.browser.cookie_header() {
            request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
        }
        let response = self.probe.send_endpoint(request);
        self.browser.store(&response.headers);
        self.device.receive(&http(&response));
        response
    }

    /// Answers the offer in `response`.
    pub(crate) fn register(&mut self, response: &TestResponse) -> TestResponse {
        let request = self.device.register(&http(response)).expect("an offer");
        self.send(request)
    }

    pub(crate) fn id(&self) -> String {
        self.device.sessions().next().expect("a bound session").to_owned()
    }

    /// Renews the proof as browsers do: the response to the first request may be a challenge.
    pub(crate) fn refresh(&mut self) -> TestResponse {
        let response = self.request_refresh();
        if response.header("secure-session-challenge").is_empty() {
            return response;
        }
        assert_eq!(response.status, StatusCode::FORBIDDEN);
        self.request_refresh()
    }

    /// Sends one request to renew the proof.
    pub(crate) fn request_refresh(&mut self) -> TestResponse {
        let request = self.device.refresh(&self.id()).unwrap();
        self.send(request)
    }

    pub(crate) fn advance(&self, by: u64) {
        self.probe.clock.advance(Duration::from_secs(by));
    }

    pub(crate) fn proof_name(&self) -> String {
        format!("__Host-session.proof.{}", self.id())
    }

    /// The reasons of refused proofs since the last call.
    pub(crate) fn refusals(&self) -> Vec<DeviceProofError> {
        let reason = |event: SessionEvent| match event {
            SessionEvent::DeviceProofRefused { reason, .. } => Some(reason),
            _ => None,
        };
        self.probe.events.take().into_iter().filter_map(reason).collect()
    }
}

/// `token` with another character in its signature.
pub(crate) fn altered(token: &str) -> String {
    let (body, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{body}.{first}{}", &signature[1..])
}

/// The payload of a token.
pub(crate) fn payload(token: &str) -> Value {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}
