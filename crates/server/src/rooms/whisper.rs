//! Whispers: handed to whoever is connected, and to nothing else. No write, no read (but of a room that is not in memory), no
//! log line; the push is encoded once for all.

use bytes::Bytes;
use parlour_proto::{
    frames::{MAX_WHISPER_ENTRIES, Push, ServerFrame},
    ids::{RoomId, Secret, UnixMillis},
    problem::Code,
    wire,
};
use parlour_store::Store;

use super::{Rooms, cell::Cell, no_such_room};
use crate::{
    error::{Refused, refuse},
    sync::MutexExt as _,
};

/// Something for those who are there: [`Request::Whisper`](parlour_proto::frames::Request::Whisper).
#[derive(Clone, Debug)]
pub struct Whisper {
    /// Where to.
    pub room: RoomId,
    /// The newest epoch's send key.
    pub send_key: Secret,
    /// Sealed for the members.
    pub payload: Bytes,
}

/// What became of a whisper. The sender is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whispered {
    /// Handed to whoever is connected.
    HandedOn,
    /// Too many, or the room is too large.
    Dropped,
}

impl<S: Store> Rooms<S> {
    /// Hands a whisper to the devices of the open entries that are connected and have caught up.
    ///
    /// # Errors
    /// `NoSuchRoom`, `WrongSendKey`, and the store's.
    pub async fn whisper(&self, whisper: &Whisper, now: UnixMillis) -> Result<Whispered, Refused> {
        loop {
            let cell = self.cell(&whisper.room, now).await?.ok_or_else(no_such_room)?;
            if let Some(whispered) = self.whisper_in(&cell, whisper, now)? {
                return Ok(whispered);
            }
        }
    }

    /// `None` when the cell was spoilt meanwhile.
    fn whisper_in(&self, cell: &Cell, whisper: &Whisper, now: UnixMillis) -> Result<Option<Whispered>, Refused> {
        let digest = whisper.send_key.digest();
        let targets = {
            let mut guard = cell.inner.locked();
            let inner = guard.as_mut().ok_or_else(no_such_room)?;
            if inner.spoilt {
                return Ok(None);
            }
            if !inner.state.is_newest(&digest) {
                return refuse(Code::WrongSendKey, "the send key is not the newest one; process the room's commits");
            }
            let too_large = inner.state.entries.len() > MAX_WHISPER_ENTRIES;
            // Nobody could be held to it.
            if too_large || inner.state.attributed || !inner.may_whisper(self.limits.whispers, now) {
                return Ok(Some(Whispered::Dropped));
            }
            inner.targets(&self.mailboxes)
        };
        let push = Push::Whisper { room: whisper.room, payload: whisper.payload.clone() };
        let frame = wire::encode_server(&ServerFrame::Push(push));
        for mailbox in &targets.open {
            self.mailboxes.whisper(mailbox, &frame);
        }
        Ok(Some(Whispered::HandedOn))
    }
}
