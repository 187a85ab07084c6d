//! A key rotation while a service runs: publish, promote, retire. The session stays signed in.
//!
//! ```text
//! cargo run --example rotate_keys
//! ```
//!
//! Two nodes share only their keys, and a browser's requests go to either. Time is a value, so a week
//! passes without waiting; `docs/keys.md` states how long to wait between the steps.

use std::{error::Error, time::Duration};

use http::{Request, Response, header};
use tower_auth_session::{
    Algorithm, KeyRing, SessionEngine, SignIn, SigningKey, Subject, keys::KeyId, time::Timestamp,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

struct Node {
    name: &'static str,
    /// Shares its keys with the engine's ring: a change here is a change there.
    keys: KeyRing,
    engine: SessionEngine,
}

impl Node {
    fn new(name: &'static str, key: SigningKey) -> Result<Self, Box<dyn Error>> {
        let keys = KeyRing::new(key);
        let engine = SessionEngine::builder(keys.clone()).build()?;
        Ok(Self { name, keys, engine })
    }

    /// Answers a request with this cookie: the signed-in user, and the cookie of the response.
    fn visit(&self, cookie: &str, now: Timestamp) -> Result<Visit, Box<dyn Error>> {
        let request = Request::get("/").header(header::COOKIE, cookie).body(())?;
        let jar = self.engine.open(&request, now);
        let who = jar.session().map(|session| session.subject().to_string());
        let mut response = Response::new(());
        self.engine.close(&jar, &mut response, now)?;
        Ok(Visit { who, cookie: set_cookie(&response)? })
    }
}

struct Visit {
    who: Option<String>,
    cookie: Option<String>,
}

fn set_cookie(response: &Response<()>) -> Result<Option<String>, Box<dyn Error>> {
    let Some(header) = response.headers().get(header::SET_COOKIE) else { return Ok(None) };
    Ok(header.to_str()?.split(';').next().map(str::to_owned))
}

/// Sends the browser to every node in turn, a minute apart, so that each one signs its token anew.
fn visit_all(
    nodes: &[Node],
    cookie: &mut String,
    now: &mut Timestamp,
) -> Result<(), Box<dyn Error>> {
    for node in nodes {
        *now = now.saturating_add(MINUTE);
        let visit = node.visit(cookie, *now)?;
        assert_eq!(visit.who.as_deref(), Some("ada"), "{}", node.name);
        *cookie = visit.cookie.ok_or("the token is renewed")?;
        let signs = node.keys.kids().into_iter().next().unwrap_or_default();
        println!("    {}: ada, signed anew with {signs:.8}", node.name);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut now = Timestamp::from_unix_seconds(1_800_000_000);
    let old = SigningKey::generate(KeyId::THUMBPRINT, Algorithm::EdDsa)?;
    let nodes = [Node::new("node 1", old.clone())?, Node::new("node 2", old.clone())?];

    // Sign in at the first node.
    let jar = nodes[0].engine.open(&Request::new(()), now);
    jar.sign_in(SignIn::new(Subject::new("ada")?, ()))?;
    let mut response = Response::new(());
    nodes[0].engine.close(&jar, &mut response, now)?;
    let mut cookie = set_cookie(&response)?.ok_or("a cookie")?;
    let copy = cookie.clone();
    println!("signed in with {:.8}", old.kid());
    visit_all(&nodes, &mut cookie, &mut now)?;

    let new = SigningKey::generate(KeyId::THUMBPRINT, Algorithm::EdDsa)?;
    println!("\npublish {:.8} on every node: it verifies tokens, and signs none", new.kid());
    for node in &nodes {
        node.keys.publish(new.verifying_key())?;
    }
    assert!(nodes[0].keys.public_jwks(now).contains(new.kid()));
    visit_all(&nodes, &mut cookie, &mut now)?;

    now = now.saturating_add(5 * MINUTE);
    println!("\nfive minutes later: promote it on node 1");
    nodes[0].keys.promote(new.clone())?;
    visit_all(&nodes, &mut cookie, &mut now)?;
    println!("and on node 2");
    nodes[1].keys.promote(new)?;
    visit_all(&nodes, &mut cookie, &mut now)?;

    println!("\nretire {:.8} when no token that it signed can be valid", old.kid());
    let retired = now.saturating_add(7 * DAY);
    for node in &nodes {
        node.keys.retire(old.kid(), retired)?;
    }
    assert_eq!(nodes[0].visit(&copy, now)?.who.as_deref(), Some("ada"), "not yet");
    now = now.saturating_add(6 * DAY);
    visit_all(&nodes, &mut cookie, &mut now)?;

    assert!(!nodes[0].keys.public_jwks(retired).contains(old.kid()));
    let late = nodes[1].visit(&copy, retired)?;
    assert!(late.who.is_none() && late.cookie.is_none());
    println!("\na copy of the first token is now rejected, and no cookie was removed");
    Ok(())
}
