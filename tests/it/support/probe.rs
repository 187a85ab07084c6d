//! An application behind the layer whose handler is a closure of the test.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use serde::{Serialize, de::DeserializeOwned};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_auth_session::{
    Session, SessionJar, SessionLayer, SessionStatus, engine::SessionEngineBuilder,
    event::SessionEvent, testing::ManualClock, time::Timestamp,
};

use super::{Events, START, TestResponse, get};

type AppResponse = Response<Full<Bytes>>;
type HandlerFn<C> = Arc<dyn Fn(&SessionJar<C>, &mut AppResponse) + Send + Sync>;

/// The service, its clock and the events of its engine.
pub(crate) struct Probe<C> {
    pub(crate) layer: SessionLayer<C>,
    pub(crate) clock: ManualClock,
    pub(crate) events: Events,
}

/// The result of one request.
pub(crate) struct ProbeResult<C> {
    /// The session that the handler got.
    pub(crate) session: Option<Session<C>>,
    pub(crate) response: TestResponse,
    pub(crate) events: Vec<SessionEvent>,
}

impl<C> Probe<C>
where
    C: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// A layer on `builder`, with its clock at [`START`].
    pub(crate) fn new(builder: SessionEngineBuilder<C>) -> Self {
        let events = Events::default();
        let sink = events.clone();
        let engine = builder.on_event(move |event| sink.push(event)).build().unwrap();
        Self::on(SessionLayer::new(engine), events)
    }

    pub(crate) fn on(layer: SessionLayer<C>, events: Events) -> Self {
        let clock = ManualClock::at(Timestamp::from_unix_seconds(START));
        Self { layer: layer.clock(clock.clone()), clock, events }
    }

    /// Changes the layer, for example by setting a claims source.
    pub(crate) fn map_layer(self, change: impl FnOnce(SessionLayer<C>) -> SessionLayer<C>) -> Self {
        Self { layer: change(self.layer), ..self }
    }

    /// Sends a request with these `Cookie` lines.
    pub(crate) fn cookies<T: AsRef<[u8]>>(&self, lines: &[T]) -> ProbeResult<C> {
        self.send(with_cookies(lines))
    }

    /// Sends a request with one cookie.
    pub(crate) fn cookie(&self, name: &str, value: &str) -> ProbeResult<C> {
        self.cookies(&[format!("{name}={value}")])
    }

    pub(crate) fn send(&self, request: Request<Full<Bytes>>) -> ProbeResult<C> {
        self.run_handler(request, |_, _| {})
    }

    /// Sends a request to one of the layer's endpoints.
    pub(crate) fn send_endpoint(&self, request: Request<Full<Bytes>>) -> TestResponse {
        let service = self.layer.layer(service_fn(|_: Request<Full<Bytes>>| {
            ready(Ok::<AppResponse, Infallible>(Response::new(Full::from("the application"))))
        }));
        let response = now_or_never(service.oneshot(request)).unwrap();
        now_or_never(TestResponse::of(response))
    }

    /// Sends a request for which `handler` runs in the application.
    pub(crate) fn run_handler(
        &self,
        mut request: Request<Full<Bytes>>,
        handler: impl Fn(&SessionJar<C>, &mut AppResponse) + Send + Sync + 'static,
    ) -> ProbeResult<C> {
        self.events.take();
        request.extensions_mut().insert::<HandlerFn<C>>(Arc::new(handler));
        let response =
            now_or_never(self.layer.layer(service_fn(app::<C>)).oneshot(request)).unwrap();
        let session = response.extensions().get::<Session<C>>().cloned();
        let response = now_or_never(TestResponse::of(response));
        ProbeResult { session, response, events: self.events.take() }
    }
}

fn app<C: Send + Sync + 'static>(
    request: Request<Full<Bytes>>,
) -> Ready<Result<AppResponse, Infallible>> {
    let extensions = request.into_parts().0.extensions;
    let mut response = Response::new(Full::default());
    if let Some(session) = extensions.get::<Session<C>>() {
        response.extensions_mut().insert(session.clone());
    }
    let status = extensions.get::<SessionStatus>().expect("the layer");
    let jar = status.jar::<C>().expect("the layer");
    extensions.get::<HandlerFn<C>>().expect("a handler")(&jar, &mut response);
    ready(Ok(response))
}

/// A request with these `Cookie` lines.
pub(crate) fn with_cookies<T: AsRef<[u8]>>(lines: &[T]) -> Request<Full<Bytes>> {
    let mut request = get("/");
    for line in lines {
        let value =
            HeaderValue::from_bytes(line.as_ref()).expect("bytes that can stand in a header");
        request.headers_mut().append(header::COOKIE, value);
    }
    request
}

impl<C> ProbeResult<C> {
    /// The id of the session that the handler got, if any.
    pub(crate) fn sid(&self) -> Option<String> {
        self.session.as_ref().map(|session| session.id().to_string())
    }

    /// The value of the only cookie that was set.
    pub(crate) fn token(&self) -> String {
        let set = self.response.set_cookies();
        assert_eq!(set.len(), 1, "{set:?}");
        let pair = set[0].split(';').next().unwrap();
        pair.split_once('=').unwrap().1.to_owned()
    }

    /// Asserts that the request is signed out and that the response sets no cookie.
    #[track_caller]
    pub(crate) fn assert_signed_out(&self) {
        assert!(self.session.is_none(), "{:?}", self.session);
        assert_eq!(self.response.set_cookies(), [""; 0], "{:?}", self.events);
    }
}

/// Polls a future that must be ready at once.
pub(crate) fn now_or_never<F: Future>(future: F) -> F::Output {
    futures::FutureExt::now_or_never(future).expect("it waits for nothing")
}
