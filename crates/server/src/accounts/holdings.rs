//! "What we hold about you": every row of an account that the server can list, in words, with its end; and what it cannot list.
//!
//! The account's rows lie in several partitions, gone through in a fixed order; a cursor names the place and the row after which
//! a page begins. Nothing is kept between pages. Complete means: a test compares it with the raw store (`tests/holdings.rs`).

use bytes::Bytes;
use parlour_proto::{
    device_list::{Action, Link},
    frames::{Ends, HELD_WAITING, HeldKind, HeldRow, Holdings, MAX_HELD_ROWS, Unlisted},
    ids::{AccountId, DeviceId, UnixMillis},
    problem::{Code, Problem},
};
use parlour_store::{KeyRange, PartitionId, QueueId, QueueKind, QueueLimit, Row, Seq, Store, UnixTime};

use super::{Accounts, DeviceRecord, ProfileRecord, Session, account_partition, device_partition, not_a_device};
use crate::{
    claims,
    directory::{self, HandleId},
    error::Refused,
    keypackages, reach, record,
    retention::{Kept, Kind, Setting, queue_kept, span},
    rooms::Stored,
};

/// Rows of one read: backup chunks are large.
const READ: usize = 64;
/// Waiting rows of one read.
const WAITING: QueueLimit = QueueLimit { rows: READ, bytes: 4 << 20 };

/// Where rows of an account lie, in the order in which they are told.
enum Place {
    /// A partition, all of it.
    Rows(PartitionId),
    /// The pointers of the account's invites.
    Invites,
    /// What waits for a device, of this short name.
    Waiting(QueueId, String),
}

/// A page's beginning: a place, and the row there after which it goes on.
struct Cursor {
    place: u32,
    after: Vec<u8>,
}

impl Cursor {
    fn parse(bytes: Option<&Bytes>) -> Result<Self, Problem> {
        let Some(bytes) = bytes else { return Ok(Self { place: 0, after: Vec::new() }) };
        let (place, after) = bytes.split_first_chunk().ok_or_else(no_cursor)?;
        Ok(Self { place: u32::from_be_bytes(*place), after: after.to_vec() })
    }

    fn bytes(&self) -> Bytes {
        [&self.place.to_be_bytes()[..], &self.after].concat().into()
    }
}

fn no_cursor() -> Problem {
    Problem::new(Code::Malformed, "not a cursor of this answer")
}

impl<S: Store> Accounts<S> {
    /// A page of what is held of a session's account.
    ///
    /// # Errors
    /// `NotADevice` when the account is gone; `Malformed` for a cursor that is none.
    pub async fn holdings(&self, session: &Session, after: Option<&Bytes>) -> Result<Holdings, Refused> {
        let account = session.account.account;
        let places = self.places(&account).await?;
        let mut cursor = Cursor::parse(after)?;
        let mut page = Holdings::default();
        while let Some(place) = places.get(cursor.place as usize) {
            let read = self.read(place, &account, &cursor.after).await?;
            let Some((last, _)) = read.last() else {
                cursor = Cursor { place: cursor.place + 1, after: Vec::new() };
                continue;
            };
            cursor.after.clone_from(last);
            page.rows.extend(read.into_iter().map(|(_, row)| row));
            if page.rows.len() + READ > MAX_HELD_ROWS {
                page.next = Some(cursor.bytes());
                break;
            }
        }
        page.kinds = kinds(&page.rows);
        if page.next.is_none() {
            page.unlisted = self.unlisted();
        }
        Ok(page)
    }

