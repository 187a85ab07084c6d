//! Member names: [`MemberNameSeed`] reads one, [`MemberName`] passes it to the application's type.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, IntoDeserializer, Visitor},
    forward_to_deserialize_any,
};

use super::de_error::ClaimsDeError;

/// Reads a member name, unescaped; borrowed from the payload if it has no escapes.
pub(super) struct MemberNameSeed;

impl<'de> DeserializeSeed<'de> for MemberNameSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for MemberNameSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// A name as a deserializer, for any type that the application uses for keys: a field, a string, a
/// newtype, an enum.
pub(super) struct MemberName<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserializer<'de> for MemberName<'de> {
    type Error = ClaimsDeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ClaimsDeError> {
        match self.0 {
            Cow::Borrowed(name) => visitor.visit_borrowed_str(name),
            Cow::Owned(name) => visitor.visit_string(name),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ClaimsDeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ClaimsDeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ClaimsDeError> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// How many names are stored without a tree: most claims have fewer members.
const INLINE_CAPACITY: usize = 8;

/// A set of names: no hashing and no allocation for few names, no quadratic search for many.
#[derive(Default)]
pub(super) struct SeenNames<'n> {
    inline: [Option<Cow<'n, str>>; INLINE_CAPACITY],
    overflow: BTreeSet<Cow<'n, str>>,
}

impl<'n> SeenNames<'n> {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.inline.iter().map_while(Option::as_deref).any(|known| known == name)
            || (!self.overflow.is_empty() && self.overflow.contains(name))
    }

    /// Adds `name`, and returns whether it is new.
    pub(super) fn insert(&mut self, name: Cow<'n, str>) -> bool {
        if self.contains(&name) {
            return false;
        }
        match self.inline.iter_mut().find(|place| place.is_none()) {
            Some(place) => drop(place.replace(name)),
            None => drop(self.overflow.insert(name)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::token::claims::member_name::*;

    #[test]
    fn seen_names_detect_repeats_among_any_number_of_names() {
        let mut names = SeenNames::default();
        for round in 0..2 {
            for n in 0..3 * INLINE_CAPACITY {
                assert_eq!(names.insert(format!("name-{n}").into()), round == 0, "{n}");
            }
        }
        assert!(names.contains("name-0") && names.contains("name-20"));
        assert!(!names.contains("name-24"));
    }
}
