//! Commits: one winner per handshake head, entry changes, send keys, log, Welcomes (`DESIGN.md` §6).
//!
//! The server cannot check a commit. It checks who may ask for what, orders, and keeps what undoing needs: rows that every
//! member can tell are invalid (*void*) are named by the next valid commit, and their entry changes are taken back first.

use std::{collections::HashSet, sync::Arc};

use parlour_proto::{
    frames::{self, Answer, EntryChange, Rights, commit_bytes, entries_digest},
    ids::{Digest, MailboxId, MemberKey, UnixMillis},
    problem::{Code, Problem},
};
use parlour_store::{Batch, KeyRange, Outcome, RowBatch, Store};

use super::{
    Rooms,
    cell::{Cell, STATE, asked_key, commit_key, grant_key, log_key, partition},
    fanout::{Job, OwnRow, commit_payload, welcome_payload},
    log::LogRecord,
    member::{SpoilUnlessDone, verifies},
    no_such_room,
    order::{Turn, are_newest, turn},
    state::{Entry, MAX_ENTRIES, PREVIOUS_KEY_MS, RoomState, Undo, undo_records, undos_of},
    token,
};
use crate::{
    Rng,
    error::{Refused, refuse},
    grants::Grant,
    keys::Keys,
    record,
    retention::Kind,
    sync::MutexExt as _,
};

/// What the same commit gets again.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(array)]
pub struct CommitAnswer {
    /// The commit's sequence.
    #[n(0)]
    pub room_seq: u64,
    /// When it was accepted.
    #[n(1)]
    pub time: u64,
    /// Member keys whose mailbox is gone, 32 bytes each.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub closed: Vec<u8>,
}

impl CommitAnswer {
    fn answer(&self) -> Answer {
        let closed = self.closed.chunks_exact(32).filter_map(|key| MemberKey::try_from(key).ok());
        Answer::Accepted {
            room_seq: self.room_seq,
            time: UnixMillis(self.time),
            stamp: [0; 32],
            closed: closed.collect(),
        }
    }
}

/// A void row that the commit takes back.
struct Void {
    undo: Vec<Undo>,
    send_key_before: Digest,
    attributed_before: bool,
}

/// What a commit does to the room.
struct Plan {
    state: RoomState,
    undo: Vec<Undo>,
    grants: Vec<Grant>,
    joined: Vec<u32>,
    gone: Vec<u32>,
}

impl<S: Store> Rooms<S> {
    /// Accepts a commit, or tells why not.
    ///
    /// # Errors
    /// `NoSuchRoom`, `BadSignature`, `NoRight`, `BadGrant`, `Behind`, `SlowDown`, `Malformed`, `TooLarge`.
    pub async fn commit(&self, commit: &frames::Commit, now: UnixMillis, rng: &mut Rng) -> Result<Answer, Refused> {
        if !verifies(&commit.member_key.0, &commit_bytes(commit), &commit.signature) {
            return refuse(Code::BadSignature, "the member key's signature over the commit is wrong");
        }
        loop {
            let cell = self.cell(&commit.room, now).await?.ok_or_else(no_such_room)?;
            let _gate = cell.gate.lock().await;
            let index = self.store.get(&partition(&commit.room), &commit_key(&commit.commit_id)).await?;
            let answered = index.map(|row| record::decode::<CommitAnswer>(&row.value, "commit answer")).transpose()?;
            let state = cell.state();
            let turn = turn(answered, commit.head, state.head);
            if let Turn::Answered(answer) = &turn {
                return Ok(answer.answer());
            }
            let slot = may_commit(self.acting(&state, &commit.member_key)?)?;
            if let Turn::Behind(head) = turn {
                let mut problem = Problem::new(Code::Behind, "the handshake head moved; process it and try again");
                problem.head = head;
                return Err(problem.into());
            }
            let voids = self.voids(&state, commit).await?;
            let plan = plan(&state, commit, &voids, &self.keys, now, rng)?;
            for slot in &plan.joined {
                if let Some(entry) = plan.state.entries.iter().find(|entry| entry.slot == *slot) {
                    self.joins.take(entry.mailbox, now)?;
                }
            }
            if let Some(answer) = self.submit_commit(&cell, slot, &state, commit, plan, now).await? {
                return Ok(answer);
            }
        }
    }

