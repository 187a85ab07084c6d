//! [`DeviceBound`]: whether sessions are bound to a key of the user's device.

use std::{fmt, str::FromStr};

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

impl DeviceBound {
    const ALL: [Self; 3] = [Self::Off, Self::Preferred, Self::Required];

    /// The name in files and in the environment.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Preferred => "preferred",
            Self::Required => "required",
        }
    }
}

impl fmt::Display for DeviceBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DeviceBound {
    type Err = InvalidDeviceBound;

    fn from_str(text: &str) -> Result<Self, InvalidDeviceBound> {
        Self::ALL.into_iter().find(|value| value.as_str() == text).ok_or(InvalidDeviceBound(()))
    }
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
#[error("not off, preferred or required")]
pub struct InvalidDeviceBound(());
