//! Users in SQLite, with passwords as argon2id hashes.

use std::{
    error::Error,
    fmt,
    sync::{Arc, LazyLock},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use sqlx::{Row as _, SqlitePool, sqlite::SqliteRow};
use tokio::{sync::Semaphore, task::spawn_blocking};
use tower_auth_session::Subject;

use crate::{Claims, Role};

type Failure = Box<dyn Error + Send + Sync>;

/// The users of the site.
#[derive(Debug, Clone)]
pub struct Users {
    pool: SqlitePool,
}

/// A user.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) is_disabled: bool,
}

impl User {
    /// The subject of the user's sessions: the id, which never changes, and not the name.
    pub(crate) fn subject(&self) -> Result<Subject, Failure> {
        Ok(Subject::new(self.id.to_string())?)
    }
}

/// Whether a name and a password belong together.
#[derive(Debug)]
pub(crate) enum Verified {
    User(User),
    /// The password is right, and the user may not sign in.
    Disabled,
    /// There is no such user, or the password is wrong. The page does not state which.
    Wrong,
}

/// Why a user was not added, or a password was not changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum NewUserError {
    /// The name is empty, too long or taken.
    Name,
    /// The password is too short, too long, or the name.
    Password,
    /// The database or the hash failed.
    Failed(Failure),
}

impl fmt::Display for NewUserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(f, "The name is taken, or has not 1 to 64 characters."),
            Self::Password => write!(
                f,
                "A password has {} to {} characters and is not the name.",
                Users::MIN_PASSWORD,
                Users::MAX_PASSWORD
            ),
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl Error for NewUserError {}

impl From<Failure> for NewUserError {
    fn from(error: Failure) -> Self {
        Self::Failed(error)
    }
}

impl From<sqlx::Error> for NewUserError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Users {
    /// The minimum length of a password in characters (NIST SP 800-63B-4 §3.1.1.2 asks for 15 where the
    /// password is the only factor).
    pub const MIN_PASSWORD: usize = 15;
    /// The maximum length of a password in characters.
    pub const MAX_PASSWORD: usize = 256;

    /// The users in the database of `pool`.
    #[must_use]
    pub const fn new(pool: SqlitePool) -> Self {
        Self { pool }
    }

