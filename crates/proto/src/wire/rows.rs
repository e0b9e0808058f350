//! Rows into one buffer: the frame that is sent most. Message rows are written straight from the typed value, without the
//! protobuf structs between; a test holds both ways to the same bytes.

use super::schema as pb;
use crate::frames::{Row, RowBody};
use crate::problem::{Code, Problem};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// Room for the frame's own key and length before the first row.
const HEAD_BYTES: usize = 6;
/// The frame's body field for rows, as a key.
const ROWS_FIELD: u32 = 8;

/// Collects rows of one [`Push::Rows`](crate::frames::Push::Rows) frame.
#[derive(Debug)]
pub struct RowsWriter {
    buffer: BytesMut,
    rows: usize,
}

impl Default for RowsWriter {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl RowsWriter {
    /// An empty frame with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(bytes + HEAD_BYTES);
        buffer.put_bytes(0, HEAD_BYTES);
        Self { buffer, rows: 0 }
    }

    /// Adds a row.
    pub fn push(&mut self, row: &Row) {
        self.rows += 1;
        encode_key(1, WireType::LengthDelimited, &mut self.buffer);
        match &row.body {
            RowBody::Message { message_id, tag, stamp, payload } => {
                let message = MessageRow { message_id: &message_id.0, tag, stamp, payload };
                encode_varint((head_len(row) + message.len_in_row()) as u64, &mut self.buffer);
                put_head(row, &mut self.buffer);
                message.put_in_row(&mut self.buffer);
            }
            _ => {
                let row = super::server::put_row(row);
                encode_varint(row.encoded_len() as u64, &mut self.buffer);
                row.encode_raw(&mut self.buffer);
            }
        }
    }

    /// Adds a row that [`encode_row`] made from one with `seq` 0, under this `seq`: one encoding serves all mailboxes.
    pub fn push_encoded(&mut self, seq: u64, row: &[u8]) {
        self.rows += 1;
        encode_key(1, WireType::LengthDelimited, &mut self.buffer);
        encode_varint((number_len(seq) + row.len()) as u64, &mut self.buffer);
        put_number(1, seq, &mut self.buffer);
        self.buffer.put_slice(row);
    }

    /// How many rows are in it; at most [`MAX_ROWS_PER_FRAME`](crate::frames::MAX_ROWS_PER_FRAME) may be sent.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Length of the frame so far, bytes, rounded up.
    pub fn len_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The frame.
    pub fn finish(mut self) -> Bytes {
        let body = (self.buffer.len() - HEAD_BYTES) as u64;
        let unused = HEAD_BYTES - 1 - encoded_len_varint(body);
        let mut head = &mut self.buffer[unused..HEAD_BYTES];
        encode_key(ROWS_FIELD, WireType::LengthDelimited, &mut head);
        encode_varint(body, &mut head);
        self.buffer.advance(unused);
        self.buffer.freeze()
    }
}

/// A [`Push::Rows`](crate::frames::Push::Rows) frame of these rows: the same bytes as `encode_server`, in one buffer.
pub fn encode_rows<'a>(rows: impl IntoIterator<Item = &'a Row> + Clone) -> Bytes {
    let capacity = rows.clone().into_iter().map(estimate).sum();
    let mut writer = RowsWriter::with_capacity(capacity);
    for row in rows {
        writer.push(row);
    }
    writer.finish()
}

/// One row alone, for a mailbox or log at rest.
pub fn encode_row(row: &Row) -> Vec<u8> {
    let mut out = Vec::with_capacity(estimate(row));
    match &row.body {
        RowBody::Message { message_id, tag, stamp, payload } => {
            put_head(row, &mut out);
            MessageRow { message_id: &message_id.0, tag, stamp, payload }.put_in_row(&mut out);
        }
        _ => super::server::put_row(row).encode_raw(&mut out),
    }
    out
}

/// A row that [`encode_row`] made.
///
/// # Errors
/// `Malformed` or `TooLarge` when it is not such a row.
pub fn decode_row(bytes: Bytes) -> Result<Row, Problem> {
    let row = pb::Row::decode(bytes).map_err(|_| Problem::new(Code::Malformed, "the row is not valid protobuf"))?;
    super::server::row(row)
}

fn estimate(row: &Row) -> usize {
    let inside = match &row.body {
        RowBody::Message { payload, .. } | RowBody::Knock { payload, .. } => payload.len(),
        RowBody::Commit { payload, voids, .. } => payload.len() + voids.len() * 10,
        RowBody::Welcome { shared, part, .. } => shared.len() + part.len(),
        RowBody::Successor { .. } => 0,
    };
    inside + 192
}

fn head_len(row: &Row) -> usize {
    number_len(row.seq) + bytes_len(row.room.0.len()) + number_len(row.room_seq) + number_len(row.time.0)
}

fn put_head(row: &Row, out: &mut impl bytes::BufMut) {
    put_number(1, row.seq, out);
    put_bytes(2, &row.room.0, out);
    put_number(3, row.room_seq, out);
    put_number(4, row.time.0, out);
}

struct MessageRow<'a> {
    message_id: &'a [u8],
    tag: &'a [u8],
    stamp: &'a [u8],
    payload: &'a [u8],
}

impl MessageRow<'_> {
    fn len(&self) -> usize {
        [self.message_id, self.tag, self.stamp, self.payload].iter().map(|field| bytes_len(field.len())).sum()
    }

    fn len_in_row(&self) -> usize {
        let len = self.len();
        1 + encoded_len_varint(len as u64) + len
    }

    fn put_in_row(&self, out: &mut impl bytes::BufMut) {
        encode_key(5, WireType::LengthDelimited, out);
        encode_varint(self.len() as u64, out);
        put_bytes(1, self.message_id, out);
        put_bytes(2, self.tag, out);
        put_bytes(3, self.stamp, out);
        put_bytes(4, self.payload, out);
    }
}

/// Length of a number's field; 0 is not written.
fn number_len(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + encoded_len_varint(value) }
}

fn put_number(field: u32, value: u64, out: &mut impl bytes::BufMut) {
    if value != 0 {
        encode_key(field, WireType::Varint, out);
        encode_varint(value, out);
    }
}

/// Length of a byte string's field; the empty one is not written.
fn bytes_len(len: usize) -> usize {
    if len == 0 { 0 } else { 1 + encoded_len_varint(len as u64) + len }
}

fn put_bytes(field: u32, value: &[u8], out: &mut impl bytes::BufMut) {
    if !value.is_empty() {
        encode_key(field, WireType::LengthDelimited, out);
        encode_varint(value.len() as u64, out);
        out.put_slice(value);
    }
}
