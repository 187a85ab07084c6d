//! What a request costs where an application calls an `axum::Router` as a service: each call wraps
//! the matched route anew, so layers pay for every request what they do to wrap a service.

use std::convert::Infallible;

use axum::{Router, body::Body as AxumBody, http::StatusCode, routing::get};
use http::{Request, Response};
use tower::Service;
use tower_auth_session::{
    Session, SessionLayer,
    time::{Clock, SystemClock},
};

use crate::cases::{Body, CASES, User, cookie, request, use_process};

/// The router, bare or with the layer, and the cookie of its user.
pub(crate) struct RouterSite {
    router: Router,
    cookie: Option<String>,
}

impl RouterSite {
    pub(crate) fn new(has_layer: bool) -> Self {
        let router = Router::new().route("/dashboard", get(dashboard));
        if !has_layer {
            return Self { router, cookie: None };
        }
        let engine = CASES[0].engine();
        use_process(&engine);
        let now = SystemClock::new().now().timestamp();
        let cookie = Some(cookie(&engine, now, 1));
        let mut site = Self { router: router.layer(SessionLayer::new(engine)), cookie };
        for _ in 0..2 {
            let request = site.request();
            let response = crate::cases::now(site.call(request));
            assert_eq!(response.map(|it| it.status()), Ok(StatusCode::ACCEPTED));
        }
        site
    }

    pub(crate) fn request(&self) -> Request<Body> {
        request(self.cookie.as_deref())
    }
}

impl Service<Request<Body>> for RouterSite {
    type Response = Response<AxumBody>;
    type Error = Infallible;
    type Future = <Router as Service<Request<Body>>>::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.router, cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.router.call(request)
    }
}

async fn dashboard(request: axum::extract::Request) -> StatusCode {
    match request.extensions().get::<Session<User>>() {
        Some(_) => StatusCode::ACCEPTED,
        None => StatusCode::OK,
    }
}