    /// The rows that the commit calls void: exactly the newest ones of the log, up to the head.
    async fn voids(&self, state: &RoomState, commit: &frames::Commit) -> Result<Vec<Void>, Refused> {
        let Some(&first) = commit.voids.iter().min() else { return Ok(Vec::new()) };
        let range = KeyRange { from: log_key(first), to: Some(log_key(state.head.saturating_add(1))) };
        let rows = self.store.range(&partition(&commit.room), &range, commit.voids.len() + 1).await?;
        let records: Vec<LogRecord> =
            rows.iter().map(|row| record::decode(&row.value, "log row")).collect::<Result<_, _>>()?;
        if !are_newest(&commit.voids, &records.iter().map(|record| record.seq).collect::<Vec<_>>()) {
            return refuse(Code::Malformed, "void rows are the newest handshake rows, up to the head");
        }
        let void = |record: LogRecord| Void {
            undo: undos_of(record.undo, &commit.room, &self.keys),
            send_key_before: Digest(record.send_key_before),
            attributed_before: record.attributed_before == Some(true),
        };
        Ok(records.into_iter().map(void).collect())
    }

    /// `None` when the cell was spoilt meanwhile.
    async fn submit_commit(
        &self,
        cell: &Arc<Cell>,
        slot: u32,
        before: &RoomState,
        commit: &frames::Commit,
        mut plan: Plan,
        now: UnixMillis,
    ) -> Result<Option<Answer>, Refused> {
        let room = commit.room;
        let (ticket, answer, bound) = {
            let mut guard = cell.inner.locked();
            let inner = guard.as_mut().ok_or_else(no_such_room)?;
            if inner.spoilt {
                return Ok(None);
            }
            inner.meter_commit(slot, self.limits.commits, now)?;
            let (seq, mut batch) =
                inner.take_seq(RowBatch::new(partition(&room)).present(STATE), self.expires(Kind::RoomSeq, now));
            plan.state.head = seq;
            let gone = self.mark_dead(&mut plan.state);
            let answer = CommitAnswer { room_seq: seq, time: now.0, closed: gone };
            for grant in &plan.grants {
                let kind = Kind::GrantUsed;
                batch = batch.absent(grant_key(&grant.id)).put(
                    grant_key(&grant.id),
                    Vec::new(),
                    kind.row(),
                    self.expires(kind, now),
                );
            }
            let grants_from = 1;
            let log = log_record(seq, before, commit, &plan, now);
            let closed = |entry: &Entry| entry.dead || self.mailboxes.is_closed(&entry.mailbox);
            let (job, payload) = job(seq, before, commit, &plan, closed, now);
            for slot in &plan.gone {
                batch = batch.delete(asked_key(*slot));
            }
            batch = batch
                .put(STATE, plan.state.to_bytes(), Kind::Room.row(), self.expires(Kind::Room, now))
                .put(log_key(seq), record::encode(&log), Kind::Log.row(), self.expires(Kind::Log, now))
                .put(
                    commit_key(&commit.commit_id),
                    record::encode(&answer),
                    Kind::CommitId.row(),
                    self.expires(Kind::CommitId, now),
                );
            let mut batches = vec![Batch::from(job.put(batch))];
            batches.extend(self.delivery(&room, job, payload));
            inner.asked_used.retain(|used| !plan.gone.contains(used));
            inner.set_state(Arc::new(plan.state));
            (self.store.commit(batches), answer, (inner.bound(), grants_from))
        };
        let guard = SpoilUnlessDone::new(cell);
        match ticket.await? {
            Outcome::Applied { .. } => {
                cell.with(|inner| inner.bound_is_durable(bound.0));
                guard.done();
                Ok(Some(answer.answer()))
            }
            Outcome::Refused { batch: 0, assert } if assert >= bound.1 => {
                refuse(Code::BadGrant, "a grant was used before; claim again")
            }
            Outcome::Refused { .. } => Err(no_such_room()),
        }
    }

