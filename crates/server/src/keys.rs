//! The server's own secrets. They live in `DATA/keys` (mode 0600), outside the database: a copy of the database alone opens
//! nothing. Day keys for franking are destroyed after 30 days (`DESIGN.md` §6).
//!
//! The key that seals mailbox tokens is a new one every 30 days. The daily walk through the rooms seals their tokens under it
//! ([`Rooms::tend_tokens`](crate::rooms::Rooms::tend_tokens)); the key before is destroyed when nothing can need it any more.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs, io,
    path::{Path, PathBuf},
    sync::RwLock,
};

use hmac::{Hmac, Mac as _};
use parlour_proto::{
    ids::{MessageId, RoomId, UnixMillis},
    opaque::ServerSetup,
};
use parlour_store::{PartitionId, PartitionKind, Store};
use rand_core::RngCore as _;
use sha2::Sha256;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{Rng, error::Refused, sync::RwLockExt as _};

/// Days that a franking key lives: as long as a report may come.
pub const FRANKING_DAYS: u64 = 30;
/// Days that a key seals tokens.
const SEALING_DAYS: u64 = 30;
/// Days that it is kept after that: what a commit replaced lies in the handshake log as long.
const SEALING_KEPT_DAYS: u64 = 31;
const DAY_MS: u64 = 86_400_000;

/// A 32-byte secret, wiped when dropped.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Key(pub(crate) [u8; 32]);

