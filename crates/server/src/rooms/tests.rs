//! Scenarios of rooms on a store that stops between any two batches.

use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use parlour_proto::{
    frames::{
        Answer, Commit, EntryChange, MAX_ASKED_MESSAGE_BYTES, MemberProof, Rights, Row, RowBody, Welcome, commit_bytes,
        entry_bytes,
    },
    ids::{Digest, MailboxId, MemberKey, MessageId, RoomId, Secret, UnixMillis},
    problem::Code,
    wire,
};
use parlour_store::{CrashStore, ManualClock, QueueId, QueueLimit, Seq, Store, UnixTime};

use super::{RoomLimits, Rooms, Send, Stored};
use crate::{
    error::Refused,
    grants::Grant,
    keys::Keys,
    mailboxes::{Mailboxes, Notice},
    testing::{NOON, keys, rng},
};

mod attributed;
mod dead;
mod strangers;
mod whispers;

const ROOM: RoomId = RoomId([1; 16]);

/// A server's rooms on a store that can crash, and its clock.
struct World {
    clock: Arc<ManualClock>,
    store: CrashStore,
    keys: Arc<Keys>,
    mailboxes: Arc<Mailboxes<CrashStore>>,
    rooms: Rooms<CrashStore>,
    now: UnixMillis,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(UnixTime(NOON.seconds())));
        let store = CrashStore::new(clock.clone());
        Self::on(store, clock, keys(), NOON).await
    }

    async fn on(store: CrashStore, clock: Arc<ManualClock>, keys: Arc<Keys>, now: UnixMillis) -> Self {
        let mailboxes = Arc::new(Mailboxes::open(store.clone(), keys.clone()).await.unwrap());
        let rooms = Rooms::new(store.clone(), keys.clone(), mailboxes.clone(), RoomLimits::default());
        rooms.resume_all(now).await.unwrap();
        Self { clock, store, keys, mailboxes, rooms, now }
    }

    /// What a server finds that starts after this one was killed.
    async fn restart(&self) -> Self {
        Self::on(self.store.reopen(), self.clock.clone(), self.keys.clone(), self.now).await
    }

    fn pass_ms(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.clock.set(UnixTime(self.now.seconds()));
    }

    /// A room of one, `who`.
    async fn create(&self, who: &Member) {
        let send_key = secret(0).digest();
        self.rooms.create(ROOM, who.key(), send_key, who.mailbox, self.now, &mut rng(1)).await.unwrap();
    }

    fn grant(&self, who: &Member, open: bool) -> Bytes {
        let rng = &mut rng(u64::from_be_bytes(*who.key().0.first_chunk().unwrap()));
        Grant::new(who.mailbox, open, self.now, rng).seal(&self.keys, &ROOM, &who.key(), rng).into()
    }

    async fn commit(&self, commit: &Commit) -> Result<u64, Refused> {
        let answer = self.rooms.commit(commit, self.now, &mut rng(5)).await?;
        let Answer::Accepted { room_seq, .. } = answer else { panic!("{answer:?}") };
        Ok(room_seq)
    }

    async fn send(&self, id: u8, epoch: u8, text: &[u8]) -> Result<u64, Refused> {
        self.send_as(MessageId([id; 16]), epoch, text).await
    }

    async fn send_as(&self, message_id: MessageId, epoch: u8, text: &[u8]) -> Result<u64, Refused> {
        let send = Send {
            room: ROOM,
            message_id,
            send_key: secret(epoch),
            tag: [message_id.0[0]; 32],
            payload: Bytes::copy_from_slice(text),
            by: None,
        };
        let answer = self.rooms.send(send, self.now).await?.done().await?;
        let Answer::Accepted { room_seq, .. } = answer else { panic!("{answer:?}") };
        Ok(room_seq)
    }

    /// Everything that waits for a member.
    async fn rows(&self, who: &Member) -> Vec<Row> {
        let limit = QueueLimit { rows: usize::MAX, bytes: usize::MAX };
        let stored = self.store.queue_range(QueueId::Mailbox(who.mailbox.0), Seq::START, limit).await.unwrap();
        let mut rows = Vec::new();
        for row in stored {
            let stored = Stored::parse(&row.payload).unwrap();
            let bytes = self.rooms.resolve(stored).await.unwrap().unwrap();
            rows.push(wire::decode_row(bytes).unwrap());
        }
        rows
    }

    /// Texts that wait for a member, each (room, sequence) once, as an engine reads them.
    async fn texts(&self, who: &Member) -> Vec<Vec<u8>> {
        let mut seen = 0;
        let mut texts = Vec::new();
        for row in self.rows(who).await {
            if row.room_seq <= seen {
                continue;
            }
            seen = row.room_seq;
            if let RowBody::Message { payload, .. } = row.body {
                texts.push(payload.to_vec());
            }
        }
        texts
    }
}