    /// Drops the tokens of entries whose mailbox is gone, and gives the member keys of all such.
    fn mark_dead(&self, state: &mut RoomState) -> Vec<u8> {
        state.drop_dead(&self.mailboxes);
        state.entries.iter().filter(|entry| entry.dead).flat_map(|entry| entry.member_key.0).collect()
    }
}

/// Who commits: the committer's slot. It must be an entry now, before void rows are undone: else whoever was removed could
/// call its removal void, again and again. (Whoever a void row locks out waits for another member's commit; a conversation
/// of two is rebuilt.)
fn may_commit(entry: &Entry) -> Result<u32, Refused> {
    if !entry.open || !entry.rights.allow(Rights::COMMIT) {
        return refuse(Code::NoRight, "the entry may not commit");
    }
    Ok(entry.slot)
}

/// The room after the commit.
fn plan(
    before: &RoomState,
    commit: &frames::Commit,
    voids: &[Void],
    keys: &Keys,
    now: UnixMillis,
    rng: &mut Rng,
) -> Result<Plan, Refused> {
    let mut state = before.clone();
    let mut undo = Vec::new();
    for void in voids.iter().rev() {
        undo.extend(state.undo(&void.undo));
        state.attributed = void.attributed_before;
    }
    // The epoch that valid members are in: the one before the void rows.
    let epoch_key = voids.first().map_or(before.send_key, |void| void.send_key_before);
    let own_slot = before.entry(&commit.member_key).map(|entry| entry.slot).ok_or_else(no_such_room)?;
    let mut plan = Plan { state, undo, grants: Vec::new(), joined: Vec::new(), gone: Vec::new() };
    let own = plan.state.entries.iter().find(|entry| entry.slot == own_slot).ok_or_else(no_such_room)?;
    let own_rights = own.rights;
    let mut removes = false;
    for change in &commit.changes {
        match change {
            EntryChange::Add { member_key, grant, rights } => {
                if !own_rights.allow(Rights::ADD) || !own_rights.allow(*rights) {
                    return refuse(Code::NoRight, "the entry may not add, or not with these rights");
                }
                plan.add(commit, *member_key, grant, *rights, keys, now, rng)?;
            }
            EntryChange::Remove { member_key } => {
                removes = true;
                plan.remove(member_key, own_slot, own_rights)?;
            }
            EntryChange::Attributed { on } => plan.state.attributed = *on,
            EntryChange::Rekey { new } => plan.rekey(commit, own_slot, *new, keys, rng)?,
        }
    }
    if plan.state.entries.len() > MAX_ENTRIES {
        return refuse(Code::TooLarge, "the room is full");
    }
    plan.state.previous = (!removes).then(|| (epoch_key, now.plus_ms(PREVIOUS_KEY_MS)));
    plan.state.send_key = commit.next_send_key;
    Ok(plan)
}

