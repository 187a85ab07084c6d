//! Keys that change while requests are served: rotation, publication and key files.

mod file;
mod file_race;
mod jwks;
mod rotation;
mod shared_key_file;
mod token_cache;

use std::{convert::Infallible, fs, path::PathBuf};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_auth_session::{
    Algorithm, KeyRing, Session, SessionEngine, SessionLifetime, SigningKey,
    engine::SessionEngineBuilder,
};

use crate::support::{ORIGIN, User, seconds};

const ED25519: &str = include_str!("../../vectors/keys/ed25519.pem");
const P256: &str = include_str!("../../vectors/keys/p256.pem");

/// Returns the signed-in user.
#[allow(clippy::needless_pass_by_value, reason = "the signature of a service function")]
fn current_user(
    request: Request<Full<Bytes>>,
) -> std::future::Ready<Result<Response<Full<Bytes>>, Infallible>> {
    let session = request.extensions().get::<Session<User>>();
    let user = session.map_or("signed out", |session| session.subject().as_str());
    std::future::ready(Ok(Response::new(Full::from(format!("application: {user}")))))
}

/// Sessions expire after 100 s of inactivity and are renewed after 10 s.
fn builder(ring: KeyRing) -> SessionEngineBuilder<User> {
    let lifetime = SessionLifetime::new()
        .inactivity_timeout(seconds(100))
        .maximum_lifetime(seconds(1_000))
        .renew_after(seconds(10));
    SessionEngine::builder(ring).lifetime(lifetime).origin(ORIGIN)
}

fn ed25519(kid: &str) -> SigningKey {
    SigningKey::generate(kid, Algorithm::EdDsa).unwrap()
}

/// The `kid` of a token.
fn kid(token: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

/// A temporary folder with a key file and the PEM files that it refers to.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("keys-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("old.pem"), ED25519).unwrap();
        fs::write(folder.join("new.pem"), P256).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("keys.json")
    }

    fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    /// Writes the old and the new key; `signing` is the one that signs.
    fn write_both(&self, signing: &str) {
        self.write(&json!({ "signing": signing, "keys": [old(), new()] }).to_string());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn old() -> Value {
    json!({ "kid": "old", "alg": "EdDSA", "pem": "old.pem" })
}

fn new() -> Value {
    json!({ "kid": "new", "alg": "ES256", "pem": "new.pem" })
}
