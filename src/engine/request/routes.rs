//! [`Endpoints`]: the paths that the layer answers itself, and how they are found.

use std::time::Duration;

use crate::{
    engine::redirect::{settings::ResolvedRedirects, target::RedirectTarget},
    error::ConfigProblem,
};

/// A request that the layer answers itself.
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::config::{Endpoint, Endpoints};
///
/// let endpoints = Endpoints::new()
///     .base_path("/auth") // `/auth/sign-out`, ...
///     .path(Endpoint::SignOut, "/bye")
///     .disable(Endpoint::Touch)
///     .jwks_max_age(Duration::from_secs(3600));
/// # let _ = endpoints;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `POST /sign-out` signs out.
    SignOut,
    /// `POST /session/switch` makes another account of the browser the active one. Only with several
    /// accounts.
    Switch,
    /// `GET /session` lists the accounts of the browser as JSON. The request is no activity.
    Sessions,
    /// `POST /session/token` returns a bearer token of the session.
    Token,
    /// `GET /sign-in/choose` is a page on which a person chooses an account. Only with several
    /// accounts. If [`sign_in_url`](crate::config::RedirectUrls::sign_in_url) is a page of this origin,
    /// the chooser is at that path with `/choose` appended. Disable it if the application has its own
    /// chooser there. If the sign-in page is on another origin, the layer serves no chooser unless you set
    /// its path.
    Chooser,
    /// `GET /.well-known/jwks.json` publishes the public keys. Where all keys are HMAC secrets the
    /// path is left to the application.
    Jwks,
    /// `POST /session/touch` records activity and renews the session's token when it is due.
    Touch,
    /// `POST /session/bound/register` binds a session to a key of the browser's device. Browsers send the
    /// request by themselves.
    DeviceRegistration,
    /// `POST /session/bound/refresh` renews the proof of a bound session. Browsers send the request by
    /// themselves. It is no activity.
    DeviceRefresh,
}

impl Endpoint {
    const ALL: [Self; 9] = [
        Self::SignOut,
        Self::Switch,
        Self::Sessions,
        Self::Token,
        Self::Chooser,
        Self::Jwks,
        Self::Touch,
        Self::DeviceRegistration,
        Self::DeviceRefresh,
    ];

    /// The name of its setting.
    pub(crate) const fn field(self) -> &'static str {
        match self {
            Self::SignOut => "endpoints.sign_out",
            Self::Switch => "endpoints.switch",
            Self::Sessions => "endpoints.sessions",
            Self::Token => "endpoints.token",
            Self::Chooser => "endpoints.chooser",
            Self::Jwks => "endpoints.jwks",
            Self::Touch => "endpoints.touch",
            Self::DeviceRegistration => "endpoints.device_registration",
            Self::DeviceRefresh => "endpoints.device_refresh",
        }
    }

    const fn default_path(self) -> &'static str {
        match self {
            Self::SignOut => "/sign-out",
            Self::Switch => "/session/switch",
            Self::Sessions => "/session",
            Self::Token => "/session/token",
            Self::Chooser => RedirectTarget::CHOOSE_PATH,
            Self::Jwks => "/.well-known/jwks.json",
            Self::Touch => "/session/touch",
            Self::DeviceRegistration => "/session/bound/register",
            Self::DeviceRefresh => "/session/bound/refresh",
        }
    }
}

/// The setting of one path.
#[derive(Debug, Clone, Default)]
enum PathSetting {
    #[default]
    Default,
    At(String),
    Off,
}

const fn length_bit(path: &str) -> u64 {
    1 << (path.len() % 64)
}

/// The paths that the layer answers itself.
///
/// ```
/// use std::time::Duration;
/// use tower_auth_session::{
///     Algorithm, KeyRing, SessionEngine, SigningKey,
///     config::{Endpoint, Endpoints},
/// };
///
/// # fn main() -> Result<(), tower_auth_session::ConfigError> {
/// let keys = KeyRing::new(SigningKey::generate("2026-11", Algorithm::Hs256)?);
/// let endpoints = Endpoints::new()
///     .path(Endpoint::SignOut, "/bye")
///     .disable(Endpoint::Token)
///     .base_path("/app") // where a proxy removes this prefix
///     .jwks_max_age(Duration::from_secs(600));
/// let engine = SessionEngine::<()>::builder(keys).endpoints(endpoints).build()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Endpoints {
    settings: [PathSetting; Endpoint::ALL.len()],
    base: Option<String>,
    jwks_max_age: Option<Duration>,
}

impl Endpoints {
    /// All endpoints at their default paths.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `endpoint` at `path`: an absolute path without a query, as in the requests that reach the
    /// layer.
    pub fn path(mut self, endpoint: Endpoint, path: impl Into<String>) -> Self {
        self.settings[endpoint as usize] = PathSetting::At(path.into());
        self
    }

    /// Leaves the path of `endpoint` to the application, which calls the method of
    /// [`SessionJar`](crate::SessionJar), [`Session`](crate::Session) or
    /// [`KeyRing`](crate::KeyRing) itself. Without [`Endpoint::Switch`] there is no chooser page
    /// either.
    pub fn disable(mut self, endpoint: Endpoint) -> Self {
        self.settings[endpoint as usize] = PathSetting::Off;
        self
    }

