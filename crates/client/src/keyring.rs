//! The keys under which messages lie in the store: one for each conversation and stretch of time, one for each message with a
//! timer. What is over is over when its key is destroyed, in whatever copy of its row (DESIGN §9).
//!
//! A text's row is sealed here, under such a key, before the shell seals it once more as it does every row: `2 || key's number ||
//! sealed`. The keys lie in rows of their own ([`KEY_RING`](crate::rows::KEY_RING)), sixty-four together; a batch in which one is destroyed says so
//! ([`SHREDDED`](crate::rows::SHREDDED)), and the shell then seals those rows under a new key and destroys the one before: a copy of the store
//! from before does not open with what is there afterwards.
//!
//! Numbers are never used twice. A row whose key is gone is as good as none.

use crate::api::{Changes, ConversationId};
use crate::rows::codec::{BrokenRow, record};
use crate::rows::{RECORD_VERSION, Table, decode, encode};
use bytes::Bytes;
use parlour_e2ee::{ValueKey, open, seal_again};
use parlour_proto::ids::{Secret, UnixMillis};
use rand_core::CryptoRngCore;
use std::collections::{BTreeMap, BTreeSet};

/// Of what stays.
pub(crate) const NEVER: UnixMillis = UnixMillis(u64::MAX);
/// Keys in a row.
const CHUNK: u64 = 64;
/// Version byte of what is sealed here.
const SEALED: u8 = RECORD_VERSION + 1;

record! {
    /// A key.
    struct RingKey {
        number: u64,
        conversation: ConversationId,
        /// When all that lies under it is over.
        until: UnixMillis,
        /// Of one message.
        single: bool,
        /// Nothing new lies under it: what does is on its way to another one.
        retired: bool,
        key: Secret,
    }
}

record! {
    /// A row of keys.
    struct Chunk {
        /// The number of the next new key, when this row was written.
        next: u64,
        keys: Vec<RingKey>,
    }
}

/// All keys of an identity.
pub(crate) struct Keyring {
    chunks: Table<u64, Chunk>,
    destroyed: Table<(), u64>,
    next: u64,
    /// By conversation and end: those that new messages go under.
    places: BTreeMap<(ConversationId, UnixMillis), u64>,
    ends: BTreeSet<(UnixMillis, u64)>,
    /// New keys are drawn from it; it is another one with each input.
    seed: [u8; 32],
    drawn: u64,
}

impl Keyring {
    pub(crate) fn new() -> Self {
        Self {
            chunks: Table::new(b'z'),
            destroyed: Table::new(b'Z'),
            next: 1,
            places: BTreeMap::new(),
            ends: BTreeSet::new(),
            seed: [0; 32],
            drawn: 0,
        }
    }

    /// Takes a stored row in; `false` if it is none of these.
    pub(crate) fn load(&mut self, kind: u8, rest: &[u8], value: &[u8]) -> Result<bool, BrokenRow> {
        Ok(self.chunks.load(kind, rest, value)? || self.destroyed.load(kind, rest, value)?)
    }

    /// All rows are in.
    pub(crate) fn loaded(&mut self) {
        for (_, chunk) in self.chunks.iter() {
            self.next = self.next.max(chunk.next);
            for key in &chunk.keys {
                self.ends.insert((key.until, key.number));
                if !key.single && !key.retired {
                    self.places.insert((key.conversation, key.until), key.number);
                }
            }
        }
    }

    pub(crate) fn flush(&mut self, identity: u16, changes: &mut Changes) {
        self.chunks.flush(identity, changes);
        self.destroyed.flush(identity, changes);
    }

    /// Fresh randomness for the keys of the next input.
    pub(crate) fn seed(&mut self, rng: &mut dyn CryptoRngCore) {
        rng.fill_bytes(&mut self.seed);
        self.drawn = 0;
    }

    // ---- keys

    /// The key for what is said in a conversation and is over by `until`, made when there is none.
    pub(crate) fn key_for(&mut self, conversation: ConversationId, until: UnixMillis) -> u64 {
        match self.places.get(&(conversation, until)) {
            Some(number) => *number,
            None => {
                let number = self.add(conversation, until, false);
                self.places.insert((conversation, until), number);
                number
            }
        }
    }

    /// A key for one message.
    pub(crate) fn single(&mut self, conversation: ConversationId) -> u64 {
        self.add(conversation, NEVER, true)
    }

