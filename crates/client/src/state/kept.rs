//! What the engine remembers of the backup at the server.

use crate::api::KeptHistory;
use crate::rows::codec::{BrokenRow, Dec, Enc, Stored, record};
use bytes::Bytes;
use parlour_proto::ids::{Digest, UnixMillis};
use zeroize::Zeroizing;

record! {
    /// The backup at the server.
    struct Backup {
        /// Key pages are sealed to it.
        public: Bytes,
        /// The chunks' key; `None`: to be drawn.
        key: Option<Zeroizing<Vec<u8>>>,
        /// What the server has but history: name, and digest of what is in it; and the key page, with the key's digest.
        stored: Vec<([u8; 16], Digest)>,
        /// What opens key pages, while the backup is being fetched.
        restore: Option<Zeroizing<Vec<u8>>>,
        /// The key of the ring that this row is sealed under, destroyed when the chunks' key is another one; 0: none.
        under: u64,
    }
}

record! {
    /// How the backup is kept, or how far it is fetched.
    struct Keeping {
        history: KeptHistory,
        /// This device keeps the backup: the rows of buckets say what the server has.
        keeps: bool,
        /// When this device looked after it last.
        last: UnixMillis,
        /// It is known what lay there when this device took over.
        looked: bool,
        /// Names that were given to chunks: so many before the first one, so many after it. Newer ones come first.
        newer: u32,
        older: u32,
        /// Something old did not fit.
        left_out: bool,
        /// Fetched up to this chunk.
        fetched: Option<[u8; 16]>,
        /// Messages fetched, and how many there are.
        done: u64,
        of: u64,
        /// Something that lies in the chunks is over.
        over: bool,
        /// When the chunks' key was drawn last because of that.
        renewed: UnixMillis,
    }
}

record! {
    /// A stretch of a conversation's positions, as it lies in the backup.
    struct Bucket {
        /// Of its first chunk; the last byte counts chunks.
        name: [u8; 16],
        /// Chunks that are, or may be, at the server.
        chunks: u32,
        bytes: u64,
        messages: u32,
        oldest: UnixMillis,
        newest: UnixMillis,
        /// Something changed in it.
        dirty: bool,
        /// After this one the one below is to be looked at: so many empty ones may follow. 0: no.
        down: u32,
    }
}

impl Keeping {
    pub(crate) fn new() -> Self {
        Keeping {
            history: KeptHistory::default(),
            keeps: false,
            last: UnixMillis(0),
            looked: false,
            newer: 0,
            older: 0,
            left_out: false,
            fetched: None,
            done: 0,
            of: 0,
            over: false,
            renewed: UnixMillis(0),
        }
    }
}

impl Bucket {
    pub(crate) fn dirty(newest: UnixMillis, down: u32) -> Self {
        Bucket { name: [0; 16], chunks: 0, bytes: 0, messages: 0, oldest: newest, newest, dirty: true, down }
    }

    /// The names of its chunks.
    pub(crate) fn names(&self) -> impl Iterator<Item = [u8; 16]> {
        let name = self.name;
        (0..self.chunks).map(move |part| part_name(&name, part))
    }
}

/// The name of one of a bucket's chunks.
pub(crate) fn part_name(first: &[u8; 16], part: u32) -> [u8; 16] {
    let mut name = *first;
    name[15] = u8::try_from(part).unwrap_or(u8::MAX);
    name
}

impl Stored for KeptHistory {
    fn put(&self, out: &mut Enc) {
        match self {
            KeptHistory::Off => 0u32.put(out),
            KeptHistory::Days(days) => u32::from(*days).put(out),
            KeptHistory::All => u32::MAX.put(out),
        }
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        Ok(match u32::take(input)? {
            0 => KeptHistory::Off,
            u32::MAX => KeptHistory::All,
            days => KeptHistory::Days(u16::try_from(days).map_err(|_| BrokenRow)?),
        })
    }
}
