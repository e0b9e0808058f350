//! Joining by a Welcome (RFC 9420 §12.4.3.1).

use openmls::prelude::{KeyPackageBundle, OpenMlsProvider as _, RatchetTreeIn, StagedWelcome, Welcome};
use sha2::{Digest, Sha256};
use tls_codec::Deserialize as _;

use super::commit::TREE_KEY;
use super::own::{self, OwnKeys};
use super::welcome::{Pieces, Secret, Shared};
use super::{Group, SEND_KEY, exported, member_of};
use crate::credential::Member;
use crate::policy::Policy;
use crate::provider::Provider;
use crate::rows::{Changes, Rows};
use crate::seal::{ValueKey, open};
use crate::store::{Store, StoreError};
use crate::suite::config;

/// Why a Welcome was refused. The key package is still there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The two pieces do not read.
    #[error("welcome does not read")]
    Malformed,
    /// The rows given hold no key package, or do not read.
    #[error("key package rows do not read")]
    KeyPackage,
    /// It does not open with this key package, or MLS refuses the group: for another package, another tree, or forged.
    #[error("welcome refused: {0}")]
    Refused(String),
    /// It leads into another room.
    #[error("welcome leads into another room")]
    WrongRoom,
    /// The group is none of ours: no policy, a leaf without our credential, or another leaf for us.
    #[error("group is not as it should be")]
    Group,
}

impl From<StoreError> for JoinError {
    fn from(_: StoreError) -> Self {
        Self::KeyPackage
    }
}

/// A Welcome as it arrives.
#[derive(Debug, Clone, Copy)]
pub struct WelcomeIn<'a> {
    /// The room it should lead into.
    pub room: [u8; 16],
    /// The piece for all joiners.
    pub shared: &'a [u8],
    /// The piece for this one.
    pub part: &'a [u8],
}

/// A conversation just joined.
#[derive(Debug)]
pub struct Joined {
    /// The group; its rows are in [`Group::take_changes`].
    pub group: Group,
    /// For the key package's rows: commit it in the same transaction. Empty for a last-resort package.
    pub consumed: Changes,
    /// Who added us. Check this and all members against their accounts' device lists.
    pub added_by: Member,
    /// We came in by a last-resort package: update the leaf before the first message.
    pub last_resort: bool,
    /// To compare with what the room says: a Welcome of a void commit leads nowhere.
    pub send_key_digest: [u8; 32],
}

impl Group {
    /// Joins by a Welcome with the rows of the key package it was made for: the one whose member key our entry has.
    ///
    /// # Errors
    /// [`JoinError`]; nothing is consumed then.
    pub fn join(welcome: &WelcomeIn<'_>, key_package: Rows) -> Result<Joined, JoinError> {
        let provider = Provider::new(key_package);
        let (bundle, keys) = key_package_of(provider.store())?;
        let last_resort = bundle.key_package().last_resort();
        let (staged, send_key) = stage(&provider, welcome, &bundle)?;
        let added_by = check(&staged, &keys)?;
        let mls = staged.into_group(&provider).map_err(refused)?;
        let consumed = if last_resort { Changes::default() } else { consume(provider.store()) };
        keys.store(provider.store());
        own::set_room(provider.store(), &welcome.room);
        let group = Self::assemble(mls, alone(provider.store())).map_err(|_| JoinError::Group)?;
        Ok(Joined { group, consumed, added_by, last_resort, send_key_digest: Sha256::digest(send_key).into() })
    }
}

fn refused(error: impl std::fmt::Display) -> JoinError {
    JoinError::Refused(error.to_string())
}

fn key_package_of(store: &Store) -> Result<(KeyPackageBundle, OwnKeys), JoinError> {
    let bundle = store.only_key_package()?.ok_or(JoinError::KeyPackage)?;
    let keys = OwnKeys::load_for_key_package(store)?.ok_or(JoinError::KeyPackage)?;
    Ok((bundle, keys))
}

fn stage(
    provider: &Provider,
    welcome: &WelcomeIn<'_>,
    bundle: &KeyPackageBundle,
) -> Result<(StagedWelcome, Vec<u8>), JoinError> {
    let shared = Shared::decode(welcome.shared).ok_or(JoinError::Malformed)?;
    let reference = bundle.key_package().hash_ref(provider.crypto()).map_err(refused)?;
    let secret = Secret::decode_part(welcome.part, reference.as_slice().to_vec()).ok_or(JoinError::Malformed)?;
    let whole =
        Pieces { group_info: shared.group_info, secrets: vec![secret] }.assemble().ok_or(JoinError::Malformed)?;
    let whole = Welcome::tls_deserialize_exact(&whole).map_err(|_| JoinError::Malformed)?;
    let builder = StagedWelcome::build_from_welcome(provider, &config(), whole).map_err(refused)?;
    let processed = builder.processed_welcome();
    if processed.unverified_group_info().group_id().as_slice() != welcome.room {
        return Err(JoinError::WrongRoom);
    }
    let key = processed.export_secret(provider.crypto(), TREE_KEY, &[], 32).map_err(refused)?;
    let send_key = processed.export_secret(provider.crypto(), SEND_KEY, &[], 32).map_err(refused)?;
    let key = ValueKey::from_bytes(*exported(&key).map_err(refused)?);
    let tree = open(&key, &welcome.room, &shared.sealed_tree).map_err(|_| refused("the tree does not open"))?;
    let tree = RatchetTreeIn::tls_deserialize_exact(&*tree).map_err(|_| JoinError::Malformed)?;
    let staged = builder
        .with_ratchet_tree(tree)
        // By the system's clock; and one stale member would bar every joiner.
        .skip_lifetime_validation()
        .build()
        .map_err(refused)?;
    Ok((staged, send_key))
}

/// That it is a group of ours, and who added us.
fn check(staged: &StagedWelcome, keys: &OwnKeys) -> Result<Member, JoinError> {
    Policy::of(staged.group_context().extensions()).map_err(|_| JoinError::Group)?;
    let members: Vec<Member> =
        staged.members().map(|member| member_of(&member)).collect::<Result<_, _>>().map_err(|_| JoinError::Group)?;
    let at = |leaf: u32| members.iter().find(|member| member.leaf == leaf).ok_or(JoinError::Group);
    let own = at(staged.own_leaf_index().u32())?;
    if own.leaf_key() != keys.leaf_public() || own.member_key() != keys.member().public() {
        return Err(JoinError::Group);
    }
    at(staged.welcome_sender_index().u32()).cloned()
}

/// Deletes the key package. OpenMLS has deleted its own row already.
fn consume(store: &Store) -> Changes {
    OwnKeys::delete_for_key_package(store);
    store.running_deletes()
}

/// A provider that holds the group's rows without the key package's.
fn alone(store: &Store) -> Provider {
    let provider = Provider::new(Rows::default());
    for (key, value) in store.running_puts() {
        provider.store().put_bytes(&key, value);
    }
    provider.store().finish();
    provider
}
