//! Flows: what an application keeps in the browser before the sign-in, such as the nonce and the PKCE
//! verifier of OpenID Connect. [`SessionJar::start_flow`](crate::SessionJar::start_flow) starts one,
//! [`SessionJar::finish_flow`](crate::SessionJar::finish_flow) finishes it. The guide is
//! [`guide::sign_in_with_oidc`](crate::guide::sign_in_with_oidc).
//!
//! Handlers of Axum extract the jar. Those of Hyper, Tonic and other services have it in the extensions of
//! the request: [`SessionStatus::jar`](crate::SessionStatus::jar). Without a layer, the engine does the
//! same:
//!
//! ```
//! use http::{Request, Response};
//! use tower_auth_session::{Algorithm, KeyRing, SessionEngine, SigningKey};
//! use tower_auth_session::{flow::Flow, time::Timestamp};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = KeyRing::new(SigningKey::generate("2026-11", Algorithm::EdDsa)?);
//! let engine = SessionEngine::<()>::builder(keys).build()?;
//! let now = Timestamp::from_unix_seconds(1_800_000_000);
//!
//! // The request that starts a sign-in at a provider:
//! let jar = engine.open(&Request::new(()), now);
//! let state = jar.start_flow(Flow::new("verifier".to_owned()))?;
//! let mut response = Response::new(());
//! engine.close(&jar, &mut response, now)?;
//! let cookie = response.headers()["set-cookie"].to_str()?.split(';').next().unwrap_or_default();
//!
//! // The request with which the user returns, a minute later:
//! let now = Timestamp::from_unix_seconds(1_800_000_060);
//! let jar = engine.open(&Request::get("/callback").header("cookie", cookie).body(())?, now);
//! assert_eq!(jar.finish_flow::<String>(state)?.data, "verifier");
//! # Ok(()) }
//! ```

pub use crate::engine::flow::{FinishedFlow, Flow, FlowId};
