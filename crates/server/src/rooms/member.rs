//! What an entry does about itself: open, leave, knock, name a successor. Each is proven by a fresh signature of its member key.

use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey};
use parlour_proto::{
    frames::{MAX_KNOCK_BYTES, MemberProof, Rights, RowBody, entry_bytes},
    ids::{Digest, MemberKey, MessageId, RoomId, UnixMillis},
    problem::{Code, Problem},
};
use parlour_store::{KeyRange, RowBatch, Store};

use super::{
    Rooms, SendPending,
    cell::{Cell, Recent, STATE, asked_key, partition},
    fanout::row_payload,
    no_such_room,
    state::{Entry, RoomState},
};
use crate::{
    error::{Refused, refuse},
    retention::Kind,
    sync::MutexExt as _,
};

/// How far a proof's time may be from ours, milliseconds.
const FRESH_MS: u64 = 600_000;

/// Whether `signature` over `bytes` is by `key` (strict: no small-order keys).
pub(crate) fn verifies(key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok())
}

fn check(what: &str, room: &RoomId, proof: &MemberProof, detail: &[u8], now: UnixMillis) -> Result<(), Refused> {
    let bytes = entry_bytes(what, room, proof.time, detail);
    let stale = now.0.abs_diff(proof.time.0) > FRESH_MS;
    if stale || !verifies(&proof.member_key.0, &bytes, &proof.signature) {
        return refuse(Code::BadSignature, "the member key's signature is wrong, or older than ten minutes");
    }
    Ok(())
}

