//! [`Device`]: the device that a session was signed in from.

use std::net::IpAddr;

/// The device that a session was signed in from, for a list of devices. It is only displayed to the
/// subject and does not affect any decision.
///
/// ```
/// use tower_auth_session::engine::Device;
///
/// let device = Device::new(Some("Ada's laptop"), "203.0.113.7".parse().ok());
/// assert_eq!(device.label.as_deref(), Some("Ada's laptop"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[non_exhaustive]
pub struct Device {
    /// The display name: "Firefox on Linux".
    pub label: Option<Box<str>>,
    /// The address, if the application stated it.
    pub ip: Option<IpAddr>,
}

impl Device {
    /// The maximum length of a label in bytes. A longer one is cut at a character boundary.
    pub const MAX_LABEL: usize = 128;

    /// A device with this label, without control characters and cut to [`Device::MAX_LABEL`] bytes.
    #[must_use]
    pub fn new(label: Option<&str>, ip: Option<IpAddr>) -> Self {
        let label = label.map(|label| {
            let mut text = String::new();
            for c in label.chars().filter(|c| !c.is_control()) {
                if text.len() + c.len_utf8() > Self::MAX_LABEL {
                    break;
                }
                text.push(c);
            }
            text.into_boxed_str()
        });
        Self { label: label.filter(|label| !label.is_empty()), ip }
    }

    /// Fills missing fields from `other`.
    #[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
    pub(crate) fn or(self, other: Self) -> Self {
        Self { label: self.label.or(other.label), ip: self.ip.or(other.ip) }
    }
}
