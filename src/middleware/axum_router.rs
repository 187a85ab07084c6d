//! The endpoints as routes of Axum.

use axum::Router;

use super::layer::SessionLayer;

impl<C: Send + Sync + 'static> SessionLayer<C> {
    /// The layer's endpoints as a router, to be merged where a router shows the layer its own routes
    /// alone: under `route_layer`, in a nested router, beside routes that have no layer.
    ///
    /// ```
    /// # use {axum::{Router, routing::get}, tower_auth_session::*};
    /// # fn app(layer: SessionLayer) -> Router {
    /// let inner = Router::new().route("/me", get(|| async {})).route_layer(layer.clone());
    /// Router::new().nest("/app", inner.merge(layer.router()))
    /// # }
    /// ```
    ///
    /// In a nested router the engine is to know what Axum takes away from the path:
    /// [`base_path("/app")`](crate::engine::SessionEngineBuilder::base_path). As with every `merge`, a
    /// route of the same path in the other router is a panic when the router is made: move one of
    /// them. Needs the feature `axum-router`.
    pub fn router<S>(&self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        // A path is what the settings say it is: Axum's old way of writing parameters means nothing.
        let empty = Router::new().without_v07_checks();
        let paths = self.engine().endpoint_paths();
        paths.fold(empty, |router, path| router.route_service(path, self.endpoints()))
    }
}
