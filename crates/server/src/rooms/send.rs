//! Application messages: anonymous, admitted by the epoch's send key.

use std::{
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use parlour_proto::{
    frames::{Answer, MAX_ASKED_MESSAGE_BYTES, MemberProof, RowBody, send_detail},
    ids::{MailboxId, MessageId, RoomId, Secret, UnixMillis},
    problem::{Code, Problem},
};
use parlour_store::{Batch, CommitTicket, Outcome, RowBatch, Store, StoreError};

use super::{
    Rooms,
    cell::{Cell, Inner, Recent, STATE, asked_key, partition},
    fanout::{Job, row_payload},
    no_such_room,
    state::RoomState,
};
use crate::{
    error::{Refused, refuse},
    retention::Kind,
};

/// A message to send: [`Request::Send`](parlour_proto::frames::Request::Send).
#[derive(Debug, Clone)]
pub struct Send {
    /// Where to.
    pub room: RoomId,
    /// Idempotency.
    pub message_id: MessageId,
    /// The epoch's send key.
    pub send_key: Secret,
    /// Franking tag.
    pub tag: [u8; 32],
    /// MLS PrivateMessage.
    pub payload: Bytes,
    /// Whose it is; asked for in attributed mode only, and never kept.
    pub by: Option<MemberProof>,
}

/// A message that was submitted: durable when the ticket says so.
///
/// Dropping it unfinished spoils the room's cell, since nobody saw whether the message became durable.
pub struct SendPending {
    ticket: Option<CommitTicket>,
    cell: Arc<Cell>,
    recent: Recent,
    bound: u64,
}

impl SendPending {
    pub(super) fn submitted(ticket: CommitTicket, cell: Arc<Cell>, recent: Recent, bound: u64) -> Self {
        Self { ticket: Some(ticket), cell, recent, bound }
    }

    pub(super) fn repeated(cell: Arc<Cell>, recent: Recent) -> Self {
        Self { ticket: None, cell, recent, bound: 0 }
    }

    /// The answer for the sender, once the message is durable.
    ///
    /// # Errors
    /// The store's.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Refused>> {
        let result = match &mut self.ticket {
            Some(ticket) => ready!(Pin::new(ticket).poll(cx)),
            None => return Poll::Ready(Ok(accepted(&self.recent))),
        };
        self.ticket = None;
        Poll::Ready(self.finish(result))
    }

    /// The same, to await.
    ///
    /// # Errors
    /// The store's.
    pub async fn done(mut self) -> Result<Answer, Refused> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn finish(&self, result: Result<Outcome, StoreError>) -> Result<Answer, Refused> {
        match result {
            Ok(Outcome::Applied { .. }) => {
                self.cell.with(|inner| {
                    inner.bound_is_durable(self.bound);
                    inner.recent_is_durable(self.recent.seq);
                });
                Ok(accepted(&self.recent))
            }
            Ok(Outcome::Refused { .. }) => {
                self.cell.spoil();
                Err(no_such_room())
            }
            Err(error) => {
                self.cell.spoil();
                Err(error.into())
            }
        }
    }
}

impl Drop for SendPending {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.cell.spoil();
        }
    }
}

fn accepted(recent: &Recent) -> Answer {
    Answer::Accepted { room_seq: recent.seq, time: recent.time, stamp: recent.stamp, closed: Vec::new() }
}

impl<S: Store> Rooms<S> {
    /// Submits a message; await the pending answer by polling it.
    ///
    /// # Errors
    /// `NoSuchRoom`, `WrongSendKey`, `SlowDown`.
    pub async fn send(&self, send: Send, now: UnixMillis) -> Result<SendPending, Refused> {
        loop {
            let cell = match self.cell_now(&send.room) {
                Some(cell) => cell,
                None => self.cell(&send.room, now).await?.ok_or_else(no_such_room)?,
            };
            if let Some(pending) = self.submit_send(cell, &send, now)? {
                return Ok(pending);
            }
        }
    }

    /// The same without waiting, if the room is in memory.
    pub fn try_send(&self, send: &Send, now: UnixMillis) -> Option<Result<SendPending, Refused>> {
        let cell = self.cell_now(&send.room)?;
        self.submit_send(cell, send, now).transpose()
    }

