//! Frames as bytes: protobuf (proto3, `package parlour.v1`, listed in `docs/protocol.md`), one frame in one binary
//! WebSocket message.
//!
//! What arrives is walked over first (how many elements are there), then decoded, then converted into the verified types of
//! [`frames`](crate::frames) with every limit checked. Payloads are slices of the incoming buffer: nothing is copied.
//! Unknown fields are ignored; an unknown request, answer or row is `Malformed`. The reverse way does not check limits: who
//! builds a frame keeps them.

mod client;
mod field;
mod guard;
mod holdings;
mod rows;
mod schema;
mod server;

pub use rows::{RowsWriter, decode_row, encode_row, encode_rows};

use crate::frames::{ClientFrame, Push, Request, ServerFrame};
use crate::problem::{Code, Problem};
use bytes::Bytes;
use prost::Message as _;

/// A client's frame that was refused, with what the answer needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("frame refused")]
pub struct BadFrame {
    /// The request's id, or 0 when it could not be read.
    pub id: u64,
    /// What to answer.
    #[source]
    pub problem: Problem,
}

/// Reads a client's frame.
///
/// # Errors
/// [`BadFrame`] when it is not valid protobuf, a field is missing, has the wrong size or is too large, or the request is
/// of an unknown kind.
pub fn decode_client(frame: Bytes) -> Result<ClientFrame, BadFrame> {
    let walked = guard::walk(&frame, &guard::CLIENT);
    let refuse = |problem| BadFrame { id: walked.id, problem };
    walked.result.map_err(refuse)?;
    let frame = schema::ClientFrame::decode(frame).map_err(|_| refuse(not_protobuf()))?;
    let request = field::present(frame.request, "request").and_then(client::request).map_err(refuse)?;
    if frame.id == 0 && !matches!(request, Request::Ack { .. }) {
        return Err(refuse(field::malformed("a request's id is not 0")));
    }
    Ok(ClientFrame { id: frame.id, request })
}

/// Reads a server's frame.
///
/// # Errors
/// `Malformed` or `TooLarge`, as for [`decode_client`].
pub fn decode_server(frame: Bytes) -> Result<ServerFrame, Problem> {
    guard::walk(&frame, &guard::SERVER).result?;
    let frame = schema::ServerFrame::decode(frame).map_err(|_| not_protobuf())?;
    server::frame(frame.id, field::present(frame.body, "body")?)
}

/// Writes a client's frame.
pub fn encode_client(frame: &ClientFrame) -> Bytes {
    let frame = schema::ClientFrame { id: frame.id, request: Some(client::put_request(&frame.request)) };
    frame.encode_to_vec().into()
}

/// Writes a server's frame.
pub fn encode_server(frame: &ServerFrame) -> Bytes {
    let (id, body) = match frame {
        ServerFrame::Push(Push::Rows(rows)) => return encode_rows(rows),
        ServerFrame::Push(push) => (0, server::put_push(push)),
        ServerFrame::Answer { id, result: Ok(answer) } => (*id, server::put_answer(answer)),
        ServerFrame::Answer { id, result: Err(problem) } => (*id, schema::Body::Problem(server::put_problem(problem))),
    };
    schema::ServerFrame { id, body: Some(body) }.encode_to_vec().into()
}

fn not_protobuf() -> Problem {
    Problem::new(Code::Malformed, "the frame is not valid protobuf")
}

#[cfg(test)]
mod tests;
