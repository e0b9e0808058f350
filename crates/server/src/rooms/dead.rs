//! Dead tokens: an entry whose mailbox is closed keeps its place, so that members are told and remove its leaf, but not its token.
//!
//! The token goes with the next message or other change of the room, in the same write; in rooms where nothing happens, with the
//! sweep of the day. A room in which only dead entries are left is nobody's, and is erased.

use std::sync::Arc;

use parlour_proto::ids::{MailboxId, RoomId, UnixMillis};
use parlour_store::{KeyRange, Row, RowBatch, Store};

use super::{
    Rooms,
    cell::{Cell, STATE, partition},
    member::SpoilUnlessDone,
    state::RoomState,
};
use crate::{error::Refused, mailboxes::Mailboxes, retention::Kind, sync::MutexExt as _};

/// Rooms of one page of the sweep.
const PAGE: usize = 256;

impl RoomState {
    /// Takes the tokens of closed mailboxes away; whether there were any.
    pub(super) fn drop_dead<S: Store>(&mut self, mailboxes: &Mailboxes<S>) -> bool {
        let mut dropped = false;
        for entry in &mut self.entries {
            let closed = entry.dead || mailboxes.is_closed(&entry.mailbox);
            if closed && !(entry.dead && entry.token.is_empty()) {
                (entry.dead, entry.token, entry.mailbox) = (true, Vec::new(), MailboxId([0; 16]));
                dropped = true;
            }
        }
        dropped
    }

    fn is_nobodys(&self) -> bool {
        self.entries.iter().all(|entry| entry.dead)
    }
}

impl<S: Store> Rooms<S> {
    /// Drops the tokens of closed mailboxes in all rooms; gives in how many there were some.
    ///
    /// # Errors
    /// The store's.
    pub async fn drop_dead_tokens(&self, now: UnixMillis) -> Result<u64, Refused> {
        let (mut cursor, mut rooms) = (None, 0);
        loop {
            let page = self.store.scan(Kind::Room.row(), cursor, PAGE).await?;
            for (at, row) in page.rows {
                let Ok(room) = RoomId::try_from(&at.id[..]) else { continue };
                let mut state = RoomState::from_bytes(&row.value, &room, &self.keys)?;
                if state.drop_dead(&self.mailboxes) {
                    self.drop_in(&room, row, state, now).await?;
                    rooms += 1;
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(rooms);
            }
            tokio::task::yield_now().await;
        }
    }

    /// `row` and `state`: as stored, and what is to be. A room in memory knows better.
    async fn drop_in(&self, room: &RoomId, row: Row, state: RoomState, now: UnixMillis) -> Result<(), Refused> {
        if let Some(cell) = self.cell_now(room) {
            let _gate = cell.gate.lock().await;
            return self.drop_in_memory(&cell, now).await;
        }
        let batch = RowBatch::new(partition(room)).equals(STATE, row.value);
        let batch = match state.is_nobodys() {
            true => batch.delete_range(KeyRange::all()),
            false => batch.put(STATE, state.to_bytes(), row.kind, row.expires),
        };
        // Refused: the room was changed meanwhile, and by that the tokens went.
        let _ = self.store.commit(vec![batch.into()]).await?;
        Ok(())
    }

    async fn drop_in_memory(&self, cell: &Arc<Cell>, now: UnixMillis) -> Result<(), Refused> {
        let ticket = {
            let mut guard = cell.inner.locked();
            let Some(inner) = guard.as_mut().filter(|inner| !inner.spoilt) else { return Ok(()) };
            let mut state = RoomState::clone(&inner.state);
            if !state.drop_dead(&self.mailboxes) {
                return Ok(());
            }
            let batch = RowBatch::new(partition(&cell.room)).present(STATE);
            let batch = if state.is_nobodys() {
                inner.spoilt = true;
                batch.delete_range(KeyRange::all())
            } else {
                batch.put(STATE, state.to_bytes(), Kind::Room.row(), self.expires(Kind::Room, now))
            };
            inner.set_state(Arc::new(state));
            self.store.commit(vec![batch.into()])
        };
        let guard = SpoilUnlessDone::new(cell);
        if ticket.await?.is_applied() {
            guard.done();
        }
        Ok(())
    }
}