    fn add(&mut self, conversation: ConversationId, until: UnixMillis, single: bool) -> u64 {
        let number = self.next;
        self.next += 1;
        self.drawn += 1;
        let key = Secret(*parlour_e2ee::derive_value_key(&self.seed, self.drawn).as_bytes());
        let new = RingKey { number, conversation, until, single, retired: false, key };
        if !self.chunks.contains(&(number / CHUNK)) {
            self.chunks.insert(number / CHUNK, Chunk { next: 0, keys: Vec::new() });
        }
        if let Some(chunk) = self.chunks.get_mut(&(number / CHUNK)) {
            chunk.next = self.next;
            chunk.keys.push(new);
        }
        self.ends.insert((until, number));
        number
    }

    fn find(&self, number: u64) -> Option<&RingKey> {
        self.chunks.get(&(number / CHUNK))?.keys.iter().find(|key| key.number == number)
    }

    /// Whether there is such a key.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.find(number).is_some()
    }

    /// Whether it is the key of one message.
    pub(crate) fn is_single(&self, number: u64) -> bool {
        self.find(number).is_some_and(|key| key.single)
    }

    /// Keys of what is over by now.
    pub(crate) fn due(&self, now: UnixMillis) -> Vec<u64> {
        self.ends.range(..=(now, u64::MAX)).map(|(_, number)| *number).collect()
    }

    /// When the next key is due.
    pub(crate) fn next_due(&self) -> Option<UnixMillis> {
        self.ends.first().map(|(until, _)| *until).filter(|until| *until != NEVER)
    }

    /// Nothing new goes under a conversation's keys, but under others: gives those that are to be destroyed once nothing lies there any
    /// more. Keys of single messages stay.
    pub(crate) fn retire(&mut self, conversation: ConversationId) -> Vec<u64> {
        let mut retired = Vec::new();
        for chunk in self.chunks.keys() {
            let of = |key: &RingKey| key.conversation == conversation && !key.single;
            if !self.chunks.get(&chunk).is_some_and(|chunk| chunk.keys.iter().any(of)) {
                continue;
            }
            for key in self.chunks.get_mut(&chunk).into_iter().flat_map(|chunk| &mut chunk.keys).filter(|key| of(key)) {
                key.retired = true;
                retired.push(key.number);
            }
        }
        self.places.retain(|(of, _), _| *of != conversation);
        retired
    }

    /// Destroys keys.
    pub(crate) fn destroy(&mut self, numbers: &[u64]) {
        let mut gone = 0;
        for number in numbers {
            let at = number / CHUNK;
            let Some(key) = self.find(*number) else { continue };
            let (until, place) = (key.until, (key.conversation, key.until));
            self.ends.remove(&(until, *number));
            if self.places.get(&place) == Some(number) {
                self.places.remove(&place);
            }
            let (next, last) = (self.next, (self.next - 1) / CHUNK);
            let Some(chunk) = self.chunks.get_mut(&at) else { continue };
            chunk.keys.retain(|key| key.number != *number);
            // The last row says which numbers were used.
            chunk.next = if at == last { next } else { chunk.next };
            if chunk.keys.is_empty() && at != last {
                self.chunks.remove(&at);
            }
            gone += 1;
        }
        if gone > 0 {
            let before = self.destroyed.get(&()).copied().unwrap_or(0);
            self.destroyed.insert((), before + gone);
        }
    }

    /// Destroys all keys of a conversation.
    pub(crate) fn destroy_all_of(&mut self, conversation: ConversationId) {
        let of = |chunk: &Chunk| -> Vec<u64> {
            chunk.keys.iter().filter(|key| key.conversation == conversation).map(|key| key.number).collect()
        };
        let numbers: Vec<u64> = self.chunks.iter().flat_map(|(_, chunk)| of(chunk)).collect();
        self.destroy(&numbers);
    }

    /// Destroys everything, and what is remembered of it.
    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
        self.places.clear();
        self.ends.clear();
        // The row that says so is written, if only to be deleted.
        self.destroyed.insert((), 0);
        self.destroyed.remove(&());
    }

    // ---- what lies under them

    /// A row's value as it is stored: sealed under a key (0: under none) for this place.
    pub(crate) fn shroud(&self, number: u64, row: &[u8], plain: Vec<u8>) -> Vec<u8> {
        match self.find(number) {
            Some(key) => {
                let sealed = seal_again(&ValueKey::from_bytes(key.key.0), row, &plain);
                [&[SEALED][..], &number.to_be_bytes(), &sealed].concat()
            }
            None => plain,
        }
    }

    /// The beginning of a message as a conversation's row holds it for lists: sealed under that message's key.
    pub(crate) fn preview(&self, number: u64, conversation: &ConversationId, text: &str) -> Bytes {
        self.shroud(number, &conversation.0, encode(&text.to_owned())).into()
    }

    /// What [`preview`](Self::preview) sealed; empty if its key is gone.
    pub(crate) fn previewed(&self, conversation: &ConversationId, preview: &Bytes) -> String {
        let plain = self.unshroud(&conversation.0, preview.to_vec());
        plain.and_then(|plain| decode(&plain).ok()).unwrap_or_default()
    }

    /// Under which key a value lies; `None`: under none.
    pub(crate) fn key_of(value: &[u8]) -> Option<u64> {
        let (&SEALED, rest) = value.split_first()? else { return None };
        Some(u64::from_be_bytes(*rest.first_chunk()?))
    }

    /// A row's value as it was; `None` if its key is gone.
    pub(crate) fn unshroud(&self, row: &[u8], value: Vec<u8>) -> Option<Vec<u8>> {
        let Some((&SEALED, rest)) = value.split_first() else { return Some(value) };
        let (number, sealed) = rest.split_first_chunk()?;
        let key = self.find(u64::from_be_bytes(*number))?;
        open(&ValueKey::from_bytes(key.key.0), row, sealed).ok().map(|plain| plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    fn ring() -> Keyring {
        let mut ring = Keyring::new();
        ring.seed(&mut ChaCha20Rng::seed_from_u64(1));
        ring
    }

    /// The ring as it is after a restart.
    fn again(ring: &mut Keyring, rows: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> Keyring {
        let mut changes = Changes::default();
        ring.flush(0, &mut changes);
        for (key, value) in changes.0 {
            match value {
                Some(value) => drop(rows.insert(key, value)),
                None => drop(rows.remove(&key)),
            }
        }
        let mut again = Keyring::new();
        for (key, value) in rows.iter() {
            assert!(again.load(key[1], &key[4..], value).unwrap());
        }
        again.loaded();
        again
    }

    const A: ConversationId = ConversationId([1; 16]);
    const B: ConversationId = ConversationId([2; 16]);

    #[test]
    fn what_lies_under_a_key_is_gone_with_it_and_nothing_else_is() {
        let mut ring = ring();
        let (one, two, other) =
            (ring.key_for(A, UnixMillis(10)), ring.key_for(A, UnixMillis(20)), ring.key_for(B, UnixMillis(10)));
        assert_eq!(ring.key_for(A, UnixMillis(10)), one);
        let lies = |ring: &Keyring, number| ring.shroud(number, b"row", b"text".to_vec());
        let rows = [lies(&ring, one), lies(&ring, two), lies(&ring, other)];
        assert_eq!(ring.unshroud(b"row", rows[0].clone()).unwrap(), b"text");
        assert_eq!(ring.unshroud(b"another row", rows[0].clone()), None);
        assert_eq!((ring.due(UnixMillis(9)), ring.next_due()), (vec![], Some(UnixMillis(10))));
        let due = ring.due(UnixMillis(10));
        ring.destroy(&due);
        let opens = rows.map(|row| ring.unshroud(b"row", row).is_some());
        assert_eq!(opens, [false, true, false]);
    }

    #[test]
    fn numbers_are_used_once_also_after_a_restart() {
        let (mut ring, mut rows) = (ring(), BTreeMap::new());
        let all: Vec<u64> = (0..200).map(|n| ring.key_for(A, UnixMillis(n))).collect();
        ring.destroy(&all);
        let mut ring = again(&mut ring, &mut rows);
        ring.seed(&mut ChaCha20Rng::seed_from_u64(2));
        assert_eq!(rows.len(), 2, "the last row of keys, and how many were destroyed");
        assert!(ring.single(A) > *all.last().unwrap());
        let key = ring.key_for(B, NEVER);
        let ring = again(&mut ring, &mut rows);
        assert!(ring.has(key));
    }

    #[test]
    fn what_is_retired_takes_nothing_new() {
        let (mut ring, mut rows) = (ring(), BTreeMap::new());
        let (old, single) = (ring.key_for(A, NEVER), ring.single(A));
        assert_eq!(ring.retire(A), [old]);
        let mut ring = again(&mut ring, &mut rows);
        ring.seed(&mut ChaCha20Rng::seed_from_u64(2));
        assert_ne!(ring.key_for(A, NEVER), old);
        assert!(ring.has(old) && ring.has(single));
        ring.destroy_all_of(A);
        assert!(!ring.has(old) && !ring.has(single));
    }

    #[test]
    fn a_value_of_before_there_were_keys_reads() {
        let plain = crate::rows::encode(&7u64);
        assert_eq!(ring().unshroud(b"row", plain.clone()), Some(plain));
        for broken in [&[2u8][..], &[2; 9], &[2; 60]] {
            assert_eq!(ring().unshroud(b"row", broken.to_vec()), None);
        }
    }
}
