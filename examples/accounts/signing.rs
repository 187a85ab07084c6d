//! The key that signs: a secret, a file, one kept beside the SQLite store, or one made for this run.

use std::{
    env,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use tower_auth_session::{Algorithm, ConfigError, SigningKey, keys::KeyId};

use crate::settings::Problems;

/// What `SESSION_ALGORITHM` can be.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256];

/// The settings.
pub(crate) const VARIABLES: [&str; 3] = ["SESSION_SECRET", "SESSION_ALGORITHM", "SESSION_KEY_FILE"];

/// The key from the environment, otherwise one that is kept beside `store`, so that sessions survive a
/// restart. If that is invalid a temporary key is used, so that the other settings are checked too.
pub(crate) fn key(
    store: Option<&Path>,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Option<SigningKey> {
    let algorithm = algorithm(problems);
    let secret = env::var_os("SESSION_SECRET").map(|secret| secret.into_encoded_bytes());
    let file = env::var_os("SESSION_KEY_FILE");
    let found = match (algorithm.is_symmetric(), secret, &file) {
        (true, Some(secret), None) => Some(SigningKey::hs256("session-secret", secret)),
        (false, None, Some(file)) => read(Path::new(file), algorithm, problems),
        (_, None, None) if store.is_some() => {
            let file = kept_beside(store?, algorithm);
            match kept(&file, algorithm) {
                Ok(key) => Some(key),
                Err(error) => {
                    let remedy = format!("delete it, or set SESSION_SECRET: {error}");
                    problems.add("the kept key", &file.to_string_lossy(), &remedy);
                    None
                }
            }
        }
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

/// The file of the kept key.
fn kept_beside(store: &Path, algorithm: Algorithm) -> PathBuf {
    let mut file = store.as_os_str().to_owned();
    file.push(format!(".{}.jwk", algorithm.name()));
    file.into()
}

/// The key in `file`, which is made if it does not exist. Only this user may read it.
fn kept(file: &Path, algorithm: Algorithm) -> io::Result<Result<SigningKey, ConfigError>> {
    let kid = if algorithm.is_symmetric() { "kept".into() } else { KeyId::THUMBPRINT };
    if !file.try_exists()? {
        let key = match SigningKey::generate(kid, algorithm) {
            Ok(key) => key,
            Err(error) => return Ok(Err(error)),
        };
        let text = key.to_private_jwk().ok_or(io::ErrorKind::Unsupported)?;
        // Written under another name first: another process must never read half a key.
        let draft = file.with_extension(std::process::id().to_string());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&draft)?.write_all(text.as_bytes())?;
        let linked = fs::hard_link(&draft, file);
        fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(SigningKey::from_jwk(&fs::read_to_string(file)?))
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
