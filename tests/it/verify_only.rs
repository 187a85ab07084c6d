//! A service that issues nothing: whose tokens it believes, where it finds them, and where it has the
//! keys from.

mod background;
mod http;
mod issuer;
mod places;
mod remote;
mod rules;
mod writes_nothing;
