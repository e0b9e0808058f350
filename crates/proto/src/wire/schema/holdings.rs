//! What the server holds of an account.

use bytes::Bytes;
use prost::Message;

/// Empty: from the beginning.
#[derive(Clone, PartialEq, Message)]
pub(in crate::wire) struct HoldingsRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub after: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::wire) struct Holdings {
    #[prost(message, repeated, tag = "1")]
    pub kinds: Vec<HeldKind>,
    #[prost(message, repeated, tag = "2")]
    pub rows: Vec<HeldRow>,
    #[prost(message, repeated, tag = "3")]
    pub unlisted: Vec<Unlisted>,
    /// Empty: no more.
    #[prost(bytes = "bytes", tag = "4")]
    pub next: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::wire) struct HeldKind {
    #[prost(uint32, tag = "1")]
    pub number: u32,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub why: String,
    #[prost(string, tag = "4")]
    pub erased: String,
}

/// Without `ends`: with the account.
#[derive(Clone, PartialEq, Message)]
pub(in crate::wire) struct HeldRow {
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    #[prost(string, tag = "2")]
    pub which: String,
    #[prost(uint32, optional, tag = "3")]
    pub day: Option<u32>,
    #[prost(uint64, tag = "4")]
    pub bytes: u64,
    #[prost(uint64, optional, tag = "5")]
    pub ends: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::wire) struct Unlisted {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub why: String,
    #[prost(string, tag = "3")]
    pub at_most: String,
}
