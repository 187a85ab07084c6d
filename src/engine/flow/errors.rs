//! [`StartFlowError`] and [`FinishFlowError`].

/// The reason why a flow was not started. Nothing has changed.
///
/// ```
/// use axum::response::{IntoResponse as _, Redirect, Response};
/// use tower_auth_session::{SessionJar, error::StartFlowError, flow::Flow};
///
/// async fn start(jar: SessionJar) -> Response {
///     match jar.start_flow(Flow::new("verifier".to_owned())) {
///         Ok(state) => {
///             Redirect::to(&format!("https://id.example.com/authorize?state={state}")).into_response()
///         }
///         // A script with a token is signed in already.
///         Err(StartFlowError::BearerToken) => Redirect::to("/").into_response(),
///         Err(error) => error.into_response(),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartFlowError {
    /// The engine [verifies only](crate::SessionEngine::verify_only), and writes no cookie.
    #[error("this engine only verifies tokens: start flows where users sign in")]
    VerifiesOnly,
    /// The request presents a bearer token, for which no cookie is ever written.
    #[error("the request presents a bearer token: start flows without one")]
    BearerToken,
    /// The time that the user has is out of range.
    #[error("expires_in is out of range: use 1 second to 24 hours")]
    ExpiresIn,
    /// The data cannot be written as JSON and read again.
    #[error("the flow's data does not encode as JSON and decode again: check its serde attributes")]
    Data,
    /// The cookie would be too long.
    #[error("the flow's cookie would be {size} bytes, the limit is {limit}: keep less in its data")]
    TooLarge {
        /// The bytes of name and value.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The session cookies leave no room for the flow: servers refuse requests whose headers are too
    /// long. No session is evicted for a flow.
    #[error("the cookies would be {bytes} bytes with this flow, the budget is {budget}")]
    CookieBudget {
        /// The bytes of the session cookies and the flow's, names and separators included.
        bytes: usize,
        /// The budget.
        budget: usize,
    },
    /// Browsers drop cookies with `SameSite=None` that are not `Secure`.
    #[error("SameSite=None needs Secure cookies: develop over https, or use Lax")]
    InsecureCookie,
    /// The key ring has no signing key, from which the sealing key is derived.
    #[error(
        "no sealing key: the key ring needs a signing key, and the crate a cryptographic back end"
    )]
    NoKey,
    /// The random source failed, so no id could be created.
    #[error("no flow id: the random source failed")]
    Random,
    /// The response has already been sent.
    #[error("the response has been sent: start flows while the request is handled")]
    Closed,
}

/// The reason why no flow was finished. To a client they are all the same: 400 with the code
/// `unknown_flow`.
///
/// ```
/// use axum::response::{IntoResponse as _, Redirect, Response};
/// use tower_auth_session::{SessionJar, error::FinishFlowError};
///
/// async fn callback(jar: SessionJar, state: String) -> Response {
///     match jar.finish_flow::<String>(&state) {
///         Ok(flow) => format!("exchange the code with {}", flow.data).into_response(),
///         // The user took too long, or opened the link in another browser: start again.
///         Err(FinishFlowError::Expired | FinishFlowError::Unknown) => Redirect::to("/sign-in").into_response(),
///         Err(error) => error.into_response(),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FinishFlowError {
    /// This browser has no such flow: it was started in another browser, is finished already, was
    /// removed by newer ones, or its key is no longer trusted.
    #[error("this browser has no such flow")]
    Unknown,
    /// The user took too long.
    #[error("the flow has expired")]
    Expired,
    /// The flow was started with data of another type.
    #[error("the flow was started with data of another type")]
    OtherType,
    /// The data does not decode: its type has changed since.
    #[error("the flow's data does not decode")]
    Data,
    /// The response has already been sent, so it cannot remove the cookie.
    #[error("the response has been sent: finish flows while the request is handled")]
    Closed,
}
