//! [`Device`]: what a session was signed in from.

use std::net::IpAddr;

/// What a session was signed in from, for a list of devices. Both are shown to their subject, and
/// nothing is decided by them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Device {
    /// What to call it: "Firefox on Linux".
    pub label: Option<Box<str>>,
    /// Its address, if the application gave it.
    pub ip: Option<IpAddr>,
}

impl Device {
    /// The longest label in bytes. What is longer is cut at a character.
    pub const MAX_LABEL: usize = 128;

    /// A device called `label`; without control characters and cut to [`Device::MAX_LABEL`] bytes.
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

    /// The same, with what `other` says where it says nothing.
    #[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
    pub(crate) fn or(self, other: Self) -> Self {
        Self { label: self.label.or(other.label), ip: self.ip.or(other.ip) }
    }
}
