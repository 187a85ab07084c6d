//! [`SessionOptions`] from TOML, JSON or any other self-describing format.
//!
//! What a derived implementation would say of a wrong value names neither the key nor, for most
//! formats, the value. So every value is taken as it is, and judged here.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

use super::{
    SessionOptions,
    setting::{Given, Setting},
    value::Value,
};
use crate::error::{ConfigError, ConfigProblem};

const KEYS: [&str; Setting::ALL.len()] = {
    let mut keys = [""; Setting::ALL.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = Setting::ALL[at].key();
        at += 1;
    }
    keys
};

/// With the feature `serde`. Unknown keys are refused, `null` too: whether it means "off" or "the
/// default" would be a guess. All problems are told at once.
///
/// The settings want a table of their own: `#[serde(flatten)]` keeps unknown keys to itself, and a
/// misspelt one would go unnoticed.
impl<'de> Deserialize<'de> for SessionOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("SessionOptions", &KEYS, OptionsVisitor)
    }
}

struct OptionsVisitor;

impl<'de> Visitor<'de> for OptionsVisitor {
    type Value = SessionOptions;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session settings by name ({})", KEYS.join(", "))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SessionOptions, A::Error> {
        let mut options = SessionOptions::default();
        let mut problems = Vec::new();
        let mut seen = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let value: Value = map.next_value()?;
            let Some(setting) = Setting::ALL.into_iter().find(|setting| setting.key() == key)
            else {
                problems.push(unknown(&key, &value));
                continue;
            };
            let shown = value.to_string();
            let result = if seen.contains(&setting) {
                Err("it is given twice")
            } else {
                read(setting, value, &mut options)
            };
            seen.push(setting);
            if let Err(wrong) = result {
                let remedy = format!("{wrong}; write {}", allowed(setting));
                problems.push(ConfigProblem::new(setting.key(), shown, remedy));
            }
        }
        ConfigError::check(problems).map_err(A::Error::custom)?;
        Ok(options)
    }
}

fn read(setting: Setting, value: Value, options: &mut SessionOptions) -> Result<(), &'static str> {
    let given = match value {
        Value::Text(text) if text.is_empty() => Err("it is empty (leave it out for the default)"),
        Value::Text(text) => Ok(Given::Text(text)),
        Value::Flag(on) => Ok(Given::Flag(on)),
        Value::List(items) => {
            let texts = items.into_iter().map(Value::into_text).collect::<Option<_>>();
            texts.map(Given::List).ok_or_else(|| setting.wrong_shape())
        }
        Value::Null => Err("it is null (leave it out for the default)"),
        Value::Number(_) if is_duration(setting) => Err("a number has no unit"),
        Value::Number(_) | Value::Other(_) => Err(setting.wrong_shape()),
    };
    setting.set(options, given?)
}

fn is_duration(setting: Setting) -> bool {
    matches!(setting, Setting::InactivityTimeout | Setting::MaximumLifetime | Setting::RenewAfter)
}

fn allowed(setting: Setting) -> String {
    match setting {
        Setting::MultiSession => "true or false".to_owned(),
        Setting::AllowedRedirectOrigins => {
            r#"a list of strings, such as ["https://accounts.example.com"]"#.to_owned()
        }
        text => format!("a string: {}", text.allowed_text()),
    }
}

/// A text under a name that is nothing like ours may be somebody's secret, and is not shown.
fn unknown(key: &str, value: &Value) -> ConfigProblem {
    let near = Setting::near(key, 2);
    let shown = match value {
        Value::Flag(_) | Value::Number(_) | Value::Null => value.to_string(),
        _ if near.is_some() => value.to_string(),
        _ => "(not shown)".to_owned(),
    };
    let guess = near.map(|near| format!("; did you mean {}?", near.key())).unwrap_or_default();
    let remedy = format!("it is not a setting{guess}; allowed are {}", KEYS.join(", "));
    ConfigProblem::new(key.escape_debug().to_string(), shown, remedy)
}

#[cfg(test)]
mod tests;
