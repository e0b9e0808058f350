//! Commits: what is wanted of a room becomes one commit at a time, whatever races.
//!
//! | step | stored before | then |
//! |---|---|---|
//! | make the room at the server | the group, [`Work::create`](crate::state::Work) | `RoomExists` means: we did already |
//! | make a commit from the first want | group state with it pending, its very bytes | it is sent, again and again with the same id |
//! | `Accepted`, or its echo in mailbox or log | - | merged; the want is done |
//! | `Behind` | - | the winner's row comes by the mailbox (or the log); it replaces ours, and the want is looked at again |
//!
//! A want that no longer makes sense (the leaf is gone already, the void rows are undone) is dropped when its turn comes.

use crate::api::{Failure, Role};
use crate::contacts::e2ee_account;
use crate::engine::{Engine, Purpose};
use crate::groups::MOST_ADDED;
use crate::mls::Ready;
use crate::order::{After, Said, after_commit, newest_voids};
use crate::rules;
use crate::signing;
use crate::state::{Change as StoredChange, Chore, Joiner, Pending, Phase, Want};
use bytes::Bytes;
use parlour_e2ee::{Change, Group, KeyPackage, LeaveRequest, PendingCommit, Policy, Update};
use parlour_proto::frames::{AccountRef, Answer, Commit, EntryChange, Request, Rights, Welcome, commit_bytes};
use parlour_proto::ids::{Digest, MemberKey, MessageId, RoomId};
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;

const ADD: u32 = 1;
const REMOVE: u32 = 2;
const ATTRIBUTED: u32 = 3;

/// So many key packages are claimed at one time for a room.
const MOST_CLAIMS: usize = 16;
/// How long the mailbox may take to bring a commit that the server already counts.
const LOG_AFTER_MS: u64 = 3_000;
/// Logs that are asked for at one time.
const MOST_LOGS: usize = 16;

impl Engine {
    pub(crate) fn settle_work(&mut self, rng: &mut dyn CryptoRngCore) {
        self.settle_announcements(rng);
        for room in self.s.work.keys() {
            self.settle_room(room, rng);
            self.s.tidy_work(&room);
        }
        let mut asked = self.flights.values().filter(|flight| matches!(flight.purpose, Purpose::Log(_))).count();
        for (room, since) in self.behind.clone() {
            let due = since.plus_ms(LOG_AFTER_MS);
            if self.s.comparing.contains(&room) {
                continue;
            }
            if self.now >= due && asked < MOST_LOGS {
                asked += 1;
                self.fetch_log(room);
            } else if self.now >= due {
                // When an answer comes.
            } else {
                self.wake_at(due);
            }
        }
    }

    fn settle_room(&mut self, room: RoomId, rng: &mut dyn CryptoRngCore) {
        let Some(work) = self.s.work.get(&room) else { return };
        if !self.s.rooms.contains(&room) {
            self.s.work.remove(&room);
            return;
        }
        if self.s.comparing.contains(&room) {
            return;
        }
        if work.repair.is_some() {
            return self.settle_repair(room, rng);
        }
        if let Some(send_key) = work.create {
            return self.ask_for_room(room, send_key);
        }
        if self.behind.contains_key(&room) {
            // What moved the head comes first; until then the server would give the same answer.
            return;
        }
        if work.pending.is_some() {
            return self.send_commit(room);
        }
        if !work.wants.is_empty() && self.may_commit(room) {
            self.make_commit(room, rng);
        }
    }

    /// An `asked` entry has no rights before it is open.
    fn may_commit(&mut self, room: RoomId) -> bool {
        let opening =
            self.s.chores.iter().any(|(_, chore)| matches!(chore, Chore::OpenEntry { room: r, .. } if *r == room));
        !opening && self.s.rooms.get(&room).is_some_and(|r| !r.asked_here) && !self.hesitates(room)
    }

    fn ask_for_room(&mut self, room: RoomId, send_key: Digest) {
        let Some(key) = self.s.rooms.get(&room).and_then(|r| signing::member_key(&r.member)) else { return };
        let member_key = MemberKey(key.verifying_key().to_bytes());
        self.ask(Role::Inbox, Purpose::CreateRoom(room), || Request::CreateRoom { room, member_key, send_key });
    }

