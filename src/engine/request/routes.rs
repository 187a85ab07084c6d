//! Which paths the layer answers itself.

use std::time::Duration;

use crate::{
    engine::redirect::{settings::ResolvedRedirects, target::RedirectTarget},
    error::ConfigProblem,
};

/// What a path answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    SignOut,
    Switch,
    Sessions,
    Token,
    Chooser,
    Jwks,
}

impl Endpoint {
    const ALL: [Self; 6] =
        [Self::SignOut, Self::Switch, Self::Sessions, Self::Token, Self::Chooser, Self::Jwks];

    /// The name of its setting.
    const fn field(self) -> &'static str {
        match self {
            Self::SignOut => "sign_out_path",
            Self::Switch => "switch_path",
            Self::Sessions => "sessions_path",
            Self::Token => "token_path",
            Self::Chooser => "chooser_path",
            Self::Jwks => "jwks_path",
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
        }
    }
}

/// What is said about one path.
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

/// The settings of all paths.
#[derive(Debug, Clone, Default)]
pub(crate) struct PathSettings {
    settings: [PathSetting; Endpoint::ALL.len()],
    base: Option<String>,
    jwks_max_age: Option<Duration>,
}

impl PathSettings {
    pub(crate) fn set(&mut self, endpoint: Endpoint, path: String) {
        self.put(endpoint, &PathSetting::At(path));
    }

    pub(crate) fn switch_off(&mut self, endpoint: Endpoint) {
        self.put(endpoint, &PathSetting::Off);
    }

    fn put(&mut self, endpoint: Endpoint, to: &PathSetting) {
        for (known, setting) in Endpoint::ALL.iter().zip(&mut self.settings) {
            if *known == endpoint {
                setting.clone_from(to);
            }
        }
    }

    /// Checks the settings together; what is wrong goes to `problems`.
    ///
    /// A browser with one account has nothing to switch or to choose. Where a sign-in URL is set the
    /// application has a chooser below it, unless this one is asked for by its path.
    pub(crate) fn resolve(
        &self,
        several: bool,
        redirects: &ResolvedRedirects,
        problems: &mut Vec<ConfigProblem>,
    ) -> Paths {
        let sign_in = redirects.sign_in.as_ref();
        let jwks_max_age = self.jwks_max_age.unwrap_or(JWKS_MAX_AGE);
        if jwks_max_age > JWKS_MAX_AGE_CEILING {
            let value = format!("{} s", jwks_max_age.as_secs());
            let remedy = "at most a day: every rotation waits for it";
            problems.push(ConfigProblem::new("jwks_max_age", value, remedy));
        }
        let mut paths = Paths { all: Vec::new(), lengths: 0, jwks_max_age };
        for (endpoint, setting) in Endpoint::ALL.into_iter().zip(&self.settings) {
            let path = match setting {
                PathSetting::At(path) => path,
                PathSetting::Default if endpoint == Endpoint::Chooser && sign_in.is_some() => {
                    continue;
                }
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
                    refuse("the account chooser switches accounts: leave switch_path on");
                }
                continue;
            }
            if paths.find(path).is_some() {
                refuse("each path answers one thing: this one is taken");
            } else if sign_in.is_some_and(|url| url.as_str() == redirects.external(path)) {
                refuse("the application's sign-in page is there (sign_in_url)");
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

    pub(crate) fn set_jwks_max_age(&mut self, max_age: Duration) {
        self.jwks_max_age = Some(max_age);
    }

    /// Sets what browsers have before every path.
    pub(crate) fn set_base(&mut self, base: String) {
        self.base = Some(base);
    }

    /// The base, which is told to `problems` where it is none.
    pub(crate) fn base(&self, problems: &mut Vec<ConfigProblem>) -> Option<&str> {
        let base = self.base.as_deref()?;
        if is_path(base) && !base.ends_with('/') {
            return Some(base);
        }
        let remedy = "an absolute path without query and without a slash at its end: `/app`";
        problems.push(ConfigProblem::new("base_path", base, remedy));
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

/// How long others may keep the public keys unless told otherwise.
const JWKS_MAX_AGE: Duration = Duration::from_secs(300);
/// A rotation waits as long as anybody may keep the keys.
const JWKS_MAX_AGE_CEILING: Duration = Duration::from_secs(86_400);

fn is_path(path: &str) -> bool {
    path.starts_with('/') && !path.contains(['?', '#']) && RedirectTarget::parse(path).is_ok()
}

/// The paths that are answered, all different.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paths {
    all: Vec<(Endpoint, Box<str>)>,
    /// A bit for each length modulo 64: most paths are none of these.
    lengths: u64,
    /// How long others may keep the public keys.
    pub(crate) jwks_max_age: Duration,
}

impl Paths {
    /// What answers `path`: exactly this path, so that no router and no proxy can see another one in
    /// it.
    pub(crate) fn find(&self, path: &str) -> Option<Endpoint> {
        if self.lengths & length_bit(path) == 0 {
            return None;
        }
        self.all.iter().find(|(_, known)| **known == *path).map(|(endpoint, _)| *endpoint)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|(_, path)| &**path)
    }

    pub(crate) fn of(&self, endpoint: Endpoint) -> Option<&str> {
        self.all.iter().find(|(known, _)| *known == endpoint).map(|(_, path)| &**path)
    }
}
