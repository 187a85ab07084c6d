//! [`ClaimsWriter`]: writes the application's claims into the payload.

use std::{borrow::Cow, fmt};

use serde::{
    Serialize, Serializer,
    ser::{
        Error, Impossible, SerializeMap, SerializeStruct, SerializeStructVariant,
        SerializeTupleVariant,
    },
};

use super::{Claim, ClaimsError, member_name::SeenNames};

/// Serde's error while claims are written.
#[derive(Debug)]
pub(super) struct ClaimsWriteError(pub(super) ClaimsError);

impl fmt::Display for ClaimsWriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for ClaimsWriteError {}

impl Error for ClaimsWriteError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(ClaimsError::Serialize(text.to_string()))
    }
}

/// Serializer for the application's members.
pub(super) struct ClaimsWriter<'a> {
    pub(super) out: &'a mut Vec<u8>,
    names: SeenNames<'static>,
    /// A key whose value has not been written yet.
    key: Option<Cow<'static, str>>,
    /// The first error, kept even if the application's `Serialize` ignores it.
    first_error: Option<ClaimsError>,
}

impl<'a> ClaimsWriter<'a> {
    /// Appends the members of `custom` to `out`.
    pub(super) fn write<C: Serialize>(out: &'a mut Vec<u8>, custom: &C) -> Result<(), ClaimsError> {
        let mut members = Self { out, names: SeenNames::default(), key: None, first_error: None };
        let outcome = custom.serialize(&mut members);
        members.first_error.map_or_else(|| outcome.map_err(|ClaimsWriteError(error)| error), Err)
    }

    /// Writes a member.
    pub(super) fn member<T: Serialize + ?Sized>(
        &mut self,
        name: Cow<'static, str>,
        value: &T,
    ) -> Result<(), ClaimsWriteError> {
        self.start(name)?;
        self.value(value)?;
        Ok(())
    }

    /// Writes a name; the caller writes the value.
    pub(super) fn start(
        &mut self,
        name: Cow<'static, str>,
    ) -> Result<&mut Vec<u8>, ClaimsWriteError> {
        let written = self.name(name);
        self.keep_first_error(written)?;
        Ok(self.out)
    }

    /// Writes a value, or a part of one.
    pub(super) fn value<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
    ) -> Result<&mut Vec<u8>, ClaimsWriteError> {
        let written = write(self.out, value);
        self.keep_first_error(written)?;
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

    fn keep_first_error<T>(
        &mut self,
        outcome: Result<T, ClaimsError>,
    ) -> Result<T, ClaimsWriteError> {
        outcome.map_err(|error| ClaimsWriteError(self.first_error.get_or_insert(error).clone()))
    }
}

impl SerializeStruct for &mut ClaimsWriter<'_> {
    type Ok = ();
    type Error = ClaimsWriteError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ClaimsWriteError> {
        self.member(name.into(), value)
    }

    fn end(self) -> Result<(), ClaimsWriteError> {
        Ok(())
    }
}

impl SerializeMap for &mut ClaimsWriter<'_> {
    type Ok = ();
    type Error = ClaimsWriteError;

    /// A key that serde_json writes as a string is accepted: also enums and newtypes of strings.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ClaimsWriteError> {
        let name = serde_json::to_string(key)
            .map_err(|error| ClaimsError::Serialize(error.to_string()))
            .and_then(|text| {
                serde_json::from_str::<String>(&text).map_err(|_| ClaimsError::KeyNotAString)
            });
        self.key = Some(self.keep_first_error(name)?.into());
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
    ) -> Result<(), ClaimsWriteError> {
        match self.key.take() {
            Some(name) => self.member(name, value),
            None => Err(ClaimsWriteError::custom("a value without a key")),
        }
    }

    fn end(self) -> Result<(), ClaimsWriteError> {
        match self.key {
            None => Ok(()),
            Some(_) => Err(ClaimsWriteError::custom("a key without a value")),
        }
    }
}

pub(super) fn write<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), ClaimsError> {
    serde_json::to_writer(out, value).map_err(|error| ClaimsError::Serialize(error.to_string()))
}

/// The content of an enum variant: an array or object inside its only member.
pub(super) struct VariantWriter<'m, 'a> {
    members: &'m mut ClaimsWriter<'a>,
    end: u8,
}

impl<'m, 'a> VariantWriter<'m, 'a> {
    pub(super) fn start(
        members: &'m mut ClaimsWriter<'a>,
        variant: &'static str,
        [start, end]: [u8; 2],
    ) -> Result<Self, ClaimsWriteError> {
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

impl SerializeTupleVariant for VariantWriter<'_, '_> {
    type Ok = ();
    type Error = ClaimsWriteError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
    ) -> Result<(), ClaimsWriteError> {
        self.comma(b'[');
        self.members.value(value)?;
        Ok(())
    }

    fn end(self) -> Result<(), ClaimsWriteError> {
        self.finish();
        Ok(())
    }
}

impl SerializeStructVariant for VariantWriter<'_, '_> {
    type Ok = ();
    type Error = ClaimsWriteError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ClaimsWriteError> {
        self.comma(b'{');
        self.members.value(name)?.push(b':');
        self.members.value(value)?;
        Ok(())
    }

    fn end(self) -> Result<(), ClaimsWriteError> {
        self.finish();
        Ok(())
    }
}

macro_rules! not_a_map {
    ($($method:ident($type:ty),)*) => {
        $(fn $method(self, _: $type) -> Result<(), ClaimsWriteError> {
            Err(ClaimsWriteError(ClaimsError::NotAMap))
        })*
    };
}

impl<'m, 'a> Serializer for &'m mut ClaimsWriter<'a> {
    type Ok = ();
    type Error = ClaimsWriteError;
    type SerializeSeq = Impossible<(), ClaimsWriteError>;
    type SerializeTuple = Impossible<(), ClaimsWriteError>;
    type SerializeTupleStruct = Impossible<(), ClaimsWriteError>;
    type SerializeTupleVariant = VariantWriter<'m, 'a>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = VariantWriter<'m, 'a>;

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

    fn serialize_none(self) -> Result<(), ClaimsWriteError> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ClaimsWriteError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), ClaimsWriteError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), ClaimsWriteError> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<(), ClaimsWriteError> {
        Err(ClaimsWriteError(ClaimsError::NotAMap))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), ClaimsWriteError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), ClaimsWriteError> {
        self.member(variant.into(), value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, ClaimsWriteError> {
        Err(ClaimsWriteError(ClaimsError::NotAMap))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, ClaimsWriteError> {
        Err(ClaimsWriteError(ClaimsError::NotAMap))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, ClaimsWriteError> {
        Err(ClaimsWriteError(ClaimsError::NotAMap))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<VariantWriter<'m, 'a>, ClaimsWriteError> {
        VariantWriter::start(self, variant, *b"[]")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, ClaimsWriteError> {
        Ok(self)
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self, ClaimsWriteError> {
        // serde_json's private structs with this prefix stand for a number or for raw text.
        if name.starts_with("$serde_json::private::") {
            return Err(ClaimsWriteError(ClaimsError::NotAMap));
        }
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<VariantWriter<'m, 'a>, ClaimsWriteError> {
        VariantWriter::start(self, variant, *b"{}")
    }
}
