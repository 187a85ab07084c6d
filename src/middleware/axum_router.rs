//! The endpoints as Axum routes.

use axum::Router;

use super::layer::SessionLayer;

impl<C: Send + Sync + 'static> SessionLayer<C> {
    /// The layer's endpoints as a router to merge, for places where a router calls the layer for matched
    /// routes only: under `route_layer`, in a nested router, or beside routes without the layer.
    ///
    /// ```
    /// # use {axum::{Router, routing::get}, tower_auth_session::*};
    /// # fn app(layer: SessionLayer) -> Router {
    /// let inner = Router::new().route("/me", get(|| async {})).route_layer(layer.clone());
    /// Router::new().nest("/app", inner.merge(layer.router()))
    /// # }
    /// ```
    ///
    /// In a nested router, set the prefix that Axum strips from the path with
    /// [`base_path("/app")`](crate::config::Endpoints::base_path). As with every `merge`, two
    /// routes with the same path panic when the router is built: move one of them. Needs the feature
    /// `axum-router`.
    pub fn router<S>(&self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        // Configured paths are literal: Axum must not reject one for its old parameter syntax.
        let empty = Router::new().without_v07_checks();
        let paths = self.engine().endpoint_paths();
        paths.fold(empty, |router, path| router.route_service(path, self.endpoints()))
    }
}
