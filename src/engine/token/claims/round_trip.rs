//! [`check_round_trip`]: claims that change in a round trip fail at sign-in.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{ClaimsError, decode::decode_with_reason, encode::encode};

/// Whether a `C` can be decoded from the `payload` that [`encode()`] made of one.
///
/// The payload is decoded and encoded again, and the results are compared. This finds claims that
/// serialize but do not deserialize (a NaN, which JSON writes as `null`; keys that are not strings;
/// an omitted member without a default) and claims that decode to another value (a member renamed
/// in one direction, a member that is skipped when reading).
///
/// It does not find values with the same encoding: a NaN in an `Option`, which decodes to `None`;
/// an empty map in an `Option`, likewise; an order that a set or map does not keep. A float may
/// lose its last bit, unless serde_json has its feature `float_roundtrip`.
///
/// # Errors
///
/// [`ClaimsError::RoundTrip`].
pub(crate) fn check_round_trip<C>(payload: &[u8]) -> Result<(), ClaimsError>
where
    C: Serialize + DeserializeOwned,
{
    let round_trip_error = |why: &dyn ToString| ClaimsError::RoundTrip(why.to_string());
    let (registered, custom) =
        decode_with_reason::<C>(payload).map_err(|error| round_trip_error(&error))?;
    let custom = custom.map_err(|mismatch| round_trip_error(&mismatch))?;
    let again = encode(&registered, &custom).map_err(|error| round_trip_error(&error))?;
    if again == payload {
        return Ok(());
    }
    let (before, after) = (serde_json::from_slice(payload), serde_json::from_slice(&again));
    match (before, after) {
        (Ok(Value::Object(before)), Ok(Value::Object(after))) => {
            let changed = before
                .iter()
                .find(|&(name, value)| !after.get(name).is_some_and(|other| json_eq(value, other)));
            let added = || after.iter().find(|&(name, _)| !before.contains_key(name));
            match changed.or_else(added) {
                None => Ok(()),
                Some((name, _)) => {
                    Err(round_trip_error(&format!("`{name}` decodes to another value")))
                }
            }
        }
        _ => Err(round_trip_error(&"they decode to another value")),
    }
}

/// Equality except for the order of elements, which hash sets do not keep, and for the last bits of
/// floats.
fn json_eq(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, value)| other.get(name).is_some_and(|other| json_eq(value, other)))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && (all_eq(one, other) || all_eq(sorted(one), sorted(other)))
        }
        (Value::Number(one), Value::Number(other)) => {
            one == other
                || match (one.as_f64(), other.as_f64()) {
                    (Some(a), Some(b)) if one.is_f64() && other.is_f64() => {
                        (a - b).abs() <= a.abs() * 4.0 * f64::EPSILON
                    }
                    _ => false,
                }
        }
        _ => one == other,
    }
}

fn all_eq<'v>(
    one: impl IntoIterator<Item = &'v Value>,
    other: impl IntoIterator<Item = &'v Value>,
) -> bool {
    one.into_iter().zip(other).all(|(one, other)| json_eq(one, other))
}

fn sorted(values: &[Value]) -> Vec<&Value> {
    let mut values: Vec<_> = values.iter().collect();
    values.sort_by_cached_key(ToString::to_string);
    values
}
