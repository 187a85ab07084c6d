//! The claims of an application of axum-login: they come from its backend.

use std::{collections::HashSet, time::Duration};

use axum_login::{AuthnBackend, AuthzBackend};
use serde::{Deserialize, Serialize};
use tower_auth_session::{
    SignIn,
    claims::{ClaimsFuture, ClaimsLookup, ClaimsRequest, ClaimsSource, Permissions},
    config::LifetimeOverride,
};

use crate::users::Backend;

/// What the token states about the user. The browser can read it, so it contains no secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    pub name: String,
    pub permissions: HashSet<String>,
    /// A counter, or the time of the last change. Not the hash of the password.
    pub password_version: u32,
}

impl Permissions for Claims {
    type Permission = &'static str;

    fn has_permission(&self, permission: &&'static str) -> bool {
        self.permissions.contains(*permission)
    }
}

/// The layer calls it at each sign-in and renewal; axum-login called `get_user` in each request.
impl ClaimsSource<Claims> for Backend {
    fn claims<'a>(&'a self, request: ClaimsRequest<'a, Claims>) -> ClaimsFuture<'a, Claims> {
        Box::pin(async move {
            let id = request.session.subject().as_str().parse()?;
            let Some(user) = self.get_user(&id).await? else {
                return Ok(ClaimsLookup::NoSuchUser); // the session is revoked
            };
            // A new sign-in has no claims yet.
            let password_version = user.password_version;
            if request.current.is_some_and(|it| it.password_version != password_version) {
                return Ok(ClaimsLookup::NoSuchUser); // the password has changed
            }
            // A set of strings. Of structs, take the names: `.into_iter().map(|it| it.name).collect()`.
            let permissions = self.get_all_permissions(&user).await?;
            Ok(ClaimsLookup::Found(Claims { name: user.name, permissions, password_version }))
        })
    }
}

/// The lifetime of a session, with and without "remember me". The sign-in handler calls it too.
pub fn with_lifetime(sign_in: SignIn<Claims>, remember: bool) -> SignIn<Claims> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    match remember {
        true => sign_in.lifetime(LifetimeOverride::both(30 * DAY)),
        false => sign_in.lifetime(LifetimeOverride::both(DAY / 2)).persistent(false),
    }
}
