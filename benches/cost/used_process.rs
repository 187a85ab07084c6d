//! A process in use: a user has signed out, and the claims of another have changed. The measurements of
//! later requests include the cost of these changes.

use http::{Request, Response, header::COOKIE};
use tower_auth_session::{
    SessionEngine, SignIn,
    testing::cookie_of,
    time::{Clock as _, SystemClock},
};

/// Signs two users in, signs the first out, and gives the second these claims.
pub(crate) fn use_process<C>(engine: &SessionEngine<C>, sign_ins: [SignIn<C>; 2], changed: C)
where
    C: Send + Sync + 'static,
{
    let now = SystemClock::new().now();
    for (sign_in, changed) in sign_ins.into_iter().zip([None, Some(changed)]) {
        let mut request = Request::new(());
        let cookie = cookie_of(engine, sign_in, now).expect("a cookie");
        request.headers_mut().insert(COOKIE, cookie);
        let jar = engine.open(&request, now);
        match changed {
            Some(claims) => jar.update_claims(claims).expect("a change of claims"),
            None => assert!(jar.sign_out().is_some(), "a sign-out"),
        }
        engine.close(&jar, &mut Response::new(()), now).expect("a response");
    }
}
