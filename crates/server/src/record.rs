//! How records become stored bytes: a version byte, then CBOR arrays by field number (`minicbor`).
//! A field is only ever added at the end, as an option; anything else is a new version.

use minicbor::{Decode, Encode};

use crate::error::Refused;

const VERSION: u8 = 1;

/// The stored bytes of a record.
pub(crate) fn encode<T: Encode<()>>(record: &T) -> Vec<u8> {
    let mut out = vec![VERSION];
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
