//! What the server holds of an account: [`Request::Holdings`](super::Request::Holdings) and its answer. The words are the server's own
//! (English, from its table of lifetimes); the numbers of the kinds are stable, for screens that say it in other words.

use crate::ids::UnixMillis;
use bytes::Bytes;

/// Most rows of one [`Holdings`].
pub const MAX_HELD_ROWS: usize = 512;
/// Most kinds, and most things that cannot be listed, of one [`Holdings`].
pub const MAX_HELD_KINDS: usize = 256;
/// The longest of its texts, bytes.
pub const MAX_HELD_TEXT_BYTES: usize = 512;
/// The largest cursor, bytes.
pub const MAX_HOLDINGS_CURSOR_BYTES: usize = 128;
/// The kind of a row that waits for a device; those of all other rows are below.
pub const HELD_WAITING: u32 = 256;

/// A page of what the server holds of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// What the kinds of `rows` are.
    pub kinds: Vec<HeldKind>,
    /// Every row, in no promised order.
    pub rows: Vec<HeldRow>,
    /// What there is of the account that the server cannot list by account; on the last page.
    pub unlisted: Vec<Unlisted>,
    /// Where the next page begins; `None`: this is the last one.
    pub next: Option<Bytes>,
}

/// A kind of row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldKind {
    /// Its number: of the server's table of lifetimes, or [`HELD_WAITING`].
    pub number: u32,
    /// What it is.
    pub name: String,
    /// Why it is kept.
    pub why: String,
    /// What erases it before its end.
    pub erased: String,
}

/// A row.
#[derive(Clone, PartialEq, Eq)]
pub struct HeldRow {
    /// Its kind's number.
    pub kind: u32,
    /// Which one of its kind, and what it says, as far as the server can read it.
    pub which: String,
    /// The day that it notes, since 1970: of signing up, of the last connection, of counting.
    pub day: Option<u32>,
    /// Bytes of its content.
    pub bytes: u64,
    /// When it is gone at the latest.
    pub ends: Ends,
}

/// When a row is gone at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// With the account, or when its owner erases it.
    WithAccount,
    /// Then.
    At(UnixMillis),
}

/// Something of the account that the server has and cannot list by account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlisted {
    /// What it is.
    pub name: String,
    /// Why it cannot be listed.
    pub why: String,
    /// How long it is there at most.
    pub at_most: String,
}

impl std::fmt::Debug for HeldRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeldRow({}, {} bytes, {:?})", self.kind, self.bytes, self.ends)
    }
}