    pub(crate) fn on_room_created(&mut self, room: RoomId, result: Result<Answer, Problem>) {
        let created = match result {
            Ok(_) => true,
            // Room ids are random: it can only be ours, made before an answer was lost.
            Err(problem) if problem.code == Code::RoomExists => true,
            Err(_) => false,
        };
        if created {
            self.s.work(room).create = None;
            self.look_at_rooms();
        } else {
            self.later(Purpose::CreateRoom(room), 5_000);
        }
    }

    fn make_commit(&mut self, room: RoomId, rng: &mut dyn CryptoRngCore) {
        match self.need_group(&room) {
            Ready::Yes => {}
            Ready::NotYet => return,
            Ready::Never => {
                self.s.work.remove(&room);
                return;
            }
        }
        let Some(want) = self.s.work.get(&room).and_then(|work| work.wants.first().cloned()) else { return };
        let claims = self.claims_wanted(&room);
        if !claims.is_empty() {
            return claims.into_iter().for_each(|account| self.claim_member(room, account));
        }
        if let Want::ClaimOwn { device } = &want {
            return self.claim_own(room, *device);
        }
        if let Want::Return { account } = &want {
            return self.claim_return(room, account.clone());
        }
        match self.change_for(&room, &want) {
            Some((change, joiners)) => self.commit_change(room, change, &joiners, rng),
            None => self.want_done(room),
        }
    }

    /// Whose key packages are to be claimed next: what is added together is one commit, once all of them are here or there are
    /// as many as a commit takes.
    fn claims_wanted(&self, room: &RoomId) -> Vec<AccountRef> {
        let wants = self.s.work.get(room).map_or(&[][..], |work| &work.wants);
        let is_full =
            |want: &Want| matches!(want, Want::Add { devices, .. } if devices.len() + MOST_CLAIMS > MOST_ADDED);
        if wants.first().is_some_and(is_full) {
            return Vec::new();
        }
        let claims = wants.iter().filter_map(|want| match want {
            Want::Claim { account } => Some(account.clone()),
            _ => None,
        });
        claims.take(MOST_CLAIMS).collect()
    }

    /// What the want asks of MLS now; `None` if nothing is left to do.
    fn change_for(&mut self, room: &RoomId, want: &Want) -> Option<(Change, Vec<Joiner>)> {
        let remove = |leaves: Vec<u32>| (!leaves.is_empty()).then(|| (Change::remove(leaves), Vec::new()));
        match want {
            Want::Claim { .. } | Want::ClaimOwn { .. } | Want::Return { .. } => None,
            Want::Add { devices, .. } => {
                let joiners: Vec<Joiner> =
                    devices.iter().filter(|device| !self.has_leaf(room, device)).cloned().collect();
                let packages = self.packages(&joiners)?;
                let change = (!packages.is_empty()).then(|| Change::add(packages))?;
                Some((self.without_roles(room, change), joiners))
            }
            Want::Remove { account } => {
                let account = e2ee_account(account);
                let (change, joiners) = remove(self.leaves(room, |member| *member.account() == account))?;
                Some((self.without_roles(room, change), joiners))
            }
            Want::Gone { account, devices } => {
                let account = e2ee_account(account);
                let is_gone = |member: &parlour_e2ee::Member| {
                    *member.account() == account && devices.iter().any(|device| device.0 == member.device())
                };
                remove(self.leaves(room, is_gone))
            }
            Want::Drop { member_keys } => {
                remove(self.leaves(room, |member| member_keys.contains(&MemberKey(member.member_key()))))
            }
            Want::Leave { request } => {
                let request = LeaveRequest::from_bytes(request)?;
                self.group(room)?.leaving_leaf(&request)?;
                Some((self.without_roles(room, Change::leave(vec![request])), Vec::new()))
            }
            Want::Role { account, role } => {
                self.policy_change(room, |policy| rules::give(policy, e2ee_account(account), *role))
            }
            Want::Rules { add, write, change, history } => self.policy_change(room, |policy| {
                policy.history_s = *history;
                policy.who_may_add = rules::allowed(*add);
                policy.who_may_write = rules::allowed(*write);
                policy.who_may_change = rules::allowed(*change);
            }),
            Want::Attributed { on } => self.policy_change(room, |policy| policy.attributed = *on),
            Want::Expiry { after_s, archive, existing } => self.policy_change(room, |policy| {
                policy.expiry_s = after_s.map(u64::from);
                policy.archive = archive.then_some(true);
                if *existing {
                    policy.expiry_again = Some(policy.expiry_again.unwrap_or(0).wrapping_add(1));
                }
            }),
            Want::Swap { old, joiner } => {
                let leaf = *self.leaves(room, |member| member.member_key() == old.0).first()?;
                let package = self.packages(std::slice::from_ref(joiner))?.pop()?;
                Some((Change::swap(leaf, package), vec![joiner.clone()]))
            }
            Want::Renew => Some((Change::update(Update::KeepMemberKey), Vec::new())),
            Want::Update { for_voids } => {
                let voids = self.s.rooms.get(room).is_some_and(|r| !r.voids.is_empty());
                (voids || !for_voids).then(|| (Change::update(Update::KeepMemberKey), Vec::new()))
            }
        }
    }

