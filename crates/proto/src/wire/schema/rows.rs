//! Rows of a mailbox and of a room's log.

use bytes::Bytes;
use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(in crate::wire) struct Rows {
    #[prost(message, repeated, tag = "1")]
    pub rows: Vec<Row>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::wire) struct Row {
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    #[prost(bytes = "bytes", tag = "2")]
    pub room: Bytes,
    #[prost(uint64, tag = "3")]
    pub room_seq: u64,
    #[prost(uint64, tag = "4")]
    pub time: u64,
    #[prost(oneof = "RowBody", tags = "5, 6, 7, 8, 9")]
    pub body: Option<RowBody>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(in crate::wire) enum RowBody {
    #[prost(message, tag = "5")]
    Message(MessageRow),
    #[prost(message, tag = "6")]
    Commit(CommitRow),
    #[prost(message, tag = "7")]
    Welcome(WelcomeRow),
    #[prost(message, tag = "8")]
    Knock(KnockRow),
    #[prost(message, tag = "9")]
    Successor(SuccessorRow),
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::wire) struct MessageRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub message_id: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub tag: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub stamp: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub payload: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::wire) struct CommitRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub commit_id: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub payload: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub next_send_key: Bytes,
    #[prost(uint64, repeated, tag = "4")]
    pub voids: Vec<u64>,
    #[prost(bytes = "bytes", tag = "5")]
    pub member_key: Bytes,
    #[prost(bytes = "bytes", tag = "6")]
    pub entries: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::wire) struct WelcomeRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub member_key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub shared: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub part: Bytes,
    #[prost(bool, tag = "4")]
    pub asked: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::wire) struct KnockRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub knock_id: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub member_key: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub payload: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::wire) struct SuccessorRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub successor: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub member_key: Bytes,
}
