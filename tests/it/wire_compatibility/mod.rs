//! Values that an earlier version wrote, and that this version must accept: tokens in browsers, rows in
//! stores, and the names that clients, operators and other services know. `tests/vectors/wire` has
//! them, with the story of how they were made.
//!
//! A test that fails here says that an update signs users out or breaks clients.

mod names;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tokens;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower_auth_session::{
    Algorithm, KeyRing, SessionEngine, SessionLifetime, SigningKey, engine::SessionEngineBuilder,
    testing::SeededRandom,
};

use crate::support::{ORIGIN, key, seconds};

/// The claims in the recorded tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Person {
    name: String,
    roles: Vec<String>,
}

fn person(name: &str) -> Person {
    Person { name: name.to_owned(), roles: vec!["reader".to_owned(), "writer".to_owned()] }
}

/// The recorded tokens of `kind`: `sessions`, `bearer_tokens` or `store`.
fn recorded(kind: &str) -> Value {
    let text = include_str!("../../vectors/wire/tokens.json");
    serde_json::from_str::<Value>(text).unwrap()[kind].take()
}

fn signing_key(algorithm: &str) -> SigningKey {
    match algorithm {
        "HS256" => key("k1"),
        _ => {
            let pem = include_str!("../../vectors/keys/ed25519.pem");
            SigningKey::from_pem("k2", Algorithm::EdDsa, pem).unwrap()
        }
    }
}

/// The settings of the service that wrote the values.
fn builder(algorithm: &str) -> SessionEngineBuilder<Person> {
    SessionEngine::<Person>::builder(KeyRing::new(signing_key(algorithm)))
        .lifetime(
            SessionLifetime::new()
                .inactivity_timeout(seconds(100))
                .maximum_lifetime(seconds(1_000))
                .renew_after(seconds(10)),
        )
        .origin(ORIGIN)
        .account_label(|person: &Person| (person.name.clone(), Some(person.roles.join(" and "))))
        .random(SeededRandom::new(7))
}
