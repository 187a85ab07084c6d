//! Keys besides [`KeyRing`](crate::KeyRing) and [`SigningKey`](crate::SigningKey): verifying keys, key
//! ids and watched key files. The guide is [`guide::keys`](crate::guide::keys).

pub use crate::{
    engine::keys::{key::VerifyingKey, key_id::KeyId},
    key_sources::file::{KeyFile, KeyFileEvent},
};
