//! The subset of DER (X.690) that key files need: a strict reader, and a writer of tag, length,
//! value.

use zeroize::Zeroizing;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_ID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// Reads one value after another. Lengths are checked and encodings other than DER's are rejected,
/// so that two readers never see different keys in one file.
#[derive(Clone)]
pub(crate) struct DerReader<'a> {
    rest: &'a [u8],
}

impl<'a> DerReader<'a> {
    pub(crate) fn new(der: &'a [u8]) -> Self {
        Self { rest: der }
    }

    /// The content of the next value if it has this tag. Otherwise nothing is consumed.
    pub(crate) fn read(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (first, rest) = self.rest.split_first()?;
        let (length, rest) = length(rest)?;
        let (content, rest) = rest.split_at_checked(length)?;
        (*first == tag).then(|| {
            self.rest = rest;
            content
        })
    }

    /// A reader of the content of the next value.
    pub(crate) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.read(tag).map(Self::new)
    }

    /// The next value as a non-negative integer: big-endian, without leading zeros, empty for zero.
    pub(crate) fn unsigned(&mut self) -> Option<&'a [u8]> {
        match self.read(INTEGER)? {
            [0] => Some(&[]),
            [0, rest @ ..] if rest.first().is_some_and(|byte| byte & 0x80 != 0) => Some(rest),
            bytes @ [1..=0x7f, ..] => Some(bytes),
            _ => None,
        }
    }

    /// The next value as a bit string of whole bytes.
    pub(crate) fn bits(&mut self) -> Option<&'a [u8]> {
        self.read(BIT_STRING)?.strip_prefix(&[0])
    }

    /// `Some` if everything has been read: trailing bytes are rejected.
    pub(crate) fn end(&self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }
}

/// Decodes a length and returns the rest. Definite, shortest form, below 64 KiB: no key is longer.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [short @ 0..=0x7f, rest @ ..] => Some((usize::from(*short), rest)),
        [0x81, long @ 0x80..=0xff, rest @ ..] => Some((usize::from(*long), rest)),
        [0x82, high @ 1..=0xff, low, rest @ ..] => {
            Some((usize::from(u16::from_be_bytes([*high, *low])), rest))
        }
        _ => None,
    }
}

/// One value whose content is `parts` in sequence. It may hold a private key, so it is zeroized on
/// drop, and allocated once so that growing it leaves no copies.
///
/// Contents of 64 KiB and more, which no key has, give an empty value that no reader accepts.
pub(crate) fn value(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let Ok(length) = u16::try_from(length) else {
        return Zeroizing::default();
    };
    let mut der = Zeroizing::new(Vec::with_capacity(usize::from(length) + 4));
    let [high, low] = length.to_be_bytes();
    match length {
        0..=0x7f => der.extend([tag, low]),
        0x80..=0xff => der.extend([tag, 0x81, low]),
        _ => der.extend([tag, 0x82, high, low]),
    }
    for part in parts {
        der.extend_from_slice(part);
    }
    der
}

/// Encodes an integer given as big-endian bytes without leading zeros.
pub(crate) fn unsigned(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    match bytes.first() {
        Some(1..=0x7f) => value(INTEGER, &[bytes]),
        _ => value(INTEGER, &[&[0], bytes]),
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::encoding::der::*;

    #[test]
    fn der_value_round_trips() {
        for length in [0_usize, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            let content = vec![0xa5; length];
            let der = value(OCTET_STRING, &[&content]);
            let mut reader = DerReader::new(&der);
            assert_eq!(reader.read(OCTET_STRING), Some(content.as_slice()), "{length}");
            assert!(reader.end().is_some());
        }
        assert!(value(OCTET_STRING, &[&vec![0; 0x10000]]).is_empty());
        for integer in [&[][..], &[1], &[0x7f], &[0x80], &[0xff, 0], &[1, 0, 1]] {
            assert_eq!(DerReader::new(&unsigned(integer)).unsigned(), Some(integer));
        }
    }

    #[test]
    fn der_reader_rejects_other_encodings() {
        for bad in [
            &[][..],
            &[4],
            &[4, 1],
            &[4, 2, 0],
            &[4, 0x80, 0, 0],
            &[4, 0x81, 1, 0],
            &[4, 0x81, 0x7f],
            &[4, 0x82, 0, 0x80],
            &[4, 0x82, 1],
            &[4, 0x82, 0xff, 0xff, 0],
            &[4, 0x83, 0, 1, 0, 0],
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[4, 0xff],
            &[3, 1, 0],
        ] {
            assert_eq!(DerReader::new(bad).read(OCTET_STRING), None, "{bad:02x?}");
        }
        for bad in [&[2, 0][..], &[2, 1, 0x80], &[2, 2, 0, 0x7f], &[2, 2, 0, 0], &[2, 2, 0xff, 0]] {
            assert_eq!(DerReader::new(bad).unsigned(), None, "{bad:02x?}");
        }
        for bad in [&[3, 0][..], &[3, 2, 1, 0], &[3, 1]] {
            assert_eq!(DerReader::new(bad).bits(), None, "{bad:02x?}");
        }
    }
}
