//! The engine's rows: which keys there are, and the tables that mirror the small ones in memory.
//!
//! A key is `class || kind || identity (2 bytes, big-endian) || rest`. Rows of class [`EAGER`] are small and few: the shell
//! hands all of them to `Engine::open`. Rows of class [`LAZY`] (MLS state, private parts of key packages, messages) are
//! asked for with `Effect::Load` when they are needed. A value is a version byte, then CBOR (see [`codec`]); MLS rows and
//! those of key packages belong to `e2ee` and are passed through as they are.
//!
//! | class | kind | rest | what |
//! |---|---|---|---|
//! | `e` | `i` | - | the identity: account, device keys, settings |
//! | `e` | `n` | - | counters |
//! | `e` | `c` | account | a contact: pinned root, device list, door tokens |
//! | `e` | `v` | conversation | a conversation; in it the beginning of its newest message, sealed under that message's key |
//! | `e` | `s` | conversation | a first contact (or a rebuild) that is being set up |
//! | `e` | `r` | room | a room: watermarks, member key, knock key |
//! | `e` | `w` | room | what a room still needs: commits wanted, the pending one, repair |
//! | `e` | `o` | conversation, position | the outbox |
//! | `e` | `h` | number | a small request that must reach the server once (chore) |
//! | `e` | `p` | key package | which key packages have private parts here |
//! | `e` | `u` | room, room sequence | a row of an unknown room, waiting for its Welcome |
//! | `e` | `t` | room | tombstone of a room that is forgotten |
//! | `e` | `x` | prefix | lazy rows that are to be deleted |
//! | `e` | `b` | - | the backup: its keys, what the server has of it |
//! | `e` | `d` | device | what is known of another own device |
//! | `e` | `a` | conversation | a draft |
//! | `e` | `y` | device | messages on their way to an own device that is new |
//! | `e` | `k` | room | a room that another own device brings this one into |
//! | `e` | `g` | conversation, number | somebody who is to come into a group: asked, or joining by a link |
//! | `e` | `l` | token's digest | a link by which others join a group |
//! | `e` | `j` | conversation | a group that we want into by a link |
//! | `e` | `q` | conversation | the title of the group that a request invites to |
//! | `e` | `e` | room, account | what is still to be handed to somebody who was added to a group |
//! | `e` | `K` | - | how the backup is kept |
//! | `e` | `B` | conversation, bucket | a stretch of messages in the backup |
//! | `e` | `L` | name | a chunk of the backup that is to be dropped |
//! | `e` | `N` | conversation | messages whose bucket is to be found |
//! | `e` | `F` | conversation | rooms that it had before this device came |
//! | `e` | `z` | number / 64 | keys of messages ([`KEY_RING`]) |
//! | `e` | `Z` | - | how many were destroyed ([`SHREDDED`]) |
//! | `e` | `R` | conversation, message | a message whose clock starts when it is read |
//! | `e` | `C` | - | what time is sure |
//! | `e` | `E` | conversation | messages on their way to other keys |
//! | `e` | `A` | - | what the apps say of expiry |
//! | `l` | `g` | room, … | MLS state of a room |
//! | `l` | `k` | key package, … | private parts of a key package |
//! | `l` | `m` | conversation, message, `0` or note | a message, and what others noted on it; texts sealed under the message's key |
//! | `l` | `i` | conversation | a group's picture |
//! | `l` | `f` | account | somebody's picture |
//! | `l` | `q` | conversation, position / 32, position % 32 | which message has this position |
//! | `l` | `K` | conversation, message | a single message that is kept, and when it was said |
//! | `l` | `x` | day, instant, conversation, message | when a message is over |

pub(crate) mod codec;
pub(crate) mod sorted;

use crate::api::Changes;
use codec::{BrokenRow, Stored};
use sorted::Sorted;

