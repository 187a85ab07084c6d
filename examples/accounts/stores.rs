//! The session store that the settings name, if this build has it.

use std::{env, error::Error as _, fmt, path::PathBuf, sync::Arc, time::Duration};

use tower_auth_session::{
    SessionLayer,
    config::TimeLimit,
    store::{SessionStore, StoreError, SubjectLimit, SubjectLimitPolicy},
};

use crate::{people::Claims, settings::Problems};

const WRITE_ONE: &str = "write none, memory, sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE or \
     redis://HOST:PORT, several with commas between them for a cluster";

/// The store and its policy.
pub(crate) struct Stored {
    store: Arc<dyn SessionStore>,
    /// Its name. The address may contain a password and is left out.
    pub(crate) place: String,
    /// The file of an SQLite store.
    pub(crate) file: Option<PathBuf>,
    limit: Option<SubjectLimit>,
    grace: Duration,
}

impl Stored {
    /// Reads the settings and opens the store, which makes its tables if there are none.
    pub(crate) async fn from_env(problems: &mut Problems) -> Option<Self> {
        let (limit, grace) = (limit(problems), grace(problems));
        let (name, text) = named(problems)?;
        let store = match open(&text).await {
            Ok(store) => store,
            Err(unopened) => {
                problems.add(name, scheme(&text), &unopened.to_string());
                return None;
            }
        };
        let Some(store) = store else {
            for name in [
                "SESSION_MAX_PER_SUBJECT",
                "SESSION_MAX_PER_SUBJECT_POLICY",
                "SESSION_OUTAGE_GRACE",
            ] {
                if let Some(value) = variable(name) {
                    problems.add(name, &value, "unset it, or set SESSION_STORE: it needs a store");
                }
            }
            return None;
        };
        let file = text.strip_prefix("sqlite:");
        let place = match file {
            Some(file) => format!("in {file}"),
            None if text == "memory" => "in the memory of this process".to_owned(),
            None => format!("in {}", scheme(&text)),
        };
        let file = file.map(PathBuf::from);
        Some(Self { store, place, file, limit, grace: grace.unwrap_or_default() })
    }

    /// `layer` with the store.
    pub(crate) fn put_into(&self, layer: SessionLayer<Claims>) -> SessionLayer<Claims> {
        let layer = layer.store_arc(Arc::clone(&self.store)).outage_grace(self.grace);
        match self.limit {
            Some(limit) => layer.max_sessions_per_subject(limit),
            None => layer,
        }
    }
}

/// Why there is no store.
enum Unopened {
    /// This build has no such store; the text is the remedy.
    Named(String),
    Failed(StoreError),
}

/// Opens what `text` names.
async fn open(text: &str) -> Result<Option<Arc<dyn SessionStore>>, Unopened> {
    #[cfg(feature = "memory")]
    use tower_auth_session::store::MemoryStore;
    #[cfg(feature = "postgres")]
    use tower_auth_session::store::PostgresStore;
    #[cfg(feature = "redis")]
    use tower_auth_session::store::RedisStore;
    #[cfg(feature = "sqlite")]
    use tower_auth_session::store::SqliteStore;

    let (kind, place) = text.split_once(':').unwrap_or((text, ""));
    match kind {
        "none" if text == "none" => Ok(None),
        #[cfg(feature = "memory")]
        "memory" if text == "memory" => Ok(Some(Arc::new(MemoryStore::new()))),
        #[cfg(feature = "sqlite")]
        "sqlite" if !place.is_empty() => {
            let store = SqliteStore::open(place).await?;
            store.migrate().await?;
            Ok(Some(Arc::new(store)))
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            let store = PostgresStore::connect(text).await?;
            store.migrate().await?;
            Ok(Some(Arc::new(store)))
        }
        #[cfg(feature = "redis-cluster")]
        "redis" | "rediss" if place.contains(',') => {
            let nodes = text.split(',').map(str::trim);
            Ok(Some(Arc::new(RedisStore::connect_cluster(nodes).await?)))
        }
        #[cfg(feature = "redis")]
        "redis" if !place.contains(',') => Ok(Some(Arc::new(RedisStore::connect(text).await?))),
        #[cfg(feature = "redis-tls")]
        "rediss" if !place.contains(',') => Ok(Some(Arc::new(RedisStore::connect(text).await?))),
        _ => Err(Unopened::Named(remedy(kind, place))),
    }
}

