//! [`KeyFile`]: a ring that follows a key file.

use std::{
    fmt, fs,
    hash::{BuildHasher as _, RandomState},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use zeroize::Zeroizing;

use crate::{
    engine::{
        keys::{key_file_format::pem_files, key_ring::KeyRing, material::Secret},
        logging,
    },
    error::ConfigError,
};

/// Maximum length of a file; a larger one is not a key file.
const MAX_BYTES: u64 = 1024 * 1024;

/// A file with the keys of a service, and the ring that follows it.
///
/// ```no_run
/// # use tower_auth_session::{SessionEngine, keys::KeyFile};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = KeyFile::open("/etc/app/keys.json")?;
/// let engine = SessionEngine::<()>::builder(keys.ring()).build()?;
/// # async fn spawn(keys: KeyFile) {
/// tokio::spawn(keys.watch());
/// # }
/// # Ok(()) }
/// ```
///
/// The file is a JSON Web Key Set (RFC 7517 §5) with private keys; `signing` is the `kid` of the
/// signing key. A key can also be in a PEM file in the same folder, and `exp` is when a key is
/// retired, in seconds since 1970:
///
/// ```json
/// {
///   "signing": "2026-11",
///   "keys": [
///     { "kid": "2026-11", "alg": "EdDSA", "pem": "2026-11.pem" },
///     { "kid": "2027-02", "kty": "OKP", "crv": "Ed25519", "x": "…", "d": "…" },
///     { "kid": "2026-08", "kty": "OKP", "crv": "Ed25519", "x": "…", "exp": 1796688000 }
///   ]
/// }
/// ```
///
/// `signing` may be omitted if only one key is private. Without any private key the ring only
/// verifies: a published set is a valid key file.
///
/// The content is read again at intervals, which works on every file system and for mounted secrets
/// that are replaced as a whole. A change takes effect at once and completely. A file that is
/// incomplete, invalid or missing changes nothing: the last keys stay, and a [`KeyFileEvent`] and a
/// log line report it once. Changes made to the ring by code stay until the content of the file
/// changes.
///
/// Clones follow the same file and share the ring.
///
/// ```no_run
/// use std::time::Duration;
/// use tower_auth_session::{SessionEngine, keys::{KeyFile, KeyFileEvent}};
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = KeyFile::open_with("/etc/app/keys.json", |event| {
///     if let KeyFileEvent::Invalid { error, .. } = event {
///         eprintln!("the previous keys stay in use: {error}");
///     }
/// })?
/// .interval(Duration::from_secs(30));
/// let engine = SessionEngine::<()>::builder(keys.ring()).build()?;
/// tokio::spawn(keys.clone().watch());
/// // On a signal, in a thread that may block:
/// let has_changed = keys.reload();
/// # let _ = (engine, has_changed);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KeyFile {
    shared: Arc<SharedFile>,
    interval: Duration,
}

struct SharedFile {
    path: PathBuf,
    ring: KeyRing,
    listener: Option<Box<KeyFileListener>>,
    /// Contents are compared by hashes, so that no secrets are kept for the comparison.
    hasher: RandomState,
    last_read: Mutex<LastRead>,
}

type KeyFileListener = dyn Fn(&KeyFileEvent) + Send + Sync;

/// Result of the last reading.
struct LastRead {
    /// The content that the ring has.
    applied: u64,
    /// The problem that was reported last.
    error: Option<LastError>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LastError {
    Contents(u64),
    Reading(io::ErrorKind),
}

/// What happened to a key file.
///
/// ```
/// use tower_auth_session::{ConfigError, keys::{KeyFile, KeyFileEvent}};
///
/// fn open() -> Result<KeyFile, ConfigError> {
///     KeyFile::open_with("keys.json", |event| match event {
///         KeyFileEvent::Changed { kids, .. } => println!("keys: {kids:?}"),
///         other => eprintln!("the last keys stay: {other:?}"),
///     })
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFileEvent {
    /// The ring has the keys of the file's new content.
    #[non_exhaustive]
    Changed {
        /// Their names, the signing key's first.
        kids: Vec<String>,
    },
    /// The new content is invalid: the last keys stay.
    #[non_exhaustive]
    Invalid {
        /// The problems of the content.
        error: ConfigError,
    },
    /// The file cannot be read: the last keys stay.
    #[non_exhaustive]
    ReadFailed {
        /// Why.
        kind: io::ErrorKind,
    },
}

impl KeyFile {
    const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

    /// Reads the file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not a valid key file.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        Self::reading(path.into(), None)
    }

    /// As [`open`](Self::open), with a listener that is called for later changes, on the thread
    /// that watches the file.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(
        path: impl Into<PathBuf>,
        listener: impl Fn(&KeyFileEvent) + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        Self::reading(path.into(), Some(Box::new(listener)))
    }

    fn reading(path: PathBuf, listener: Option<Box<KeyFileListener>>) -> Result<Self, ConfigError> {
        let content = KeyFileContents::read(&path).map_err(|error| {
            let remedy = "use a file of at most 1 MiB that the service may read";
            ConfigError::one("key file", error.kind().to_string(), remedy)
        })?;
        let ring = content.ring()?;
        let hasher = RandomState::new();
        let last_read = Mutex::new(LastRead { applied: content.hash(&hasher), error: None });
        let shared = Arc::new(SharedFile { path, ring, listener, hasher, last_read });
        Ok(Self { shared, interval: Self::DEFAULT_INTERVAL })
    }

    /// How often the file is read: 10 s by default, at least 1 s.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_secs(1));
        self
    }

    /// The ring that follows the file.
    #[must_use]
    pub fn ring(&self) -> KeyRing {
        self.shared.ring.clone()
    }

    /// Reads the file now, for example on a signal, and returns whether the ring changed. It
    /// blocks.
    pub fn reload(&self) -> bool {
        self.shared.reload()
    }

    /// Follows the file; spawn it on a tokio runtime with timers. It never returns.
    pub async fn watch(self) {
        loop {
            tokio::time::sleep(self.interval).await;
            let shared = Arc::clone(&self.shared);
            // Reading may block. A panic can only come from a listener, which is called again next
            // time.
            let _ = tokio::task::spawn_blocking(move || shared.reload()).await;
        }
    }
}

