//! The one table of everything that the server stores, how long, and why (`DESIGN.md` §3, §9).
//!
//! A kind that is not in the table cannot be written: kinds are made by [`Kind::row`] only, and one without a lifetime does not
//! compile. `parlour audit` prints the table with what is really there, `docs/data-model.md` names every line of it, and the
//! tests below walk both. What is in no row is in [`unstored`], what an operator may choose in [`settings`].

pub mod settings;
pub mod unstored;

use parlour_store::{QueueKind, RowKind};

pub use settings::{Fault, Lifetimes, Setting, Settings};

const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 24 * HOUR_S;

/// How long something stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until its owner deletes it, and the account at the latest.
    Account,
    /// At most so many seconds after it was written.
    Seconds(u64),
    /// The same, and the operator may choose less.
    Set(Setting),
    /// Until the work it describes is done.
    Work,
    /// As long as there is anything else.
    Data,
}

impl Lifetime {
    /// What no configuration exceeds, in seconds; `None` for what has no number of days.
    pub fn ceiling_s(self) -> Option<u64> {
        match self {
            Self::Seconds(s) => Some(s),
            Self::Set(setting) => Some(setting.ceiling_s()),
            Self::Account | Self::Work | Self::Data => None,
        }
    }

    /// For people.
    pub fn words(self, lifetimes: &Lifetimes) -> String {
        match self {
            Self::Account => "the account".to_owned(),
            Self::Work => "until done".to_owned(),
            Self::Data => "the data".to_owned(),
            Self::Seconds(s) => span(s),
            Self::Set(setting) => span(lifetimes.seconds(setting)),
        }
    }
}

/// A span of time for people.
pub fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        s if s % DAY_S == 0 && s > 3 * DAY_S => (s / DAY_S, "day"),
        s if s % HOUR_S == 0 => (s / HOUR_S, "hour"),
        s => (s.div_ceil(60), "minute"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// What it is, for people.
    pub name: &'static str,
    /// How long.
    pub lifetime: Lifetime,
    /// What erases it before that.
    pub erased: &'static str,
    /// Why it is kept at all.
    pub why: &'static str,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $label:literal, $lifetime:expr, $erased:literal, $why:literal;)*) => {
        /// A kind of stored row. The numbers are part of the storage format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// Its line of the table.
            pub fn kept(self) -> Kept {
                match self {
                    $(Kind::$name => Kept { name: $label, lifetime: $lifetime, erased: $erased, why: $why },)*
                }
            }
        }
    };
}

kinds! {
    /// Handle, root key, age.
    Profile = 1, "account", Lifetime::Account, "deleting the account", "to find the account's app, root key and age";
    /// One link of the device list.
    Link = 2, "device list link", Lifetime::Account, "deleting the account", "peers check devices against the whole chain";
    /// OPAQUE record.
    Password = 3, "password record (OPAQUE)", Lifetime::Account, "deleting the account", "to sign in with a password that the server never sees";
    /// One reach rule.
    ReachRule = 4, "reach rule", Lifetime::Account, "deleting the account", "who may contact the account";
    /// Digest of a door token.
    Door = 5, "door token digest", Lifetime::Account, "dropping or blocking the contact", "accepted contacts reach the account unmetered";
    /// An invite.
    Invite = 6, "invite", Lifetime::Set(Setting::Invite), "using it up, revoking it", "reaches the account without a handle";
    /// Keyed hash of a blocked account.
    Block = 7, "block (keyed hash)", Lifetime::Account, "unblocking", "claims by the blocked account are answered as if there were nobody";
    /// Handle to account.
    Handle = 8, "directory entry (keyed hash)", Lifetime::Account, "deleting the account", "to find the account of a handle";
    /// A freed handle.
    Quarantine = 9, "freed handle (keyed hash)", Lifetime::Set(Setting::Quarantine), "expiry only", "nobody takes over a handle right after its owner left";
    /// Skeleton of a handle.
    Skeleton = 10, "look-alike entry (keyed hash)", Lifetime::Account, "deleting the account", "to refuse handles that look like another";
    /// Invite digest to account.
    InvitePointer = 11, "invite pointer", Lifetime::Set(Setting::Invite), "using it up, revoking it", "to find the account of an invite";
    /// Device record.
    Device = 12, "device", Lifetime::Account, "revoking the device; 90 days without draining", "to sign the device in and to find its mailbox";
    /// Counters of a device's pools.
    Pool = 13, "key package counters", Lifetime::Account, "revoking the device", "to know which key package is next";
    /// A key package.
    KeyPackage = 14, "key package", Lifetime::Set(Setting::KeyPackage), "being claimed", "others add the device to rooms while it is away";
    /// The last-resort key package.
    LastResort = 15, "last-resort key package", Lifetime::Set(Setting::KeyPackage), "being replaced", "given out when a pool is empty";
    /// A room's entries, keys, head.
    Room = 16, "room", Lifetime::Set(Setting::Room), "the last entry leaving", "to check sends and commits, and to know sealed mailbox tokens";
    /// The reserved sequence of a room.
    RoomSeq = 17, "room sequence bound", Lifetime::Set(Setting::Room), "the last entry leaving", "sequences grow over restarts";
    /// A handshake row.
    Log = 18, "handshake log row", Lifetime::Set(Setting::Log), "the last entry leaving", "mailbox rows point into it; repair";
    /// A commit id and its answer.
    CommitId = 19, "commit answer", Lifetime::Set(Setting::Log), "the last entry leaving", "the same commit again gets the same answer";
    /// A used grant.
    GrantUsed = 20, "used grant", Lifetime::Seconds(31 * DAY_S), "the last entry leaving", "a grant works once";
    /// An asked entry's message has passed.
    AskedUsed = 21, "used request message", Lifetime::Set(Setting::Room), "opening the entry", "only one message passes before acceptance";
    /// Who claimed whom as a stranger.
    Claim = 22, "stranger claim (keyed hashes)", Lifetime::Set(Setting::Claim), "deleting the account", "a person claimed again is not a new person";
    /// How many strangers an account claimed on a day.
    ClaimCount = 23, "stranger claim count", Lifetime::Set(Setting::ClaimCount), "deleting the account", "the budget of new people a day";
    /// A closed mailbox.
    Closed = 24, "closed mailbox (keyed hash)", Lifetime::Seconds(120 * DAY_S), "expiry only", "rooms learn that a mailbox is gone";
    /// A name of the server's keys.
    KeyCheck = 25, "name of the server's keys (keyed hash)", Lifetime::Seconds(400 * DAY_S), "each start renews it", "to refuse a database without its own keys";
    /// A chunk of an account's backup, sealed by its devices.
    Backup = 26, "backup chunk (sealed by the account's devices)", Lifetime::Account, "the account's devices", "the recovery key brings contacts and conversations back";
    /// How many there are.
    BackupCount = 27, "backup chunk count", Lifetime::Account, "deleting the account", "a backup has a measure";
    /// How often the data was restored.
    Incarnation = 28, "life of the data", Lifetime::Data, "the next restore", "clients learn that the server forgot something";
    /// A fan-out under way.
    Job = 0x80, "delivery under way", Lifetime::Work, "finishing the delivery", "a crash loses no message that was accepted";
    /// An account deletion under way.
    Deletion = 0x81, "deletion under way", Lifetime::Work, "finishing the deletion", "a crash does not stop a deletion halfway";
}

