//! What one task of the application does while another one encodes: code of the application runs then,
//! and no lock is held.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex},
};

use http::{Request, Response, header};
use serde::{Deserialize, Serialize, Serializer};
use tower_auth_session::{
    Factor, KeyRing, SessionEngine, SessionJar, SignIn, Timestamp, testing::cookie_of,
};

use crate::support::{START, key, subject};

/// Claims that do something else while they are encoded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Busy {
    name: String,
}

type Hook = Box<dyn FnOnce()>;

thread_local! {
    static MEANWHILE: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

impl Serialize for Busy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(hook) = MEANWHILE.take() {
            hook();
        }
        #[derive(Serialize)]
        struct Plain<'a> {
            name: &'a str,
        }
        Plain { name: &self.name }.serialize(serializer)
    }
}

fn busy(name: &str) -> Busy {
    Busy { name: name.to_owned() }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_seconds(START + second)
}

/// What the browser has when `act` was done to its session, with `meanwhile` while that encodes: a name, and
/// how long ago the second factor was, as the next request finds them.
fn both(
    act: impl FnOnce(&SessionJar<Busy>),
    meanwhile: impl FnOnce(&SessionJar<Busy>) + 'static,
) -> (String, bool) {
    let engine = SessionEngine::<Busy>::builder(KeyRing::new(key("k1"))).build().unwrap();
    let cookie = cookie_of(&engine, SignIn::new(subject("ada"), busy("Ada")), at(0)).unwrap();
    let request = Request::get("/").header(header::COOKIE, cookie).body(()).unwrap();
    let jar = engine.open(&request, at(5));
    let other = jar.clone();
    let was_done = Arc::new(Mutex::new(false));
    let done = Arc::clone(&was_done);
    MEANWHILE.set(Some(Box::new(move || {
        meanwhile(&other);
        *done.lock().unwrap() = true;
    })));
    act(&jar);
    assert!(*was_done.lock().unwrap());
    let mut response = Response::new(());
    engine.close(&jar, &mut response, at(6)).unwrap();
    let set = response.headers()[header::SET_COOKIE].to_str().unwrap();
    let cookie = set.split(';').next().unwrap();
    let request = Request::get("/").header(header::COOKIE, cookie).body(()).unwrap();
    let session = engine.open(&request, at(7)).session().unwrap();
    let second = session.identity().factor_ages(at(7)).of_factor(Factor::Second);
    (session.claims().name.clone(), second.is_some())
}

#[test]
fn neither_a_change_of_claims_nor_a_verification_loses_the_other() {
    let rename = |jar: &SessionJar<Busy>| jar.update_claims(busy("Grace")).unwrap();
    let verify = |jar: &SessionJar<Busy>| jar.reverified(Factor::Second).unwrap();
    assert_eq!(both(rename, verify), ("Grace".to_owned(), true));
    assert_eq!(both(verify, rename), ("Grace".to_owned(), true));
    let first = |jar: &SessionJar<Busy>| jar.reverified(Factor::First).unwrap();
    assert_eq!(both(first, verify), ("Ada".to_owned(), true));
    let other = |jar: &SessionJar<Busy>| jar.update_claims(busy("Joan")).unwrap();
    assert_eq!(both(rename, other), ("Grace".to_owned(), false), "the one that ends last");
}
