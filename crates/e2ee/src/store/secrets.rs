//! `message_secrets`, the row that every message rewrites, cut so that a message rewrites little.
//!
//! OpenMLS hands over one value: the current epoch's secrets and, in `past_epoch_trees`, each past epoch's secrets with
//! its whole member list: 268 kB at 32 members. Here every past epoch gets a row of its own and the rest one row each,
//! so that a message in the current epoch writes about 2 kB.
//!
//! Reading puts the pieces back together: encoded elements may simply be concatenated. Rows are named by their fields'
//! positions; the position that no row has is that of `past_epoch_trees`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::ser::{Impossible, SerializeSeq, SerializeStruct, Serializer};

use super::codec::{Broken, array_of, decode, encode};
use super::{Store, StoreError};

const PREFIX: &[u8] = b"mls/secrets/";
const PAST: &[u8] = b"mls/secrets/past/";
const PAST_FIELD: &str = "past_epoch_trees";

impl Store {
    pub(super) fn put_message_secrets<T: Serialize>(&self, value: &T) -> Result<(), StoreError> {
        let fields = value
            .serialize(Fields { skip: self.past_untouched.get().then_some(PAST_FIELD) })
            .map_err(|_| StoreError::Encode)?;
        for (position, piece) in fields.0.into_iter().enumerate() {
            match piece {
                Piece::Skipped => {}
                Piece::Value(bytes) => self.put_bytes(&field_key(position)?, bytes),
                Piece::Past(elements) => self.put_past(elements)?,
            }
        }
        Ok(())
    }

    fn put_past(&self, elements: Vec<Vec<u8>>) -> Result<(), StoreError> {
        let mut old = self.keys_under(PAST);
        for element in elements {
            let mut key = PAST.to_vec();
            key.extend(epoch_of(&element)?.to_be_bytes());
            old.retain(|known| *known != key);
            self.put_bytes(&key, element);
        }
        for key in old {
            self.delete(&key);
        }
        Ok(())
    }

    pub(super) fn read_message_secrets<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        let keys = self.keys_under(PREFIX);
        let (past, fields): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.starts_with(PAST));
        if fields.is_empty() {
            return Ok(None);
        }
        let value = |key: &Vec<u8>| self.bytes(key).ok_or(StoreError::Decode);
        let past = array_of(&past.iter().map(value).collect::<Result<Vec<_>, _>>()?)?;
        let is_gap = |(position, key): (usize, &Vec<u8>)| field_key(position).as_ref() != Ok(key);
        let gap = fields.iter().enumerate().position(is_gap).unwrap_or(fields.len());
        let mut fields = fields.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        fields.insert(gap, past);
        decode(&array_of(&fields)?).map(Some)
    }

    /// True if the secrets of this past epoch are kept.
    pub(crate) fn holds_past_epoch(&self, epoch: u64) -> bool {
        self.bytes(&[PAST, &epoch.to_be_bytes()].concat()).is_some()
    }

    pub(super) fn delete_message_secrets_rows(&self) {
        for key in self.keys_under(PREFIX) {
            self.delete(&key);
        }
    }
}

fn field_key(position: usize) -> Result<Vec<u8>, StoreError> {
    let position = u8::try_from(position).ok().filter(|position| *position < 10).ok_or(StoreError::Encode)?;
    Ok([PREFIX, &[b'0' + position]].concat())
}

/// The first field of OpenMLS's `EpochTree`.
fn epoch_of(element: &[u8]) -> Result<u64, StoreError> {
    let mut decoder = minicbor::Decoder::new(element);
    decoder.array().and_then(|_| decoder.u64()).map_err(|_| StoreError::Decode)
}

enum Piece {
    Value(Vec<u8>),
    Past(Vec<Vec<u8>>),
    Skipped,
}

struct Pieces(Vec<Piece>);

/// Not a struct with a sequence of past epochs: the layout of OpenMLS has changed under us.
fn unexpected<T>() -> Result<T, Broken> {
    Err(Broken)
}

/// Takes a struct apart into one encoded piece per field.
struct Fields {
    skip: Option<&'static str>,
}

struct FieldsOf {
    skip: Option<&'static str>,
    pieces: Vec<Piece>,
}

impl SerializeStruct for FieldsOf {
    type Ok = Pieces;
    type Error = Broken;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Broken> {
        let piece = if self.skip == Some(name) {
            Piece::Skipped
        } else if name == PAST_FIELD {
            Piece::Past(value.serialize(Elements)?)
        } else {
            Piece::Value(encode(value).map_err(|_| Broken)?)
        };
        self.pieces.push(piece);
        Ok(())
    }

    fn end(self) -> Result<Pieces, Broken> {
        Ok(Pieces(self.pieces))
    }
}

/// Takes a sequence apart into its encoded elements.
struct Elements;

struct ElementsOf(Vec<Vec<u8>>);

impl SerializeSeq for ElementsOf {
    type Ok = Vec<Vec<u8>>;
    type Error = Broken;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Broken> {
        self.0.push(encode(value).map_err(|_| Broken)?);
        Ok(())
    }

    fn end(self) -> Result<Vec<Vec<u8>>, Broken> {
        Ok(self.0)
    }
}