    /// Who is not in before, or not after, has no role any more.
    fn without_roles(&mut self, room: &RoomId, change: Change) -> Change {
        match self.group(room).and_then(|group| group.policy_without_the_gone(&change)) {
            Some(policy) => change.and(Change::policy(policy)),
            None => change,
        }
    }

    /// `None` when it is so already.
    fn policy_change(&mut self, room: &RoomId, set: impl FnOnce(&mut Policy)) -> Option<(Change, Vec<Joiner>)> {
        let before = self.group(room)?.policy().clone();
        let mut after = before.clone();
        set(&mut after);
        (after != before).then(|| (Change::policy(after), Vec::new()))
    }

    /// Somebody else may have been quicker, with another key package of the same device.
    fn has_leaf(&mut self, room: &RoomId, joiner: &Joiner) -> bool {
        let package = parlour_e2ee::ClaimedKeyPackage::parse(&joiner.key_package, self.server_time().0).ok();
        let credential = package.as_ref().map(|package| package.credential());
        let same = |member: &parlour_e2ee::Member| {
            let is_theirs =
                |it: &&parlour_e2ee::LeafCredential| it.device == member.device() && it.account == *member.account();
            member.member_key() == joiner.member_key.0 || credential.as_ref().is_some_and(is_theirs)
        };
        !self.leaves(room, same).is_empty()
    }

    fn leaves(&mut self, room: &RoomId, which: impl Fn(&parlour_e2ee::Member) -> bool) -> Vec<u32> {
        let own = self.group(room).map(|group| group.own_leaf());
        let members = self.group(room).map(|group| group.members()).unwrap_or_default();
        members.iter().filter(|m| which(m) && Some(m.leaf) != own).map(|m| m.leaf).collect()
    }

    fn packages(&self, joiners: &[Joiner]) -> Option<Vec<KeyPackage>> {
        let open = |joiner: &Joiner| {
            let package = parlour_e2ee::ClaimedKeyPackage::parse(&joiner.key_package, self.server_time().0).ok()?;
            let credential = package.credential();
            let account = crate::contacts::proto_account(&credential.account)?;
            let key = self.device_signing_key(&account, &parlour_proto::ids::DeviceId(credential.device))?;
            package.verify(&key).ok()
        };
        joiners.iter().map(open).collect()
    }