impl Key {
    fn random(rng: &mut Rng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// HMAC-SHA-256 over the parts, each behind its length.
    pub fn mac(&self, label: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any key length will do");
        for part in std::iter::once(&label).chain(parts) {
            mac.update(&(part.len() as u32).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// The key files are missing, damaged or not accessible.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file could not be read or written.
    #[error("{path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{0} is not a key file of this release")]
    Damaged(PathBuf),
    /// The keys of mailbox tokens are missing.
    #[error("{0} has a server.key, and no seal-*.key: put back what was there beside it")]
    NoSealing(PathBuf),
}

/// All secrets of the server.
pub struct Keys {
    /// Seals grants.
    pub grant: Key,
    /// Names handles in the directory.
    pub directory: Key,
    /// Names blocked accounts, claimers and claimed ones, closed mailboxes.
    pub relation: Key,
    /// OPAQUE: without it nothing in the password records can be guessed offline.
    pub opaque: ServerSetup,
    /// They seal mailbox tokens in rooms, by the day of their making; the newest seals, all open. Day 0: of `server.key`, where
    /// an earlier release had it.
    sealing: RwLock<BTreeMap<u64, Key>>,
    franking: RwLock<BTreeMap<u64, Key>>,
    dir: Option<PathBuf>,
}

const MAGIC: &[u8; 8] = b"prlkeys1";

impl Keys {
    /// Opens the keys in `dir` (`DATA/keys`), or makes them if there are none yet. [`run`](crate::net::run) refuses keys
    /// that are not those of the store.
    ///
    /// # Errors
    /// [`KeyError`] when files are not accessible or damaged.
    pub fn open(dir: &Path, now: UnixMillis, rng: &mut Rng) -> Result<Self, KeyError> {
        fs::create_dir_all(dir).map_err(|source| io_error(dir, source))?;
        restrict_dir(dir)?;
        let path = dir.join("server.key");
        let (bytes, is_new) = match fs::read(&path) {
            Ok(bytes) => (Zeroizing::new(bytes), false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Self::fresh(rng), true),
            Err(source) => return Err(io_error(&path, source)),
        };
        let mut keys = Self::parse(&bytes).ok_or_else(|| KeyError::Damaged(path.clone()))?;
        keys.franking = RwLock::new(read_by_day(dir, "frank-")?);
        keys.sealing.writing().extend(read_by_day(dir, "seal-")?);
        keys.dir = Some(dir.to_owned());
        if !is_new && keys.sealing.reading().is_empty() {
            // A new one would open no token: every room would be taken for nobody's.
            return Err(KeyError::NoSealing(dir.to_owned()));
        }
        keys.rotate(now, rng)?;
        if is_new {
            // Last: as long as it is not there, the others are nobody's.
            write_secret(&path, &bytes)?;
        }
        Ok(keys)
    }

    /// Keys that live in memory only, for tests.
    pub fn in_memory(now: UnixMillis, rng: &mut Rng) -> Self {
        let keys = Self::parse(&Self::fresh(rng)).expect("just made");
        keys.rotate(now, rng).expect("no file is touched");
        keys
    }

    fn fresh(rng: &mut Rng) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(MAGIC.to_vec());
        out.extend([0; 32]);
        for _ in 0..3 {
            out.extend(Key::random(rng).0);
        }
        out.extend_from_slice(&ServerSetup::new(rng).to_bytes());
        out
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (secrets, setup) = rest.split_at_checked(128)?;
        let mut keys = secrets.chunks_exact(32).map(|chunk| chunk.try_into().map(Key));
        let mut next = || keys.next()?.ok();
        let sealing = next()?;
        Some(Self {
            sealing: RwLock::new((sealing.0 != [0; 32]).then_some((0, sealing)).into_iter().collect()),
            grant: next()?,
            directory: next()?,
            relation: next()?,
            opaque: ServerSetup::from_bytes(setup).ok()?,
            franking: RwLock::default(),
            dir: None,
        })
    }

    /// Names these keys without telling anything about them.
    pub(crate) fn check(&self) -> [u8; 32] {
        self.directory.mac(b"check", &[])
    }

    /// Whether the store was made with these keys, or is new.
    ///
    /// # Errors
    /// The store's.
    pub async fn are_those_of<S: Store>(&self, store: &S) -> Result<bool, Refused> {
        let found = store.get(&PartitionId::new(PartitionKind::Meta, b"keys"), b"check").await?;
        Ok(found.is_none_or(|row| row.value[..] == self.check()))
    }

    /// Makes the franking keys of today and tomorrow, and destroys those that are older than [`FRANKING_DAYS`]; makes a new sealing
    /// key when the newest one is 30 days old.
    ///
    /// # Errors
    /// [`KeyError`] when a file can't be written.
    pub fn rotate(&self, now: UnixMillis, rng: &mut Rng) -> Result<(), KeyError> {
        let today = now.0 / DAY_MS;
        let mut franking = self.franking.writing();
        for day in [today, today + 1] {
            self.make(&mut franking, "frank-", day, rng)?;
        }
        let old: Vec<u64> = franking.range(..today.saturating_sub(FRANKING_DAYS)).map(|(day, _)| *day).collect();
        for day in old {
            self.destroy(&mut franking, "frank-", day)?;
        }
        drop(franking);
        let mut sealing = self.sealing.writing();
        if sealing.keys().next_back().is_none_or(|newest| newest + SEALING_DAYS <= today) {
            // Day 0 is an earlier release's.
            self.make(&mut sealing, "seal-", today.max(1), rng)?;
        }
        Ok(())
    }

    fn make(&self, keys: &mut BTreeMap<u64, Key>, name: &str, day: u64, rng: &mut Rng) -> Result<(), KeyError> {
        if let Entry::Vacant(vacant) = keys.entry(day) {
            let key = Key::random(rng);
            if let Some(dir) = &self.dir {
                write_secret(&dir.join(format!("{name}{day}.key")), &key.0)?;
            }
            vacant.insert(key);
        }
        Ok(())
    }

    fn destroy(&self, keys: &mut BTreeMap<u64, Key>, name: &str, day: u64) -> Result<(), KeyError> {
        if let Some(dir) = &self.dir {
            overwrite_and_remove(&dir.join(format!("{name}{day}.key")))?;
        }
        keys.remove(&day);
        Ok(())
    }

    /// The key that seals tokens now.
    pub(crate) fn seals(&self) -> Key {
        let sealing = self.sealing.reading();
        sealing.values().next_back().expect("keys that are opened have a sealing key").clone()
    }

    /// What one of the sealing keys opens, the newest first.
    pub(crate) fn opens<T>(&self, open: impl Fn(&Key) -> Option<T>) -> Option<T> {
        self.sealing.reading().values().rev().find_map(open)
    }

    /// Whether there are tokens under an earlier key, perhaps.
    pub(crate) fn has_old_seals(&self) -> bool {
        self.sealing.reading().len() > 1
    }

    /// No token is sealed under an earlier key any more: destroys those that nothing in a log can need, either.
    pub(crate) fn retire_seals(&self, now: UnixMillis) -> Result<(), KeyError> {
        let today = now.0 / DAY_MS;
        let mut sealing = self.sealing.writing();
        let days: Vec<u64> = sealing.keys().copied().collect();
        let old = days.windows(2).filter(|pair| pair[1] + SEALING_KEPT_DAYS <= today).map(|pair| pair[0]);
        for day in old {
            if let Some(path) = self.dir.as_ref().filter(|_| day == 0).map(|dir| dir.join("server.key")) {
                blank_sealing(&path)?;
            }
            self.destroy(&mut sealing, "seal-", day)?;
        }
        Ok(())
    }

    /// The server's mark on a message: HMAC(day key, tag || room || message id || time). All zero when the day has no key
    /// (the clock jumped beyond tomorrow and the disk refused a new one).
    pub fn stamp(&self, tag: &[u8; 32], room: &RoomId, id: &MessageId, time: UnixMillis) -> [u8; 32] {
        let day = time.0 / DAY_MS;
        if let Some(key) = self.franking.reading().get(&day) {
            return stamp_with(key, tag, room, id, time);
        }
        let mut rng = crate::fresh_rng();
        if let Err(error) = self.rotate(time, &mut rng) {
            tracing::error!(%error, "no franking key for today");
        }
        self.franking.reading().get(&day).map_or([0; 32], |key| stamp_with(key, tag, room, id, time))
    }

    /// Whether a stamp is ours: for abuse reports, within [`FRANKING_DAYS`].
    pub fn verify_stamp(
        &self,
        stamp: &[u8; 32],
        tag: &[u8; 32],
        room: &RoomId,
        id: &MessageId,
        time: UnixMillis,
    ) -> bool {
        use subtle::ConstantTimeEq as _;
        let franking = self.franking.reading();
        let Some(key) = franking.get(&(time.0 / DAY_MS)) else { return false };
        stamp_with(key, tag, room, id, time).ct_eq(stamp).into()
    }
}

fn stamp_with(key: &Key, tag: &[u8; 32], room: &RoomId, id: &MessageId, time: UnixMillis) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("any key length will do");
    mac.update(tag);
    mac.update(&room.0);
    mac.update(&id.0);
    mac.update(&time.0.to_be_bytes());
    mac.finalize().into_bytes().into()
}

/// Keys of one name, by their days.
fn read_by_day(dir: &Path, kind: &str) -> Result<BTreeMap<u64, Key>, KeyError> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(|source| io_error(dir, source))? {
        let path = entry.map_err(|source| io_error(dir, source))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let day = name.strip_prefix(kind).and_then(|rest| rest.strip_suffix(".key"));
        let Some(day) = day.and_then(|day| day.parse().ok()) else { continue };
        let bytes = Zeroizing::new(fs::read(&path).map_err(|source| io_error(&path, source))?);
        let key = bytes.as_slice().try_into().map_err(|_| KeyError::Damaged(path.clone()))?;
        found.insert(day, Key(key));
    }
    Ok(found)
}

/// Writes a file with mode 0600 under another name first: it is there whole or not at all.
fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let part = path.with_extension("part");
    let write = || {
        let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
    };
    write().map_err(|source| io_error(path, source))
}