impl Kind {
    /// The store's name of the kind.
    pub fn row(self) -> RowKind {
        RowKind(self as u8)
    }

    /// The kind of a stored number.
    pub fn of(row: RowKind) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.row() == row)
    }
}

/// The line of a queue.
pub fn queue_kept(kind: QueueKind) -> Kept {
    match kind {
        QueueKind::Mailbox => Kept {
            name: "waiting mailbox row (sealed)",
            lifetime: Lifetime::Set(Setting::Mailbox),
            erased: "the device's acknowledgement",
            why: "delivery to a device that is away",
        },
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn every_stored_kind_has_a_lifetime_a_reason_and_its_own_number() {
        let mut numbers = std::collections::HashSet::new();
        for kind in Kind::ALL {
            let kept = kind.kept();
            assert!(numbers.insert(kind.row().0));
            assert!(!kept.name.is_empty() && !kept.why.is_empty() && !kept.erased.is_empty());
            if let Some(s) = Lifetimes::default().most_s(kept.lifetime) {
                assert!((HOUR_S..=400 * DAY_S).contains(&s));
            }
            let is_work = kept.lifetime == Lifetime::Work;
            assert_eq!(is_work, kind.row() >= RowKind::FIRST_INDEXED, "work is found by a scan at start");
            assert_eq!(Kind::of(kind.row()), Some(*kind));
        }
        assert_eq!(Kind::of(RowKind(99)), None);
    }

    #[test]
    fn the_data_model_names_every_line_of_the_table() {
        let model = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/data-model.md")).unwrap();
        let rows = Kind::ALL.iter().map(|kind| kind.kept().name).chain([queue_kept(QueueKind::Mailbox).name]);
        let others = unstored::MEMORY.iter().map(|line| line.name).chain(unstored::FILES.iter().map(|file| file.path));
        let settings = Setting::ALL.iter().map(|setting| setting.name());
        let missing: Vec<&str> = rows.chain(others).chain(settings).filter(|name| !model.contains(name)).collect();
        assert!(missing.is_empty(), "docs/data-model.md does not name {missing:?}");
    }

    /// The number of a kind comes from the table only: nobody writes a row of a kind that has no line.
    #[test]
    fn no_row_is_written_with_a_kind_that_is_not_in_the_table() {
        let mut strays = Vec::new();
        look(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut strays);
        assert!(strays.is_empty(), "kinds are made by Kind::row: {strays:?}");
    }

    fn look(dir: &Path, strays: &mut Vec<std::path::PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, strays);
            } else if !path.ends_with("src/retention.rs") && fs::read_to_string(&path).unwrap().contains("RowKind") {
                strays.push(path);
            }
        }
    }
}
