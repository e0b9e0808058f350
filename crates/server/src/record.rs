//! How records become stored bytes: a version byte, then CBOR arrays by field number (`minicbor`).
//! A field is only ever added at the end, as an option; anything else is a new version.

use minicbor::{Decode, Encode};

use crate::error::Refused;

const VERSION: u8 = 1;

/// The stored bytes of a record.
pub(crate) fn encode<T: Encode<()>>(record: &T) -> Vec<u8> {
    encode_sized(record, 0)
}

/// The same for a record of about `bytes` bytes: with room for all of it from the start.
pub(crate) fn encode_sized<T: Encode<()>>(record: &T, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 1);
    out.push(VERSION);
    minicbor::encode(record, &mut out).expect("writing to memory does not fail");
    out
}

/// The record of stored bytes; `what` names it in the error.
pub(crate) fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8], what: &'static str) -> Result<T, Refused> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => minicbor::decode(rest).map_err(|_| Refused::Damaged(what)),
        _ => Err(Refused::Damaged(what)),
    }
}

/// [`bytes::Bytes`] as a field: `#[cbor(with = "record::shared_bytes")]`, the same on disk as `minicbor::bytes`.
pub(crate) mod shared_bytes {
    use bytes::Bytes;
    use minicbor::{
        Decoder, Encoder,
        decode::Error as DecodeError,
        encode::{Error as EncodeError, Write},
    };

    pub(crate) fn encode<C, W: Write>(
        bytes: &Bytes,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        encoder.bytes(bytes)?.ok()
    }

    pub(crate) fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<Bytes, DecodeError> {
        decoder.bytes().map(Bytes::copy_from_slice)
    }
}