fn secret(epoch: u8) -> Secret {
    Secret([epoch; 32])
}

struct Member {
    signing: SigningKey,
    mailbox: MailboxId,
}

impl Member {
    fn new(seed: u8) -> Self {
        Self { signing: SigningKey::from_bytes(&[seed; 32]), mailbox: MailboxId([seed; 16]) }
    }

    fn key(&self) -> MemberKey {
        MemberKey(self.signing.verifying_key().to_bytes())
    }

    fn commit(&self, id: u8, head: u64, epoch: u8, changes: Vec<EntryChange>) -> Commit {
        let adds = changes.iter().filter_map(|change| match change {
            EntryChange::Add { member_key, .. } => Some((*member_key, Bytes::from_static(b"part"))),
            _ => None,
        });
        let parts: Vec<_> = adds.collect();
        let welcome = (!parts.is_empty()).then(|| Welcome { shared: Bytes::from_static(b"shared"), parts });
        self.sign(Commit {
            room: ROOM,
            head,
            commit_id: MessageId([id; 16]),
            payload: Bytes::from_static(b"commit"),
            next_send_key: secret(epoch).digest(),
            changes,
            voids: vec![],
            welcome,
            member_key: self.key(),
            signature: [0; 64],
        })
    }

    fn sign(&self, mut commit: Commit) -> Commit {
        commit.signature = self.signing.sign(&commit_bytes(&commit)).to_bytes();
        commit
    }

    fn proof(&self, what: &str, detail: &[u8], time: UnixMillis) -> MemberProof {
        let signature = self.signing.sign(&entry_bytes(what, &ROOM, time, detail)).to_bytes();
        MemberProof { member_key: self.key(), time, signature }
    }
}

fn add(world: &World, who: &Member, rights: Rights) -> EntryChange {
    EntryChange::Add { member_key: who.key(), grant: world.grant(who, true), rights }
}

fn code<T: std::fmt::Debug>(result: Result<T, Refused>) -> Code {
    result.expect_err("refused").problem().code
}

/// Ann and Bob, both open with all rights, at epoch 1; the head.
async fn pair() -> (World, Member, Member, u64) {
    let world = World::new().await;
    let (ann, bob) = (Member::new(1), Member::new(2));
    world.create(&ann).await;
    let head = world.commit(&ann.commit(1, 0, 1, vec![add(&world, &bob, Rights::ALL)])).await.unwrap();
    (world, ann, bob, head)
}

#[tokio::test]
async fn accepted_commit_whose_answer_was_lost() {
    let (world, ann, _, head) = pair().await;
    let commit = ann.commit(2, head, 2, vec![EntryChange::Rekey { new: Member::new(9).key() }]);
    let first = world.commit(&commit).await.unwrap();
    // The committer's member key is another one by now; the same commit still gets the same answer.
    assert_eq!(world.commit(&commit).await.unwrap(), first);
    let world = world.restart().await;
    assert_eq!(world.commit(&commit).await.unwrap(), first);
}

#[tokio::test]
async fn ten_racing_commits() {
    let (world, ann, bob, head) = pair().await;
    let commits: Vec<Commit> =
        (0..10).map(|n| if n % 2 == 0 { &ann } else { &bob }.commit(100 + n, head, 100 + n, vec![])).collect();
    let racing = commits.iter().map(|commit| world.commit(commit));
    let results = futures_util::future::join_all(racing).await;
    let winners: Vec<u64> = results.iter().filter_map(|result| result.as_ref().ok().copied()).collect();
    assert_eq!(winners.len(), 1);
    for result in results {
        if let Err(refused) = result {
            let problem = refused.problem();
            assert_eq!((problem.code, problem.head), (Code::Behind, winners[0]));
        }
    }
}

