//! Flows: what an application keeps in the browser before the sign-in, such as the nonce and the PKCE
//! verifier of OpenID Connect. [`SessionJar::start_flow`](crate::SessionJar::start_flow) starts one,
//! [`SessionJar::finish_flow`](crate::SessionJar::finish_flow) finishes it. The guide is
//! [`guide::sign_in_with_oidc`](crate::guide::sign_in_with_oidc).

pub use crate::engine::flow::{FinishedFlow, Flow, FlowId};
