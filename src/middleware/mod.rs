//! The tower middleware: [`SessionLayer`] and what it makes.
//!
//! ```text
//! request ─ SessionService ─ engine.open ─► SessionJar ─► extensions ─► guard ─► handler
//!                │ token due: store, claims source                                 │
//! response ◄─ Set-Cookie, caching ◄─ engine.close(jar) ◄─ store, claims source ◄───┘
//! ```

mod background;
mod bearer;
mod breaker;
mod claims;
mod confirmations;
mod copies;
mod deadline;
mod endpoints;
mod ends;
mod future;
mod issuers;
mod keeper;
mod key_fetcher;
mod layer;
mod lives;
#[cfg(feature = "axum-router")]
mod router;
mod service;
mod sessions;
mod settle;
mod watch;
mod wiring;

pub use self::{
    endpoints::{NoBody, NotFound},
    future::ResponseFuture,
    layer::SessionLayer,
    service::SessionService,
    sessions::Sessions,
};
