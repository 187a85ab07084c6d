//! [`SealingKey`]: authenticated encryption of what a browser keeps for this service.
//!
//! 1. The key is derived from the private part of a signing key by HKDF-SHA-256 (RFC 5869), so that
//!    every process that signs can open what another one sealed.
//! 2. Each text is sealed with a key of its own, derived with the text's `context`: what it is for,
//!    and a fresh random id. A key therefore seals one text, and its nonce can be constant.
//! 3. The cipher is AES-256-GCM (NIST SP 800-38D), in both back ends.

use zeroize::Zeroizing;

use super::backend::hmac_sha256;

/// The salt of the derivation, which separates sealing from every other use of the signing key.
const SALT: &[u8] = b"tower-auth-session sealing key 1";
/// A key seals one text: see the module.
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
const NONCE: [u8; 12] = [0; 12];

/// A secret from which the keys of single texts are derived.
#[derive(Clone)]
pub(crate) struct SealingKey(Zeroizing<[u8; 32]>);

impl SealingKey {
    /// The minimum length of a secret that is not a signing key.
    pub(crate) const MIN_SECRET_LENGTH: usize = 32;

    /// The sealing key of a signing key with these private bytes, or of another secret. `None` without a
    /// back end.
    pub(crate) fn derive(private: &[u8]) -> Option<Self> {
        hmac_sha256(SALT, private).map(Self)
    }

    /// Encrypts `text`, which can be opened only with the same `context` and `header`.
    pub(crate) fn seal(&self, context: &[u8], header: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        aead::seal(&*self.text_key(context)?, header, text)
    }

    /// Decrypts what [`seal`](Self::seal) returned. `None` if anything of it was changed.
    pub(crate) fn open(
        &self,
        context: &[u8],
        header: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        aead::open(&*self.text_key(context)?, header, sealed).map(Zeroizing::new)
    }

    /// HKDF-Expand to one block (RFC 5869 §2.3).
    fn text_key(&self, context: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        hmac_sha256(&*self.0, &[context, &[1]].concat())
    }
}

#[cfg(feature = "aws-lc-rs")]
mod aead {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

    use super::NONCE;

    fn cipher(key: &[u8; 32]) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, key).ok().map(LessSafeKey::new)
    }

    pub(super) fn seal(key: &[u8; 32], header: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(NONCE);
        cipher(key)?.seal_in_place_append_tag(nonce, Aad::from(header), &mut sealed).ok()?;
        Some(sealed)
    }

    pub(super) fn open(key: &[u8; 32], header: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut text = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(NONCE);
        let length = cipher(key)?.open_in_place(nonce, Aad::from(header), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
mod aead {
    use aes_gcm::{
        Aes256Gcm, KeyInit,
        aead::{Aead, Payload},
    };

    use super::NONCE;

    pub(super) fn seal(key: &[u8; 32], header: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg: text, aad: header };
        Aes256Gcm::new(key.into()).encrypt(&NONCE.into(), payload).ok()
    }

    pub(super) fn open(key: &[u8; 32], header: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg: sealed, aad: header };
        Aes256Gcm::new(key.into()).decrypt(&NONCE.into(), payload).ok()
    }
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod aead {
    pub(super) fn seal(_: &[u8; 32], _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    pub(super) fn open(_: &[u8; 32], _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests {
    use proptest::prelude::*;

    use crate::engine::keys::sealing::*;

    /// Computed with the HKDF and AES-256-GCM of Node.js, so that both back ends read each other's
    /// texts and those of later versions.
    #[test]
    fn sealed_text_is_hkdf_and_aes_256_gcm() {
        let key = SealingKey::derive(b"private bytes").unwrap();
        let sealed = key.seal(b"context", b"header", b"text").unwrap();
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "3fad629cfd8955e5b2a95e9974388109f492bd00");
    }

    proptest! {
        #[test]
        fn sealed_text_opens_only_unchanged(
            text in prop::collection::vec(any::<u8>(), 0..80),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let key = SealingKey::derive(b"private bytes").unwrap();
            let sealed = key.seal(b"context", b"header", &text).unwrap();
            prop_assert_eq!(&*key.open(b"context", b"header", &sealed).unwrap(), &text);
            let mut changed = sealed.clone();
            *at.get_mut(&mut changed) ^= 1 << bit;
            prop_assert!(key.open(b"context", b"header", &changed).is_none());
            prop_assert!(key.open(b"contexT", b"header", &sealed).is_none());
            prop_assert!(key.open(b"context", b"headeR", &sealed).is_none());
            let shorter = sealed.get(..sealed.len() - 1).unwrap();
            prop_assert!(key.open(b"context", b"header", shorter).is_none());
            let other = SealingKey::derive(b"private byteS").unwrap();
            prop_assert!(other.open(b"context", b"header", &sealed).is_none());
        }
    }

    #[test]
    fn text_shorter_than_its_tag_does_not_open() {
        let key = SealingKey::derive(b"private bytes").unwrap();
        for length in 0..=16 {
            assert!(key.open(b"", b"", &vec![0; length]).is_none());
        }
    }
}
