//! The device list of an account: a hash chain of signed changes, by the root key or by a device that is listed.
//! Chain of trust: root → list → device → leaf (DESIGN §4).
//!
//! Here a chain is verified as such and compared with what was seen before; who owes [`notice`] of a removal is told. Who may
//! see which list, and what follows from a removal, is decided by server and client.
//!
//! One link is a version byte (1) and the CBOR array `[body, signature]`, where `body` is the byte string of the CBOR array
//! `[account, seq, prev, time, action, signer]`; `action` is `[1, device, signing key, hpke key]` or `[2, device]`, `signer`
//! is null for the root or the device. The signature is Ed25519 over [`SIGN_DOMAIN`], a zero byte, the version byte and
//! `body`. Encoding is deterministic; another encoding of the same link is refused.
//! `seq` counts from 1, `prev` is SHA-256 of the link before (32 zero bytes in the first).

mod link;
mod notice;
mod packed;

pub use link::{Action, Draft, Link, Signer};
pub use notice::{AHEAD_MS, NOTICE_MS};
pub use packed::{pack, unpack};

use crate::ids::{AccountId, DeviceId, UnixMillis};
use crate::problem::{Code, Problem};
use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey};
use std::collections::BTreeMap;

/// What the signatures of links cover first, before a zero byte and the link's body.
pub const SIGN_DOMAIN: &str = "parlour-device-list-1";
/// Most links of a list.
pub const MAX_LINKS: usize = 1024;
/// Most devices on a list at one time.
pub const MAX_DEVICES: usize = 64;
/// The largest link, bytes.
pub const MAX_LINK_BYTES: usize = 512;

/// Why a list or link is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceListError {
    /// Not a link of a version that is known here, or not encoded the one way it may be.
    #[error("link is not readable")]
    Unreadable,
    /// The list has no link.
    #[error("list is empty")]
    Empty,
    /// A bound is passed: links, devices, bytes.
    #[error("list or link is too large")]
    TooLarge,
    /// The link is for another account.
    #[error("link belongs to another account")]
    WrongAccount,
    /// `seq` or `prev` does not follow from the link before.
    #[error("link does not follow from the one before")]
    NotNext,
    /// The signer is not on the list at this point; the first link is signed by the root and adds a device.
    #[error("signer is not on the list")]
    UnknownSigner,
    /// The signature does not fit.
    #[error("signature of link is wrong")]
    BadSignature,
    /// The device to remove is not listed, or the one to add is or was.
    #[error("change does not fit the list")]
    BadChange,
    /// A key is not a valid public key, or is used by another device.
    #[error("key of device is not usable")]
    BadKey,
}

impl From<DeviceListError> for Problem {
    fn from(error: DeviceListError) -> Self {
        Problem::new(Code::BadDeviceList, error.to_string())
    }
}

/// One device of a verified list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Which one.
    pub id: DeviceId,
    /// Ed25519: signs in, signs leaves and links.
    pub signing_key: [u8; 32],
    /// X25519: what is sealed for the device.
    pub hpke_key: [u8; 32],
    /// When it was added, by the signer's clock.
    pub added: UnixMillis,
}

/// The newest link of a list.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// Its number, from 1.
    pub seq: u64,
    /// SHA-256 of its bytes.
    pub hash: [u8; 32],
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Head({}, ~{:08x})", self.seq, crate::ids::log_tag(&self.hash))
    }
}

/// How a list relates to one that was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Nothing new.
    Same,
    /// The pinned list and more: take it.
    Extends,
    /// A part of the pinned list: refuse it, it hides changes.
    Rollback,
    /// It parts from the pinned list with a link that a device signed: refuse it.
    Fork,
    /// It parts from the pinned list with a link that the root signed: take it, and tell the user.
    ForkByRoot,
}

/// What a client keeps of a list that it has believed: the hash of each link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    hashes: Vec<[u8; 32]>,
}

impl Pin {
    /// The newest link.
    pub fn head(&self) -> Head {
        Head { seq: self.hashes.len() as u64, hash: self.hashes.last().copied().unwrap_or_default() }
    }

    /// 32 bytes for each link, oldest first.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.hashes.concat()
    }

    /// The reverse of [`to_bytes`](Self::to_bytes); `None` when the length does not fit.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        let fits = rest.is_empty() && (1..=MAX_LINKS).contains(&hashes.len());
        fits.then(|| Self { hashes: hashes.to_vec() })
    }
}

/// A verified device list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceList {
    account: AccountId,
    root_key: VerifyingKey,
    links: Vec<Bytes>,
    seen: Vec<Seen>,
    devices: BTreeMap<DeviceId, Device>,
    removed: Vec<DeviceId>,
    arrivals: BTreeMap<DeviceId, notice::Arrival>,
    /// Of the latest link, by its signer's clock.
    latest: UnixMillis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    hash: [u8; 32],
    by_root: bool,
}

impl DeviceList {
    /// Verifies all links, oldest first.
    ///
    /// # Errors
    /// [`DeviceListError`] for the first link that does not follow.
    pub fn verify(account: AccountId, root_key: &[u8; 32], links: &[Bytes]) -> Result<Self, DeviceListError> {
        let root_key = usable_key(root_key)?;
        let mut list = Self {
            account,
            root_key,
            links: Vec::new(),
            seen: Vec::new(),
            devices: BTreeMap::new(),
            removed: Vec::new(),
            arrivals: BTreeMap::new(),
            latest: UnixMillis(0),
        };
        if links.is_empty() {
            return Err(DeviceListError::Empty);
        }
        for link in links {
            list.append(link.clone())?;
        }
        Ok(list)
    }