    async fn places(&self, account: &AccountId) -> Result<Vec<Place>, Refused> {
        let found = self.account(account).await?.ok_or_else(not_a_device)?;
        let (handle, skeleton) = found.names;
        let mut places = vec![Place::Rows(account_partition(account)), Place::Rows(directory::partition(&handle))];
        places.extend(skeleton.iter().map(|name: &HandleId| Place::Rows(directory::partition(name))));
        places.push(Place::Invites);
        places.push(Place::Rows(claims::claimer_partition(&self.keys, account)));
        for device in ever_listed(found.list.links()) {
            match self.device(&device).await? {
                // An id that this list had once, and another account has now.
                Some(record) if record.account != account.0 => {}
                Some(record) => {
                    places.push(Place::Rows(device_partition(&device)));
                    places.push(Place::Waiting(QueueId::Mailbox(record.mailbox), short(&device.0)));
                }
                None => places.push(Place::Rows(device_partition(&device))),
            }
        }
        Ok(places)
    }

    /// The next rows of a place, each with what the cursor remembers of it.
    async fn read(&self, place: &Place, account: &AccountId, after: &[u8]) -> Result<Vec<(Vec<u8>, HeldRow)>, Refused> {
        match place {
            Place::Rows(partition) => {
                let from = if after.is_empty() { Vec::new() } else { [after, &[0]].concat() };
                let rows = self.store.range(partition, &KeyRange { from, to: None }, READ).await?;
                Ok(rows.into_iter().map(|row| (row.key.clone(), held(&row))).collect())
            }
            Place::Invites => {
                let digests = reach::invite_digests(&self.store, account).await?;
                let rest = digests.into_iter().filter(|digest| &digest.0[..] > after).take(READ);
                let mut rows = Vec::new();
                for digest in rest {
                    if let Some(row) = directory::invite_row(&self.store, &digest).await? {
                        let which = format!("invite {}", short(&digest.0));
                        rows.push((digest.0.to_vec(), HeldRow { which, ..held(&row) }));
                    }
                }
                Ok(rows)
            }
            Place::Waiting(queue, device) => {
                let seq = if after.is_empty() { Seq::START } else { seq_of(after)? };
                let rows = self.store.queue_range(*queue, seq, WAITING).await?;
                let row = |row: parlour_store::QueueRow| {
                    let what = match Stored::parse(&row.payload) {
                        Some(Stored::Row(_)) => "message",
                        Some(Stored::Commit(..)) => "pointer to a commit",
                        Some(Stored::Welcome(..)) => "invitation into a room",
                        None => "not readable",
                    };
                    let held = HeldRow {
                        kind: HELD_WAITING,
                        which: format!("for device {device}: {what}"),
                        day: None,
                        bytes: (row.head.len() + row.payload.len()) as u64,
                        ends: at(row.expires.start()),
                    };
                    (row.seq.0.to_be_bytes().to_vec(), held)
                };
                Ok(rows.into_iter().map(row).collect())
            }
        }
    }

    /// What there is of an account in no place that names it.
    fn unlisted(&self) -> Vec<Unlisted> {
        let days = |setting| span(self.lifetimes.seconds(setting));
        let unlisted =
            |name: &str, why: &str, at_most: String| Unlisted { name: name.to_owned(), why: why.to_owned(), at_most };
        let room = format!("{} after the room was last used", days(Setting::Room));
        vec![
            unlisted(
                "entries in rooms: one for each of your devices in each conversation",
                "each is sealed for its room, and nothing stored says whose it is",
                room,
            ),
            unlisted(
                "messages of yours that wait for others, and commits in rooms",
                "they carry no sender",
                format!("{}, commits {}", days(Setting::Mailbox), days(Setting::Log)),
            ),
            unlisted(
                "that somebody wrote to you as a stranger, and that somebody blocked you",
                "keyed hashes among the other account's rows",
                format!("{}, blocks until they are taken back", days(Setting::Claim)),
            ),
            unlisted(
                "that the mailboxes of devices which you removed are closed",
                "keyed hashes that name no account",
                "120 days".to_owned(),
            ),
            unlisted(
                "what is in memory only: sign-ins under way, open sockets and where they come from, rate limits",
                "it is not stored, and gone when the socket is, or an hour later",
                "an hour".to_owned(),
            ),
        ]
    }
}

