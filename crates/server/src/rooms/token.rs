//! Sealed mailbox tokens: XChaCha20-Poly1305 under the newest sealing key with a random nonce, bound to room and member key, so that
//! a token moved into another room, or to another member, opens nothing (`DESIGN.md` §6).

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use parlour_proto::ids::{MailboxId, MemberKey, RoomId};
use rand_core::RngCore as _;

use crate::{
    Rng,
    keys::{Key, Keys},
};

const NONCE: usize = 24;

/// Seals a mailbox for one entry of one room.
pub(crate) fn seal(keys: &Keys, room: &RoomId, member: &MemberKey, mailbox: &MailboxId, rng: &mut Rng) -> Vec<u8> {
    seal_with(&keys.seals(), b"token", room, member, &mailbox.0, rng)
}

/// The mailbox of a token; `None` if it was not made for this room and member.
pub(crate) fn open(keys: &Keys, room: &RoomId, member: &MemberKey, token: &[u8]) -> Option<MailboxId> {
    let plain = keys.opens(|key| open_with(key, b"token", room, member, token))?;
    plain.as_slice().try_into().ok()
}

/// Whether a token is sealed under the newest key.
pub(crate) fn is_current(keys: &Keys, room: &RoomId, member: &MemberKey, token: &[u8]) -> bool {
    open_with(&keys.seals(), b"token", room, member, token).is_some()
}

/// Seals anything to a room and a member key.
pub(crate) fn seal_with(
    key: &Key,
    label: &[u8],
    room: &RoomId,
    member: &MemberKey,
    plain: &[u8],
    rng: &mut Rng,
) -> Vec<u8> {
    let mut nonce = [0; NONCE];
    rng.fill_bytes(&mut nonce);
    let aad = [label, &room.0, &member.0].concat();
    let cipher = XChaCha20Poly1305::new((&key.0).into());
    let sealed = cipher
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: &aad })
        .expect("short plaintexts can always be sealed");
    [&nonce[..], &sealed].concat()
}

/// Opens what [`seal_with`] sealed.
pub(crate) fn open_with(key: &Key, label: &[u8], room: &RoomId, member: &MemberKey, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
    let aad = [label, &room.0, &member.0].concat();
    let cipher = XChaCha20Poly1305::new((&key.0).into());
    cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: &aad }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{keys, rng};

    #[test]
    fn token_used_in_another_room() {
        let keys = keys();
        let (room, member, mailbox) = (RoomId([1; 16]), MemberKey([2; 32]), MailboxId([3; 16]));
        let token = seal(&keys, &room, &member, &mailbox, &mut rng(1));
        assert_eq!(open(&keys, &room, &member, &token), Some(mailbox));
        assert_eq!(open(&keys, &RoomId([9; 16]), &member, &token), None);
        assert_eq!(open(&keys, &room, &MemberKey([9; 32]), &token), None);
        let again = seal(&keys, &room, &member, &mailbox, &mut rng(2));
        assert_ne!(token, again, "two tokens of one mailbox share nothing");
    }
}
