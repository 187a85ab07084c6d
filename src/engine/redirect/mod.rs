//! Origins, redirect targets and cross-site request checks. Imports only errors and `encoding`.
//! Open `target` for which URLs are accepted, `settings.rs` for the configured URLs, `csrf` for
//! which requests are rejected as cross-site, `origin.rs` for how origins are compared.

pub(crate) mod csrf;
pub(crate) mod origin;
pub(crate) mod settings;
pub(crate) mod target;
#[cfg(test)]
mod target_tests;
