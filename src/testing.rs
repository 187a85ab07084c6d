//! Helpers for the tests of applications: requests that are signed in, without a sign-in form.

mod device_client;

use http::{HeaderValue, Request, Response, header};

pub use self::device_client::DeviceClient;
pub use crate::{random::SeededRandom, time::manual_clock::ManualClock};

use crate::{
    SessionLayer,
    engine::{
        session_engine::SessionEngine,
        sign_in::{CommitError, SignIn, SignInError},
    },
    time::ClockReading,
};

/// The `Cookie` header of a browser in which `sign_in` happened at `now`.
///
/// ```
/// # use tower_auth_session::{*, testing::cookie_of, time::Timestamp};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = KeyRing::new(SigningKey::generate("test", Algorithm::Hs256)?);
/// let engine = SessionEngine::<()>::builder(keys).build()?;
/// let ada = SignIn::new(Subject::new("ada")?, ());
/// let cookie = cookie_of(&engine, ada, Timestamp::from_unix_seconds(1_700_000_000))?;
/// let request = http::Request::get("/me").header("cookie", cookie).body(())?;
/// # let jar = engine.open(&request, Timestamp::from_unix_seconds(1_700_000_001));
/// # assert_eq!(jar.session().unwrap().subject().as_str(), "ada");
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// When the sign-in is refused.
pub fn cookie_of<C: Send + Sync + 'static>(
    engine: &SessionEngine<C>,
    sign_in: SignIn<C>,
    now: impl Into<ClockReading>,
) -> Result<HeaderValue, SignInError> {
    let now = now.into();
    let jar = engine.open(&Request::new(()), now);
    jar.sign_in(sign_in)?;
    let mut response = Response::new(());
    // Without claims there is no token, and a test that asks a source can go through the layer.
    engine.close(&jar, &mut response, now).map_err(|_| SignInError::Signing)?;
    response
        .headers()
        .get(header::SET_COOKIE)
        .and_then(|set| set.as_bytes().split(|byte| *byte == b';').next())
        .and_then(|pair| HeaderValue::from_bytes(pair).ok())
        .map(|mut pair| {
            pair.set_sensitive(true);
            pair
        })
        .ok_or(SignInError::Signing)
}

/// `request`, sent by a browser in which `sign_in` happened at `now`. No store contains the session:
/// see [`signed_in_with_layer`].
///
/// ```
/// use http::Request;
/// use tower_auth_session::{SessionEngine, SignIn, Subject, testing::signed_in, time::Timestamp};
///
/// fn request_of_ada(engine: &SessionEngine, now: Timestamp) -> Request<()> {
///     let ada = SignIn::new(Subject::new("ada").unwrap(), ());
///     signed_in(engine, ada, now, Request::get("/me").body(()).unwrap()).unwrap()
/// }
/// ```
///
/// # Errors
///
/// When the sign-in is refused.
pub fn signed_in<C: Send + Sync + 'static, B>(
    engine: &SessionEngine<C>,
    sign_in: SignIn<C>,
    now: impl Into<ClockReading>,
    mut request: Request<B>,
) -> Result<Request<B>, SignInError> {
    let cookie = cookie_of(engine, sign_in, now)?;
    request.headers_mut().append(header::COOKIE, cookie);
    Ok(request)
}

/// `request`, sent by a browser in which `sign_in` happened through `layer`, by its clock: the layer's
/// store contains the session, and its claims source supplied the claims.
///
/// A session of [`signed_in`] is unknown to a store, so that a layer with a store ends it at its first
/// renewal.
///
#[cfg_attr(feature = "memory", doc = "```")]
#[cfg_attr(not(feature = "memory"), doc = "```ignore")]
/// # use tower_auth_session::{*, store::MemoryStore, testing::signed_in_with_layer};
/// # async fn test() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = KeyRing::new(SigningKey::generate("test", Algorithm::Hs256)?);
/// let engine = SessionEngine::<()>::builder(keys).build()?;
/// let layer = SessionLayer::new(engine).store(MemoryStore::new());
/// let ada = SignIn::new(Subject::new("ada")?, ());
/// let request = signed_in_with_layer(&layer, ada, http::Request::get("/me").body(())?).await?;
/// let sessions = layer.sessions().expect("a store");
/// let page = sessions.list(&Subject::new("ada")?, None, 10).await?;
/// assert_eq!(page.sessions.len(), 1);
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test()).unwrap();
/// ```
///
/// # Errors
///
/// When the sign-in is refused, or the store or the claims source fails.
pub async fn signed_in_with_layer<C: Send + Sync + 'static, B>(
    layer: &SessionLayer<C>,
    sign_in: SignIn<C>,
    mut request: Request<B>,
) -> Result<Request<B>, CommitError> {
    let cookies = layer.sign_in_without_request(sign_in).await?;
    let mut browser = Request::new(());
    carry_cookies(&cookies, &mut browser);
    if let Some(cookies) = browser.headers_mut().remove(header::COOKIE) {
        request.headers_mut().append(header::COOKIE, cookies);
    }
    Ok(request)
}

/// Adds the cookies of `response` to the `Cookie` header of the browser's next `request`, in a
/// browser with no other cookies.
///
/// ```
/// use http::{Request, Response};
/// use tower_auth_session::testing::carry_cookies;
///
/// let response = Response::builder().header("set-cookie", "lang=en; Path=/").body(()).unwrap();
/// let mut request = Request::new(());
/// carry_cookies(&response, &mut request);
/// assert_eq!(request.headers()["cookie"], "lang=en");
/// ```
pub fn carry_cookies<A, B>(response: &Response<A>, request: &mut Request<B>) {
    let mut pairs: Vec<u8> = Vec::new();
    for set in response.headers().get_all(header::SET_COOKIE) {
        let pair = set.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        if !pairs.is_empty() {
            pairs.extend_from_slice(b"; ");
        }
        pairs.extend_from_slice(pair);
    }
    if let Ok(mut value) = HeaderValue::from_bytes(&pairs) {
        value.set_sensitive(true);
        request.headers_mut().insert(header::COOKIE, value);
    }
}
