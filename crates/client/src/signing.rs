//! Signatures that the server checks: over the labelled bytes of [`parlour_proto::frames`], with nothing in front.
//!
//! (`e2ee`'s own signatures put a domain and a zero byte in front; frames carry their label inside.)

use ed25519_dalek::{Signer as _, SigningKey};
use parlour_proto::frames::{MemberProof, entry_bytes};
use parlour_proto::ids::{MemberKey, RoomId, UnixMillis};

/// The signing half of stored `DeviceKeys` (version byte, signing secret, HPKE secret).
pub(crate) fn device_key(keys: &[u8]) -> Option<SigningKey> {
    Some(SigningKey::from_bytes(keys.get(1..33)?.try_into().ok()?))
}

/// A stored `MemberKeyPair` (its secret).
pub(crate) fn member_key(secret: &[u8]) -> Option<SigningKey> {
    Some(SigningKey::from_bytes(secret.try_into().ok()?))
}

/// Signs as they are.
pub(crate) fn sign(key: &SigningKey, bytes: &[u8]) -> [u8; 64] {
    key.sign(bytes).to_bytes()
}

/// A proof that this entry asks for `what` in `room`, at `time` by the server's clock.
pub(crate) fn proof(
    member_secret: &[u8],
    what: &str,
    room: &RoomId,
    time: UnixMillis,
    detail: &[u8],
) -> Option<MemberProof> {
    let key = member_key(member_secret)?;
    let signature = sign(&key, &entry_bytes(what, room, time, detail));
    Some(MemberProof { member_key: MemberKey(key.verifying_key().to_bytes()), time, signature })
}