impl<S: Store> Rooms<S> {
    /// The entry of a member key that wants something. One whose mailbox is closed is refused as if it were gone: its device was
    /// revoked, and whoever holds it now shall not act for it until a member's commit removes the entry.
    pub(super) fn acting<'a>(&self, state: &'a RoomState, key: &MemberKey) -> Result<&'a Entry, Refused> {
        let entry = state.entry(key).filter(|entry| !entry.dead && !self.mailboxes.is_closed(&entry.mailbox));
        entry.ok_or_else(no_such_room)
    }

    /// The entry that made a proof.
    pub(super) fn proven<'a>(
        &self,
        state: &'a RoomState,
        what: &str,
        room: &RoomId,
        proof: &MemberProof,
        detail: &[u8],
        now: UnixMillis,
    ) -> Result<&'a Entry, Refused> {
        let entry = self.acting(state, &proof.member_key)?;
        check(what, room, proof, detail, now)?;
        Ok(entry)
    }

    /// Opens an asked entry.
    ///
    /// # Errors
    /// `NoSuchRoom`, `BadSignature`.
    pub async fn open_entry(&self, room: RoomId, proof: &MemberProof, now: UnixMillis) -> Result<(), Refused> {
        loop {
            let cell = self.cell(&room, now).await?.ok_or_else(no_such_room)?;
            let _gate = cell.gate.lock().await;
            let state = cell.state();
            let entry = self.proven(&state, "open", &room, proof, &[], now)?;
            if entry.open {
                return Ok(());
            }
            let slot = entry.slot;
            let mut next = RoomState::clone(&state);
            if let Some(entry) = next.entry_mut(&proof.member_key) {
                entry.open = true;
            }
            let batch = RowBatch::new(partition(&room)).delete(asked_key(slot));
            if self.replace(&cell, slot, next, batch, now).await? {
                return Ok(());
            }
        }
    }

    /// Drops one's own entry; also fine when it, or the room, is gone. The last one to leave erases the room.
    ///
    /// # Errors
    /// `BadSignature`.
    pub async fn leave_entry(&self, room: RoomId, proof: &MemberProof, now: UnixMillis) -> Result<(), Refused> {
        check("leave", &room, proof, &[], now)?;
        loop {
            let Some(cell) = self.cell(&room, now).await? else { return Ok(()) };
            let _gate = cell.gate.lock().await;
            let state = cell.state();
            let Some(entry) = state.entry(&proof.member_key) else { return Ok(()) };
            let slot = entry.slot;
            let mut next = RoomState::clone(&state);
            next.entries.retain(|entry| entry.slot != slot);
            next.left.push(slot);
            if next.entries.is_empty() {
                cell.spoil();
                let erase = RowBatch::new(partition(&room)).delete_range(KeyRange::all());
                let _ = self.store.commit(vec![erase.into()]).await?;
                return Ok(());
            }
            let batch = RowBatch::new(partition(&room)).delete(asked_key(slot));
            if self.replace(&cell, slot, next, batch, now).await? {
                return Ok(());
            }
        }
    }

    /// Puts a new state in place, now in memory, then durably. `false` when the cell was spoilt meanwhile.
    async fn replace(
        &self,
        cell: &Arc<Cell>,
        slot: u32,
        state: RoomState,
        batch: RowBatch,
        now: UnixMillis,
    ) -> Result<bool, Refused> {
        let mut state = state;
        state.drop_dead(&self.mailboxes);
        let batch = batch.present(STATE).put(STATE, state.to_bytes(), Kind::Room.row(), self.expires(Kind::Room, now));
        let ticket = {
            let mut guard = cell.inner.locked();
            let inner = guard.as_mut().ok_or_else(no_such_room)?;
            if inner.spoilt {
                return Ok(false);
            }
            inner.meter_commit(slot, self.limits.commits, now)?;
            inner.asked_used.retain(|used| *used != slot);
            inner.set_state(Arc::new(state));
            self.store.commit(vec![batch.into()])
        };
        let guard = SpoilUnlessDone::new(cell);
        let outcome = ticket.await?;
        if outcome.is_applied() {
            guard.done();
        }
        Ok(true)
    }

    /// Asks to be let back in: a row for the open entries.
    ///
    /// # Errors
    /// `NoSuchRoom`, `BadSignature`, `TooLarge`, `SlowDown`.
    pub async fn knock(
        &self,
        room: RoomId,
        knock_id: MessageId,
        payload: Bytes,
        proof: &MemberProof,
        now: UnixMillis,
    ) -> Result<SendPending, Refused> {
        if payload.len() > MAX_KNOCK_BYTES {
            return refuse(Code::TooLarge, "the knock is too large");
        }
        let detail = [&knock_id.0[..], &Digest::of(&payload).0].concat();
        loop {
            let cell = self.cell(&room, now).await?.ok_or_else(no_such_room)?;
            let mut guard = cell.inner.locked();
            let inner = guard.as_mut().ok_or_else(no_such_room)?;
            if inner.spoilt {
                continue;
            }
            let state = inner.state.clone();
            let entry = self.proven(&state, "knock", &room, proof, &detail, now)?;
            if !entry.open {
                return refuse(Code::NoRight, "open the entry first");
            }
            if let Some((recent, durable)) = inner.find_recent(&knock_id) {
                drop(guard);
                if durable {
                    return Ok(SendPending::repeated(cell, recent));
                }
                let problem = Problem::new(Code::SlowDown, "the same knock is being stored; ask again");
                return Err(problem.retry_after_ms(100).into());
            }
            inner.meter_commit(entry.slot, self.limits.commits, now)?;
            let (seq, batch) =
                inner.take_seq(RowBatch::new(partition(&room)).present(STATE), self.expires(Kind::RoomSeq, now));
            let recent = Recent { id: knock_id, seq, time: now, stamp: [0; 32] };
            let body = RowBody::Knock { knock_id, member_key: proof.member_key, payload };
            let to = inner.targets(&self.mailboxes);
            let bound = inner.bound();
            let ticket = self.submit(inner, batch, recent, row_payload(room, seq, now, body), &to.open, &room);
            drop(guard);
            return Ok(SendPending::submitted(ticket, cell, recent, bound));
        }
    }

    /// Names the room that follows; the first one wins.
    ///
    /// # Errors
    /// `NoSuchRoom`, `BadSignature`, `NoRight`, `Succeeded` with the winner.
    pub async fn set_successor(
        &self,
        room: RoomId,
        successor: RoomId,
        proof: &MemberProof,
        now: UnixMillis,
    ) -> Result<(), Refused> {
        loop {
            let cell = self.cell(&room, now).await?.ok_or_else(no_such_room)?;
            let _gate = cell.gate.lock().await;
            let state = cell.state();
            let entry = self.proven(&state, "successor", &room, proof, &successor.0, now)?;
            if !entry.open || !entry.rights.allow(Rights::COMMIT) {
                return refuse(Code::NoRight, "only who may commit names a successor");
            }
            match state.successor {
                Some(winner) if winner == successor => return Ok(()),
                Some(winner) => {
                    let mut problem = Problem::new(Code::Succeeded, "the room has a successor already");
                    problem.successor = Some(winner);
                    return Err(problem.into());
                }
                None => {}
            }
            let mut next = RoomState::clone(&state);
            next.successor = Some(successor);
            if let Some(pending) = self.submit_successor(&cell, entry.slot, next, successor, proof.member_key, now)? {
                return pending.done().await.map(drop);
            }
        }
    }

    fn submit_successor(
        &self,
        cell: &Arc<Cell>,
        slot: u32,
        mut state: RoomState,
        successor: RoomId,
        member_key: MemberKey,
        now: UnixMillis,
    ) -> Result<Option<SendPending>, Refused> {
        let room = cell.room;
        let mut guard = cell.inner.locked();
        let inner = guard.as_mut().ok_or_else(no_such_room)?;
        if inner.spoilt {
            return Ok(None);
        }
        inner.meter_commit(slot, self.limits.commits, now)?;
        state.drop_dead(&self.mailboxes);
        let batch = RowBatch::new(partition(&room)).present(STATE).put(
            STATE,
            state.to_bytes(),
            Kind::Room.row(),
            self.expires(Kind::Room, now),
        );
        inner.set_state(Arc::new(state));
        let (seq, batch) = inner.take_seq(batch, self.expires(Kind::RoomSeq, now));
        let recent = Recent { id: MessageId(successor.0), seq, time: now, stamp: [0; 32] };
        let to = inner.targets(&self.mailboxes);
        let bound = inner.bound();
        let payload = row_payload(room, seq, now, RowBody::Successor { successor, member_key });
        let ticket = self.submit(inner, batch, recent, payload, &to.open, &room);
        Ok(Some(SendPending::submitted(ticket, cell.clone(), recent, bound)))
    }
}

/// Spoils a cell unless what was submitted for it was seen to be durable, also when the caller is dropped.
pub(super) struct SpoilUnlessDone<'a>(Option<&'a Cell>);

impl<'a> SpoilUnlessDone<'a> {
    pub(super) fn new(cell: &'a Cell) -> Self {
        Self(Some(cell))
    }

    pub(super) fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for SpoilUnlessDone<'_> {
    fn drop(&mut self) {
        if let Some(cell) = self.0 {
            cell.spoil();
        }
    }
}