/// Overwrites the sealing key that an earlier release has in `server.key`, in its place: the other keys are not touched.
fn blank_sealing(path: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::FileExt as _;
    let blank = || {
        let file = fs::OpenOptions::new().write(true).open(path)?;
        file.write_all_at(&[0; 32], MAGIC.len() as u64)?;
        file.sync_all()
    };
    blank().map_err(|source| io_error(path, source))
}

fn overwrite_and_remove(path: &Path) -> Result<(), KeyError> {
    let erase = || {
        if !path.exists() {
            return Ok(());
        }
        let file = fs::OpenOptions::new().write(true).open(path)?;
        io::Write::write_all(&mut &file, &[0; 32])?;
        file.sync_all()?;
        fs::remove_file(path)
    };
    erase().map_err(|source| io_error(path, source))
}

fn restrict_dir(dir: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(|source| io_error(dir, source))
}

fn io_error(path: &Path, source: io::Error) -> KeyError {
    KeyError::Io { path: path.to_owned(), source }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;

    #[test]
    fn keys_survive_a_restart_and_are_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("keys");
        let first = Keys::open(&at, UnixMillis(0), &mut rng(1)).unwrap();
        let second = Keys::open(&at, UnixMillis(0), &mut rng(2)).unwrap();
        assert_eq!(first.seals().0, second.seals().0);
        for entry in fs::read_dir(&at).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
    }

    #[test]
    fn a_stamp_verifies_for_thirty_days_and_then_never() {
        let keys = Keys::in_memory(UnixMillis(0), &mut rng(1));
        let (tag, room, id) = ([1; 32], RoomId([2; 16]), MessageId([3; 16]));
        let stamp = keys.stamp(&tag, &room, &id, UnixMillis(5));
        assert!(keys.verify_stamp(&stamp, &tag, &room, &id, UnixMillis(5)));
        assert!(!keys.verify_stamp(&stamp, &[0; 32], &room, &id, UnixMillis(5)));
        keys.rotate(UnixMillis(30 * DAY_MS), &mut rng(2)).unwrap();
        assert!(keys.verify_stamp(&stamp, &tag, &room, &id, UnixMillis(5)));
        keys.rotate(UnixMillis(31 * DAY_MS), &mut rng(3)).unwrap();
        assert!(!keys.verify_stamp(&stamp, &tag, &room, &id, UnixMillis(5)));
    }

    #[test]
    fn a_sealing_key_seals_for_thirty_days_and_is_destroyed_when_nothing_needs_it() {
        let dir = tempfile::tempdir().unwrap();
        let on = |day: u64| UnixMillis(day * DAY_MS);
        let files = || {
            let names =
                fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = names.filter(|name| name.starts_with("seal-")).collect();
            names.sort();
            names
        };
        let keys = Keys::open(dir.path(), on(100), &mut rng(1)).unwrap();
        let first = keys.seals();
        keys.rotate(on(129), &mut rng(2)).unwrap();
        assert!(keys.seals().0 == first.0 && !keys.has_old_seals());
        keys.rotate(on(130), &mut rng(3)).unwrap();
        assert!(keys.seals().0 != first.0 && keys.has_old_seals());
        assert_eq!(keys.opens(|key| (key.0 == first.0).then_some(())), Some(()));
        assert_eq!(files(), ["seal-100.key", "seal-130.key"]);
        keys.retire_seals(on(160)).unwrap();
        assert!(keys.has_old_seals(), "what lies in logs may need it");
        keys.rotate(on(160), &mut rng(4)).unwrap();
        keys.retire_seals(on(161)).unwrap();
        assert_eq!(files(), ["seal-130.key", "seal-160.key"]);
        let again = Keys::open(dir.path(), on(161), &mut rng(5)).unwrap();
        assert_eq!(again.seals().0, keys.seals().0);
        // A clock that jumps far ahead makes a new key, and destroys none at once.
        again.rotate(on(40_000), &mut rng(6)).unwrap();
        again.retire_seals(on(40_000)).unwrap();
        assert_eq!(files(), ["seal-160.key", "seal-40000.key"]);
    }

    #[test]
    fn without_any_sealing_key_nothing_is_opened_and_nothing_made_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        drop(Keys::open(dir.path(), UnixMillis(0), &mut rng(1)).unwrap());
        fs::remove_file(dir.path().join("seal-1.key")).unwrap();
        let opened = Keys::open(dir.path(), UnixMillis(0), &mut rng(2));
        assert!(matches!(opened, Err(KeyError::NoSealing(_))));
        assert!(!dir.path().join("seal-1.key").exists());
    }

    #[test]
    fn the_sealing_key_of_an_earlier_release_opens_until_it_is_blanked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.key");
        let mut bytes = Keys::fresh(&mut rng(1));
        bytes[8..40].copy_from_slice(&[7; 32]);
        fs::write(&path, &*bytes).unwrap();
        let keys = Keys::open(dir.path(), UnixMillis(200 * DAY_MS), &mut rng(2)).unwrap();
        assert_ne!(keys.seals().0, [7; 32]);
        assert_eq!(keys.opens(|key| (key.0 == [7; 32]).then_some(())), Some(()));
        let others = [keys.grant.0, keys.directory.0, keys.relation.0];
        keys.retire_seals(UnixMillis(231 * DAY_MS)).unwrap();
        let again = Keys::open(dir.path(), UnixMillis(231 * DAY_MS), &mut rng(3)).unwrap();
        assert_eq!(again.opens(|key| (key.0 == [7; 32]).then_some(())), None);
        assert_eq!([again.grant.0, again.directory.0, again.relation.0], others);
        assert_eq!(fs::read(&path).unwrap()[8..40], [0; 32]);
    }
}
