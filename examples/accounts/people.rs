//! The accounts of this site, and the claims in a session's token.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tower_auth_session::{claims::ClaimsSource, engine::SessionIdentity};

/// What the application knows of the signed-in user without a database query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) role: String,
}

/// A user who may sign in.
pub(crate) struct Person {
    pub(crate) user: &'static str,
    pub(crate) name: &'static str,
    role: &'static str,
    /// Whether a sign-in requires a second step.
    pub(crate) second_factor: bool,
}

/// All users. There are no passwords: the person who runs the demo plays each of them.
pub(crate) const PEOPLE: [Person; 7] = [
    person("ada", "Ada Fernhill", "analyst"),
    person("grace", "Grace Tolmark", "auditor"),
    person("linus", "Linus Oakby", "maintainer"),
    person("barbara", "Barbara Wrenfield", "architect"),
    person("emil", "Emil Sandlow", "reviewer"),
    Person { second_factor: true, ..person("margaret", "Margaret Ashcombe", "director") },
    person("donald", "Donald Pellworm", "author"),
];

/// The longest role, in characters.
pub(crate) const MAX_ROLE: usize = 32;

/// The table of roles, which can be changed while the site runs. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct People(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl People {
    /// The role of `user` now.
    pub(crate) fn claims(&self, user: &str) -> Option<Claims> {
        let person = find(user)?;
        let role = self.roles().get(person.user)?.clone();
        Some(Claims {
            name: person.name.to_owned(),
            email: format!("{}@example.com", person.user),
            role,
        })
    }

    /// Changes the role of `user`: in this table at once, and in the tokens of their sessions at the
    /// next renewal.
    pub(crate) fn set_role(&self, user: &str, role: &str) -> Option<Claims> {
        if let Some(person) = find(user) {
            self.roles().insert(person.user, role.to_owned());
        }
        self.claims(user)
    }

    /// The claims at every sign-in and renewal; `None` signs a deleted account out.
    pub(crate) fn source(&self) -> impl ClaimsSource<Claims> {
        let people = self.clone();
        move |session: SessionIdentity| {
            let claims = people.claims(session.subject().as_str());
            async move { Ok::<_, Infallible>(claims) }
        }
    }

    fn roles(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for People {
    fn default() -> Self {
        let roles = PEOPLE.iter().map(|person| (person.user, person.role.to_owned())).collect();
        Self(Arc::new(Mutex::new(roles)))
    }
}

/// The account called `user`.
pub(crate) fn find(user: &str) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.user == user)
}

/// `role` without the spaces around it, if it is one: 1 to [`MAX_ROLE`] visible characters.
pub(crate) fn check_role(role: &str) -> Option<&str> {
    let role = role.trim();
    let is_visible = |c: char| match c {
        ' ' => true,
        // What turns the direction of text around, or joins and parts without being seen.
        '\u{ad}' | '\u{61c}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => {
            false
        }
        '\u{2060}'..='\u{206f}' => false,
        _ => !c.is_control() && !c.is_whitespace(),
    };
    let length = role.chars().count();
    ((1..=MAX_ROLE).contains(&length) && role.chars().all(is_visible)).then_some(role)
}

const fn person(user: &'static str, name: &'static str, role: &'static str) -> Person {
    Person { user, name, role, second_factor: false }
}