    /// The prefix of every path in the browser, such as `/app`, if a proxy or a router removes it before the
    /// request reaches the layer. The layer adds it to redirects to its own paths: the chooser and its
    /// forms, `/` after a sign-out, and the return URL after a sign-in.
    ///
    /// Write URLs that are settings, such as `sign_in_url`, with the prefix: the layer does not change them.
    /// Write the paths of endpoints without the prefix.
    pub fn base_path(mut self, base: impl Into<String>) -> Self {
        self.base = Some(base.into());
        self
    }

    /// How long clients may cache the public keys: the `max-age` of the response, in whole seconds,
    /// 5 minutes by default and at most a day. A new key is published this long before it signs (see
    /// [the guide](crate::guide::keys)).
    pub const fn jwks_max_age(mut self, max_age: Duration) -> Self {
        self.jwks_max_age = Some(max_age);
        self
    }

    /// Checks the settings together and reports each problem.
    ///
    /// With one account per browser there is no switch endpoint and no chooser. If the chooser's path is
    /// not set, it is the one in `redirects`, if that is a page of this origin.
    pub(crate) fn resolve(
        &self,
        several: bool,
        redirects: &ResolvedRedirects,
        problems: &mut Vec<ConfigProblem>,
    ) -> Paths {
        let chooser = redirects.chooser_path();
        let jwks_max_age = self.jwks_max_age.unwrap_or(JWKS_MAX_AGE);
        if jwks_max_age > JWKS_MAX_AGE_CEILING {
            let value = format!("{} s", jwks_max_age.as_secs());
            let remedy = "at most a day: every rotation waits for it";
            problems.push(ConfigProblem::new("endpoints.jwks_max_age", value, remedy));
        }
        let mut paths = Paths { all: Vec::new(), lengths: 0, jwks_max_age };
        for (endpoint, setting) in Endpoint::ALL.into_iter().zip(&self.settings) {
            let path = match setting {
                PathSetting::At(path) => path,
                PathSetting::Default if endpoint == Endpoint::Chooser => match chooser {
                    Some(path) if several => path,
                    _ => continue,
                },
                PathSetting::Default => endpoint.default_path(),
                PathSetting::Off => continue,
            };
            let mut refuse = |remedy| {
                problems.push(ConfigProblem::new(endpoint.field(), path, remedy));
            };
            if !is_path(path) {
                refuse("an absolute path without query: `/sign-out`");
                continue;
            }
            if endpoint == Endpoint::Chooser && paths.of(Endpoint::Switch).is_none() {
                if matches!(setting, PathSetting::At(_)) {
                    refuse(
                        "the account chooser switches accounts: do not disable the switch endpoint",
                    );
                }
                continue;
            }
            if paths.find(path).is_some() {
                refuse("each path answers one thing: this one is taken");
            } else {
                paths.lengths |= length_bit(path);
                paths.all.push((endpoint, path.into()));
            }
        }
        if !several {
            let serves_one = |endpoint| !matches!(endpoint, Endpoint::Switch | Endpoint::Chooser);
            paths.all.retain(|(endpoint, _)| serves_one(*endpoint));
        }
        paths
    }

    /// The base path. A problem is reported where it is not a path.
    pub(crate) fn base(&self, problems: &mut Vec<ConfigProblem>) -> Option<&str> {
        let base = self.base.as_deref()?;
        if is_path(base) && !base.ends_with('/') {
            return Some(base);
        }
        let remedy = "an absolute path without query and without a slash at its end: `/app`";
        problems.push(ConfigProblem::new("endpoints.base_path", base, remedy));
        None
    }

    /// Where the chooser was explicitly put.
    pub(crate) fn chooser(&self) -> Option<&str> {
        let mut settings = Endpoint::ALL.iter().zip(&self.settings);
        settings.find_map(|(endpoint, setting)| match (endpoint, setting) {
            (Endpoint::Chooser, PathSetting::At(path)) => Some(path.as_str()),
            _ => None,
        })
    }
}

/// The default for how long caches may keep the public keys.
const JWKS_MAX_AGE: Duration = Duration::from_secs(300);
/// A rotation waits as long as caches may keep the keys.
const JWKS_MAX_AGE_CEILING: Duration = Duration::from_secs(86_400);

/// Whether browsers send a cookie of `cookie_path` to `path` (RFC 6265bis §5.1.4).
pub(crate) fn is_within(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && !path.contains(['?', '#']) && RedirectTarget::parse(path).is_ok()
}

/// The paths of the endpoints, all different.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paths {
    all: Vec<(Endpoint, Box<str>)>,
    /// A bit for each length modulo 64: most paths are none of these.
    lengths: u64,
    /// How long caches may keep the public keys.
    pub(crate) jwks_max_age: Duration,
}

impl Paths {
    /// The endpoint at `path`. The text must be equal, byte for byte: routers and proxies that normalize
    /// paths must not read another path in it.
    pub(crate) fn find(&self, path: &str) -> Option<Endpoint> {
        if self.lengths & length_bit(path) == 0 {
            return None;
        }
        self.all.iter().find(|(_, known)| **known == *path).map(|(endpoint, _)| *endpoint)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Endpoint, &str)> {
        self.all.iter().map(|(endpoint, path)| (*endpoint, &**path))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|(_, path)| &**path)
    }

    pub(crate) fn of(&self, endpoint: Endpoint) -> Option<&str> {
        self.all.iter().find(|(known, _)| *known == endpoint).map(|(_, path)| &**path)
    }
}
