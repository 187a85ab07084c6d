//! Flows: what an application keeps in the browser before the sign-in, such as the nonce and the PKCE
//! verifier of OpenID Connect. [`SessionJar::start_flow`](crate::SessionJar::start_flow) starts one,
//! [`SessionJar::finish_flow`](crate::SessionJar::finish_flow) finishes it.

pub use crate::engine::flow::{FinishedFlow, Flow, FlowId};
