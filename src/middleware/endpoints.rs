//! The endpoints as a separate service, for routers that hide unmatched paths from the layer.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tower_layer::Layer as _;
use tower_service::Service;

use super::{layer::SessionLayer, service::SessionService};

impl<C> SessionLayer<C> {
    /// The layer's endpoints as a service that answers 404 to all other paths. Use it where a router
    /// calls the layer for matched routes only: under `route_layer`, around a nested router or a method
    /// router.
    ///
    /// With the feature `axum-router`, `SessionLayer::router` provides them as routes to merge. The
    /// service works with or without the layer around it. CORS preflights get 404: a CORS layer outside
    /// answers them.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use tower_auth_session::SessionLayer;
    ///
    /// /// The layer around some routes only, and its endpoints beside them.
    /// fn app(sessions: SessionLayer) -> Router {
    ///     Router::new()
    ///         .route("/me", get(|| async { "signed in or not" }))
    ///         .route_layer(sessions.clone())
    ///         .fallback_service(sessions.endpoints())
    /// }
    /// ```
    pub fn endpoints(&self) -> EndpointService<C> {
        EndpointService(self.layer(NotFound))
    }
}

/// The endpoints of a [`SessionLayer`], as a service that answers 404 to everything else. See
/// [`SessionLayer::endpoints`].
///
/// ```
/// use axum::Router;
/// use tower_auth_session::{SessionLayer, middleware::EndpointService};
///
/// /// The endpoints on a port or a host name of their own.
/// fn endpoints(sessions: &SessionLayer) -> Router {
///     let service: EndpointService = sessions.endpoints();
///     Router::new().fallback_service(service)
/// }
/// ```
pub struct EndpointService<C = ()>(SessionService<NotFound, C>);

impl<C> Clone for EndpointService<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> fmt::Debug for EndpointService<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EndpointService").finish()
    }
}

impl<Q, C> Service<Request<Q>> for EndpointService<C>
where
    SessionService<NotFound, C>: Service<Request<Q>>,
{
    type Response = <SessionService<NotFound, C> as Service<Request<Q>>>::Response;
    type Error = <SessionService<NotFound, C> as Service<Request<Q>>>::Error;
    type Future = <SessionService<NotFound, C> as Service<Request<Q>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        self.0.call(request)
    }
}

/// Answers 404 to every request.
#[expect(unnameable_types, reason = "internal to EndpointService")]
#[derive(Debug, Clone)]
pub struct NotFound;

impl<Q> Service<Request<Q>> for NotFound {
    type Response = Response<NoBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Q>) -> Self::Future {
        let mut response = Response::new(NoBody(()));
        *response.status_mut() = StatusCode::NOT_FOUND;
        ready(Ok(response))
    }
}

/// The empty body of the 404 responses.
#[expect(unnameable_types, reason = "internal to EndpointService")]
#[derive(Debug)]
pub struct NoBody(());

impl Body for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}
