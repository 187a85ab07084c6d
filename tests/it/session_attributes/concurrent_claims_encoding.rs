//! Concurrent changes while claims are encoded: encoding runs code of the application, without a lock.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex},
};

use http::{Request, Response, header};
use serde::{Deserialize, Serialize, Serializer};
use tower_auth_session::{
    KeyRing, SessionEngine, SessionJar, SignIn, engine::Factor, testing::cookie_of, time::Timestamp,
};

use crate::support::{START, key, subject};

/// Claims whose encoding runs a hook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct HookedClaims {
    name: String,
}

type Hook = Box<dyn FnOnce()>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

impl Serialize for HookedClaims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(hook) = HOOK.take() {
            hook();
        }
        #[derive(Serialize)]
        struct Plain<'a> {
            name: &'a str,
        }
        Plain { name: &self.name }.serialize(serializer)
    }
}

fn claims(name: &str) -> HookedClaims {
    HookedClaims { name: name.to_owned() }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_seconds(START + second)
}

/// Applies `change` to a session, and `meanwhile` while the claims are encoded. Returns what the next
/// request finds: the name in the claims, and whether the second factor was verified.
fn apply_both(
    change: impl FnOnce(&SessionJar<HookedClaims>),
    meanwhile: impl FnOnce(&SessionJar<HookedClaims>) + 'static,
) -> (String, bool) {
    let engine = SessionEngine::<HookedClaims>::builder(KeyRing::new(key("k1"))).build().unwrap();
    let cookie = cookie_of(&engine, SignIn::new(subject("ada"), claims("Ada")), at(0)).unwrap();
    let request = Request::get("/").header(header::COOKIE, cookie).body(()).unwrap();
    let jar = engine.open(&request, at(5));
    let other = jar.clone();
    let hook_ran = Arc::new(Mutex::new(false));
    let done = Arc::clone(&hook_ran);
    HOOK.set(Some(Box::new(move || {
        meanwhile(&other);
        *done.lock().unwrap() = true;
    })));
    change(&jar);
    assert!(*hook_ran.lock().unwrap());
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
fn concurrent_claims_update_and_verification_are_both_kept() {
    let rename = |jar: &SessionJar<HookedClaims>| jar.update_claims(claims("Grace")).unwrap();
    let verify = |jar: &SessionJar<HookedClaims>| jar.mark_verified(Factor::Second).unwrap();
    assert_eq!(apply_both(rename, verify), ("Grace".to_owned(), true));
    assert_eq!(apply_both(verify, rename), ("Grace".to_owned(), true));
    let first = |jar: &SessionJar<HookedClaims>| jar.mark_verified(Factor::First).unwrap();
    assert_eq!(apply_both(first, verify), ("Ada".to_owned(), true));
    let other = |jar: &SessionJar<HookedClaims>| jar.update_claims(claims("Joan")).unwrap();
    assert_eq!(
        apply_both(rename, other),
        ("Grace".to_owned(), false),
        "the last one to complete is kept"
    );
}
