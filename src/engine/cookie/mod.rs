//! Cookies: names and attributes, the `Cookie` header parser, and `Set-Cookie`. Imports session data.
//! Open `scan.rs` for how the `Cookie` header is parsed, `parse.rs` for what is read of the session
//! cookies in it, `config.rs` for settings, `set_cookie.rs` for what is written, the cap of 400 days
//! included.

pub(crate) mod config;
pub(crate) mod parse;
pub(crate) mod scan;
pub(crate) mod set_cookie;
