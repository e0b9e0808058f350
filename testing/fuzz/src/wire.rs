//! Frames in both directions, rows, content: what is read is written again, and read the same.

use bytes::Bytes;
use parlour_proto::{
    content::Content,
    frames::{Request, RowBody, ServerFrame},
    wire::{decode_client, decode_row, decode_server, encode_client, encode_row, encode_server},
};
use parlour_server::rooms::Stored;

use crate::{Plant, bug, corpus::snapshot};

pub(crate) fn client_frame(input: &[u8], plant: Plant) {
    let Ok(frame) = decode_client(Bytes::copy_from_slice(input)) else { return };
    let again = decode_client(encode_client(&frame)).expect("what was read can be written");
    assert_eq!(format!("{frame:?}"), format!("{again:?}"));
    bug(plant, matches!(&frame.request, Request::Ack { seq } if *seq < 100));
}

pub(crate) fn client_seeds() -> Vec<Vec<u8>> {
    snapshot(include_str!("../../../crates/proto/snapshots/client.hex"))
}

pub(crate) fn server_frame(input: &[u8], plant: Plant) {
    let Ok(frame) = decode_server(Bytes::copy_from_slice(input)) else { return };
    let again = decode_server(encode_server(&frame)).expect("what was read can be written");
    assert_eq!(format!("{frame:?}"), format!("{again:?}"));
    bug(plant, matches!(&frame, ServerFrame::Answer { id, result: Err(_) } if *id > 100));
}

pub(crate) fn server_seeds() -> Vec<Vec<u8>> {
    snapshot(include_str!("../../../crates/proto/snapshots/server.hex"))
}

pub(crate) fn row(input: &[u8], plant: Plant) {
    let Ok(row) = decode_row(Bytes::copy_from_slice(input)) else { return };
    let again = decode_row(encode_row(&row).into()).expect("what was read can be written");
    assert_eq!(format!("{row:?}"), format!("{again:?}"));
    bug(plant, matches!(&row.body, RowBody::Commit { voids, .. } if voids.len() == 1));
}

pub(crate) fn row_seeds() -> Vec<Vec<u8>> {
    snapshot(include_str!("../../../crates/proto/snapshots/rows.hex"))
}

/// A mailbox row as the server's disk holds it.
pub(crate) fn stored_row(input: &[u8], plant: Plant) {
    match Stored::parse(&Bytes::copy_from_slice(input)) {
        Some(Stored::Row(row)) => {
            let _ = decode_row(row);
        }
        Some(Stored::Commit(_, seq)) => bug(plant, seq == 0),
        Some(Stored::Welcome(..)) | None => {}
    }
}

pub(crate) fn stored_seeds() -> Vec<Vec<u8>> {
    let rows = row_seeds().into_iter().map(|row| [vec![0], row].concat());
    let stored = snapshot(include_str!("../../../crates/server/snapshots/stored.hex"));
    rows.chain([[vec![1], vec![5; 16], vec![0; 7], vec![9]].concat()]).chain(stored).collect()
}

pub(crate) fn content(input: &[u8], plant: Plant) {
    let Ok(content) = Content::decode(input) else { return };
    let shown = format!("{content:?}");
    let Ok(written) = content.encode() else {
        // Of a newer version: read to be told of, never written.
        return assert!(
            shown.contains("Unsupported") || shown.contains("Other"),
            "what was read can be written: {shown}"
        );
    };
    let again = Content::decode(&written).expect("what was written can be read");
    assert_eq!(shown, format!("{again:?}"));
    assert_eq!(again.encode().expect("as before"), written);
    bug(plant, content.replaces.is_some() && content.in_reply_to.is_some());
}

pub(crate) fn content_seeds() -> Vec<Vec<u8>> {
    snapshot(include_str!("../../../crates/proto/snapshots/content.hex"))
}