#[tokio::test]
async fn send_across_a_removal() {
    let (mut world, ann, bob, head) = pair().await;
    let eve = Member::new(3);
    let head = world.commit(&ann.commit(2, head, 2, vec![add(&world, &eve, Rights(0))])).await.unwrap();
    assert!(world.send(10, 1, b"with the key before").await.is_ok(), "within 60 s of an adding commit");
    world.pass_ms(60_000);
    assert_eq!(code(world.send(11, 1, b"too late").await), Code::WrongSendKey);
    assert!(world.send(11, 2, b"again").await.is_ok());

    let remove = EntryChange::Remove { member_key: eve.key() };
    world.commit(&bob.commit(3, head, 3, vec![remove])).await.unwrap();
    assert_eq!(code(world.send(12, 2, b"hello").await), Code::WrongSendKey, "dropped at once");
    assert!(world.send(12, 3, b"hello").await.is_ok(), "the same message id, encrypted again");
    let last = world.rows(&eve).await.pop().unwrap();
    assert!(matches!(last.body, RowBody::Commit { .. }), "the removed one hears of its removal, and nothing after");
    let proof = eve.proof("log", &0u64.to_be_bytes(), world.now);
    assert_eq!(code(world.rooms.fetch_log(ROOM, 0, &proof, world.now).await), Code::NoSuchRoom);
}

