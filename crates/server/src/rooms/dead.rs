//! What is done to the tokens of rooms beside their changes.
//!
//! Dead ones: an entry whose mailbox is closed keeps its place, so that members are told and remove its leaf, but not its token.
//! The token goes with the next message or other change of the room, in the same write; in rooms where nothing happens, with the
//! walk of the day. A room in which only dead entries are left is nobody's, and is erased.
//!
//! Old ones: when there is a new sealing key, the walk seals the others anew. A room that is being loaded while the walk passes may
//! write a token of before once more; so the key before goes only after a later walk that found none, in rows or in memory.

use std::sync::Arc;

use parlour_proto::ids::{MailboxId, RoomId, UnixMillis};
use parlour_store::{KeyRange, Row, RowBatch, Store};

use super::{
    Rooms,
    cell::{Cell, STATE, partition},
    member::SpoilUnlessDone,
    state::RoomState,
    token,
};
use crate::{Rng, error::Refused, keys::Keys, mailboxes::Mailboxes, retention::Kind, sync::MutexExt as _};

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

    /// Seals tokens of an earlier key under the newest one; whether there were any.
    fn seal_anew(&mut self, keys: &Keys, room: &RoomId, rng: &mut Rng) -> bool {
        let mut sealed = false;
        for entry in self.entries.iter_mut().filter(|entry| !entry.dead) {
            if !token::is_current(keys, room, &entry.member_key, &entry.token) {
                entry.token = token::seal(keys, room, &entry.member_key, &entry.mailbox, rng);
                sealed = true;
            }
        }
        sealed
    }

    fn is_nobodys(&self) -> bool {
        self.entries.iter().all(|entry| entry.dead)
    }
}

impl<S: Store> Rooms<S> {
    /// Drops the tokens of closed mailboxes in all rooms, and seals those of an earlier key anew; gives in how many rooms there were
    /// some.
    ///
    /// # Errors
    /// The store's, and those of the key files.
    pub async fn tend_tokens(&self, now: UnixMillis, rng: &mut Rng) -> Result<u64, Refused> {
        let reseals = self.keys.has_old_seals();
        let (mut cursor, mut rooms) = (None, 0);
        loop {
            let page = self.store.scan(Kind::Room.row(), cursor, PAGE).await?;
            for (at, row) in page.rows {
                let Ok(room) = RoomId::try_from(&at.id[..]) else { continue };
                let mut state = RoomState::from_bytes(&row.value, &room, &self.keys)?;
                let changed = self.tend(&mut state, &room, rng);
                // A room in memory knows better.
                let cell = self.cell_now(&room).filter(|_| changed || reseals);
                let tended = match cell {
                    Some(cell) => {
                        let _gate = cell.gate.lock().await;
                        self.tend_in_memory(&cell, now, rng).await? || changed
                    }
                    None if changed => self.tend_row(&room, row, state).await.map(|()| true)?,
                    None => false,
                };
                rooms += u64::from(tended);
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if reseals && rooms == 0 {
            self.keys.retire_seals(now).map_err(|error| {
                tracing::error!(%error, "an earlier sealing key was not destroyed");
                Refused::Damaged("key files")
            })?;
        }
        Ok(rooms)
    }

    /// Whether something was to be done.
    fn tend(&self, state: &mut RoomState, room: &RoomId, rng: &mut Rng) -> bool {
        let dropped = state.drop_dead(&self.mailboxes);
        let sealed = self.keys.has_old_seals() && state.seal_anew(&self.keys, room, rng);
        dropped || sealed
    }

    /// `row` and `state`: as stored, and what is to be.
    async fn tend_row(&self, room: &RoomId, row: Row, state: RoomState) -> Result<(), Refused> {
        let batch = RowBatch::new(partition(room)).equals(STATE, row.value);
        let batch = match state.is_nobodys() {
            true => batch.delete_range(KeyRange::all()),
            false => batch.put(STATE, state.to_bytes(), row.kind, row.expires),
        };
        // Refused: the room was changed meanwhile; what is still to be done, the next walk finds.
        let _ = self.store.commit(vec![batch.into()]).await?;
        Ok(())
    }

    async fn tend_in_memory(&self, cell: &Arc<Cell>, now: UnixMillis, rng: &mut Rng) -> Result<bool, Refused> {
        let ticket = {
            let mut guard = cell.inner.locked();
            let Some(inner) = guard.as_mut().filter(|inner| !inner.spoilt) else { return Ok(false) };
            let mut state = RoomState::clone(&inner.state);
            if !self.tend(&mut state, &cell.room, rng) {
                return Ok(false);
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
        Ok(true)
    }
}
