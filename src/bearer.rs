//! Bearer tokens: settings, the tokens that sessions issue, and how a request signed in. The guide is
//! [`guide::bearer_tokens`](crate::guide::bearer_tokens).

pub use crate::engine::bearer::{
    BearerTokens, CredentialKind,
    token::{BearerToken, BearerTokenError, BearerTokenOptions},
};
