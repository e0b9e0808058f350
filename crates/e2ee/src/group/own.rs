//! The crate's own rows beside OpenMLS's: our keys in this group, the pending commit's particulars, and what lets us
//! recognise our own messages and refuse late ones.

use ed25519_dalek::{Signer as _, SigningKey};
use minicbor::{Decode, Encode};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use rand_core::CryptoRngCore;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{GroupError, Pending};
use crate::account::Identity;
use crate::credential::LeafCredential;
use crate::keys::{MemberKeyPair, generate_signing_key, sign};
use crate::store::{Store, StoreError};

const ROOM: &[u8] = b"room";
const OWN: &[u8] = b"own";
const OWN_NEXT: &[u8] = b"own/next";
const KEY_PACKAGE_OWN: &[u8] = b"key package own";
const PENDING: &[u8] = b"pending";
const RECENT: &[u8] = b"recent";
const CLOSED: &[u8] = b"closed";
const SENT: &[u8] = b"sent/";

/// How many own commits and echoes are remembered as done.
const RECENT_KEPT: usize = 64;
/// How many closed epochs are remembered; older ones cannot be read any more.
const CLOSED_KEPT: usize = 8;

fn put<T: Encode<()>>(store: &Store, key: &[u8], value: &T) {
    store.put_bytes(key, crate::cbor::encode(value));
}

fn read<T: for<'b> Decode<'b, ()>>(store: &Store, key: &[u8]) -> Result<Option<T>, StoreError> {
    store.bytes(key).map(|bytes| crate::cbor::decode(&bytes).ok_or(StoreError::Decode)).transpose()
}

pub(super) fn room(store: &Store) -> Result<Option<[u8; 16]>, StoreError> {
    store.bytes(ROOM).map(|room| room.try_into().map_err(|_| StoreError::Decode)).transpose()
}

pub(super) fn set_room(store: &Store, room: &[u8; 16]) {
    store.put_bytes(ROOM, room.to_vec());
}

/// A leaf's signature key, as OpenMLS wants it.
#[derive(Clone)]
pub(crate) struct LeafKey(SigningKey);

impl LeafKey {
    pub(crate) fn key(&self) -> &SigningKey {
        &self.0
    }

    pub(crate) fn sign_for(&self, domain: &str, bytes: &[u8]) -> [u8; 64] {
        sign(&self.0, domain, bytes)
    }
}

impl Signer for LeafKey {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(payload).to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Our two keys in one group: the leaf's and the entry's.
#[derive(Clone)]
pub(crate) struct OwnKeys {
    leaf: LeafKey,
    member: MemberKeyPair,
}

#[derive(Encode, Decode, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
#[cbor(array)]
struct OwnRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    leaf: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    member: [u8; 32],
}

impl OwnKeys {
    pub(crate) fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        Self { leaf: LeafKey(generate_signing_key(rng)), member: MemberKeyPair::generate(rng) }
    }

    /// A new leaf key beside the same member key.
    pub(super) fn with_new_leaf(&self, rng: &mut dyn CryptoRngCore) -> Self {
        Self { leaf: LeafKey(generate_signing_key(rng)), member: self.member.clone() }
    }

    pub(crate) fn leaf(&self) -> &LeafKey {
        &self.leaf
    }

    pub(super) fn leaf_public(&self) -> [u8; 32] {
        self.leaf.0.verifying_key().to_bytes()
    }

    pub(super) fn member(&self) -> &MemberKeyPair {
        &self.member
    }

    pub(crate) fn credential(&self, me: &Identity<'_>) -> LeafCredential {
        LeafCredential::sign(me, self.leaf_public(), self.member.public())
    }

    pub(super) fn load(store: &Store) -> Result<Self, StoreError> {
        Self::at(store, OWN)?.ok_or(StoreError::Decode)
    }

    pub(super) fn load_next(store: &Store) -> Result<Option<Self>, StoreError> {
        Self::at(store, OWN_NEXT)
    }

    pub(super) fn load_for_key_package(store: &Store) -> Result<Option<Self>, StoreError> {
        Self::at(store, KEY_PACKAGE_OWN)
    }

    pub(super) fn store(&self, store: &Store) {
        self.put(store, OWN);
    }

    pub(super) fn store_next(&self, store: &Store) {
        self.put(store, OWN_NEXT);
    }

    pub(crate) fn store_for_key_package(&self, store: &Store) {
        self.put(store, KEY_PACKAGE_OWN);
    }

    pub(super) fn delete_for_key_package(store: &Store) {
        store.delete(KEY_PACKAGE_OWN);
    }

    fn at(store: &Store, key: &[u8]) -> Result<Option<Self>, StoreError> {
        Ok(read::<OwnRow>(store, key)?.map(|row| Self {
            leaf: LeafKey(SigningKey::from_bytes(&row.leaf)),
            member: MemberKeyPair::from_bytes(&row.member),
        }))
    }

    fn put(&self, store: &Store, key: &[u8]) {
        let row = OwnRow { leaf: *Zeroizing::new(self.leaf.0.to_bytes()), member: *self.member.to_bytes() };
        put(store, key, &row);
    }
}