/// All of serde's shapes that the two serializers above do not expect.
macro_rules! refuse {
    ($ok:ty $(, $method:ident($($kind:ty),*))* $(,)?) => {
        $(fn $method(self $(, _: $kind)*) -> Result<$ok, Broken> { unexpected() })*

        fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<$ok, Broken> { unexpected() }

        fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<$ok, Broken> {
            unexpected()
        }

        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<$ok, Broken> {
            unexpected()
        }

        fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Broken> { unexpected() }

        fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Broken> {
            unexpected()
        }

        fn serialize_tuple_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleVariant, Broken> {
            unexpected()
        }

        fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Broken> { unexpected() }

        fn serialize_struct_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStructVariant, Broken> {
            unexpected()
        }
    };
    (scalars $ok:ty) => {
        refuse!(
            $ok,
            serialize_bool(bool),
            serialize_i8(i8),
            serialize_i16(i16),
            serialize_i32(i32),
            serialize_i64(i64),
            serialize_u8(u8),
            serialize_u16(u16),
            serialize_u32(u32),
            serialize_u64(u64),
            serialize_f32(f32),
            serialize_f64(f64),
            serialize_char(char),
            serialize_str(&str),
            serialize_bytes(&[u8]),
            serialize_none(),
            serialize_unit(),
            serialize_unit_struct(&'static str),
            serialize_unit_variant(&'static str, u32, &'static str),
        );
    };
}

impl Serializer for Fields {
    type Ok = Pieces;
    type Error = Broken;
    type SerializeSeq = Impossible<Pieces, Broken>;
    type SerializeTuple = Impossible<Pieces, Broken>;
    type SerializeTupleStruct = Impossible<Pieces, Broken>;
    type SerializeTupleVariant = Impossible<Pieces, Broken>;
    type SerializeMap = Impossible<Pieces, Broken>;
    type SerializeStruct = FieldsOf;
    type SerializeStructVariant = Impossible<Pieces, Broken>;

    refuse!(scalars Pieces);

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Broken> {
        unexpected()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<FieldsOf, Broken> {
        Ok(FieldsOf { skip: self.skip, pieces: Vec::new() })
    }
}

impl Serializer for Elements {
    type Ok = Vec<Vec<u8>>;
    type Error = Broken;
    type SerializeSeq = ElementsOf;
    type SerializeTuple = Impossible<Vec<Vec<u8>>, Broken>;
    type SerializeTupleStruct = Impossible<Vec<Vec<u8>>, Broken>;
    type SerializeTupleVariant = Impossible<Vec<Vec<u8>>, Broken>;
    type SerializeMap = Impossible<Vec<Vec<u8>>, Broken>;
    type SerializeStruct = Impossible<Vec<Vec<u8>>, Broken>;
    type SerializeStructVariant = Impossible<Vec<Vec<u8>>, Broken>;

    refuse!(scalars Vec<Vec<u8>>);

    fn serialize_seq(self, _: Option<usize>) -> Result<ElementsOf, Broken> {
        Ok(ElementsOf(Vec::new()))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Broken> {
        unexpected()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::rows::Rows;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Tree {
        epoch: u64,
        body: Vec<u8>,
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Secrets {
        max_epochs: usize,
        past_epoch_trees: Vec<Tree>,
        message_secrets: Vec<u8>,
    }

    fn secrets(epochs: &[u64]) -> Secrets {
        let past_epoch_trees =
            epochs.iter().map(|epoch| Tree { epoch: *epoch, body: vec![*epoch as u8; 40] }).collect();
        Secrets { max_epochs: 3, past_epoch_trees, message_secrets: vec![9; 40] }
    }

    #[test]
    fn pieces_come_back_as_they_were_and_dropped_epochs_go() {
        let store = Store::new(Rows::default());
        store.put_message_secrets(&secrets(&[255, 256, 257])).unwrap();
        assert_eq!(store.read_message_secrets::<Secrets>().unwrap(), Some(secrets(&[255, 256, 257])));
        store.put_message_secrets(&secrets(&[256, 257, 258])).unwrap();
        assert_eq!(store.read_message_secrets::<Secrets>().unwrap(), Some(secrets(&[256, 257, 258])));
        assert_eq!(store.keys_under(PAST).len(), 3);
    }

    #[test]
    fn only_what_changed_is_written() {
        let store = Store::new(Rows::default());
        store.put_message_secrets(&secrets(&[1, 2, 3])).unwrap();
        store.finish();
        store.take();
        let mut next = secrets(&[1, 2, 3]);
        next.message_secrets[0] = 8;
        store.put_message_secrets(&next).unwrap();
        store.finish();
        assert_eq!(store.take().puts.len(), 1);
    }

    #[test]
    fn an_untouched_past_is_neither_encoded_nor_lost() {
        let store = Store::new(Rows::default());
        store.put_message_secrets(&secrets(&[1, 2, 3])).unwrap();
        store.leave_past_alone();
        store.put_message_secrets(&secrets(&[])).unwrap();
        assert_eq!(store.read_message_secrets::<Secrets>().unwrap(), Some(secrets(&[1, 2, 3])));
    }
}