    fn commit_change(&mut self, room: RoomId, change: Change, joiners: &[Joiner], rng: &mut dyn CryptoRngCore) {
        let commit_id = MessageId::random(rng);
        let puts_off = self.s.work.get(&room).is_some_and(|work| matches!(work.wants.first(), Some(Want::Renew)));
        let made = self.with_identity(&room, |group, me| {
            if group.has_pending() {
                // Of a commit whose bytes we no longer have: it was never sent.
                group.clear_pending()?;
            }
            let signer = group.member_key_pair().to_bytes();
            group.commit(me, change, commit_id.0, rng).map(|made| (signer, made))
        });
        match made {
            Some(Ok((_, made))) if puts_off && !self.may_weigh(&room, made.commit.len()) => {
                self.with_group(&room, |group| group.clear_pending().ok());
                self.put_off(&room);
                self.want_done(room);
            }
            Some(Ok((signer, made))) => self.store_commit(room, &signer[..], made, joiners),
            Some(Err(error)) => {
                tracing::warn!(%error, "a wanted change is not possible");
                self.want_failed(room, &Failure::BadInput(format!("not possible in this group: {error}")));
            }
            None => {}
        }
    }

    fn store_commit(&mut self, room: RoomId, signer: &[u8], made: PendingCommit, joiners: &[Joiner]) {
        let Some((head, voids)) = self.s.rooms.get(&room).map(|r| (r.head, newest_voids(&r.voids).to_vec())) else {
            return;
        };
        let Some(key) = signing::member_key(signer) else { return };
        let remove = |member: &parlour_e2ee::Member| StoredChange {
            kind: REMOVE,
            member_key: MemberKey(member.member_key()),
            grant: Bytes::new(),
            rights: 0,
        };
        let add = |joiner: &Joiner| StoredChange {
            kind: ADD,
            member_key: joiner.member_key,
            grant: joiner.grant.clone(),
            rights: u32::from(Rights::ALL.0),
        };
        let attributed = made.attributed.map(|on| StoredChange {
            kind: ATTRIBUTED,
            member_key: MemberKey([0; 32]),
            grant: Bytes::new(),
            rights: u32::from(on),
        });
        let changes = made.removed.iter().map(remove).chain(joiners.iter().map(add)).chain(attributed).collect();
        let part = |part: parlour_e2ee::WelcomePart| (MemberKey(part.member_key), Bytes::from(part.bytes));
        let mut pending = Pending {
            head,
            commit_id: MessageId(made.id),
            payload: made.commit.into(),
            next_send_key: Digest(made.next_send_key_digest),
            changes,
            voids,
            welcome: made.welcome.map(|w| (Bytes::from(w.shared), w.parts.into_iter().map(part).collect())),
            member_key: MemberKey(key.verifying_key().to_bytes()),
            signature: [0; 64],
        };
        pending.signature = signing::sign(&key, &commit_bytes(&frame(room, &pending)));
        self.s.work(room).pending = Some(pending);
        self.again = true;
    }

    fn send_commit(&mut self, room: RoomId) {
        let Some(commit) = self.s.work.get(&room).and_then(|w| w.pending.as_ref()).map(|p| frame(room, p)) else {
            return;
        };
        self.ask(Role::Outbox, Purpose::Commit(room), || Request::Commit(Box::new(commit)));
    }

    pub(crate) fn on_commit_answer(&mut self, room: RoomId, result: Result<Answer, Problem>) {
        self.again = true;
        let Some(made_on) = self.s.work.get(&room).and_then(|work| work.pending.as_ref()).map(|p| p.head) else {
            return;
        };
        let head = self.s.rooms.get(&room).map_or(0, |r| r.head);
        match result {
            Ok(Answer::Accepted { room_seq, closed, .. }) => {
                if self.need_group(&room) != Ready::Yes {
                    // Asked once more when the group is here: the same commit id gets the same answer.
                    return self.later(Purpose::Commit(room), 200);
                }
                match after_commit(Said::Accepted(room_seq), head, made_on) {
                    After::Merge(room_seq) => self.commit_accepted(room, room_seq),
                    _ => return self.room_is_behind(room),
                }
                if !closed.is_empty() {
                    self.s.work(room).wants.push(Want::Drop { member_keys: closed });
                }
            }
            Ok(_) => self.later(Purpose::Commit(room), 5_000),
            Err(problem) => match problem.code {
                Code::Behind => match after_commit(Said::Behind, head, made_on) {
                    After::MakeAnew => self.redo(room),
                    _ => self.fall_behind(room),
                },
                Code::NoSuchRoom => self.shut_out(room),
                Code::BadSignature => self.break_room(room),
                Code::Succeeded => self.supersede(room, problem.successor),
                _ => self.commit_refused(room, problem),
            },
        }
    }

