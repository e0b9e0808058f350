//! Reading: CBOR items to serde's visitors.
//!
//! Visitors of structs see sequences and those of variants numbers, never names.

use minicbor::Decoder;
use minicbor::data::Type;
use serde::de::{self, DeserializeSeed, Visitor};

use super::Broken;

/// Gives one value.
pub(super) struct Reader<'de>(Decoder<'de>);

impl<'de> Reader<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self(Decoder::new(bytes))
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.position() == self.0.input().len()
    }

    fn array(&mut self) -> Result<u64, Broken> {
        self.0.array()?.ok_or(Broken)
    }

    fn is_next(&self, kind: Type) -> bool {
        self.0.datatype().is_ok_and(|next| next == kind)
    }

    /// The elements of an array whose head was read, all of them.
    fn elements<V: Visitor<'de>>(&mut self, len: u64, visitor: V) -> Result<V::Value, Broken> {
        let mut elements = Elements { reader: self, left: len };
        let value = visitor.visit_seq(&mut elements)?;
        if elements.left == 0 { Ok(value) } else { Err(Broken) }
    }
}

/// Types that only differ in what their visitors take.
macro_rules! as_another {
    ($($method:ident as $other:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
            self.$other(visitor)
        })*
    };
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Broken;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        match self.0.datatype()? {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => self.deserialize_u64(visitor),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 => self.deserialize_i64(visitor),
            Type::Bool => self.deserialize_bool(visitor),
            Type::Null => self.deserialize_option(visitor),
            Type::Bytes => self.deserialize_bytes(visitor),
            Type::String => self.deserialize_str(visitor),
            Type::Array => self.deserialize_seq(visitor),
            _ => Err(Broken),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_bool(self.0.bool()?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_u64(self.0.u64()?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_i64(self.0.i64()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_borrowed_str(self.0.str()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_borrowed_bytes(self.0.bytes()?)
    }

    as_another! {
        deserialize_u8 as deserialize_u64;
        deserialize_u16 as deserialize_u64;
        deserialize_u32 as deserialize_u64;
        deserialize_i8 as deserialize_i64;
        deserialize_i16 as deserialize_i64;
        deserialize_i32 as deserialize_i64;
        deserialize_string as deserialize_str;
        deserialize_byte_buf as deserialize_bytes;
        // A variant's number.
        deserialize_identifier as deserialize_u64;
    }

    fn deserialize_f32<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Broken> {
        Err(Broken)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Broken> {
        Err(Broken)
    }

    fn deserialize_char<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Broken> {
        Err(Broken)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        if self.is_next(Type::Null) {
            self.0.null()?;
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        if self.array()? == 0 { visitor.visit_unit() } else { Err(Broken) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Broken> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        let len = self.array()?;
        self.elements(len, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Broken> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Broken> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        let left = self.0.map()?.ok_or(Broken)?;
        let mut entries = Elements { reader: self, left };
        let value = visitor.visit_map(&mut entries)?;
        if entries.left == 0 { Ok(value) } else { Err(Broken) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Broken> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Broken> {
        let has_content = self.is_next(Type::Array);
        if has_content && self.array()? != 2 {
            return Err(Broken);
        }
        visitor.visit_enum(Variant { reader: self, has_content })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        self.0.skip()?;
        visitor.visit_unit()
    }
}

/// What is left of an array, or the entries of a map.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: u64,
}

impl Elements<'_, '_> {
    fn take(&mut self) -> bool {
        let is_one_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_one_left
    }

    /// No more than there are bytes: lengths are not believed.
    fn most(&self) -> usize {
        let bytes = self.reader.0.input().len() - self.reader.0.position();
        usize::try_from(self.left).map_or(bytes, |left| left.min(bytes))
    }
}

impl<'de> de::SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Broken;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Broken> {
        if self.take() { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.most())
    }
}

impl<'de> de::MapAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Broken;

    fn next_key_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Broken> {
        if self.take() { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Broken> {
        seed.deserialize(&mut *self.reader)
    }
}

/// An enum whose number comes next, and its content if it has any.
struct Variant<'a, 'de> {
    reader: &'a mut Reader<'de>,
    has_content: bool,
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Broken;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Broken> {
        let number = seed.deserialize(&mut *self.reader)?;
        Ok((number, self))
    }
}

impl<'a, 'de> Variant<'a, 'de> {
    fn content(self) -> Result<&'a mut Reader<'de>, Broken> {
        if self.has_content { Ok(self.reader) } else { Err(Broken) }
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Broken;

    fn unit_variant(self) -> Result<(), Broken> {
        if self.has_content { Err(Broken) } else { Ok(()) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Broken> {
        seed.deserialize(self.content()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Broken> {
        de::Deserializer::deserialize_seq(self.content()?, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Broken> {
        de::Deserializer::deserialize_seq(self.content()?, visitor)
    }
}
