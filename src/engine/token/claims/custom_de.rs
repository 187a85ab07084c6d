//! [`CustomClaimsDeserializer`]: a serde data format with which the application's type sees only
//! its own members of a payload.

use std::borrow::Cow;

use serde::{
    Deserializer,
    de::{DeserializeSeed, EnumAccess, Error, IgnoredAny, MapAccess, VariantAccess, Visitor},
    forward_to_deserialize_any,
};

use super::{
    Claim,
    de_error::ClaimsDeError,
    member_name::{MemberName, MemberNameSeed, SeenNames},
    registered::RegisteredClaimsBuilder,
};

/// The application's members of a payload. Registered claims are collected on the way.
pub(super) struct CustomClaimsDeserializer<'p, 'de, A> {
    access: A,
    registered: &'p mut RegisteredClaimsBuilder,
    /// All names of the application's members so far.
    names: SeenNames<'de>,
    /// A name that was read ahead.
    read_ahead: Option<Cow<'de, str>>,
    /// The name that was returned last.
    last_name: Cow<'de, str>,
    /// The payload is unreadable from here on, even if the application's type ignores the error.
    is_unreadable: bool,
}

impl<'p, 'de, A: MapAccess<'de>> CustomClaimsDeserializer<'p, 'de, A> {
    pub(super) fn new(access: A, registered: &'p mut RegisteredClaimsBuilder) -> Self {
        let (names, last_name) = (SeenNames::default(), Cow::Borrowed(""));
        Self { access, registered, names, read_ahead: None, last_name, is_unreadable: false }
    }

    /// Reads and checks the members that the application's type did not read.
    pub(super) fn finish(mut self) -> Result<(), ClaimsDeError> {
        while self.next_name()?.is_some() {
            self.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    /// The next name that is not a registered claim.
    fn next_name(&mut self) -> Result<Option<Cow<'de, str>>, ClaimsDeError> {
        if let Some(name) = self.read_ahead.take() {
            return Ok(Some(name));
        }
        if self.is_unreadable {
            return Err(ClaimsDeError::default());
        }
        let name = self.advance();
        self.is_unreadable = name.is_err();
        name
    }

    fn advance(&mut self) -> Result<Option<Cow<'de, str>>, ClaimsDeError> {
        while let Some(name) =
            self.access.next_key_seed(MemberNameSeed).map_err(ClaimsDeError::custom)?
        {
            let Some(claim) = Claim::named(&name) else {
                if !self.names.insert(name.clone()) {
                    return Err(ClaimsDeError::default());
                }
                self.last_name = name.clone();
                return Ok(Some(name));
            };
            if !self.registered.mark_seen(claim) {
                return Err(ClaimsDeError::default());
            }
            self.registered.read(claim, &mut self.access).map_err(ClaimsDeError::custom)?;
        }
        Ok(None)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for CustomClaimsDeserializer<'_, 'de, A> {
    type Error = ClaimsDeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ClaimsDeError> {
        self.next_name()?.map(|name| seed.deserialize(MemberName(name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, ClaimsDeError> {
        self.access.next_value_seed(seed).map_err(|_| {
            self.is_unreadable = true;
            ClaimsDeError::new(format!("the value of `{}` does not decode", self.last_name))
        })
    }
}

impl<'de, A: MapAccess<'de>> Deserializer<'de> for &mut CustomClaimsDeserializer<'_, 'de, A> {
    type Error = ClaimsDeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ClaimsDeError> {
        visitor.visit_map(self)
    }

    /// An object without members is `None`.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ClaimsDeError> {
        self.read_ahead = self.next_name()?;
        if self.read_ahead.is_some() { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    /// A type without members ignores all of them.
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ClaimsDeError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ClaimsDeError> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(
        self,
        visitor: V,
    ) -> Result<V::Value, ClaimsDeError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ClaimsDeError> {
        visitor.visit_newtype_struct(self)
    }

    /// Externally tagged: one member, named after the variant.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ClaimsDeError> {
        let value = visitor.visit_enum(&mut *self)?;
        match self.next_name()? {
            None => Ok(value),
            Some(name) => Err(ClaimsDeError::new(format!(
                "`{name}` is an additional member beside a variant"
            ))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf seq
        tuple tuple_struct map struct identifier
    }
}

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for &mut CustomClaimsDeserializer<'_, 'de, A> {
    type Error = ClaimsDeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), ClaimsDeError> {
        let name = self.next_name()?.ok_or_else(|| ClaimsDeError::new("the variant is missing"))?;
        Ok((seed.deserialize(MemberName(name))?, self))
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for &mut CustomClaimsDeserializer<'_, 'de, A> {
    type Error = ClaimsDeError;

    fn unit_variant(self) -> Result<(), ClaimsDeError> {
        self.next_value()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, ClaimsDeError> {
        self.next_value_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, ClaimsDeError> {
        self.next_value_seed(TupleSeed(len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ClaimsDeError> {
        self.next_value_seed(StructSeed(fields, visitor))
    }
}

struct TupleSeed<V>(usize, V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for TupleSeed<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_tuple(self.0, self.1)
    }
}

struct StructSeed<V>(&'static [&'static str], V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for StructSeed<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_struct("", self.0, self.1)
    }
}
