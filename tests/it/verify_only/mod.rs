//! A verify-only service: the issuers that it trusts, where it reads tokens, and where it gets keys.

mod background;
mod http;
mod issuer;
mod jwks_refresh;
mod read_only;
mod token_sources;
mod validation_rules;
