//! [`Base64Text`]: the canonical base64url text of a fixed number of bits, without an allocation.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// `N` characters of canonical base64url (RFC 4648 §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Base64Text<const N: usize>([u8; N]);

impl<const N: usize> Base64Text<N> {
    /// The text of bits that are all zero.
    pub(crate) const ZERO: Self = Self([b'A'; N]);

    /// The text of `bits`, if it has `N` characters.
    pub(crate) fn encode(bits: &[u8]) -> Option<Self> {
        let mut text = [0; N];
        match URL_SAFE_NO_PAD.encode_slice(bits, &mut text) {
            Ok(length) if length == N => Some(Self(text)),
            _ => None,
        }
    }

    /// `text`, if it is the canonical text of `B` bytes.
    pub(crate) fn from_text<const B: usize>(text: &[u8; N]) -> Option<Self> {
        let text = Self(*text);
        text.decode::<B>().map(|_| text)
    }

    /// The `B` bytes.
    pub(crate) fn decode<const B: usize>(&self) -> Option<[u8; B]> {
        let mut bits = [0; B];
        match URL_SAFE_NO_PAD.decode_slice_unchecked(self.0, &mut bits) {
            Ok(length) if length == B => Some(bits),
            _ => None,
        }
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        // The bytes are always ASCII; the fallback avoids a panic.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Base64Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
