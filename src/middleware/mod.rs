//! The Tower middleware: [`SessionLayer`](crate::SessionLayer), its service and its guard.
//!
//! ```text
//! request ─ SessionService ─ engine.open ─► SessionJar ─► extensions ─► guard ─► handler
//!                │ token due: store, claims source                                 │
//! response ◄─ Set-Cookie, caching ◄─ engine.close(jar) ◄─ store, claims source ◄───┘
//! ```

#[cfg(feature = "axum-router")]
pub(crate) mod axum_router;
pub(crate) mod background;
pub(crate) mod body;
pub(crate) mod context;
pub(crate) mod effects;
pub(crate) mod endpoints;
pub(crate) mod future;
pub(crate) mod guard;
#[cfg(feature = "axum")]
pub(crate) mod in_layer;
pub(crate) mod jwks_fetcher;
pub(crate) mod layer;
pub(crate) mod layer_settings;
pub(crate) mod per_thread;
pub(crate) mod service;
pub(crate) mod session_watch;
pub(crate) mod sessions;
pub(crate) mod single_flight;
pub(crate) mod store_client;
pub(crate) mod timeout;

#[cfg(feature = "axum")]
pub use self::in_layer::{InLayer, LayerName};
pub use self::{
    body::SessionBody,
    endpoints::EndpointService,
    future::ResponseFuture,
    guard::{PredicateError, PredicateResult, RequireSession, RequireSessionFuture},
    service::SessionService,
};
