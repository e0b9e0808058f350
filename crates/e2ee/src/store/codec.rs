//! Serde values as CBOR by position (RFC 8949): for the types of OpenMLS, which have no other door.
//!
//! A struct is the array of its fields and an enum its variant's number, or `[number, content]`. Names are not written,
//! so that the code which looks for them is not linked either; that halves what serde's derives weigh in the browser.
//! What is written tells its kind (number, bytes, array), because two of OpenMLS's types ask (`VLByteVec` of `tls_codec`
//! and `PastEpochDeletionPolicy`): codecs that cannot tell, such as postcard, do not load them.
//!
//! Fields that OpenMLS adds, removes or moves make another format: its version is pinned exactly, and another one needs a
//! migration. Not here: floats, characters, and sequences that do not know their length.

mod reader;
mod writer;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, StoreError> {
    let mut writer = writer::Writer::default();
    value.serialize(&mut writer).map_err(|Broken| StoreError::Encode)?;
    Ok(writer.into_bytes())
}

/// Reads one whole value, to the last byte.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    let mut reader = reader::Reader::new(bytes);
    let value = T::deserialize(&mut reader).map_err(|Broken| StoreError::Decode)?;
    if reader.is_at_end() { Ok(value) } else { Err(StoreError::Decode) }
}

/// Encoded elements as one array.
pub(super) fn array_of(elements: &[Vec<u8>]) -> Result<Vec<u8>, StoreError> {
    let mut writer = writer::Writer::default();
    writer.array(elements.len()).map_err(|Broken| StoreError::Encode)?;
    let mut bytes = writer.into_bytes();
    bytes.extend(elements.iter().flatten());
    Ok(bytes)
}

/// A value that cannot be written or read; where and why is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("value does not fit")
    }
}

impl std::error::Error for Broken {}

impl serde::ser::Error for Broken {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl serde::de::Error for Broken {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl From<minicbor::decode::Error> for Broken {
    fn from(_: minicbor::decode::Error) -> Self {
        Self
    }
}

impl<E> From<minicbor::encode::Error<E>> for Broken {
    fn from(_: minicbor::encode::Error<E>) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
    enum Shape {
        Unit,
        New(Vec<u8>),
        Pair(u16, Option<i32>),
        Named { text: String, inner: Box<Inner> },
    }

    #[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
    struct Wrapped(u64);

    #[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
    struct Pair(bool, ());

    #[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
    struct Inner {
        shapes: Vec<Shape>,
        map: BTreeMap<u8, (i64, String)>,
        wrapped: Wrapped,
        pair: Pair,
        #[serde(default)]
        maybe: Option<Wrapped>,
        fixed: [u8; 3],
    }

    #[test]
    fn no_clock_is_stored() {
        #[derive(Serialize, Deserialize)]
        struct Secrets {
            secret: u8,
            added_at: Option<std::time::SystemTime>,
        }
        let bytes = encode(&Secrets { secret: 7, added_at: Some(std::time::SystemTime::now()) }).unwrap();
        assert_eq!(bytes, encode(&Secrets { secret: 7, added_at: None }).unwrap());
        let read: Secrets = decode(&bytes).unwrap();
        assert_eq!((read.secret, read.added_at), (7, None));
    }

    fn inner() -> impl Strategy<Value = Inner> {
        let leaf = prop_oneof![
            Just(Shape::Unit),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Shape::New),
            (any::<u16>(), any::<Option<i32>>()).prop_map(|(a, b)| Shape::Pair(a, b)),
        ];
        let of = |shapes: BoxedStrategy<Vec<Shape>>| {
            let map = prop::collection::btree_map(any::<u8>(), (any::<i64>(), any::<String>()), 0..4);
            (shapes, map, any::<u64>(), any::<bool>(), any::<Option<u64>>(), any::<[u8; 3]>()).prop_map(
                |(shapes, map, number, flag, maybe, fixed)| Inner {
                    shapes,
                    map,
                    wrapped: Wrapped(number),
                    pair: Pair(flag, ()),
                    maybe: maybe.map(Wrapped),
                    fixed,
                },
            )
        };
        let flat = of(prop::collection::vec(leaf, 0..5).boxed()).boxed();
        let nested = (any::<String>(), flat.clone())
            .prop_map(|(text, inner)| vec![Shape::Named { text, inner: Box::new(inner.clone()) }, Shape::Unit]);
        prop_oneof![flat, of(nested.boxed())]
    }

    proptest! {
        #[test]
        fn values_come_back_as_they_were(value in inner()) {
            let bytes = encode(&value).unwrap();
            prop_assert_eq!(decode::<Inner>(&bytes).unwrap(), value);
        }

        #[test]
        fn cut_or_lengthened_bytes_are_refused(value in inner(), at: prop::sample::Index) {
            let mut bytes = encode(&value).unwrap();
            prop_assert!(decode::<Inner>(&bytes[..at.index(bytes.len())]).is_err());
            bytes.push(0);
            prop_assert!(decode::<Inner>(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode::<Inner>(&bytes);
            let _ = decode::<Vec<Shape>>(&bytes);
        }
    }

    #[test]
    fn structs_are_arrays_and_variants_numbers() {
        let value = (Shape::Unit, Shape::Pair(7, None), Shape::New(vec![1, 200]), Wrapped(5));
        assert_eq!(encode(&value).unwrap(), [0x84, 0, 0x82, 2, 0x82, 7, 0xF6, 0x82, 1, 0x82, 1, 0x18, 200, 5]);
    }

    #[test]
    fn a_value_that_asks_for_its_kind_gets_it() {
        #[derive(Serialize, Deserialize, Debug, PartialEq)]
        #[serde(untagged)]
        enum Untagged {
            Number(u64),
            Negative(i64),
            Flag(bool),
            Text(String),
            List(Vec<u8>),
        }
        for value in [
            Untagged::Number(u64::MAX),
            Untagged::Negative(-3),
            Untagged::Flag(true),
            Untagged::Text("x".into()),
            Untagged::List(vec![1, 2]),
        ] {
            assert_eq!(decode::<Untagged>(&encode(&value).unwrap()).unwrap(), value);
        }
        let bytes = tls_codec::VLByteVec::new(vec![1, 2, 3]);
        assert_eq!(encode(&bytes).unwrap(), [0x43, 1, 2, 3]);
        assert_eq!(decode::<tls_codec::VLByteVec>(&[0x43, 1, 2, 3]).unwrap(), bytes);
    }

    #[test]
    fn fields_too_few_or_too_many_are_refused() {
        assert!(decode::<(u8, u8)>(&[0x82, 1, 2]).is_ok());
        for broken in [&[0x81, 1][..], &[0x83, 1, 2, 3], &[0x9F, 1, 2, 0xFF], &[0x82, 1], &[0x41, 1], &[]] {
            assert!(decode::<(u8, u8)>(broken).is_err());
        }
        assert!(decode::<Shape>(&[9]).is_err());
        assert!(decode::<Shape>(&[0x82, 0, 0xF6]).is_err());
        assert!(decode::<Shape>(&[1]).is_err());
    }
}
