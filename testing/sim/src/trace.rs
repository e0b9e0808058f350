//! What frames say, for the list of all that happens.

use parlour_proto::{
    frames::{Answer, ClientFrame, Push, Request, Row, RowBody, ServerFrame},
    ids::RoomId,
};

fn row(row: &Row) -> String {
    let what = match &row.body {
        RowBody::Message { message_id, .. } => format!("message {message_id:?}"),
        RowBody::Commit { commit_id, voids, .. } => format!("commit {commit_id:?} voids {voids:?}"),
        RowBody::Welcome { asked, .. } => format!("welcome, asked {asked}"),
        RowBody::Knock { .. } => "knock".to_owned(),
        RowBody::Successor { successor, .. } => format!("successor {}", room(successor)),
    };
    format!("[{} {} at {}: {what}]", row.seq, room(&row.room), row.room_seq)
}

fn room(id: &RoomId) -> String {
    hex::encode(&id.0[..3])
}

/// A frame of a device.
pub(crate) fn client(frame: &ClientFrame) -> String {
    let of = match &frame.request {
        Request::Send { room: id, message_id, .. } => format!("{} {message_id:?}", room(id)),
        Request::Commit(commit) => format!("{} {:?}", room(&commit.room), commit.commit_id),
        Request::FetchLog { room: id, after, .. } => format!("{} after {after}", room(id)),
        Request::CreateRoom { room: id, .. } => room(id),
        _ => String::new(),
    };
    format!("{} {of}", frame.request.name())
}

/// A frame of the server.
pub(crate) fn server(frame: &ServerFrame) -> String {
    match frame {
        ServerFrame::Push(Push::Rows(rows)) => rows.iter().map(row).collect::<Vec<_>>().join(" "),
        ServerFrame::Push(push) => push.name().to_owned(),
        ServerFrame::Answer { result: Ok(Answer::Log(log)), .. } => {
            format!("log {}", log.rows.iter().map(row).collect::<Vec<_>>().join(" "))
        }
        ServerFrame::Answer { result: Ok(answer), .. } => answer.name().to_owned(),
        ServerFrame::Answer { result: Err(problem), .. } => format!("refused {problem:?}"),
    }
}
