//! [`Members`]: the application's claims on their way into the payload, one by one.

use std::{borrow::Cow, fmt};

use serde::{
    Serialize,
    ser::{Error, SerializeMap, SerializeStruct},
};

use super::{Claim, ClaimsError, names::Names};

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
