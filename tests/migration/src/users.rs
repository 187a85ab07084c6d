//! The users of an application of axum-login, and their permissions, which it loads from a database.

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum_login::{AuthUser, AuthnBackend, AuthzBackend};

/// A row of the table of users.
#[derive(Debug, Clone)]
pub struct OldUser {
    /// The key of the row.
    pub id: i64,
    /// The name that pages show.
    pub name: String,
    /// The hash of the password.
    pub password_hash: Vec<u8>,
    /// A counter that the application increments when the password changes.
    pub password_version: u32,
    /// The rows of the table of permissions.
    pub permissions: HashSet<String>,
}

impl AuthUser for OldUser {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        &self.password_hash
    }
}

/// The database.
#[derive(Debug, Clone)]
pub struct Backend(Arc<Mutex<BTreeMap<i64, OldUser>>>);

impl Backend {
    /// A database with Ada, who may read the list of users, and Grace.
    pub fn new() -> Self {
        let row = |id, name: &str, permissions: &[&str]| OldUser {
            id,
            name: name.to_owned(),
            password_hash: b"hash of the first password".to_vec(),
            password_version: 1,
            permissions: permissions.iter().map(|it| (*it).to_owned()).collect(),
        };
        let rows = [row(1, "Ada", &["users"]), row(2, "Grace", &[])];
        Self(Arc::new(Mutex::new(rows.into_iter().map(|row| (row.id, row)).collect())))
    }

    /// Changes the row of a user.
    pub fn update(&self, id: i64, change: impl FnOnce(&mut OldUser)) {
        change(self.0.lock().unwrap().get_mut(&id).expect("a user with this id"));
    }
}

impl Default for Backend {
    fn default() -> Self {
        Self::new()
    }
}

impl AuthnBackend for Backend {
    type User = OldUser;
    type Credentials = i64;
    type Error = Infallible;

    async fn authenticate(&self, id: i64) -> Result<Option<OldUser>, Infallible> {
        self.get_user(&id).await
    }

    async fn get_user(&self, id: &i64) -> Result<Option<OldUser>, Infallible> {
        Ok(self.0.lock().unwrap().get(id).cloned())
    }
}

impl AuthzBackend for Backend {
    type Permission = String;

    async fn get_user_permissions(&self, user: &OldUser) -> Result<HashSet<String>, Infallible> {
        Ok(user.permissions.clone())
    }
}
