//! [`Content`]: the value of an enum's variant.

use serde::{
    Serialize,
    ser::{SerializeStructVariant, SerializeTupleVariant},
};

use super::custom_ser::{Members, Refusal};

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