/// Prefix of the rows that `Engine::open` wants.
pub const EAGER: &[u8] = b"e";
/// Prefix of the rows in which the keys of messages lie. A store seals them under a *page key* of their own.
pub const KEY_RING: &[u8] = b"ez";
/// Prefix of the row that is in every batch in which keys were destroyed. With such a batch a store makes a new page key, seals every
/// row of the [`KEY_RING`] under it in the same transaction (those of the batch as they are there), and destroys the page key
/// before: what was sealed under it opens no more.
pub const SHREDDED: &[u8] = b"eZ";
/// Prefix of the rows that are loaded when needed.
pub const LAZY: &[u8] = b"l";

/// Every kind of row, with its class.
const KINDS: [(&[u8], &[u8]); 2] = [(EAGER, b"incvsrwohputxdaykbgljqeKBLNFzZRCEAMSDH"), (LAZY, b"gkmfqixK")];

/// Prefixes of all rows of an identity, of one class or of both.
pub(crate) fn prefixes(identity: u16, classes: &[&[u8]]) -> Vec<Vec<u8>> {
    let of = KINDS.into_iter().filter(|(class, _)| classes.contains(class));
    of.flat_map(|(class, kinds)| kinds.iter().map(move |kind| prefix(class, *kind, identity))).collect()
}

/// Which identity a row is of.
pub(crate) fn identity_of(key: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(key.get(2..4)?.try_into().ok()?))
}

/// Version of the records of class [`EAGER`] and of messages.
pub(crate) const RECORD_VERSION: u8 = 1;

