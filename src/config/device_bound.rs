//! [`DeviceBound`]: whether sessions are bound to a key of the user's device.

use super::named_values::named_values;

/// Whether sessions are bound to a key that cannot leave the user's device, where the browser has one
/// (Device Bound Session Credentials).
///
/// ```
/// use tower_auth_session::{ConfigError, KeyRing, SessionEngine, config::DeviceBound};
///
/// fn engine(keys: KeyRing) -> Result<SessionEngine, ConfigError> {
///     SessionEngine::builder(keys)
///         .origin("https://app.example.com") // browsers bind sessions of https origins only
///         .device_bound(DeviceBound::Preferred)
///         .build()
/// }
/// assert_eq!("required".parse(), Ok(DeviceBound::Required));
/// assert_eq!(DeviceBound::Required.as_str(), "required");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceBound {
    /// No session is bound from now on. Sessions that are bound already stay bound.
    Off,
    /// Sessions are bound in browsers that can do it. Other browsers keep their ordinary session.
    Preferred,
    /// Sessions must be bound. In other browsers no user is signed in.
    Required,
}

named_values! {
    DeviceBound, InvalidDeviceBound:
    Off = "off",
    Preferred = "preferred",
    Required = "required",
}

/// The text names no value of [`DeviceBound`].
///
/// ```
/// use tower_auth_session::config::{DeviceBound, InvalidDeviceBound};
///
/// let error: InvalidDeviceBound = "always".parse::<DeviceBound>().unwrap_err();
/// assert_eq!(error.to_string(), "not off, preferred or required");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {DEVICE_BOUND_ALLOWED}")]
pub struct InvalidDeviceBound(());

pub(super) const DEVICE_BOUND_ALLOWED: &str = "off, preferred or required";