    /// `None` when the cell was spoilt meanwhile.
    fn submit_send(&self, cell: Arc<Cell>, send: &Send, now: UnixMillis) -> Result<Option<SendPending>, Refused> {
        let digest = send.send_key.digest();
        let mut guard = crate::sync::MutexExt::locked(&cell.inner);
        let inner = guard.as_mut().ok_or_else(no_such_room)?;
        if inner.spoilt {
            return Ok(None);
        }
        if let Some((recent, durable)) = inner.find_recent(&send.message_id) {
            drop(guard);
            if durable {
                return Ok(Some(SendPending { ticket: None, cell, recent, bound: 0 }));
            }
            let problem = Problem::new(Code::SlowDown, "the same message is being stored; ask again");
            return Err(problem.retry_after_ms(100).into());
        }
        if !inner.state.accepts(&digest, now) {
            let detail = "the send key is not valid now; process the room's commits and encrypt again";
            return refuse(Code::WrongSendKey, detail);
        }
        if inner.state.attributed {
            self.attribute(inner, send, now)?;
        }
        inner.meter_send(self.limits.sends, now)?;
        let stamp = self.keys.stamp(&send.tag, &send.room, &send.message_id, now);
        let (batch, to) = self.message_targets(inner, send, now);
        let (seq, batch) = inner.take_seq(batch, self.expires(Kind::RoomSeq, now));
        let recent = Recent { id: send.message_id, seq, time: now, stamp };
        let body =
            RowBody::Message { message_id: send.message_id, tag: send.tag, stamp, payload: send.payload.clone() };
        let bound = inner.bound();
        let ticket = Some(self.submit(inner, batch, recent, row_payload(send.room, seq, now, body), &to, &send.room));
        drop(guard);
        Ok(Some(SendPending { ticket, cell, recent, bound }))
    }

    /// In attributed mode: whose it is, and that they have not sent too many.
    fn attribute(&self, inner: &mut Inner, send: &Send, now: UnixMillis) -> Result<(), Refused> {
        let Some(proof) = &send.by else {
            let detail = "the room is in attributed mode: process its commits and sign with the member key";
            return refuse(Code::Attributed, detail);
        };
        let state = inner.state.clone();
        let detail = send_detail(&send.message_id, &send.tag, &send.payload);
        let entry = self.proven(&state, "send", &send.room, proof, &detail, now)?;
        if !entry.open {
            return refuse(Code::NoRight, "the entry is not open");
        }
        inner.meter_signed(entry.slot, self.limits.signed_sends, now)
    }

    /// Open entries get it; asked ones their first of at most 16 kB.
    fn message_targets(&self, inner: &mut Inner, send: &Send, now: UnixMillis) -> (RowBatch, Vec<MailboxId>) {
        let mut batch = RowBatch::new(partition(&send.room));
        let targets = inner.targets(&self.mailboxes);
        if targets.dead {
            let mut state = RoomState::clone(&inner.state);
            state.drop_dead(&self.mailboxes);
            let expires = self.expires(Kind::Room, now);
            batch = batch.present(STATE).put(STATE, state.to_bytes(), Kind::Room.row(), expires);
            inner.set_state(Arc::new(state));
        }
        let mut to = targets.open.clone();
        for (slot, mailbox) in &targets.asked {
            if inner.asked_used.contains(slot) || send.payload.len() > MAX_ASKED_MESSAGE_BYTES {
                continue;
            }
            inner.asked_used.push(*slot);
            let kind = Kind::AskedUsed;
            batch = batch.put(asked_key(*slot), Vec::new(), kind.row(), self.expires(kind, now));
            if !to.contains(mailbox) {
                to.push(*mailbox);
            }
        }
        (batch, to)
    }

    /// Submits a row for `to`, remembered under its id.
    pub(super) fn submit(
        &self,
        inner: &mut Inner,
        batch: RowBatch,
        recent: Recent,
        payload: Bytes,
        to: &[MailboxId],
        room: &RoomId,
    ) -> CommitTicket {
        let job = Job::new(recent.seq, &payload, to, recent.time);
        let mut batches = vec![Batch::from(job.put(batch))];
        batches.extend(self.delivery(room, job, payload));
        inner.remember(recent);
        self.store.commit(batches)
    }
}
