//! Rooms: what is proven by a member key, messages, commits with compare-and-set.

use super::{Entry, Room, Server, check, no};
use bytes::Bytes;
use parlour_proto::frames::*;
use parlour_proto::ids::*;
use parlour_proto::problem::{Code, Problem};
use rand_core::RngCore;
use std::collections::{BTreeMap, BTreeSet};

impl Server {
    pub(super) fn room(&mut self, room: &RoomId) -> Result<&mut Room, Problem> {
        self.rooms.get_mut(room).ok_or(no(Code::NoSuchRoom))
    }

    pub(super) fn prove(
        &mut self,
        room: &RoomId,
        proof: &MemberProof,
        what: &str,
        detail: &[u8],
    ) -> Result<(), Problem> {
        let now = self.now;
        let entry = self.room(room)?.entries.get(&proof.member_key).cloned();
        let acts = entry.filter(|entry| what == "leave" || self.mailboxes.contains_key(&entry.mailbox));
        if acts.is_none() {
            return Err(no(Code::NoSuchRoom));
        }
        if now.since(proof.time).max(proof.time.since(now)) > 600_000 {
            return Err(no(Code::BadSignature));
        }
        check(&proof.member_key.0, &entry_bytes(what, room, proof.time, detail), &proof.signature)
    }

    pub(super) fn send(
        &mut self,
        room: RoomId,
        message_id: MessageId,
        send_key: &Secret,
        tag: [u8; 32],
        payload: Bytes,
    ) -> Result<Answer, Problem> {
        let now = self.now;
        let mut stamp = [0; 32];
        self.rng.fill_bytes(&mut stamp);
        let r = self.room(&room)?;
        if let Some(answer) = r.done.get(&message_id) {
            return Ok(answer.clone());
        }
        if !r.keys.iter().any(|(digest, until)| *digest == send_key.digest() && *until > now) {
            return Err(no(Code::WrongSendKey));
        }
        r.seq += 1;
        let answer = Answer::Accepted { room_seq: r.seq, time: now, stamp, closed: vec![] };
        r.done.insert(message_id, answer.clone());
        let len = payload.len();
        let body = RowBody::Message { message_id, tag, stamp, payload };
        let row = Row { seq: 0, room, room_seq: r.seq, time: now, body };
        let mut to = Vec::new();
        for entry in r.entries.values_mut() {
            if entry.asked && (entry.spent || len > MAX_ASKED_MESSAGE_BYTES) {
                continue;
            }
            entry.spent |= entry.asked;
            to.push(entry.mailbox);
        }
        for mailbox in to {
            self.deliver(mailbox, row.clone());
        }
        Ok(answer)
    }

    /// To the sockets of open entries that are there, and nowhere else. The real one counts, too.
    pub(super) fn whisper(&mut self, room: RoomId, send_key: &Secret, payload: Bytes) -> Result<Answer, Problem> {
        let r = self.room(&room)?;
        if r.keys.last().is_none_or(|(digest, _)| *digest != send_key.digest()) {
            return Err(no(Code::WrongSendKey));
        }
        let open = r.entries.values().filter(|entry| !entry.asked).map(|entry| entry.mailbox);
        let open: BTreeSet<MailboxId> = open.collect();
        self.whispers += 1;
        let there: Vec<_> = open.iter().filter_map(|mailbox| self.online.get(mailbox)).copied().collect();
        for key in there {
            self.after.push((key, Push::Whisper { room, payload: payload.clone() }));
        }
        Ok(Answer::Done)
    }

    pub(super) fn append(&mut self, room: RoomId, body: RowBody, but: Option<MemberKey>) -> Result<Answer, Problem> {
        let now = self.now;
        let r = self.room(&room)?;
        r.seq += 1;
        let row = Row { seq: 0, room, room_seq: r.seq, time: now, body };
        let to: Vec<_> =
            r.entries.iter().filter(|(key, e)| Some(**key) != but && !e.asked).map(|(_, e)| e.mailbox).collect();
        let answer = Answer::Accepted { room_seq: r.seq, time: now, stamp: [0; 32], closed: vec![] };
        for mailbox in to {
            self.deliver(mailbox, row.clone());
        }
        Ok(answer)
    }

