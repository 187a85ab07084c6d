//! The format of a key file: a JSON Web Key Set with private members and three extensions.
//!
//! 1. `signing` names the signing key. It may be omitted if only one key is private. Without any
//!    private key the ring only verifies, so a published set is a valid key file.
//! 2. A key is a JSON Web Key, or `{"pem", "alg", "kid"?}` with the name of a PEM file in the same
//!    folder.
//! 3. `exp` of a key, in seconds since 1970, is when the key is retired.
//! 4. `flow_keys`, if there are any, seal flows: secrets in base64url or base64. The first one seals.
//! 5. The file is secret, so HMAC keys can be mixed with others, as in a migration.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    algorithm::Algorithm,
    jwk::Jwk,
    key::{SigningKey, VerifyingKey},
    key_id::KeyId,
    key_ring::KeyRing,
    material::Secret,
};
use crate::{
    error::{ConfigError, ConfigProblem},
    time::Timestamp,
};

#[derive(Deserialize)]
struct KeyFileJson {
    signing: Option<String>,
    keys: Vec<Jwk>,
    #[serde(default)]
    flow_keys: Vec<String>,
}

/// A parsed key, and when it is retired.
struct FileKey {
    signing: Option<SigningKey>,
    verifying: VerifyingKey,
    retires_at: Option<Timestamp>,
}

/// The names of the PEM files that `json` refers to.
pub(crate) fn pem_files(json: &str) -> Vec<String> {
    let keys = parse(json).map(|parsed| parsed.keys).unwrap_or_default();
    keys.iter().filter_map(|key| key.get("pem")?.as_str().map(str::to_owned)).collect()
}

impl KeyRing {
    /// The ring that `json` describes; `pem` returns the contents of the files that [`pem_files`]
    /// listed.
    pub(crate) fn from_file(
        json: &str,
        pem: impl Fn(&str) -> Option<Secret>,
    ) -> Result<Self, ConfigError> {
        let KeyFileJson { signing: signing_kid, keys, flow_keys } = parse(json)?;
        let (mut parsed, mut problems) = (Vec::new(), Vec::new());
        for (index, key) in keys.iter().enumerate() {
            match FileKey::read(key, &pem) {
                Ok(key) => parsed.push(key),
                Err(error) => problems.extend(error.into_problems().into_iter().map(|problem| {
                    let field = format!("keys[{index}].{}", problem.field());
                    ConfigProblem::new(field, problem.value(), problem.remedy())
                })),
            }
        }
        // A missing key must not hide problems of the others.
        ConfigError::check(problems)?;
        let index = signing_index(signing_kid.as_deref(), &parsed)?;
        let signing = index.and_then(|index| parsed.get(index)?.signing.clone());
        let mut ring = signing.map_or_else(Self::verify_only, Self::new);
        for (at, key) in parsed.into_iter().enumerate() {
            let kid = key.verifying.kid().to_owned();
            if Some(at) != index {
                ring = ring.with_key(key.verifying);
            }
            if let Some(retires_at) = key.retires_at {
                ring.retire(&kid, retires_at)?;
            }
        }
        for (index, text) in flow_keys.into_iter().map(Zeroizing::new).enumerate() {
            let secret = read_flow_key(&text).ok_or_else(|| {
                let remedy = "write what `openssl rand -base64 32` prints";
                ConfigError::one(format!("flow_keys[{index}]"), "not base64", remedy)
            })?;
            ring = ring.with_flow_key(secret);
        }
        ConfigError::check(ring.key_problems())?;
        Ok(ring)
    }
}

fn parse(json: &str) -> Result<KeyFileJson, ConfigError> {
    // The derived implementation would accept an array of fields for an object.
    let parsed = json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok());
    parsed.flatten().ok_or_else(|| {
        ConfigError::one(
            "key file",
            "not a key set",
            "write a JSON object with `keys`, an array of objects, and `signing`, the `kid` of one",
        )
    })
}

/// A secret in base64 or base64url.
fn read_flow_key(text: &str) -> Option<Secret> {
    let text = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(Zeroizing::new(text).as_bytes()).ok().map(Secret::new)
}

fn signing_index(
    signing_kid: Option<&str>,
    parsed: &[FileKey],
) -> Result<Option<usize>, ConfigError> {
    let signs = |at: &usize| parsed.get(*at).is_some_and(|key| key.signing.is_some());
    let mut private = (0..parsed.len()).filter(signs);
    let is_named =
        |at: &usize| parsed.get(*at).is_some_and(|key| Some(key.verifying.kid()) == signing_kid);
    match signing_kid {
        Some(_) => private.find(is_named).map(Some).ok_or_else(|| {
            ConfigError::one(
                "signing",
                "not a private key of the file",
                "set it to the `kid` of one",
            )
        }),
        None => match (private.next(), private.next()) {
            (Some(_), Some(_)) => Err(ConfigError::one(
                "signing",
                "missing",
                "several keys are private: set it to the `kid` of the signing key",
            )),
            (only, _) => Ok(only),
        },
    }
}

impl FileKey {
    fn read(key: &Jwk, pem: impl Fn(&str) -> Option<Secret>) -> Result<Self, ConfigError> {
        let retires_at = match key.get("exp") {
            None => None,
            Some(exp) => Some(Timestamp::deserialize(exp).map_err(|_| {
                ConfigError::one("exp", "not a date", "write whole seconds since 1970")
            })?),
        };
        let (signing, verifying) = match key.get("pem") {
            Some(file) => Self::read_pem(key, file, pem)?,
            None if key.is_private() => {
                let signing = SigningKey::from_read(key.signing()?)?;
                (Some(signing.clone()), signing.verifying_key())
            }
            None => (None, VerifyingKey::from_read(key.verifying()?)?),
        };
        Ok(Self { signing, verifying, retires_at })
    }

    fn read_pem(
        key: &Jwk,
        file: &Value,
        pem: impl Fn(&str) -> Option<Secret>,
    ) -> Result<(Option<SigningKey>, VerifyingKey), ConfigError> {
        if key.has_duplicates() || key.get("kty").is_some() {
            let remedy = "write `pem`, `alg`, `kid` and `exp`, each once, and no members of a JWK";
            return Err(ConfigError::one("pem", "beside other members", remedy));
        }
        let kid = match key.get("kid") {
            None => KeyId::THUMBPRINT,
            Some(kid) => kid.as_str().map(KeyId::from).ok_or_else(|| {
                ConfigError::one("kid", "not a string", "name the key, or remove `kid`")
            })?,
        };
        let algorithm = key.get("alg").and_then(Value::as_str).unwrap_or_default();
        let algorithm: Algorithm = algorithm.parse()?;
        let bytes = file.as_str().and_then(pem).ok_or_else(|| {
            ConfigError::one("pem", "no such file", "write the name of a file in the same folder")
        })?;
        let is_private = bytes.windows(11).any(|part| part == b"PRIVATE KEY");
        if is_private {
            let signing = SigningKey::from_pem(kid, algorithm, &*bytes)?;
            Ok((Some(signing.clone()), signing.verifying_key()))
        } else {
            Ok((None, VerifyingKey::from_pem(kid, algorithm, &*bytes)?))
        }
    }
}
