//! [`SessionOptions`] from TOML, JSON or any other self-describing format.
//!
//! The errors of a derived implementation name neither the key nor, for most formats, the value.
//! Therefore every value is read as it is and checked here.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    SessionOptions,
    setting::{RawValue, Setting, ValueForm},
};
use crate::error::{ConfigError, ConfigProblem};

const KEYS: [&str; Setting::ALL.len()] = {
    let mut keys = [""; Setting::ALL.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = Setting::ALL[at].key;
        at += 1;
    }
    keys
};

/// With the feature `serde`. Unknown keys are rejected, and so is `null`: it could mean "off" or "the
/// default". All problems are reported at once.
///
/// Give the settings a table of their own: `#[serde(flatten)]` drops unknown keys, and a misspelt one
/// would go unnoticed.
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
            let Some(setting) = Setting::ALL.iter().find(|setting| setting.key == key) else {
                problems.push(unknown(&key, &value));
                continue;
            };
            let shown = value.to_string();
            let result = if seen.contains(&setting.key) {
                Err("it is given twice")
            } else {
                read(setting, value, &mut options)
            };
            seen.push(setting.key);
            if let Err(wrong) = result {
                let remedy = format!("{wrong}; write {}", allowed(setting.form));
                problems.push(ConfigProblem::new(setting.key, shown, remedy));
            }
        }
        ConfigError::check(problems).map_err(A::Error::custom)?;
        Ok(options)
    }
}

fn read(setting: &Setting, value: Value, options: &mut SessionOptions) -> Result<(), &'static str> {
    let given = match value {
        Value::Text(text) if text.is_empty() => Err("it is empty (leave it out for the default)"),
        Value::Text(text) => Ok(RawValue::Text(text)),
        Value::Flag(on) => Ok(RawValue::Flag(on)),
        Value::List(items) => {
            let texts = items.into_iter().map(Value::into_text).collect::<Option<_>>();
            texts.map(RawValue::List).ok_or_else(|| setting.form.wrong_shape())
        }
        Value::Null => Err("it is null (leave it out for the default)"),
        Value::Number(_)
            if matches!(setting.form, ValueForm::Limit(_) | ValueForm::Duration(_)) =>
        {
            Err("a number has no unit")
        }
        Value::Number(_) | Value::Other(_) => Err(setting.form.wrong_shape()),
    };
    setting.set(options, given?)
}

fn allowed(form: ValueForm) -> String {
    match form {
        ValueForm::Flag(_) => "true or false".to_owned(),
        ValueForm::Origins(_) => {
            r#"a list of strings, such as ["https://accounts.example.com"]"#.to_owned()
        }
        text => format!("a string: {}", text.allowed_text()),
    }
}

/// A text under a name that resembles no setting may be a secret, and is not shown.
fn unknown(key: &str, value: &Value) -> ConfigProblem {
    let near = Setting::near(key, 2);
    let shown = match value {
        Value::Flag(_) | Value::Number(_) | Value::Null => value.to_string(),
        _ if near.is_some() => value.to_string(),
        _ => "(not shown)".to_owned(),
    };
    let guess = near.map(|near| format!("; did you mean {}?", near.key)).unwrap_or_default();
    let remedy = format!("it is not a setting{guess}; allowed are {}", KEYS.join(", "));
    ConfigProblem::new(key.escape_debug().to_string(), shown, remedy)
}

/// Any value of the format, kept so that it can be shown.
pub(crate) enum Value {
    Text(String),
    Flag(bool),
    Number(String),
    List(Vec<Self>),
    Null,
    Other(&'static str),
}

impl Value {
    pub(crate) fn into_text(self) -> Option<String> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Number(text) => f.write_str(text),
            Self::Flag(on) => on.fmt(f),
            Self::List(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Self::Null => f.write_str("null"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value of a session setting")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, on: bool) -> Result<Value, E> {
        Ok(Value::Flag(on))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        // TOML's dates and times also arrive as maps. The content is not shown in errors.
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other("(a table, date or time)"))
    }
}

#[cfg(test)]
mod tests;