/// All devices that a list ever had: what a crash left of a removed one counts, too.
pub(super) fn ever_listed(links: &[Bytes]) -> Vec<DeviceId> {
    let added = |link: &Bytes| match Link::read(link).ok()?.draft.action {
        Action::Add { device, .. } => Some(device),
        Action::Remove { .. } => None,
    };
    links.iter().filter_map(added).collect()
}

fn seq_of(after: &[u8]) -> Result<Seq, Problem> {
    Ok(Seq(u64::from_be_bytes(after.try_into().map_err(|_| no_cursor())?)))
}

fn at(time: UnixTime) -> Ends {
    Ends::At(UnixMillis(time.0.saturating_mul(1_000)))
}

/// The first bytes of an id, as hexadecimal digits.
fn short(id: &[u8]) -> String {
    hex::encode(&id[..id.len().min(4)])
}

fn kinds(rows: &[HeldRow]) -> Vec<HeldKind> {
    let mut numbers: Vec<u32> = rows.iter().map(|row| row.kind).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let kind = |number| {
        let Kept { name, why, erased, .. } = match number {
            HELD_WAITING => queue_kept(QueueKind::Mailbox),
            row => Kind::ALL.iter().find(|kind| u32::from(kind.row().0) == row)?.kept(),
        };
        Some(HeldKind { number, name: name.into(), why: why.into(), erased: erased.into() })
    };
    numbers.into_iter().filter_map(kind).collect()
}

/// A row in words.
fn held(row: &Row) -> HeldRow {
    let kind = Kind::of(row.kind);
    let (which, day) = kind.and_then(|kind| say(kind, row)).unwrap_or_default();
    HeldRow {
        kind: u32::from(row.kind.0),
        which,
        day: day.and_then(|day| u32::try_from(day).ok()),
        bytes: row.value.len() as u64,
        ends: row.expires.map_or(Ends::WithAccount, at),
    }
}

/// Which one of its kind a row is, what it says, and the day that it notes.
fn say(kind: Kind, row: &Row) -> Option<(String, Option<u64>)> {
    let key = &row.key[..];
    let said = match kind {
        Kind::Profile => {
            let record: ProfileRecord = record::decode(&row.value, "account").ok()?;
            return Some((format!("{} on {}, with its root key", record.handle, record.app), Some(record.made_day)));
        }
        Kind::Device => {
            let record: DeviceRecord = record::decode(&row.value, "device").ok()?;
            let which = format!("signing key {}, last connected on that day", short(&record.signing_key));
            return Some((which, Some(record.seen_day)));
        }
        Kind::ClaimCount => return claims::counted(key, &row.value),
        Kind::Link => format!("number {}", u32::from_be_bytes(key.get(1..)?.try_into().ok()?) + 1),
        Kind::ReachRule => {
            let rule = reach::rule_of(&row.value).map(|rule| format!("{rule:?}").to_lowercase())?;
            format!("from {}: {rule}", std::str::from_utf8(key.get(1..)?).ok()?)
        }
        Kind::Invite => {
            let record: reach::InviteRecord = record::decode(&row.value, "invite").ok()?;
            format!("invite {}, {} uses left", short(key.get(1..)?), record.uses)
        }
        Kind::KeyPackage | Kind::Pool | Kind::LastResort => keypackages::said(key, &row.value)?,
        Kind::Door | Kind::Block | Kind::Backup | Kind::Claim => short(key.get(1..)?),
        _ => String::new(),
    };
    Some((said, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_anything_else_is_refused() {
        let cursor = Cursor { place: 7, after: b"key".to_vec() };
        let read = Cursor::parse(Some(&cursor.bytes())).unwrap();
        assert_eq!((read.place, read.after), (7, b"key".to_vec()));
        assert_eq!(Cursor::parse(Some(&Bytes::from_static(b"abc"))).err().unwrap().code, Code::Malformed);
        assert!(seq_of(b"seven").is_err());
    }
}
