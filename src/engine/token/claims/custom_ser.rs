//! [`Members`]: the application's claims on their way into the payload, one by one.

use std::{borrow::Cow, fmt};

use serde::{
    Serialize, Serializer,
    ser::{
        Error, Impossible, SerializeMap, SerializeStruct, SerializeStructVariant,
        SerializeTupleVariant,
    },
};

use super::{Claim, ClaimsError, member_name::Names};

/// Serde's error while claims are written.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) ClaimsError);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Refusal {}

impl Error for Refusal {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(ClaimsError::Serialize(text.to_string()))
    }
}

/// The application's members, written one by one.
pub(super) struct Members<'a> {
    pub(super) out: &'a mut Vec<u8>,
    names: Names<'static>,
    /// A key whose value has not come.
    key: Option<Cow<'static, str>>,
    /// The first refusal: the application's `Serialize` cannot make it undone.
    refused: Option<ClaimsError>,
}

impl<'a> Members<'a> {
    /// Writes the members of `custom` behind those that are in `out`.
    pub(super) fn write<C: Serialize>(out: &'a mut Vec<u8>, custom: &C) -> Result<(), ClaimsError> {
        let mut members = Self { out, names: Names::default(), key: None, refused: None };
        let outcome = custom.serialize(&mut members);
        members.refused.map_or_else(|| outcome.map_err(|Refusal(error)| error), Err)
    }

    /// Writes a name and its value.
    pub(super) fn member<T: Serialize + ?Sized>(
        &mut self,
        name: Cow<'static, str>,
        value: &T,
    ) -> Result<(), Refusal> {
        self.start(name)?;
        self.value(value)?;
        Ok(())
    }

    /// Writes a name, after which the caller writes the value.
    pub(super) fn start(&mut self, name: Cow<'static, str>) -> Result<&mut Vec<u8>, Refusal> {
        let written = self.name(name);
        self.noting(written)?;
        Ok(self.out)
    }

    /// Writes a value, or a part of one.
    pub(super) fn value<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
    ) -> Result<&mut Vec<u8>, Refusal> {
        let written = write(self.out, value);
        self.noting(written)?;
        Ok(self.out)
    }

    fn name(&mut self, name: Cow<'static, str>) -> Result<(), ClaimsError> {
        if let Some(claim) = Claim::named(&name) {
            return Err(ClaimsError::Reserved(claim.name()));
        }
        if self.names.contains(&name) {
            return Err(ClaimsError::Repeated(name.into_owned()));
        }
        self.out.push(b',');
        write(self.out, &name)?;
        self.out.push(b':');
        self.names.insert(name);
        Ok(())
    }

    fn noting<T>(&mut self, outcome: Result<T, ClaimsError>) -> Result<T, Refusal> {
        outcome.map_err(|error| Refusal(self.refused.get_or_insert(error).clone()))
    }
}

impl SerializeStruct for &mut Members<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        self.member(name.into(), value)
    }

    fn end(self) -> Result<(), Refusal> {
        Ok(())
    }
}

impl SerializeMap for &mut Members<'_> {
    type Ok = ();
    type Error = Refusal;

    /// What serde_json writes as a string is one: enums and newtypes of strings are keys too.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refusal> {
        let name = serde_json::to_string(key)
            .map_err(|error| ClaimsError::Serialize(error.to_string()))
            .and_then(|text| {
                serde_json::from_str::<String>(&text).map_err(|_| ClaimsError::KeyNotAString)
            });
        self.key = Some(self.noting(name)?.into());
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        match self.key.take() {
            Some(name) => self.member(name, value),
            None => Err(Refusal::custom("a value without a key")),
        }
    }

    fn end(self) -> Result<(), Refusal> {
        match self.key {
            None => Ok(()),
            Some(_) => Err(Refusal::custom("a key without a value")),
        }
    }
}

pub(super) fn write<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), ClaimsError> {
    serde_json::to_writer(out, value).map_err(|error| ClaimsError::Serialize(error.to_string()))
}

/// The content of an enum's variant: an array or object inside its one member.
pub(super) struct Content<'m, 'a> {
    members: &'m mut Members<'a>,
    end: u8,
}

impl<'m, 'a> Content<'m, 'a> {
    pub(super) fn start(
        members: &'m mut Members<'a>,
        variant: &'static str,
        [start, end]: [u8; 2],
    ) -> Result<Self, Refusal> {
        members.start(variant.into())?.push(start);
        Ok(Self { members, end })
    }

    fn comma(&mut self, start: u8) {
        if self.members.out.last() != Some(&start) {
            self.members.out.push(b',');
        }
    }

    fn finish(self) {
        self.members.out.push(self.end);
    }
}

impl SerializeTupleVariant for Content<'_, '_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        self.comma(b'[');
        self.members.value(value)?;
        Ok(())
    }

    fn end(self) -> Result<(), Refusal> {
        self.finish();
        Ok(())
    }
}

impl SerializeStructVariant for Content<'_, '_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        self.comma(b'{');
        self.members.value(name)?.push(b':');
        self.members.value(value)?;
        Ok(())
    }

    fn end(self) -> Result<(), Refusal> {
        self.finish();
        Ok(())
    }
}

macro_rules! not_a_map {
    ($($method:ident($type:ty),)*) => {
        $(fn $method(self, _: $type) -> Result<(), Refusal> {
            Err(Refusal(ClaimsError::NotAMap))
        })*
    };
}

impl<'m, 'a> Serializer for &'m mut Members<'a> {
    type Ok = ();
    type Error = Refusal;
    type SerializeSeq = Impossible<(), Refusal>;
    type SerializeTuple = Impossible<(), Refusal>;
    type SerializeTupleStruct = Impossible<(), Refusal>;
    type SerializeTupleVariant = Content<'m, 'a>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Content<'m, 'a>;

    not_a_map! {
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_i128(i128),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_u128(u128),
        serialize_f32(f32),
        serialize_f64(f64),
        serialize_char(char),
        serialize_str(&str),
        serialize_bytes(&[u8]),
    }

    fn serialize_none(self) -> Result<(), Refusal> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refusal> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Refusal> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Refusal> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<(), Refusal> {
        Err(Refusal(ClaimsError::NotAMap))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        self.member(variant.into(), value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Refusal> {
        Err(Refusal(ClaimsError::NotAMap))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Refusal> {
        Err(Refusal(ClaimsError::NotAMap))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Refusal> {
        Err(Refusal(ClaimsError::NotAMap))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Content<'m, 'a>, Refusal> {
        Content::start(self, variant, *b"[]")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Refusal> {
        Ok(self)
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self, Refusal> {
        // serde_json's own structs of this prefix stand for a number or for raw text.
        if name.starts_with("$serde_json::private::") {
            return Err(Refusal(ClaimsError::NotAMap));
        }
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Content<'m, 'a>, Refusal> {
        Content::start(self, variant, *b"{}")
    }
}
