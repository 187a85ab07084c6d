//! Requests that the engine opens and closes without a service, at a given second.

use http::{HeaderMap, HeaderValue, Request, Response, header};
use tower_auth_session::{SessionEngine, SessionJar, SignIn, time::Timestamp};

use super::{START, User, subject, user};

pub(crate) type Jar = SessionJar<User>;
pub(crate) type Engine = SessionEngine<User>;

pub(crate) fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_seconds(START + second)
}

pub(crate) fn ada() -> SignIn<User> {
    SignIn::new(subject("ada"), user("Ada"))
}

pub(crate) fn open(engine: &Engine, cookie: &HeaderValue, second: u64) -> Jar {
    let request = Request::get("/").header(header::COOKIE, cookie).body(()).unwrap();
    engine.open(&request, at(second))
}

pub(crate) fn headers(engine: &Engine, jar: &Jar, second: u64) -> HeaderMap {
    let mut response = Response::new(());
    engine.close(jar, &mut response, at(second)).unwrap();
    response.into_parts().0.headers
}

/// The cookie that the browser stores, with an empty value for a removal.
pub(crate) fn close(engine: &Engine, jar: &Jar, second: u64) -> Option<HeaderValue> {
    pair(&headers(engine, jar, second))
}

pub(crate) fn pair(headers: &HeaderMap) -> Option<HeaderValue> {
    let set = headers.get(header::SET_COOKIE)?.to_str().unwrap();
    Some(set.split(';').next().unwrap().parse().unwrap())
}

pub(crate) fn name(engine: &Engine, cookie: &HeaderValue, second: u64) -> Option<String> {
    open(engine, cookie, second).session().map(|session| session.claims().name.clone())
}
