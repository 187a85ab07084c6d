//! [`Flow`]: what an application keeps in the browser between two requests, before the sign-in. Imports
//! keys, cookies' settings, redirect targets and session ids. Open `sealed.rs` for the format and the
//! checks of a flow cookie; `jar/flows.rs` starts and finishes flows.

pub(crate) mod errors;
pub(crate) mod finished;
pub(crate) mod sealed;

use std::{fmt, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::{cookie::config::SameSite, redirect::target::RedirectTarget, session::id::SessionId};
use crate::random::{RandomError, RandomSource};

/// Data that an application keeps in the browser until the user returns: the nonce and the PKCE verifier
/// of OAuth and OpenID Connect, the address that a mail confirms, the challenge of a passkey.
///
/// [`SessionJar::start_flow`](crate::SessionJar::start_flow) seals it in a cookie of its own, which
/// expires with the flow. `Debug` does not show the data.
///
/// The data's type is part of the seal: a flow is finished with the type that it was started with, so
/// that the data of one kind of flow cannot be used for another. Give each kind its own type.
///
/// ```
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use tower_auth_session::{SessionEngine, SessionJar, config::SameSite, error::StartFlowError, flow::{Flow, FlowId}};
///
/// #[derive(Serialize, Deserialize)]
/// struct Login { nonce: String, verifier: String }
///
/// fn start(engine: &SessionEngine, jar: &SessionJar, login: Login, next: &str) -> Result<FlowId, StartFlowError> {
///     let flow = Flow::new(login)
///         .expires_in(Duration::from_secs(15 * 60))
///         // For a provider whose answer is a form of its page.
///         .same_site(SameSite::None)
///         // `None` if `next` is not an allowed redirect target.
///         .return_to(engine.redirect_target(next));
///     jar.start_flow(flow)
/// }
/// ```
#[derive(Clone)]
#[must_use = "a flow does nothing until it is given to `SessionJar::start_flow`"]
pub struct Flow<T> {
    pub(crate) data: T,
    pub(crate) expires_in: Duration,
    pub(crate) same_site: SameSite,
    pub(crate) return_to: Option<RedirectTarget>,
}

impl Flow<()> {
    /// The longest time that a flow can take: 24 hours. Keys that were rotated away must stay trusted
    /// for as long.
    pub const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);
    /// How many flows a browser can have at a time, in different tabs. A further one removes the oldest.
    pub const MAX_AT_A_TIME: usize = 5;
    /// The bytes that the cookies of all flows can have together, names included. A flow that exceeds
    /// them alone is refused; otherwise the oldest are removed.
    pub const MAX_BYTES: usize = 4_000;
}

impl<T: Serialize + DeserializeOwned> Flow<T> {
    /// A flow with this data, for 10 minutes.
    pub const fn new(data: T) -> Self {
        let expires_in = Duration::from_secs(600);
        Self { data, expires_in, same_site: SameSite::Lax, return_to: None }
    }

    /// How long the user has to return: 1 second to [`MAX_LIFETIME`](Self::MAX_LIFETIME).
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires_in = time;
        self
    }

    /// Which requests of other sites carry the flow's cookie, whatever is configured for the session
    /// cookies.
    ///
    /// With [`Lax`](SameSite::Lax), the default, the user returns by a link or a redirect. A provider
    /// that answers by a form (`response_mode=form_post`, SAML) needs [`None`](SameSite::None), or a
    /// handler that answers the form with a 303 to a page of its own. With
    /// [`Strict`](SameSite::Strict) the flow never leaves this site.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Where the user goes afterwards. [`SessionEngine::redirect_target`](crate::SessionEngine::redirect_target)
    /// validates what a request asked for, and its result fits here.
    pub fn return_to(mut self, target: impl Into<Option<RedirectTarget>>) -> Self {
        self.return_to = target.into();
        self
    }
}

impl<T> fmt::Debug for Flow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow")
            .field("expires_in", &self.expires_in)
            .field("same_site", &self.same_site)
            .field("return_to", &self.return_to)
            .finish_non_exhaustive()
    }
}

/// A flow that the user has finished.
///
/// ```
/// use axum::response::Redirect;
/// use tower_auth_session::{SessionJar, error::FinishFlowError, flow::FinishedFlow};
///
/// async fn callback(jar: SessionJar, state: String) -> Result<Redirect, FinishFlowError> {
///     let FinishedFlow { data, return_to, .. } = jar.finish_flow::<String>(&state)?;
///     println!("exchange the code with the verifier {data}");
///     Ok(Redirect::to(return_to.as_ref().map_or("/", |target| target.as_str())))
/// }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct FinishedFlow<T> {
    /// What the flow was started with.
    pub data: T,
    /// Where the user goes now.
    pub return_to: Option<RedirectTarget>,
}

impl<T> fmt::Debug for FinishedFlow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinishedFlow").field("return_to", &self.return_to).finish_non_exhaustive()
    }
}

/// The id of a flow: 128 random bits, as 22 characters of base64url. It serves as the `state` of OAuth
/// and OpenID Connect.
///
/// It is useless without the cookie of its browser, and with it the proof that this browser started the
/// flow.
///
/// ```
/// use tower_auth_session::{SessionJar, error::StartFlowError, flow::{Flow, FlowId}};
///
/// fn authorize_url(jar: &SessionJar) -> Result<String, StartFlowError> {
///     let state: FlowId = jar.start_flow(Flow::new("verifier".to_owned()))?;
///     assert_eq!(state.as_str().len(), 22);
///     Ok(format!("https://id.example.com/authorize?state={state}"))
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(SessionId);

impl FlowId {
    /// Length of the text form in bytes.
    pub(crate) const LENGTH: usize = SessionId::LENGTH;

    pub(crate) fn generate(random: &dyn RandomSource) -> Result<Self, RandomError> {
        SessionId::generate(random).map(Self)
    }

    /// The canonical text form, as bytes.
    pub(crate) fn try_from_bytes(text: &[u8]) -> Option<Self> {
        SessionId::try_from_bytes(text.try_into().ok()?).ok().map(Self)
    }

    /// The 22 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl AsRef<str> for FlowId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Serialize for FlowId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlowId({self})")
    }
}