impl SharedFile {
    fn reload(&self) -> bool {
        // Locked before reading, so that older contents never replace newer ones.
        let mut last_read = self.last_read();
        let (error, event) = match KeyFileContents::read(&self.path) {
            Ok(content) => {
                let hash = content.hash(&self.hasher);
                if last_read.applied == hash {
                    last_read.error = None;
                    return false;
                }
                match content.ring().and_then(|ring| self.ring.replace(&ring)) {
                    Ok(()) => {
                        *last_read = LastRead { applied: hash, error: None };
                        drop(last_read);
                        let kids = self.ring.kids();
                        logging::keys_changed(&kids);
                        self.notify(&KeyFileEvent::Changed { kids });
                        return true;
                    }
                    Err(error) => (LastError::Contents(hash), KeyFileEvent::Invalid { error }),
                }
            }
            Err(error) => {
                let kind = error.kind();
                (LastError::Reading(kind), KeyFileEvent::ReadFailed { kind })
            }
        };
        let is_new = last_read.error.replace(error) != Some(error);
        drop(last_read);
        if is_new {
            match &event {
                KeyFileEvent::Invalid { error } => logging::keys_kept(error),
                KeyFileEvent::ReadFailed { kind } => logging::keys_kept(kind),
                KeyFileEvent::Changed { .. } => {}
            }
            self.notify(&event);
        }
        false
    }

    fn last_read(&self) -> MutexGuard<'_, LastRead> {
        self.last_read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self, event: &KeyFileEvent) {
        if let Some(listener) = &self.listener {
            listener(event);
        }
    }
}

/// The contents of the file, and of the PEM files that it names.
struct KeyFileContents {
    json: Zeroizing<String>,
    pem: Vec<(String, Option<Secret>)>,
}

impl KeyFileContents {
    /// Reads again if the file changed while it was read, so that neither half of a file is used,
    /// nor a PEM file of an older or newer version.
    fn read(path: &Path) -> io::Result<Self> {
        for _ in 0..3 {
            let content = Self::read_once(path)?;
            if **read(path)? == *content.json.as_bytes() {
                return Ok(content);
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    fn read_once(path: &Path) -> io::Result<Self> {
        let json = String::from_utf8(std::mem::take(&mut *read(path)?))
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let json = Zeroizing::new(json);
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let read = |name: String| {
            let file = read(&folder.join(&name)).ok();
            (name, file)
        };
        let pem = pem_files(&json).into_iter().map(read).collect();
        Ok(Self { json, pem })
    }

    fn hash(&self, hasher: &RandomState) -> u64 {
        let pem: Vec<_> = self.pem.iter().map(|(name, file)| (name, file.as_deref())).collect();
        hasher.hash_one((self.json.as_str(), pem))
    }

    fn ring(&self) -> Result<KeyRing, ConfigError> {
        KeyRing::from_file(&self.json, |name| {
            let mut files = self.pem.iter();
            files.find(|(known, _)| known == name).and_then(|(_, file)| file.clone())
        })
    }
}

fn read(path: &Path) -> io::Result<Secret> {
    let mut bytes = Zeroizing::new(Vec::new());
    fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile")
            .field("path", &self.shared.path)
            .field("ring", &self.shared.ring)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}