/// The remedy for the name of a store that this build does not have.
fn remedy(kind: &str, place: &str) -> String {
    let feature = match kind {
        "memory" if place.is_empty() && !cfg!(feature = "memory") => "memory",
        "sqlite" if !place.is_empty() && !cfg!(feature = "sqlite") => "sqlite",
        "postgres" | "postgresql" if !cfg!(feature = "postgres") => "postgres",
        "redis" | "rediss" if place.contains(',') => "redis-cluster",
        "redis" if !cfg!(feature = "redis") => "redis",
        "rediss" if !cfg!(feature = "redis-tls") => "redis-tls",
        _ => return WRITE_ONE.to_owned(),
    };
    format!("this demo was built without it: add `--features {feature}` to the cargo command")
}

impl From<StoreError> for Unopened {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Unopened {
    /// With all causes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = match self {
            Self::Named(remedy) => return f.write_str(remedy),
            Self::Failed(error) => error,
        };
        write!(f, "it cannot be opened: {error}")?;
        let mut cause = error.source();
        while let Some(because) = cause {
            write!(f, ": {because}")?;
            cause = because.source();
        }
        Ok(())
    }
}

/// The requested store, and the variable that names it.
fn named(problems: &mut Problems) -> Option<(&'static str, String)> {
    match (variable("SESSION_STORE"), variable("STORE")) {
        (Some(one), Some(other)) if one != other => {
            let remedy = "unset STORE, its short name, which says something else";
            problems.add("SESSION_STORE", scheme(&one), remedy);
            None
        }
        (Some(text), _) => Some(("SESSION_STORE", text)),
        (None, Some(text)) => Some(("STORE", text)),
        (None, None) => Some(("SESSION_STORE", default_store())),
    }
}

/// A store that outlives this process, if this build has one: a file beside the example, which
/// `cargo clean` deletes.
fn default_store() -> String {
    if cfg!(feature = "sqlite") {
        let example = env::current_exe().unwrap_or_else(|_| "accounts".into());
        format!("sqlite:{}", example.with_extension("sqlite").display())
    } else if cfg!(feature = "memory") {
        "memory".to_owned()
    } else {
        "none".to_owned()
    }
}

fn limit(problems: &mut Problems) -> Option<SubjectLimit> {
    let policy = match variable("SESSION_MAX_PER_SUBJECT_POLICY").as_deref() {
        None | Some("end-oldest") => SubjectLimitPolicy::EndOldest,
        Some("refuse") => SubjectLimitPolicy::Refuse,
        Some(other) => {
            let remedy = "write end-oldest or refuse";
            problems.add("SESSION_MAX_PER_SUBJECT_POLICY", other, remedy);
            SubjectLimitPolicy::default()
        }
    };
    let most = variable("SESSION_MAX_PER_SUBJECT")?;
    let number = most.parse().ok().filter(|most| *most > 0);
    if number.is_none() {
        let remedy = "write a whole number from 1 on, or unset it for any number";
        problems.add("SESSION_MAX_PER_SUBJECT", &most, remedy);
    }
    number.map(|most| SubjectLimit::new(most, policy))
}

fn grace(problems: &mut Problems) -> Option<Duration> {
    let text = variable("SESSION_OUTAGE_GRACE")?;
    let remedy = match text.parse() {
        Ok(TimeLimit::Off) => return None,
        Ok(TimeLimit::After(grace)) if grace <= SessionLayer::<()>::MAX_OUTAGE_GRACE => {
            return Some(grace);
        }
        Ok(_) => "write 15m at most".to_owned(),
        Err(wrong) => wrong.to_string(),
    };
    problems.add("SESSION_OUTAGE_GRACE", &text, &remedy);
    None
}

/// The part of a store's name that may be printed.
fn scheme(text: &str) -> &str {
    text.split_once(':').map_or(text, |(scheme, _)| scheme)
}

fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}