/// Name of a ciphertext of ours.
pub(super) fn hash(ciphertext: &[u8]) -> [u8; 32] {
    Sha256::digest(ciphertext).into()
}

/// The pending commit's particulars; its MLS half is in OpenMLS's state.
#[derive(Clone, Encode, Decode)]
#[cbor(array)]
pub(super) struct PendingRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(super) id: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(super) hash: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(super) digest: [u8; 32],
    #[n(3)]
    pub(super) next_epoch: u64,
    #[n(4)]
    pub(super) removes: bool,
}

impl PendingRow {
    pub(super) fn load(store: &Store) -> Result<Option<Self>, StoreError> {
        read(store, PENDING)
    }

    pub(super) fn store(&self, store: &Store) {
        put(store, PENDING, self);
    }

    pub(super) fn public(&self) -> Pending {
        Pending { id: self.id, next_send_key_digest: self.digest, next_epoch: self.next_epoch }
    }
}

/// Forgets the pending commit and the keys that it would have brought.
pub(super) fn delete_pending(store: &Store) {
    store.delete(PENDING);
    store.delete(OWN_NEXT);
}

#[derive(Encode, Decode, Default)]
#[cbor(array)]
struct Recent {
    /// First eight bytes of the hashes, oldest first.
    #[n(0)]
    hashes: Vec<u64>,
}

fn short(hash: &[u8; 32]) -> u64 {
    u64::from_be_bytes(hash[..8].try_into().expect("eight of 32 bytes"))
}

/// Remembers a ciphertext of ours as done.
pub(super) fn remember(store: &Store, hash: &[u8; 32]) -> Result<(), StoreError> {
    let mut recent: Recent = read(store, RECENT)?.unwrap_or_default();
    recent.hashes.push(short(hash));
    let surplus = recent.hashes.len().saturating_sub(RECENT_KEPT);
    recent.hashes.drain(..surplus);
    put(store, RECENT, &recent);
    Ok(())
}

pub(super) fn remembers(store: &Store, hash: &[u8; 32]) -> Result<bool, StoreError> {
    Ok(read::<Recent>(store, RECENT)?.is_some_and(|recent| recent.hashes.contains(&short(hash))))
}

/// That these rows read, before anything relies on them.
pub(super) fn check(store: &Store) -> Result<(), StoreError> {
    read::<Recent>(store, RECENT)?;
    read::<Closed>(store, CLOSED)?;
    OwnKeys::load_next(store).map(|_| ())
}

fn sent_key(epoch: u64, hash: &[u8; 32]) -> Vec<u8> {
    [SENT, &epoch.to_be_bytes(), &hash[..16]].concat()
}

/// A message of ours is on its way.
pub(super) fn sent(store: &Store, epoch: u64, hash: &[u8; 32]) {
    store.put_bytes(&sent_key(epoch, hash), Vec::new());
}

/// True, once, if the ciphertext is one that we sent.
pub(super) fn take_echo(store: &Store, epoch: u64, hash: &[u8; 32]) -> Result<bool, StoreError> {
    let key = sent_key(epoch, hash);
    let ours = store.bytes(&key).is_some();
    if ours {
        store.delete(&key);
        remember(store, hash)?;
    }
    Ok(ours)
}

/// Forgets messages of epochs before `oldest`: nobody can read them any more.
pub(super) fn forget_sent_before(store: &Store, oldest: u64) {
    let end = sent_key(oldest, &[0; 32]);
    for key in store.keys_under(SENT) {
        if key < end {
            store.delete(&key);
        }
    }
}

#[derive(Encode, Decode, Default)]
#[cbor(array)]
struct Closed {
    /// Epoch, and the room sequence of the removing commit that ended it.
    #[n(0)]
    epochs: Vec<(u64, u64)>,
}

/// `epoch` ended with a removal at `room_seq`.
pub(super) fn close(store: &Store, epoch: u64, room_seq: u64) -> Result<(), StoreError> {
    let mut closed: Closed = read(store, CLOSED)?.unwrap_or_default();
    closed.epochs.push((epoch, room_seq));
    let surplus = closed.epochs.len().saturating_sub(CLOSED_KEPT);
    closed.epochs.drain(..surplus);
    put(store, CLOSED, &closed);
    Ok(())
}

/// True if a message of `epoch` at `room_seq` comes after a removal that ended that epoch.
pub(super) fn is_closed(store: &Store, epoch: u64, room_seq: u64) -> Result<bool, GroupError> {
    let closed: Closed = read(store, CLOSED)?.unwrap_or_default();
    Ok(closed.epochs.iter().any(|(ended, at)| *ended == epoch && room_seq > *at))
}
