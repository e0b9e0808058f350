//! One-time grants: what a claim gives so that a commit may add an entry. Sealed under the grant key, bound to room and
//! member key, worth one entry, 30 days.

use parlour_proto::ids::{MailboxId, MemberKey, RoomId, UnixMillis};
use rand_core::RngCore as _;

use crate::{
    Rng,
    keys::Keys,
    rooms::token::{open_with, seal_with},
};

/// How long a grant works, milliseconds.
pub const GRANT_MS: u64 = 30 * 86_400_000;

/// What a grant says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where the entry's rows go.
    pub mailbox: MailboxId,
    /// The entry is accepted from the start.
    pub open: bool,
    /// The instant after which it is worth nothing.
    pub expires: UnixMillis,
    /// For using it once.
    pub id: [u8; 16],
}

impl Grant {
    /// A new grant.
    pub fn new(mailbox: MailboxId, open: bool, now: UnixMillis, rng: &mut Rng) -> Self {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        Self { mailbox, open, expires: now.plus_ms(GRANT_MS), id }
    }

    /// Seals it to a room and a member key.
    pub fn seal(&self, keys: &Keys, room: &RoomId, member: &MemberKey, rng: &mut Rng) -> Vec<u8> {
        let mut plain = [0; 41];
        plain[..16].copy_from_slice(&self.mailbox.0);
        plain[16] = u8::from(self.open);
        plain[17..25].copy_from_slice(&self.expires.0.to_be_bytes());
        plain[25..].copy_from_slice(&self.id);
        seal_with(&keys.grant, b"grant", room, member, &plain, rng)
    }

    /// Opens a grant that was made for this room and member key.
    pub fn open(keys: &Keys, room: &RoomId, member: &MemberKey, sealed: &[u8]) -> Option<Self> {
        let plain = open_with(&keys.grant, b"grant", room, member, sealed)?;
        let plain: [u8; 41] = plain.try_into().ok()?;
        let part = |from: usize, to: usize| plain.get(from..to);
        Some(Self {
            mailbox: part(0, 16)?.try_into().ok()?,
            open: plain[16] == 1,
            expires: UnixMillis(u64::from_be_bytes(part(17, 25)?.try_into().ok()?)),
            id: part(25, 41)?.try_into().ok()?,
        })
    }
}
