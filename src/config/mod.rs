//! Operator settings, from code, files and the environment. Imports errors, time and encodings; the
//! public names of engine settings are exported again here. Open `options.rs` for the settings,
//! `setting.rs` for how each is parsed, `env.rs` and `de` for where they are read from, `limit.rs` for
//! durations that can be off, `page_texts.rs` and `page_theme.rs` for the words and colors of this crate's
//! pages.

pub(crate) mod copied_cookies;
#[cfg(feature = "serde")]
pub(crate) mod de;
pub(crate) mod device_bound;
pub(crate) mod env;
pub(crate) mod limit;
pub(crate) mod named_values;
pub(crate) mod options;
pub(crate) mod page_texts;
pub(crate) mod page_theme;
pub(crate) mod setting;
#[cfg(test)]
mod tests;

pub(crate) use self::options::SessionOptions;
pub use self::{
    copied_cookies::{CopiedCookies, InvalidCopiedCookies},
    device_bound::{DeviceBound, InvalidDeviceBound},
    env::{EnvOptions, EnvWarning},
    limit::TimeLimit,
    page_texts::{PageText, PageTexts},
    page_theme::{PageColors, PageTheme},
};
pub use crate::engine::{
    cookie::config::{CookieConfig, CookiePrefix, SameSite},
    multi_session::AccountLimitPolicy,
    redirect::{origin::Origin, settings::RedirectUrls, target::RedirectTarget},
    request::routes::{Endpoint, Endpoints},
    session::expiry::LifetimeOverride,
};