    /// The server will never take this commit.
    fn commit_refused(&mut self, room: RoomId, problem: Problem) {
        let first = self.s.rooms.get(&room).filter(|r| matches!(r.phase, Phase::Building)).map(|r| r.conversation);
        self.redo(room);
        if let Some(conversation) = first
            && problem.code == Code::BadGrant
        {
            // Claimed too long ago: claim again, for a room of its own.
            self.start_over(conversation, room);
        } else {
            self.want_failed(room, &Failure::Refused(problem));
        }
    }

    /// Forgets the pending commit; what it was for is still wanted.
    pub(crate) fn redo(&mut self, room: RoomId) {
        self.s.work(room).pending = None;
        self.with_group(&room, |group| group.clear_pending().ok());
        self.flights.retain(|_, flight| flight.purpose != Purpose::Commit(room));
        self.again = true;
    }

    /// Our pending commit is in the room, at this sequence.
    pub(crate) fn commit_accepted(&mut self, room: RoomId, room_seq: u64) {
        let Some(work) = self.s.work.get(&room) else { return };
        let pending = work.pending.as_ref().map(|pending| (pending.payload.len(), pending.commit_id));
        let Some((weight, commit)) = pending else { return };
        let before = self.policy_of(&room).map(|(policy, _)| policy);
        // A commit that only adds leaves the committer's leaf as it is (RFC 9420 §12.4).
        let has_path = !matches!(work.wants.first(), Some(Want::Add { .. }));
        let merged = self.with_group(&room, |group| group.merge_pending(room_seq));
        if !matches!(merged, Some(Ok(()))) {
            tracing::error!("an accepted commit could not be merged");
            return self.break_room(room);
        }
        self.flights.retain(|_, flight| flight.purpose != Purpose::Commit(room));
        self.s.work(room).pending = None;
        self.behind.remove(&room);
        self.let_in(room);
        self.weighed(&room, weight);
        if has_path {
            self.renewed(&room);
        }
        let secret = self.group(&room).map(|group: &mut Group| group.member_key_pair().to_bytes().to_vec());
        let Some(r) = self.s.rooms.get_mut(&room) else { return };
        r.head = r.head.max(room_seq);
        // Those beyond a frame's measure cannot be undone any more.
        r.voids.clear();
        if let Some(secret) = secret {
            r.member = secret.into();
        }
        r.update_first = false;
        if matches!(r.phase, Phase::Building) {
            r.phase = Phase::Live;
            self.rebuilt(room);
        }
        self.refresh_members(room);
        if let (Some(before), Some((after, _))) = (before, self.policy_of(&room)) {
            let now = self.server_time();
            self.policy_set(room, None, now, commit, (&before, &after));
        }
        self.want_done(room);
    }
}

/// The frame of a stored commit: the same bytes each time.
pub(crate) fn frame(room: RoomId, pending: &Pending) -> Commit {
    let change = |change: &StoredChange| match change.kind {
        ADD => EntryChange::Add {
            member_key: change.member_key,
            grant: change.grant.clone(),
            rights: Rights(u8::try_from(change.rights).unwrap_or(0)),
        },
        ATTRIBUTED => EntryChange::Attributed { on: change.rights != 0 },
        _ => EntryChange::Remove { member_key: change.member_key },
    };
    Commit {
        room,
        head: pending.head,
        commit_id: pending.commit_id,
        payload: pending.payload.clone(),
        next_send_key: pending.next_send_key,
        changes: pending.changes.iter().map(change).collect(),
        voids: pending.voids.clone(),
        welcome: pending.welcome.clone().map(|(shared, parts)| Welcome { shared, parts }),
        member_key: pending.member_key,
        signature: pending.signature,
    }
}