    /// Verifies one more link and takes it in. On an error the list stays as it was.
    ///
    /// # Errors
    /// [`DeviceListError`] when the link does not follow.
    pub fn append(&mut self, link: Bytes) -> Result<(), DeviceListError> {
        if self.links.len() >= MAX_LINKS {
            return Err(DeviceListError::TooLarge);
        }
        let read = Link::read(&link)?;
        let draft = &read.draft;
        if draft.account != self.account {
            return Err(DeviceListError::WrongAccount);
        }
        let head = self.head();
        if draft.seq != head.seq + 1 || draft.prev != head.hash {
            return Err(DeviceListError::NotNext);
        }
        let signature = Signature::from_bytes(&read.signature);
        self.signer_key(draft)?
            .verify_strict(&draft.to_sign(), &signature)
            .map_err(|_| DeviceListError::BadSignature)?;
        self.change(draft)?;
        self.seen.push(Seen { hash: link::hash(&link), by_root: draft.signer == Signer::Root });
        self.links.push(link);
        Ok(())
    }

    fn signer_key(&self, draft: &Draft) -> Result<VerifyingKey, DeviceListError> {
        match draft.signer {
            Signer::Root => Ok(self.root_key),
            Signer::Device(id) => {
                let device = self.devices.get(&id).ok_or(DeviceListError::UnknownSigner)?;
                usable_key(&device.signing_key)
            }
        }
    }

    fn change(&mut self, draft: &Draft) -> Result<(), DeviceListError> {
        let latest = self.latest.max(draft.time);
        match draft.action {
            Action::Add { device, signing_key, hpke_key } => {
                if self.devices.contains_key(&device) || self.removed.contains(&device) {
                    return Err(DeviceListError::BadChange);
                }
                if self.devices.len() >= MAX_DEVICES {
                    return Err(DeviceListError::TooLarge);
                }
                let key = usable_key(&signing_key)?;
                let shared = self.devices.values().any(|d| d.signing_key == signing_key || d.hpke_key == hpke_key);
                if shared || key == self.root_key || hpke_key == [0; 32] {
                    return Err(DeviceListError::BadKey);
                }
                self.devices.insert(device, Device { id: device, signing_key, hpke_key, added: draft.time });
                let by_root = draft.signer == Signer::Root;
                self.arrivals.insert(device, notice::Arrival { seq: draft.seq, time: latest, by_root });
            }
            Action::Remove { device } => {
                self.devices.remove(&device).ok_or(DeviceListError::BadChange)?;
                self.removed.push(device);
                self.arrivals.remove(&device);
            }
        }
        self.latest = latest;
        Ok(())
    }

    /// The account.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Ed25519.
    pub fn root_key(&self) -> [u8; 32] {
        self.root_key.to_bytes()
    }

    /// All links, oldest first: what [`verify`](Self::verify) takes.
    pub fn links(&self) -> &[Bytes] {
        &self.links
    }

    /// The devices that are listed now, by id.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = &Device> {
        self.devices.values()
    }

    /// One device, if it is listed now.
    pub fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.get(id)
    }

    /// Whether this device was listed once and is not any more.
    pub fn was_removed(&self, id: &DeviceId) -> bool {
        self.removed.contains(id)
    }

    /// Number of the newest link, from 1.
    pub fn seq(&self) -> u64 {
        self.links.len() as u64
    }

    /// The newest link.
    pub fn head(&self) -> Head {
        Head { seq: self.seq(), hash: self.seen.last().map(|seen| seen.hash).unwrap_or_default() }
    }

    /// What to keep, to compare a later list with.
    pub fn pin(&self) -> Pin {
        Pin { hashes: self.seen.iter().map(|seen| seen.hash).collect() }
    }

    /// Whether this list has that link at that place: it is the same list or extends it.
    pub fn extends(&self, pinned: &Head) -> bool {
        let at = usize::try_from(pinned.seq).ok().and_then(|seq| seq.checked_sub(1));
        at.and_then(|at| self.seen.get(at)).is_some_and(|seen| seen.hash == pinned.hash)
    }

    /// How this list relates to a pinned one of the same account and root key.
    pub fn relation(&self, pinned: &Pin) -> Relation {
        let parting = self.seen.iter().zip(&pinned.hashes).find(|(seen, hash)| seen.hash != **hash);
        match parting {
            Some((seen, _)) if seen.by_root => Relation::ForkByRoot,
            Some(_) => Relation::Fork,
            None => match self.seen.len().cmp(&pinned.hashes.len()) {
                std::cmp::Ordering::Less => Relation::Rollback,
                std::cmp::Ordering::Equal => Relation::Same,
                std::cmp::Ordering::Greater => Relation::Extends,
            },
        }
    }

    /// The next link, to be signed by `signer`.
    pub fn draft(&self, time: UnixMillis, action: Action, signer: Signer) -> Draft {
        let head = self.head();
        Draft { account: self.account, seq: head.seq + 1, prev: head.hash, time, action, signer }
    }
}

fn usable_key(key: &[u8; 32]) -> Result<VerifyingKey, DeviceListError> {
    VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak()).ok_or(DeviceListError::BadKey)
}

#[cfg(test)]
mod tests;
