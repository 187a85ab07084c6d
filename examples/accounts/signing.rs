//! The key that signs: a secret, a file, or one made for this run.

use std::{env, fs, path::Path};

use tower_auth_session::{Algorithm, ConfigError, SigningKey, keys::KeyId};

use crate::settings::Problems;

/// What `SESSION_ALGORITHM` can be.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256];

/// The settings.
pub(crate) const VARIABLES: [&str; 3] = ["SESSION_SECRET", "SESSION_ALGORITHM", "SESSION_KEY_FILE"];

/// The key from the environment. If that is invalid a temporary key is used, so that the other
/// settings are checked too.
pub(crate) fn key(problems: &mut Problems, warnings: &mut Vec<String>) -> Option<SigningKey> {
    let algorithm = algorithm(problems);
    let secret = env::var_os("SESSION_SECRET").map(|secret| secret.into_encoded_bytes());
    let file = env::var_os("SESSION_KEY_FILE");
    let found = match (algorithm.is_symmetric(), secret, &file) {
        (true, Some(secret), None) => Some(SigningKey::hs256("session-secret", secret)),
        (false, None, Some(file)) => read(Path::new(file), algorithm, problems),
        (_, None, None) => {
            let what = if algorithm.is_symmetric() {
                "SESSION_SECRET is not set: sessions end with this process; set it to 32 random \
                 bytes or more, such as `openssl rand -base64 48` prints"
            } else {
                "SESSION_KEY_FILE is not set: sessions end with this process, and so does its key; \
                 set it to a PEM file with a private key"
            };
            warnings.push(what.to_owned());
            None
        }
        (true, _, Some(file)) => {
            let remedy = "HS256 signs with SESSION_SECRET: leave it out, or set SESSION_ALGORITHM";
            problems.add("SESSION_KEY_FILE", &file.to_string_lossy(), remedy);
            None
        }
        (false, Some(_), _) => {
            let remedy = format!("{algorithm} signs with SESSION_KEY_FILE: leave it out");
            problems.add("SESSION_SECRET", "(not shown)", &remedy);
            None
        }
    };
    let mut or_tell = |made: Result<SigningKey, ConfigError>| {
        made.map_err(|error| problems.add_fields(&error)).ok()
    };
    let found = found.and_then(&mut or_tell);
    // Caches of public keys must not confuse the keys of two runs.
    let kid = if algorithm.is_symmetric() { "this-run".into() } else { KeyId::THUMBPRINT };
    found.or_else(|| or_tell(SigningKey::generate(kid, algorithm)))
}

fn algorithm(problems: &mut Problems) -> Algorithm {
    let Some(name) = env::var_os("SESSION_ALGORITHM") else { return Algorithm::Hs256 };
    let name = name.to_string_lossy();
    let found = ALGORITHMS.into_iter().find(|algorithm| algorithm.name() == name);
    found.unwrap_or_else(|| {
        let names = ALGORITHMS.map(Algorithm::name).join(", ");
        problems.add("SESSION_ALGORITHM", &name, &format!("write one of {names}"));
        Algorithm::Hs256
    })
}

fn read(
    path: &Path,
    algorithm: Algorithm,
    problems: &mut Problems,
) -> Option<Result<SigningKey, ConfigError>> {
    match fs::read(path) {
        Ok(pem) => Some(SigningKey::from_pem(KeyId::THUMBPRINT, algorithm, pem)),
        Err(error) => {
            let remedy = format!("choose a file that can be read: {error}");
            problems.add("SESSION_KEY_FILE", &path.to_string_lossy(), &remedy);
            None
        }
    }
}
