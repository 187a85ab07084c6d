//! [`SessionOptions`] from environment variables.
//!
//! Other programs set variables too (desktops set `SESSION_MANAGER`), so an unknown name is never an
//! error and its value is never read. A name that resembles a setting is reported as a warning, because
//! a misspelt setting would silently keep its default.

use std::{collections::BTreeMap, ffi::OsString, fmt};

use super::{
    SessionOptions,
    setting::{RawValue, Setting, ValueForm, squash},
};
use crate::error::{ConfigError, ConfigProblem};

/// The options of an environment, and names that may be misspelt.
///
/// ```
/// use tower_auth_session::SessionOptions;
///
/// # fn main() -> Result<(), tower_auth_session::ConfigError> {
/// // `SESSION_MANAGER` is a variable of other programs.
/// let vars = [("SESSION_MULTI", "on"), ("SESSION_ORIGN", "x"), ("SESSION_MANAGER", "y")];
/// let env = SessionOptions::from_vars("SESSION_", vars)?.known(&["SESSION_MANAGER"]);
/// let mut warnings = Vec::new();
/// let options = env.warn(|warning| warnings.push(warning.to_string()));
/// assert!(warnings.len() == 1 && warnings[0].contains("SESSION_ORIGN"));
/// # let _ = options;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct EnvOptions {
    /// The options.
    pub options: SessionOptions,
    /// Names close to that of a setting, in alphabetical order.
    pub warnings: Vec<EnvWarning>,
}

/// A variable that is not read although its name is close to that of a setting.
///
/// Its value is not included: the variable may be a secret of another program.
///
/// ```
/// use tower_auth_session::SessionOptions;
///
/// # fn main() -> Result<(), tower_auth_session::ConfigError> {
/// let env = SessionOptions::from_vars("SESSION_", [("SESSION_ORIGN", "https://app.example.com")])?;
/// assert_eq!(env.warnings[0].name(), "SESSION_ORIGN");
/// assert_eq!(env.warnings[0].suggestion(), "SESSION_ORIGIN");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvWarning {
    name: String,
    suggestion: String,
}

impl SessionOptions {
    /// The options that the process's environment holds, in variables named `SESSION_` and the name
    /// of the setting.
    ///
    /// Limits and durations have the text form of [`TimeLimit`](crate::config::TimeLimit) (`7d`, `90s`,
    /// `off`), `SESSION_MULTI` is `on`, `off`, `true`, `false`, `1` or `0`, and the origins of
    /// `SESSION_ALLOWED_REDIRECT_ORIGINS` are separated by commas.
    ///
    /// # Errors
    ///
    /// When a variable is empty, not Unicode or not valid for its setting. All problems are reported at
    /// once, each with the full name, the value and the remedy.
    pub fn from_env() -> Result<EnvOptions, ConfigError> {
        Self::from_env_with_prefix("SESSION_")
    }

    /// [`SessionOptions::from_env`] with another prefix than `SESSION_`; the underscore is part of
    /// it.
    ///
    /// # Errors
    ///
    /// As [`SessionOptions::from_env`].
    pub fn from_env_with_prefix(prefix: &str) -> Result<EnvOptions, ConfigError> {
        Self::from_vars(prefix, std::env::vars_os())
    }

    /// [`SessionOptions::from_env_with_prefix`] with variables from anywhere, as names and values. Of
    /// a name given twice the first counts, as it does for [`std::env::var`] on Unix.
    ///
    /// ```
    /// # use tower_auth_session::SessionOptions;
    /// let error = SessionOptions::from_vars("APP_", [("APP_MULTI", "yes")]).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "invalid session configuration: APP_MULTI = \"yes\": \
    ///      it is not a boolean; write on, off, true, false, 1 or 0",
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// As [`SessionOptions::from_env`].
    pub fn from_vars<N, V>(
        prefix: &str,
        vars: impl IntoIterator<Item = (N, V)>,
    ) -> Result<EnvOptions, ConfigError>
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let variable = |setting: &Setting| format!("{prefix}{}", setting.variable());
        let known: Vec<_> =
            Setting::ALL.iter().map(|setting| (variable(setting), setting)).collect();
        let mut values = BTreeMap::new();
        let mut warnings = Vec::new();
        for (name, value) in vars {
            // No setting has a name that is not Unicode.
            let Ok(name) = name.into().into_string() else { continue };
            if known.iter().any(|(known, _)| *known == name) {
                values.entry(name).or_insert_with(|| value.into());
            } else if let Some(setting) = misspelt(prefix, &name) {
                let suggestion = variable(setting);
                warnings.push(EnvWarning { name, suggestion });
            }
        }
        warnings.sort();
        warnings.dedup();