#[tokio::test]
async fn void_commit_by_an_insider() {
    let (world, ann, bob, head) = pair().await;
    let eve = Member::new(3);
    let head = world.commit(&ann.commit(2, head, 2, vec![add(&world, &eve, Rights::ALL)])).await.unwrap();
    // Eve throws Bob out by a commit that no member accepts, and takes a new member key in another one.
    let remove = EntryChange::Remove { member_key: bob.key() };
    let void = world.commit(&eve.commit(3, head, 66, vec![remove])).await.unwrap();
    let rekey = EntryChange::Rekey { new: Member::new(7).key() };
    let second = world.commit(&eve.commit(4, void, 67, vec![rekey])).await.unwrap();
    assert_eq!(code(world.send(20, 2, b"x").await), Code::WrongSendKey);

    let mut valid = ann.commit(5, second, 3, vec![]);
    valid.voids = vec![second];
    assert!(world.commit(&ann.sign(valid.clone())).await.is_ok(), "one void row undone");
    let head = world.rooms.cell(&ROOM, world.now).await.unwrap().unwrap().state().head;
    let mut valid = ann.commit(6, head, 4, vec![]);
    valid.voids = vec![void];
    assert_eq!(code(world.commit(&ann.sign(valid.clone())).await), Code::Malformed, "only the newest rows are void");
    valid.voids = vec![head, second, void];
    world.commit(&ann.sign(valid)).await.unwrap();
    assert!(world.send(21, 2, b"epoch 2 is the one before").await.is_ok());
    assert!(world.send(22, 4, b"hello").await.is_ok());
    assert_eq!(world.texts(&bob).await.last().unwrap(), b"hello");
    let state = world.rooms.cell(&ROOM, world.now).await.unwrap().unwrap().state();
    let mut found: Vec<MemberKey> = state.entries.iter().map(|entry| entry.member_key).collect();
    let mut expected = vec![ann.key(), bob.key(), eve.key()];
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn asked_entry_flooded() {
    let world = World::new().await;
    let (ann, bob) = (Member::new(1), Member::new(2));
    world.create(&ann).await;
    let change = EntryChange::Add { member_key: bob.key(), grant: world.grant(&bob, false), rights: Rights::ALL };
    let head = world.commit(&ann.commit(1, 0, 1, vec![change])).await.unwrap();
    world.send(1, 1, &[0; MAX_ASKED_MESSAGE_BYTES + 1]).await.unwrap();
    world.send(2, 1, b"hello").await.unwrap();
    world.send(3, 1, b"hello?").await.unwrap();
    assert_eq!(code(world.commit(&bob.commit(2, head, 2, vec![])).await), Code::NoRight);
    world.commit(&ann.commit(3, head, 2, vec![])).await.unwrap();
    let world = world.restart().await;
    world.send(4, 2, b"answer me").await.unwrap();
    let rows = world.rows(&bob).await;
    assert_eq!(rows.len(), 2, "the Welcome and one message");
    assert!(matches!(rows[0].body, RowBody::Welcome { asked: true, .. }));
    assert_eq!(world.texts(&bob).await, vec![b"hello".to_vec()]);

    world.rooms.open_entry(ROOM, &bob.proof("open", &[], world.now), world.now).await.unwrap();
    world.send(5, 2, b"at last").await.unwrap();
    assert_eq!(world.texts(&bob).await.len(), 2);
}

#[tokio::test]
async fn grants_are_used_once_and_where_they_belong() {
    let (mut world, ann, bob, head) = pair().await;
    let eve = Member::new(3);
    let grant = world.grant(&eve, true);
    let change = |grant: &Bytes, who: &Member| EntryChange::Add {
        member_key: who.key(),
        grant: grant.clone(),
        rights: Rights::COMMIT,
    };
    assert_eq!(
        code(world.commit(&ann.commit(2, head, 2, vec![change(&grant, &Member::new(4))])).await),
        Code::BadGrant
    );
    let head = world.commit(&ann.commit(3, head, 2, vec![change(&grant, &eve)])).await.unwrap();
    let remove = EntryChange::Remove { member_key: eve.key() };
    let head = world.commit(&bob.commit(4, head, 3, vec![remove])).await.unwrap();
    assert_eq!(code(world.commit(&ann.commit(5, head, 4, vec![change(&grant, &eve)])).await), Code::BadGrant);
    assert!(world.commit(&ann.commit(6, head, 4, vec![])).await.is_ok(), "a refused commit changes nothing");
    let late = world.grant(&Member::new(5), true);
    world.pass_ms(crate::grants::GRANT_MS);
    let head = world.rooms.cell(&ROOM, world.now).await.unwrap().unwrap().state().head;
    let expired = world.commit(&ann.commit(7, head, 5, vec![change(&late, &Member::new(5))])).await;
    assert_eq!(code(expired), Code::BadGrant);
}

#[tokio::test]
async fn rights_bound_what_a_commit_may_do() {
    let (world, ann, bob, head) = pair().await;
    let eve = Member::new(3);
    let head = world.commit(&ann.commit(2, head, 2, vec![add(&world, &eve, Rights(3))])).await.unwrap();
    let remove = EntryChange::Remove { member_key: bob.key() };
    assert_eq!(code(world.commit(&eve.commit(3, head, 3, vec![remove])).await), Code::NoRight);
    let change = add(&world, &Member::new(4), Rights::ALL);
    assert_eq!(
        code(world.commit(&eve.commit(4, head, 3, vec![change])).await),
        Code::NoRight,
        "not more than one's own"
    );
    let stranger = Member::new(9);
    assert_eq!(code(world.commit(&stranger.commit(5, head, 3, vec![])).await), Code::NoSuchRoom);
    let mut forged = ann.commit(6, head, 3, vec![]);
    forged.payload = Bytes::from_static(b"other");
    assert_eq!(code(world.commit(&forged).await), Code::BadSignature);
}

#[tokio::test]
async fn a_crash_after_any_batch_loses_nothing_and_keeps_the_order() {
    for crash in 0..60 {
        let (world, ann, bob, head) = pair().await;
        let carol = Member::new(3);
        world.store.crash_after(crash);
        let mut accepted = Vec::new();
        for id in 0..4 {
            if world.send(id + 10, 1, &[id]).await.is_ok() {
                accepted.push(vec![id]);
            }
        }
        let commit = ann.commit(2, head, 2, vec![add(&world, &carol, Rights::ALL)]);
        let committed = world.commit(&commit).await;
        for id in 4..8 {
            if world.send(id + 10, 1, &[id]).await.is_ok() {
                accepted.push(vec![id]);
            }
        }
        let crashed = world.store.has_crashed();
        let world = world.restart().await;
        for who in [&ann, &bob] {
            let texts = world.texts(who).await;
            let found: Vec<_> = texts.iter().filter(|text| accepted.contains(text)).cloned().collect();
            assert_eq!(found, accepted, "after {crash} batches");
        }
        assert_eq!(world.texts(&ann).await, world.texts(&bob).await, "after {crash} batches");
        // Every retry ends well, under the same ids.
        for id in 0..4 {
            world.send(id + 10, 1, &[id]).await.unwrap();
        }
        let again = world.commit(&commit).await.unwrap();
        if let Ok(first) = committed {
            assert_eq!(first, again);
        }
        let rows = world.rows(&carol).await;
        assert!(matches!(&rows[0].body, RowBody::Welcome { .. }), "after {crash} batches");
        let mut sequences = Vec::new();
        for text in 0..4u8 {
            let rows = world.rows(&bob).await;
            let of = |row: &&Row| matches!(&row.body, RowBody::Message { payload, .. } if payload[..] == [text]);
            let seqs: std::collections::BTreeSet<u64> = rows.iter().filter(of).map(|row| row.room_seq).collect();
            assert_eq!(seqs.len(), 1, "one sequence for one message, after {crash} batches");
            sequences.extend(seqs);
        }
        if !crashed {
            return;
        }
    }
    panic!("the last round ran through");
}

#[tokio::test]
async fn a_crash_within_a_large_delivery_is_resumed_from_its_watermark() {
    let world = World::new().await;
    let ann = Member::new(1);
    world.create(&ann).await;
    let mut changes = Vec::new();
    let mailbox = |n: u16| MailboxId([n as u8, (n >> 8) as u8, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
    for n in 0..600u16 {
        let key = MemberKey([n as u8, (n >> 8) as u8].repeat(16).try_into().unwrap());
        let rng = &mut rng(u64::from(n));
        let grant = Grant::new(mailbox(n), true, world.now, rng).seal(&world.keys, &ROOM, &key, rng).into();
        changes.push(EntryChange::Add { member_key: key, grant, rights: Rights(0) });
    }
    let mut commit = ann.commit(1, 0, 1, changes);
    commit.welcome = None;
    world.commit(&ann.sign(commit)).await.unwrap();
    world.store.crash_after(400);
    assert!(world.send(1, 1, b"to all").await.is_err());
    let world = world.restart().await;
    for n in 0..600 {
        let waiting = world.store.queue_len(QueueId::Mailbox(mailbox(n).0)).await.unwrap();
        assert!((2..=3).contains(&waiting), "the commit, and the message once or twice");
    }
    let twice = (0..600).filter(|n| {
        let waiting = world.store.queue_len(QueueId::Mailbox(mailbox(*n).0));
        futures_util::FutureExt::now_or_never(waiting).unwrap().unwrap() == 3
    });
    assert!(twice.count() <= 256, "resumed from the watermark");
}

#[tokio::test]
async fn leaving_closing_and_succession() {
    let (world, ann, bob, head) = pair().await;
    let next = RoomId([8; 16]);
    let successor = |who: &Member, to: RoomId| who.proof("successor", &to.0, world.now);
    world.rooms.set_successor(ROOM, next, &successor(&ann, next), world.now).await.unwrap();
    world.rooms.set_successor(ROOM, next, &successor(&bob, next), world.now).await.unwrap();
    let other = RoomId([9; 16]);
    let lost = world.rooms.set_successor(ROOM, other, &successor(&bob, other), world.now).await.unwrap_err();
    let problem = lost.problem();
    assert_eq!((problem.code, problem.successor), (Code::Succeeded, Some(next)));
    let rows = world.rows(&bob).await;
    assert!(matches!(rows.last().unwrap().body, RowBody::Successor { successor, .. } if successor == next));

    world.mailboxes.close(bob.mailbox, Notice::Gone, world.now).await.unwrap();
    let commit = ann.commit(2, head, 2, vec![]);
    let answer = world.rooms.commit(&commit, world.now, &mut rng(3)).await.unwrap();
    assert!(matches!(answer, Answer::Accepted { closed, .. } if closed == vec![bob.key()]));
    world.send(1, 2, b"hello").await.unwrap();
    assert!(world.rows(&bob).await.is_empty());

    let stale = bob.proof("leave", &[], UnixMillis(world.now.0 - 600_001));
    assert_eq!(code(world.rooms.leave_entry(ROOM, &stale, world.now).await), Code::BadSignature);
    for who in [&bob, &bob, &ann] {
        world.rooms.leave_entry(ROOM, &who.proof("leave", &[], world.now), world.now).await.unwrap();
    }
    let census = world.store.census().await.unwrap();
    let room = [crate::retention::Kind::Room, crate::retention::Kind::Log, crate::retention::Kind::CommitId];
    for kind in room {
        let left = census.iter().find(|count| count.kind == parlour_store::Counted::Rows(kind.row()));
        assert_eq!(left.map_or(0, |count| count.rows), 0, "the last one to leave erases the room: {kind:?}");
    }
    assert_eq!(code(world.send(2, 2, b"anybody?").await), Code::NoSuchRoom);
}

#[tokio::test]
async fn an_entry_whose_mailbox_is_closed_can_only_leave() {
    let (world, ann, bob, head) = pair().await;
    let eve = Member::new(3);
    let head = world.commit(&ann.commit(2, head, 2, vec![add(&world, &eve, Rights::ALL)])).await.unwrap();
    world.mailboxes.close(eve.mailbox, Notice::Gone, world.now).await.unwrap();
    let world = world.restart().await;
    // A device that was revoked, in the hands of whoever stole it.
    let remove = |who: &Member| vec![EntryChange::Remove { member_key: who.key() }];
    assert_eq!(code(world.commit(&eve.commit(3, head, 3, remove(&bob))).await), Code::NoSuchRoom);
    let log = eve.proof("log", &0u64.to_be_bytes(), world.now);
    assert_eq!(code(world.rooms.fetch_log(ROOM, 0, &log, world.now).await), Code::NoSuchRoom);
    let (id, payload) = (MessageId([77; 16]), Bytes::from_static(b"let me in"));
    let knock = eve.proof("knock", &[&id.0[..], &Digest::of(&payload).0].concat(), world.now);
    assert_eq!(code(world.rooms.knock(ROOM, id, payload, &knock, world.now).await.map(drop)), Code::NoSuchRoom);
    let next = RoomId([8; 16]);
    let successor = eve.proof("successor", &next.0, world.now);
    assert_eq!(code(world.rooms.set_successor(ROOM, next, &successor, world.now).await), Code::NoSuchRoom);
    let open = eve.proof("open", &[], world.now);
    assert_eq!(code(world.rooms.open_entry(ROOM, &open, world.now).await), Code::NoSuchRoom);

    // Others are told by their next commit, and the one after it removes the entry and the key that the device knows.
    let answer = world.rooms.commit(&bob.commit(4, head, 4, vec![]), world.now, &mut rng(3)).await.unwrap();
    let Answer::Accepted { room_seq: head, closed, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(closed, vec![eve.key()]);
    let answer = world.rooms.commit(&bob.commit(5, head, 5, remove(&eve)), world.now, &mut rng(3)).await.unwrap();
    assert!(matches!(answer, Answer::Accepted { closed, .. } if closed.is_empty()));
    assert_eq!(code(world.send(9, 4, b"with the key before").await), Code::WrongSendKey);
    let leave = eve.proof("leave", &[], world.now);
    world.rooms.leave_entry(ROOM, &leave, world.now).await.unwrap();
}

#[tokio::test]
async fn a_knock_reaches_the_others_and_the_log_tells_what_was_missed() {
    let (mut world, ann, bob, mut head) = pair().await;
    let payload = Bytes::from_static(b"fresh key package");
    let id = MessageId([77; 16]);
    let detail = [&id.0[..], &Digest::of(&payload).0].concat();
    let proof = bob.proof("knock", &detail, world.now);
    let first = world.rooms.knock(ROOM, id, payload.clone(), &proof, world.now).await.unwrap().done().await.unwrap();
    let again = world.rooms.knock(ROOM, id, payload.clone(), &proof, world.now).await.unwrap().done().await.unwrap();
    assert_eq!(first, again);
    let knocks = |rows: Vec<Row>| rows.into_iter().filter(|row| matches!(row.body, RowBody::Knock { .. })).count();
    assert_eq!(knocks(world.rows(&ann).await), 1);

    let start = head;
    for n in 0..70 {
        world.pass_ms(1_000);
        head = world.commit(&ann.commit(100 + n, head, 100 + n, vec![])).await.unwrap();
    }
    let mut after = start;
    let mut pages = 0;
    loop {
        let proof = bob.proof("log", &after.to_be_bytes(), world.now);
        let log = world.rooms.fetch_log(ROOM, after, &proof, world.now).await.unwrap();
        after = log.rows.last().unwrap().room_seq;
        pages += 1;
        if !log.more {
            assert_eq!((log.head, after, pages), (head, head, 2));
            break;
        }
    }
    world.pass_ms(38 * 86_400_000);
    let proof = bob.proof("log", &start.to_be_bytes(), world.now);
    assert_eq!(code(world.rooms.fetch_log(ROOM, start, &proof, world.now).await), Code::LogGone);
    let proof = bob.proof("log", &head.to_be_bytes(), world.now);
    assert!(world.rooms.fetch_log(ROOM, head, &proof, world.now).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn a_device_that_swaps_its_leaf_gets_its_welcome_and_only_that() {
    let (world, ann, bob, head) = pair().await;
    let fresh = Member { signing: SigningKey::from_bytes(&[42; 32]), mailbox: bob.mailbox };
    let changes = vec![EntryChange::Remove { member_key: bob.key() }, add(&world, &fresh, Rights::ALL)];
    let seq = world.commit(&ann.commit(2, head, 2, changes)).await.unwrap();
    let rows: Vec<Row> = world.rows(&bob).await.into_iter().filter(|row| row.room_seq == seq).collect();
    assert_eq!(rows.len(), 1);
    assert!(matches!(rows[0].body, RowBody::Welcome { asked: false, .. }));
}

#[tokio::test]
async fn sequences_grow_over_restarts() {
    let (mut world, ..) = pair().await;
    let mut last = 0;
    for id in 0..40 {
        let seq = world.send(id, 1, b"x").await.unwrap();
        assert!(seq > last);
        last = seq;
        if id % 7 == 0 {
            world = world.restart().await;
        }
    }
}

#[tokio::test]
async fn rows_wait_thirty_days_and_no_longer() {
    let (mut world, _, bob, _) = pair().await;
    world.send(1, 1, b"hello").await.unwrap();
    world.pass_ms(2_583_360_000); // 29.9 days
    assert_eq!(world.texts(&bob).await.len(), 1);
    world.pass_ms(172_800_000);
    assert!(world.texts(&bob).await.is_empty());
}

#[tokio::test]
async fn in_another_life_of_the_data_no_sequence_comes_again() {
    let world = World::new().await;
    let ada = Member::new(1);
    world.create(&ada).await;
    let before = world.send(1, 0, b"before").await.unwrap();
    // What was said after the backup is forgotten with its sequences; the next life begins above all of them.
    let first_sequence = 1_800_000_000_000 << 10;
    let limits = RoomLimits { first_sequence, ..RoomLimits::default() };
    let store = world.store.reopen();
    let mailboxes = Arc::new(Mailboxes::open(store.clone(), world.keys.clone()).await.unwrap());
    let rooms = Rooms::new(store.clone(), world.keys.clone(), mailboxes.clone(), limits);
    let restored = World { store, rooms, mailboxes, clock: world.clock, keys: world.keys, now: world.now };
    assert_eq!(restored.send(2, 0, b"first").await.unwrap(), first_sequence);
    assert_eq!(restored.send(3, 0, b"second").await.unwrap(), first_sequence + 1);
    assert_eq!(restored.send(1, 0, b"before").await.unwrap(), before, "what waits is known by its id");
    // Later starts go on from there, with or without the floor.
    let later = restored.restart().await;
    assert!(later.send(4, 0, b"third").await.unwrap() > first_sequence + 1);
    assert_eq!(later.texts(&ada).await.len(), 4);
}

#[tokio::test]
async fn a_repetition_across_a_restart_is_known_behind_a_thousand_waiting_rows() {
    let world = World::new().await;
    let ada = Member::new(1);
    world.create(&ada).await;
    for number in 0..1_100_u128 {
        world.send_as(MessageId(number.to_be_bytes()), 0, b"waits").await.unwrap();
    }
    let stored = world.send(1, 0, b"its answer was lost").await.unwrap();
    let later = world.restart().await;
    assert_eq!(later.send(1, 0, b"its answer was lost").await.unwrap(), stored);
}
