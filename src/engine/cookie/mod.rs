//! Cookies: names and attributes, the `Cookie` header parser, and `Set-Cookie`. Imports session data.
//! Open `parse.rs` for how a request's cookies are read, `config.rs` for settings, `set_cookie.rs` for
//! what is written, the cap of 400 days included.

pub(crate) mod config;
pub(crate) mod parse;
pub(crate) mod set_cookie;