/// A record as it is stored: version byte, then CBOR.
pub(crate) fn encode(record: &impl Stored) -> Vec<u8> {
    let mut out = codec::Enc::new(vec![RECORD_VERSION]);
    record.put(&mut out);
    out.into_writer()
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode<T: Stored>(value: &[u8]) -> Result<T, BrokenRow> {
    match value.split_first() {
        Some((&RECORD_VERSION, rest)) => T::take(&mut codec::Dec::new(rest)),
        _ => Err(BrokenRow),
    }
}

/// The rest of a key, as a table's key.
pub(crate) trait RowKey: Ord + Clone {
    /// As bytes; order is kept.
    fn bytes(&self) -> Vec<u8>;
    /// Back from bytes.
    fn parse(bytes: &[u8]) -> Option<Self>;
}

/// `class || kind || identity`.
pub(crate) fn prefix(class: &[u8], kind: u8, identity: u16) -> Vec<u8> {
    let mut key = class.to_vec();
    key.push(kind);
    key.extend(identity.to_be_bytes());
    key
}

/// A table of small rows: whole in memory, remembers what changed.
#[derive(Debug)]
pub(crate) struct Table<K: RowKey, V: Stored> {
    kind: u8,
    rows: Sorted<K, V>,
    dirty: Sorted<K, ()>,
}

impl<K: RowKey, V: Stored> Table<K, V> {
    pub(crate) fn new(kind: u8) -> Self {
        assert!(KINDS[0].1.contains(&kind), "rows of a kind that nobody lists stay when their identity is erased");
        Self { kind, rows: Sorted::new(), dirty: Sorted::new() }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key)
    }

    /// Marks the row as changed.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let row = self.rows.get_mut(key)?;
        self.dirty.insert(key.clone(), ());
        Some(row)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.rows.get(key).is_some()
    }

    pub(crate) fn insert(&mut self, key: K, row: V) {
        self.dirty.insert(key.clone(), ());
        self.rows.insert(key, row);
    }

    /// Puts a row in place of the one before; what is not to be written stays in memory only.
    pub(crate) fn replace(&mut self, key: &K, row: V, write: bool) {
        if write {
            self.dirty.insert(key.clone(), ());
        }
        self.rows.insert(key.clone(), row);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let row = self.rows.remove(key)?;
        self.dirty.insert(key.clone(), ());
        Some(row)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.rows.iter()
    }

    pub(crate) fn range(&self, range: impl std::ops::RangeBounds<K>) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.rows.range(range)
    }

    /// Whether anything changed since the last flush.
    pub(crate) fn has_changed(&self) -> bool {
        self.dirty.len() > 0
    }

    /// Those that changed since the last flush.
    pub(crate) fn changed(&self) -> Vec<K> {
        self.dirty.keys().cloned().collect()
    }

    pub(crate) fn keys(&self) -> Vec<K> {
        self.rows.keys().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Takes a stored row in; `false` if it is of another kind.
    pub(crate) fn load(&mut self, kind: u8, rest: &[u8], value: &[u8]) -> Result<bool, BrokenRow> {
        if kind != self.kind {
            return Ok(false);
        }
        let key = K::parse(rest).ok_or(BrokenRow)?;
        self.rows.insert(key, decode(value)?);
        Ok(true)
    }

    /// Writes what changed since the last flush.
    pub(crate) fn flush(&mut self, identity: u16, changes: &mut Changes) {
        for key in self.dirty.take_keys() {
            let mut full = prefix(EAGER, self.kind, identity);
            full.extend(key.bytes());
            changes.0.push((full, self.rows.get(&key).map(encode)));
        }
    }

    /// As [`flush`](Self::flush), each value as `seal` makes it, given the row and its key.
    pub(crate) fn flush_sealed(
        &mut self,
        identity: u16,
        changes: &mut Changes,
        seal: impl Fn(&V, &[u8], Vec<u8>) -> Vec<u8>,
    ) {
        for key in self.dirty.take_keys() {
            let mut full = prefix(EAGER, self.kind, identity);
            full.extend(key.bytes());
            let value = self.rows.get(&key).map(|row| seal(row, &full, encode(row)));
            changes.0.push((full, value));
        }
    }

    /// Deletes every row.
    pub(crate) fn clear(&mut self) {
        for key in self.rows.keys() {
            self.dirty.insert(key.clone(), ());
        }
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlour_proto::ids::RoomId;

    #[test]
    fn a_table_writes_what_changed_and_nothing_else() {
        let mut table: Table<RoomId, u64> = Table::new(b'r');
        table.insert(RoomId([1; 16]), 7);
        table.insert(RoomId([2; 16]), 8);
        let mut first = Changes::default();
        table.flush(0, &mut first);
        assert_eq!(first.0.len(), 2);
        table.remove(&RoomId([2; 16]));
        let mut second = Changes::default();
        table.flush(0, &mut second);
        assert_eq!(second.0.len(), 1);
        assert_eq!(second.0[0].1, None);

        let mut again: Table<RoomId, u64> = Table::new(b'r');
        let (key, value) = &first.0[0];
        assert!(again.load(key[1], &key[4..], value.as_ref().unwrap()).unwrap());
        assert_eq!(again.get(&RoomId([1; 16])), Some(&7));
    }

    mod grown {
        use crate::rows::codec::record;

        record! {
            /// As it was.
            struct Before {
                name: String,
            }
        }

        record! {
            /// With what came later.
            struct After {
                name: String,
                since: u64,
                often: Option<bool>,
                others: Vec<String>,
            }
        }

        record! {
            /// With what cannot be guessed.
            struct Wrong {
                name: String,
                key: [u8; 32],
            }
        }
    }

    #[test]
    fn a_record_of_before_it_grew_reads() {
        let before = encode(&grown::Before { name: "a".into() });
        let after: grown::After = decode(&before).unwrap();
        assert_eq!((after.since, after.often, after.others), (0, None, Vec::new()));
        assert!(decode::<grown::Wrong>(&before).is_err());
        let after = encode(&grown::After { name: after.name, since: 1, often: Some(true), others: Vec::new() });
        assert!(decode::<grown::Before>(&after).is_err(), "of a newer version");
    }

    #[test]
    fn a_record_of_another_version_is_refused() {
        let mut bytes = encode(&7u64);
        bytes[0] = 9;
        assert!(decode::<u64>(&bytes).is_err());
        assert!(decode::<u64>(&[]).is_err());
    }
}
