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
    id: i64,
    /// The name that pages show.
    pub name: String,
    password_hash: Vec<u8>,
    /// A counter that the application increments when the password changes.
    pub password_version: u32,
    permissions: HashSet<String>,
    group_permissions: HashSet<String>,
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

/// What the login form contains.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The name of a user.
    pub name: String,
    /// The password that was typed.
    pub password: String,
}

/// The database.
#[derive(Debug, Clone)]
pub struct Backend(Arc<Mutex<BTreeMap<i64, OldUser>>>);

impl Backend {
    /// A database with Ada, who may read the list of users, Lin, whose group may, and Grace. The password
    /// of all is "lovelace".
    pub fn new() -> Self {
        let row = |id, name: &str, permissions: &[&str], group_permissions: &[&str]| OldUser {
            id,
            name: name.to_owned(),
            password_hash: hash("lovelace"),
            password_version: 1,
            permissions: permissions.iter().map(|it| (*it).to_owned()).collect(),
            group_permissions: group_permissions.iter().map(|it| (*it).to_owned()).collect(),
        };
        let rows = [row(1, "Ada", &["users"], &[]), row(2, "Grace", &[], &[])];
        let rows = rows.into_iter().chain([row(3, "Lin", &[], &["users"])]);
        Self(Arc::new(Mutex::new(rows.map(|row| (row.id, row)).collect())))
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

/// Stands for argon2.
fn hash(password: &str) -> Vec<u8> {
    format!("the hash of {password}").into_bytes()
}

impl AuthnBackend for Backend {
    type User = OldUser;
    type Credentials = Credentials;
    type Error = Infallible;

    async fn authenticate(&self, credentials: Credentials) -> Result<Option<OldUser>, Infallible> {
        let rows = self.0.lock().unwrap();
        let user = rows.values().find(|row| row.name == credentials.name);
        Ok(user.filter(|row| row.password_hash == hash(&credentials.password)).cloned())
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

    async fn get_group_permissions(&self, user: &OldUser) -> Result<HashSet<String>, Infallible> {
        Ok(user.group_permissions.clone())
    }
}
