//! Rooms: blind delivery (`DESIGN.md` §6). The server orders, queues and forgets what it cannot read.
//!
//! The room's partition is the truth. A send or commit is one call to the store: the room's batch (job, log, state),
//! the mailbox rows, the end of the job. Only the order of these batches is relied on, never that they come together:
//! a job found when a room is loaded is delivered again from its watermark, and engines recognise (room, sequence).
//!
//! Concurrency: a room is a [`Cell`]. Its `inner` lock is held while a sequence is taken and the batches are submitted, so that
//! mailbox order is room order; it is never held over an `await`. Its `gate` serialises changes of the room's state until they are
//! durable. When a commit fails, the cell is *spoilt*: dropped from memory, and loaded again from what is durable.

pub(crate) mod cell;
mod commit;
mod dead;
mod fanout;
mod log;
mod member;
pub mod order;
mod send;
pub(crate) mod state;
#[cfg(test)]
mod tests;
pub(crate) mod token;
mod whisper;

use std::sync::Arc;

use parlour_proto::{
    frames::Rights,
    ids::{Digest, MailboxId, MemberKey, RoomId, UnixMillis},
    problem::{Code, Problem},
};
use parlour_store::{Outcome, RowBatch, Store, UnixTime};

pub use commit::CommitAnswer;
pub use fanout::Stored;
pub(crate) use member::verifies;
pub use send::{Send, SendPending};
pub use whisper::{Whisper, Whispered};

use self::{
    cell::{Cache, partition},
    log::LogCache,
    state::{Entry, RoomState},
};
use crate::{
    Rng,
    error::{Refused, refuse},
    keys::Keys,
    limits::{Buckets, Rate},
    mailboxes::Mailboxes,
    retention::{Kind, Lifetimes},
};

/// How much may happen in a room.
#[derive(Clone, Debug)]
pub struct RoomLimits {
    /// Messages into one room.
    pub sends: Rate,
    /// Messages of one entry, in a room in attributed mode.
    pub signed_sends: Rate,
    /// Whispers in one room; what is beyond is dropped.
    pub whispers: Rate,
    /// Commits and other signed changes of one entry.
    pub commits: Rate,
    /// New rooms that reach one mailbox.
    pub joins: Rate,
    /// Rooms kept in memory.
    pub cached: usize,
    /// No sequence below this one is given out any more: lower ones may have been, in another life of the data.
    pub first_sequence: u64,
    /// How long rooms, their logs and waiting rows are kept.
    pub lifetimes: Lifetimes,
}

impl Default for RoomLimits {
    fn default() -> Self {
        Self {
            sends: Rate { per_s: 1_000.0, burst: 4_000.0 },
            signed_sends: Rate { per_s: 2.0, burst: 60.0 },
            whispers: Rate { per_s: 4.0, burst: 16.0 },
            commits: Rate { per_s: 2.0, burst: 240.0 },
            joins: Rate::per(500, 3_600),
            cached: 20_000,
            first_sequence: 1,
            lifetimes: Lifetimes::default(),
        }
    }
}

/// All rooms of this server.
pub struct Rooms<S> {
    store: S,
    keys: Arc<Keys>,
    mailboxes: Arc<Mailboxes<S>>,
    cache: Cache,
    log_cache: LogCache,
    joins: Buckets<MailboxId>,
    limits: RoomLimits,
}

impl<S: Store> Rooms<S> {
    /// The rooms of `store`.
    pub fn new(store: S, keys: Arc<Keys>, mailboxes: Arc<Mailboxes<S>>, limits: RoomLimits) -> Self {
        Self {
            store,
            keys,
            mailboxes,
            cache: Cache::new(limits.cached),
            log_cache: LogCache::default(),
            joins: Buckets::new(limits.joins),
            limits,
        }
    }

    /// Makes a room whose only entry is this mailbox's, open, with all rights.
    ///
    /// # Errors
    /// `RoomExists`, and the store's.
    pub async fn create(
        &self,
        room: RoomId,
        member_key: MemberKey,
        send_key: Digest,
        mailbox: MailboxId,
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<(), Refused> {
        let token = token::seal(&self.keys, &room, &member_key, &mailbox, rng);
        let entry = Entry { slot: 0, member_key, token, mailbox, open: true, rights: Rights::ALL, dead: false };
        let state = RoomState::new(send_key, entry);
        let batch = RowBatch::new(partition(&room))
            .absent(cell::STATE)
            .put(cell::STATE, state.to_bytes(), Kind::Room.row(), self.expires(Kind::Room, now))
            .put(cell::BOUND, 0u64.to_be_bytes().to_vec(), Kind::RoomSeq.row(), self.expires(Kind::RoomSeq, now));
        match self.store.commit(vec![batch.into()]).await? {
            Outcome::Applied { .. } => Ok(()),
            Outcome::Refused { .. } => {
                // The same creation again (its answer was lost) is no error.
                let cell = self.cell(&room, now).await?;
                let same = cell.is_some_and(|cell| {
                    let state = cell.state();
                    state.head == 0
                        && state.send_key == send_key
                        && state.entries.len() == 1
                        && state.entries[0].member_key == member_key
                        && state.entries[0].mailbox == mailbox
                });
                if same { Ok(()) } else { refuse(Code::RoomExists, "the room id is taken; draw another one") }
            }
        }
    }

    fn expires(&self, kind: Kind, now: UnixMillis) -> Option<UnixTime> {
        self.limits.lifetimes.expires(kind, now)
    }

    /// Forgets who was taken into how many rooms, where it makes no difference any more.
    pub fn forget(&self, now: UnixMillis) {
        self.joins.forget(now);
    }

    /// How many rooms are in memory.
    pub fn cached(&self) -> usize {
        self.cache.len()
    }
}

fn no_such_room() -> Refused {
    Problem::new(Code::NoSuchRoom, "no such room, or not for this key").into()
}