        let mut options = Self::default();
        let mut problems = Vec::new();
        for (name, setting) in known {
            let Some(value) = values.remove(&name) else { continue };
            if let Err(problem) = read(setting, name, value, &mut options) {
                problems.push(problem);
            }
        }
        ConfigError::check(problems)?;
        Ok(EnvOptions { options, warnings })
    }
}

impl EnvOptions {
    /// Drops the warnings about `names`, in full: variables that the application itself documents.
    ///
    /// ```
    /// # use tower_auth_session::SessionOptions;
    /// let vars = [("SESSION_SIGN_UP_URL", "/join")];
    /// let env = SessionOptions::from_vars("SESSION_", vars)?.known(&["SESSION_SIGN_UP_URL"]);
    /// assert!(env.warnings.is_empty());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn known(mut self, names: &[&str]) -> Self {
        self.warnings.retain(|warning| !names.contains(&warning.name()));
        self
    }

    /// Passes each warning to `report` and returns the options.
    pub fn warn(self, report: impl FnMut(EnvWarning)) -> SessionOptions {
        self.warnings.into_iter().for_each(report);
        self.options
    }
}

impl EnvWarning {
    /// The name that is not a setting.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name that may have been meant.
    #[must_use]
    pub fn suggestion(&self) -> &str {
        &self.suggestion
    }
}

impl fmt::Display for EnvWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.escape_debug();
        write!(f, "{name} is not a setting; did you mean {}?", self.suggestion)
    }
}

/// The setting that the unknown `name` may mean.
fn misspelt(prefix: &str, name: &str) -> Option<&'static Setting> {
    if let Some(suffix) = name.strip_prefix(prefix) {
        return Setting::near(suffix, 2);
    }
    // Outside the prefix names are others' (`APPLE_ORIGIN` is not near `APP_ORIGIN`), unless the
    // prefix itself is there in another spelling.
    let squashed = squash(name);
    let suffix = squashed.strip_prefix(squash(prefix).as_slice())?;
    Setting::near(str::from_utf8(suffix).ok()?, 0)
}

fn read(
    setting: &Setting,
    name: String,
    value: OsString,
    options: &mut SessionOptions,
) -> Result<(), ConfigProblem> {
    let allowed = match setting.form {
        ValueForm::Flag(_) => "on, off, true, false, 1 or 0",
        ValueForm::Origins(_) => {
            "origins with commas between them, such as https://a.example,https://b.example"
        }
        form => form.allowed_text(),
    };
    let text = match value.into_string() {
        Ok(text) => text,
        Err(raw) => {
            let remedy = format!("it is not Unicode; write {allowed}");
            return Err(ConfigProblem::new(name, raw.to_string_lossy(), remedy));
        }
    };
    if text.is_empty() {
        let remedy = format!("it is empty (unset it for the default); write {allowed}");
        return Err(ConfigProblem::new(name, text, remedy));
    }
    let given = match (setting.form, text.as_str()) {
        (ValueForm::Flag(_), "on" | "true" | "1") => RawValue::Flag(true),
        (ValueForm::Flag(_), "off" | "false" | "0") => RawValue::Flag(false),
        (ValueForm::Origins(_), list) => {
            RawValue::List(list.split(',').map(|item| item.trim().to_owned()).collect())
        }
        (_, text) => RawValue::Text(text.to_owned()),
    };
    setting
        .set(options, given)
        .map_err(|wrong| ConfigProblem::new(name, text, format!("{wrong}; write {allowed}")))
}
