//! [`InLayer`]: extractors that name their layer.

use std::marker::PhantomData;

use axum_core::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    engine::request::{
        head::RequestHead,
        session::{LayerLookupError, SessionStatus},
    },
    rejection::Rejection,
};

/// Names a [`SessionLayer`](crate::SessionLayer), for [`InLayer`].
///
/// ```
/// use tower_auth_session::{SessionEngine, SessionLayer, middleware::LayerName};
///
/// struct Visitors;
/// impl LayerName for Visitors {
///     const NAME: &'static str = "visitors";
/// }
///
/// fn layer(engine: SessionEngine) -> SessionLayer {
///     SessionLayer::new(engine).name(Visitors::NAME)
/// }
/// ```
pub trait LayerName: Send + Sync + 'static {
    /// The name that [`SessionLayer::name`](crate::SessionLayer::name) got.
    const NAME: &'static str;
}

/// Extracts `T` from the layer that `N` names, where layers of several engines wrap a handler. `T` is
/// any extractor of this crate, or one that is made of them.
///
/// ```
/// use tower_auth_session::{Session, middleware::{InLayer, LayerName}};
///
/// struct Visitors;
/// impl LayerName for Visitors {
///     const NAME: &'static str = "visitors"; // as in SessionLayer::name("visitors")
/// }
///
/// async fn basket(InLayer(visitor, _): InLayer<Visitors, Session>) -> String {
///     format!("the basket of {}", visitor.subject().as_str())
/// }
/// # let _: axum::Router = axum::Router::new().route("/basket", axum::routing::get(basket));
/// ```
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "handlers take it apart in their parameters")]
pub struct InLayer<N, T>(pub T, pub PhantomData<N>);

impl<S, N, T> FromRequestParts<S> for InLayer<N, T>
where
    S: Send + Sync,
    N: LayerName,
    T: FromRequestParts<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let nearest = parts.extensions.get::<SessionStatus>().cloned();
        let named = nearest.as_ref().and_then(|status| status.layer(N::NAME));
        let (Some(nearest), Some(named)) = (&nearest, named) else {
            let head = RequestHead::new(&parts.method, &parts.uri, &parts.headers);
            let error = LayerLookupError::Missing;
            let rejection = Rejection::from_lookup_error(error, N::NAME, nearest.as_ref(), head);
            return Err(rejection.into_response());
        };
        parts.extensions.insert(named);
        let extracted = T::from_request_parts(parts, state).await;
        parts.extensions.insert(nearest.clone());
        extracted.map(|it| Self(it, PhantomData)).map_err(IntoResponse::into_response)
    }
}