    pub(super) fn apply_commit(&mut self, commit: Commit) -> Result<Answer, Problem> {
        let now = self.now;
        let room = commit.room;
        let grants = self.grants.clone();
        let boxes: BTreeSet<MailboxId> = self.mailboxes.keys().copied().collect();
        let r = self.room(&room)?;
        if commit.head != r.head {
            let mut problem = no(Code::Behind);
            problem.head = r.head;
            self.refused_commits += 1;
            return Err(problem);
        }
        let before = r.entries.clone();
        let mut after = before.clone();
        for void in &commit.voids {
            if let Some((removed, added)) = r.undo.remove(void) {
                after.retain(|key, _| !added.contains(key));
                after.extend(removed);
            }
        }
        let mut removes = false;
        for change in &commit.changes {
            match change {
                EntryChange::Add { member_key, grant, rights } => {
                    let granted = grants.get(grant).ok_or(no(Code::BadGrant))?;
                    if granted.room != room || granted.member_key != *member_key {
                        return Err(no(Code::BadGrant));
                    }
                    let entry = Entry { mailbox: granted.mailbox, asked: granted.asked, spent: false, rights: *rights };
                    after.insert(*member_key, entry);
                }
                // Attributed mode is tested with the real server (testing/sim).
                EntryChange::Attributed { .. } => {}
                EntryChange::Remove { member_key } => {
                    removes = true;
                    after.remove(member_key);
                }
                EntryChange::Rekey { new } => {
                    if let Some(entry) = after.remove(&commit.member_key) {
                        after.insert(*new, entry);
                    }
                }
            }
        }
        r.seq += 1;
        let seq = r.seq;
        r.head = seq;
        // What undoing it must bring back and take away, undone rows included.
        let removed = before.iter().filter(|(key, _)| !after.contains_key(key));
        let removed = removed.map(|(key, entry)| (*key, entry.clone())).collect();
        let added = after.keys().filter(|key| !before.contains_key(key)).copied().collect();
        r.undo.insert(seq, (removed, added));
        r.entries = after.clone();
        if removes {
            r.keys.clear();
        }
        for (_, until) in &mut r.keys {
            *until = (*until).min(now.plus_ms(60_000));
        }
        r.keys.push((commit.next_send_key, UnixMillis(u64::MAX)));
        let closed = after.iter().filter(|(_, entry)| !boxes.contains(&entry.mailbox)).map(|(key, _)| *key).collect();
        let answer = Answer::Accepted { room_seq: seq, time: now, stamp: [0; 32], closed };
        r.done.insert(commit.commit_id, answer.clone());
        let body = RowBody::Commit {
            commit_id: commit.commit_id,
            payload: commit.payload,
            next_send_key: commit.next_send_key,
            voids: commit.voids,
            member_key: commit.member_key,
            entries: entries_digest(&commit.changes),
        };
        let row = Row { seq: 0, room, room_seq: seq, time: now, body };
        r.log.push(row.clone());
        self.commits += 1;
        for change in &commit.changes {
            if let EntryChange::Add { grant, .. } = change {
                self.grants.remove(grant);
            }
        }
        let commit_first = self.rng.next_u32().is_multiple_of(2);
        let mut to: BTreeMap<MemberKey, MailboxId> = BTreeMap::new();
        for (key, entry) in before.iter().chain(after.iter()).filter(|(_, entry)| !entry.asked) {
            to.insert(*key, entry.mailbox);
        }
        let mut boxes: Vec<MailboxId> = to.into_values().collect();
        boxes.sort();
        boxes.dedup();
        if commit_first {
            for mailbox in &boxes {
                self.deliver(*mailbox, row.clone());
            }
        }
        if let Some(welcome) = commit.welcome {
            for (member_key, part) in welcome.parts {
                let Some(entry) = after.get(&member_key) else { continue };
                let body = RowBody::Welcome { member_key, shared: welcome.shared.clone(), part, asked: entry.asked };
                self.deliver(entry.mailbox, Row { seq: 0, room, room_seq: seq, time: now, body });
            }
        }
        if !commit_first {
            for mailbox in boxes {
                self.deliver(mailbox, row.clone());
            }
        }
        Ok(answer)
    }
}
