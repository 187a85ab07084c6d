//! JSON objects without duplicate members.

use std::{collections::BTreeMap, fmt};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use zeroize::Zeroize as _;

/// The members of an object. They may be a private key, so strings are zeroized on drop.
pub(crate) struct JsonObject {
    values: BTreeMap<String, Value>,
    duplicates: bool,
}

impl JsonObject {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Whether a name appears twice. Such an object must be rejected: RFC 8259 §4 calls the
    /// behaviour of readers unpredictable.
    pub(crate) fn has_duplicates(&self) -> bool {
        self.duplicates
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct JsonMap;
        impl<'de> Visitor<'de> for JsonMap {
            type Value = JsonObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonObject, A::Error> {
                let mut members = JsonObject { values: BTreeMap::new(), duplicates: false };
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if let Some(mut first) = members.values.insert(name, value) {
                        members.duplicates = true;
                        wipe(&mut first);
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(JsonMap)
    }
}

/// The first `MAX` objects of an array. The rest of the array is skipped unread.
pub(crate) struct UpTo<const MAX: usize>(pub(crate) Vec<JsonObject>);

impl<'de, const MAX: usize> Deserialize<'de> for UpTo<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Objects<const MAX: usize>;
        impl<'de, const MAX: usize> Visitor<'de> for Objects<MAX> {
            type Value = UpTo<MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of objects")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<UpTo<MAX>, A::Error> {
                let mut first = Vec::new();
                while first.len() < MAX {
                    let Some(object) = array.next_element()? else { return Ok(UpTo(first)) };
                    first.push(object);
                }
                while array.next_element::<IgnoredAny>()?.is_some() {}
                Ok(UpTo(first))
            }
        }
        deserializer.deserialize_seq(Objects)
    }
}

impl Drop for JsonObject {
    fn drop(&mut self) {
        self.values.values_mut().for_each(wipe);
    }
}

fn wipe(value: &mut Value) {
    if let Value::String(text) = value {
        text.zeroize();
    }
}