    pub(crate) async fn migrate(&self) -> Result<(), sqlx::Error> {
        let sql = "CREATE TABLE IF NOT EXISTS users (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE COLLATE NOCASE,
            password_hash TEXT NOT NULL,
            role TEXT NOT NULL CHECK (role IN ('member', 'admin')),
            disabled INTEGER NOT NULL DEFAULT 0
        )";
        sqlx::query(sql).execute(&self.pool).await.map(drop)
    }

    /// Adds a user.
    ///
    /// # Errors
    ///
    /// When the name or the password is not allowed, or the database fails.
    pub async fn add(&self, name: &str, password: &str, role: Role) -> Result<(), NewUserError> {
        let name = name.trim();
        if !(1..=64).contains(&name.chars().count()) {
            return Err(NewUserError::Name);
        }
        check_password(name, password)?;
        let hash = hash(password).await?;
        let sql = "INSERT INTO users (name, password_hash, role) VALUES (?, ?, ?)";
        let query = sqlx::query(sql).bind(name).bind(hash).bind(role_text(role));
        match query.execute(&self.pool).await {
            Ok(_) => Ok(()),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Err(NewUserError::Name)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Checks a password. It takes as long whether the user exists or not.
    pub(crate) async fn verify(&self, name: &str, password: &str) -> Result<Verified, Failure> {
        // A hash that no password has.
        static DECOY: LazyLock<Option<String>> = LazyLock::new(|| hash_now("no such user").ok());
        let sql = "SELECT id, name, role, disabled, password_hash FROM users WHERE name = ?";
        let row = sqlx::query(sql).bind(name.trim()).fetch_optional(&self.pool).await?;
        let stored = match &row {
            Some(row) => Some(row.try_get("password_hash")?),
            None => DECOY.clone(),
        };
        let is_right = match stored {
            Some(stored) => matches(password, stored).await?,
            None => false,
        };
        match row.as_ref().filter(|_| is_right).map(user).transpose()? {
            None => Ok(Verified::Wrong),
            Some(user) if user.is_disabled => Ok(Verified::Disabled),
            Some(user) => Ok(Verified::User(user)),
        }
    }

    /// Changes the password of the user `subject`.
    pub(crate) async fn set_password(
        &self,
        subject: &Subject,
        name: &str,
        password: &str,
    ) -> Result<(), NewUserError> {
        check_password(name, password)?;
        let hash = hash(password).await?;
        let sql = "UPDATE users SET password_hash = ? WHERE CAST(id AS TEXT) = ?";
        let query = sqlx::query(sql).bind(hash).bind(subject.as_str());
        Ok(query.execute(&self.pool).await.map(drop)?)
    }

    /// The claims of a session's user: `None` if there is no such user, or the user is disabled.
    pub(crate) async fn claims(&self, subject: &Subject) -> Result<Option<Claims>, sqlx::Error> {
        let sql = "SELECT id, name, role, disabled FROM users WHERE CAST(id AS TEXT) = ?";
        let row = sqlx::query(sql).bind(subject.as_str()).fetch_optional(&self.pool).await?;
        let user = row.as_ref().map(user).transpose()?;
        Ok(user
            .filter(|user| !user.is_disabled)
            .map(|user| Claims { name: user.name, role: user.role }))
    }

    pub(crate) async fn all(&self) -> Result<Vec<User>, sqlx::Error> {
        let sql = "SELECT id, name, role, disabled FROM users ORDER BY name LIMIT 1000";
        sqlx::query(sql).fetch_all(&self.pool).await?.iter().map(user).collect()
    }

    /// Disables a user, or enables one again.
    pub(crate) async fn set_disabled(&self, id: i64, disabled: bool) -> Result<(), sqlx::Error> {
        let query = sqlx::query("UPDATE users SET disabled = ? WHERE id = ?");
        query.bind(disabled).bind(id).execute(&self.pool).await.map(drop)
    }
}

fn user(row: &SqliteRow) -> Result<User, sqlx::Error> {
    let role = match row.try_get("role")? {
        "admin" => Role::Admin,
        _ => Role::Member,
    };
    Ok(User {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        role,
        is_disabled: row.try_get("disabled")?,
    })
}

const fn role_text(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Admin => "admin",
    }
}

fn check_password(name: &str, password: &str) -> Result<(), NewUserError> {
    let length = password.chars().count();
    let is_allowed = (Users::MIN_PASSWORD..=Users::MAX_PASSWORD).contains(&length);
    match is_allowed && password.to_lowercase() != name.to_lowercase() {
        true => Ok(()),
        false => Err(NewUserError::Password),
    }
}

/// One hash takes 19 MiB and a processor: as many at a time as there are processors.
static HASHES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(processors))
});

/// Runs a hash on a thread on which it delays no request.
async fn run_hash<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let permit = Arc::clone(&HASHES).acquire_owned().await?;
    spawn_blocking(move || {
        let result = work();
        drop(permit);
        result
    })
    .await?
}

async fn hash(password: &str) -> Result<String, Failure> {
    let password = password.to_owned();
    run_hash(move || hash_now(&password)).await
}

/// argon2id with a random salt and the parameters that OWASP recommends.
fn hash_now(password: &str) -> Result<String, Failure> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash.map_err(|error| error.to_string())?.to_string())
}

async fn matches(password: &str, stored: String) -> Result<bool, Failure> {
    if password.chars().count() > Users::MAX_PASSWORD {
        return Ok(false);
    }
    let password = password.to_owned();
    run_hash(move || {
        let stored = PasswordHash::new(&stored).map_err(|error| error.to_string())?;
        Ok(Argon2::default().verify_password(password.as_bytes(), &stored).is_ok())
    })
    .await
}
