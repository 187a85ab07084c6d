//! The tower middleware: [`SessionLayer`] and what it makes.
//!
//! ```text
//! request ─ SessionService ─ engine.open ─► SessionJar ─► extensions ─► guard ─► handler
//!                │ renewal due: claims source                                      │
//! response ◄─ Set-Cookie, caching ◄─ engine.close(jar) ◄─ claims source ◄──────────┘
//! ```

mod endpoints;
mod future;
mod layer;
#[cfg(feature = "axum-router")]
mod router;
mod service;
mod wiring;

pub use self::{
    endpoints::{NoBody, NotFound},
    future::ResponseFuture,
    layer::SessionLayer,
    service::SessionService,
};
