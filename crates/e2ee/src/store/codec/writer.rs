//! Writing: serde's calls to CBOR items.

use minicbor::Encoder;
use serde::ser::{self, Serialize};

use super::Broken;

/// The one field of OpenMLS's that it reads the machine's clock for (when an epoch's secrets were stored, an `Option` that only
/// deletion by age looks at; ours is by count). Nothing is stored of it: the engine is told the time, and reads none.
const CLOCK: &str = "added_at";

/// Takes one value.
pub(super) struct Writer(Encoder<Vec<u8>>);

impl Default for Writer {
    fn default() -> Self {
        Self(Encoder::new(Vec::new()))
    }
}

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_writer()
    }

    /// The head of an array (RFC 8949 §3): the elements follow.
    pub(super) fn array(&mut self, len: usize) -> Result<&mut Self, Broken> {
        self.0.array(len as u64)?;
        Ok(self)
    }

    /// `[number, …`: the content follows.
    fn variant(&mut self, number: u32) -> Result<&mut Self, Broken> {
        self.0.array(2)?.u32(number)?;
        Ok(self)
    }
}

type Done = Result<(), Broken>;

impl<'a> ser::Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Broken;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Done {
        self.0.bool(value)?;
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Done {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Done {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Done {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Done {
        self.0.i64(value)?;
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Done {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Done {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Done {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Done {
        self.0.u64(value)?;
        Ok(())
    }

    fn serialize_f32(self, _: f32) -> Done {
        Err(Broken)
    }

    fn serialize_f64(self, _: f64) -> Done {
        Err(Broken)
    }

    fn serialize_char(self, _: char) -> Done {
        Err(Broken)
    }

    fn serialize_str(self, value: &str) -> Done {
        self.0.str(value)?;
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Done {
        self.0.bytes(value)?;
        Ok(())
    }

    fn serialize_none(self) -> Done {
        self.0.null()?;
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Done {
        self.0.array(0)?;
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, number: u32, _: &'static str) -> Done {
        self.serialize_u32(number)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        number: u32,
        _: &'static str,
        value: &T,
    ) -> Done {
        value.serialize(self.variant(number)?)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<&'a mut Writer, Broken> {
        self.array(len.ok_or(Broken)?)
    }

    fn serialize_tuple(self, len: usize) -> Result<&'a mut Writer, Broken> {
        self.array(len)
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<&'a mut Writer, Broken> {
        self.array(len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        number: u32,
        _: &'static str,
        len: usize,
    ) -> Result<&'a mut Writer, Broken> {
        self.variant(number)?.array(len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<&'a mut Writer, Broken> {
        self.0.map(len.ok_or(Broken)? as u64)?;
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<&'a mut Writer, Broken> {
        self.array(len)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        number: u32,
        _: &'static str,
        len: usize,
    ) -> Result<&'a mut Writer, Broken> {
        self.variant(number)?.array(len)
    }
}

/// Elements and fields follow their head; nothing ends them.
macro_rules! elements {
    ($($compound:ident, $method:ident $(, $name:ty)?;)*) => {
        $(impl ser::$compound for &mut Writer {
            type Ok = ();
            type Error = Broken;

            fn $method<T: Serialize + ?Sized>(&mut self $(, _: $name)?, value: &T) -> Done {
                value.serialize(&mut **self)
            }

            fn end(self) -> Done {
                Ok(())
            }
        })*
    };
}

elements! {
    SerializeSeq, serialize_element;
    SerializeTuple, serialize_element;
    SerializeTupleStruct, serialize_field;
    SerializeTupleVariant, serialize_field;
    SerializeStructVariant, serialize_field, &'static str;
}

impl ser::SerializeStruct for &mut Writer {
    type Ok = ();
    type Error = Broken;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Done {
        if name == CLOCK { ser::Serializer::serialize_none(&mut **self) } else { value.serialize(&mut **self) }
    }

    fn end(self) -> Done {
        Ok(())
    }
}

impl ser::SerializeMap for &mut Writer {
    type Ok = ();
    type Error = Broken;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut **self)
    }

    fn end(self) -> Done {
        Ok(())
    }
}
