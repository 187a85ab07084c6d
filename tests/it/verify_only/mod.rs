//! A service that issues nothing: whose tokens it believes, where it finds them, and where it has the
//! keys from.

mod background;
mod http;
mod issuer;
mod jwks_refresh;
mod read_only;
mod token_sources;
mod validation_rules;