impl Plan {
    #[expect(clippy::too_many_arguments, reason = "an entry is bound to all of them")]
    fn add(
        &mut self,
        commit: &frames::Commit,
        member_key: MemberKey,
        grant: &[u8],
        rights: Rights,
        keys: &Keys,
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<(), Refused> {
        let grant = Grant::open(keys, &commit.room, &member_key, grant).filter(|grant| now < grant.expires);
        let twice = |grant: &Grant| self.grants.iter().any(|used| used.id == grant.id);
        let Some(grant) = grant.filter(|grant| !twice(grant)) else {
            return refuse(Code::BadGrant, "the grant is not for this room and member key, or has expired");
        };
        if self.state.entry(&member_key).is_some() {
            return refuse(Code::BadGrant, "the member key is in the room already");
        }
        let slot = self.state.next_slot;
        self.state.next_slot += 1;
        let token = token::seal(keys, &commit.room, &member_key, &grant.mailbox, rng);
        let mailbox = grant.mailbox;
        self.state.entries.push(Entry { slot, member_key, token, mailbox, open: grant.open, rights, dead: false });
        self.undo.push(Undo { slot, before: None });
        self.joined.push(slot);
        self.grants.push(grant);
        Ok(())
    }

    /// An entry that is gone already is fine: its leaf may still be in the group.
    fn remove(&mut self, member_key: &MemberKey, own_slot: u32, own_rights: Rights) -> Result<(), Refused> {
        let Some(at) = self.state.entries.iter().position(|entry| entry.member_key == *member_key) else {
            return Ok(());
        };
        if self.state.entries[at].slot != own_slot && !own_rights.allow(Rights::REMOVE) {
            return refuse(Code::NoRight, "the entry may not remove others");
        }
        let entry = self.state.entries.remove(at);
        self.gone.push(entry.slot);
        self.joined.retain(|slot| *slot != entry.slot);
        self.undo.push(Undo { slot: entry.slot, before: Some(entry) });
        Ok(())
    }

    fn rekey(
        &mut self,
        commit: &frames::Commit,
        own_slot: u32,
        new: MemberKey,
        keys: &Keys,
        rng: &mut Rng,
    ) -> Result<(), Refused> {
        if self.state.entry(&new).is_some() {
            return refuse(Code::Malformed, "the new member key is in the room already");
        }
        let Some(entry) = self.state.entries.iter_mut().find(|entry| entry.slot == own_slot) else {
            return refuse(Code::Malformed, "the entry was removed by the same commit");
        };
        self.undo.push(Undo { slot: own_slot, before: Some(entry.clone()) });
        entry.member_key = new;
        entry.token = token::seal(keys, &commit.room, &new, &entry.mailbox, rng);
        Ok(())
    }
}

fn log_record(seq: u64, before: &RoomState, commit: &frames::Commit, plan: &Plan, now: UnixMillis) -> LogRecord {
    LogRecord {
        seq,
        time: now.0,
        commit_id: commit.commit_id.0,
        payload: commit.payload.to_vec(),
        next_send_key: commit.next_send_key.0,
        voids: commit.voids.clone(),
        member_key: commit.member_key.0,
        shared: commit.welcome.as_ref().map(|welcome| welcome.shared.to_vec()),
        head_before: before.head,
        send_key_before: before.send_key.0,
        undo: undo_records(&plan.undo),
        entries: entries_digest(&commit.changes).0,
        attributed_before: before.attributed.then_some(true),
    }
}

/// Who hears of the commit: each mailbox gets one row of it, the Welcome if it joins, else a pointer into the log.
/// Asked entries hear nothing but their Welcome, and of their own removal.
fn job(
    seq: u64,
    before: &RoomState,
    commit: &frames::Commit,
    plan: &Plan,
    closed: impl Fn(&Entry) -> bool,
    now: UnixMillis,
) -> (Job, bytes::Bytes) {
    let payload = commit_payload(&commit.room, seq);
    let parts = commit.welcome.as_ref().map_or(&[][..], |welcome| &welcome.parts);
    let mut own = Vec::new();
    let mut served: HashSet<MailboxId> = HashSet::new();
    for (member_key, part) in parts {
        let Some(entry) = plan.state.entry(member_key).filter(|entry| plan.joined.contains(&entry.slot)) else {
            continue;
        };
        if !entry.dead && served.insert(entry.mailbox) {
            let payload = welcome_payload(&commit.room, seq, member_key, part, !entry.open);
            own.push(OwnRow { mailbox: entry.mailbox.0, payload: payload.to_vec() });
        }
    }
    let stays = |slot: u32| plan.state.entries.iter().any(|entry| entry.slot == slot);
    let hears = |entry: &&Entry| !closed(entry) && (entry.open || !stays(entry.slot));
    let to: Vec<MailboxId> = before
        .entries
        .iter()
        .filter(hears)
        .chain(plan.state.entries.iter().filter(|entry| !entry.dead && entry.open))
        .map(|entry| entry.mailbox)
        .filter(|mailbox| served.insert(*mailbox))
        .collect();
    let mut job = Job::new(seq, &payload, &to, now);
    job.own = own;
    (job, payload)
}

#[cfg(test)]
mod stored {
    use super::*;
    use crate::{record::encode, testing::holds};

    #[test]
    fn stored_bytes_stay_as_they_are() {
        holds("commit answer", &encode(&CommitAnswer { room_seq: 300, time: 1_700_000_000_000, closed: vec![1; 32] }));
    }
}
