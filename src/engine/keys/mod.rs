//! Keys: algorithms, key material and its checks, the readers of PEM, PKCS and JWK files, the key
//! ring and its rotation, and the published JWKS. Imports only errors, time, randomness and
//! `encoding`. Open `key_ring` for what applications hold, `rotation.rs` for publish, promote and
//! retire, `backend.rs` for the cryptography of tokens, `sealing.rs` for encryption, `weak.rs` for keys that are rejected.

pub(crate) mod algorithm;
pub(crate) mod backend;
pub(crate) mod jwk;
pub(crate) mod key;
pub(crate) mod key_file_format;
pub(crate) mod key_id;
pub(crate) mod key_ring;
pub(crate) mod key_set;
pub(crate) mod material;
pub(crate) mod pem;
pub(crate) mod pkcs;
pub(crate) mod public_jwk;
pub(crate) mod public_jwks;
pub(crate) mod rotation;
pub(crate) mod sealing;
pub(crate) mod weak;
