//! One conversation: an MLS group (RFC 9420) with our rows, our policy and our rules about when state may change.
//!
//! | state | changes to | by |
//! |---|---|---|
//! | steady | pending | [`Group::commit`] |
//! | pending | steady, next epoch | [`Group::merge_pending`] |
//! | pending | steady | [`Group::clear_pending`] |
//! | steady or pending | staged | [`Group::process`] of a commit |
//! | staged | steady, next epoch (a pending commit is gone) | [`Group::merge_staged`] |
//! | staged | as before | [`Group::refuse_staged`] |
//! | any | removed, for good | [`Group::merge_staged`] of our own removal |
//!
//! Every operation either succeeds, and its changes wait in [`Group::take_changes`], or leaves everything as it was.

mod change;
#[cfg(test)]
mod cheats;
mod commit;
mod create;
mod join;
mod leave;
mod message;
mod own;
mod process;
mod welcome;
mod whisper;

use openmls::prelude::{GroupId, MlsGroup, OpenMlsProvider as _, StagedCommit};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use change::{Change, Update};
pub use commit::PendingCommit;
pub use join::{JoinError, Joined, WelcomeIn};
pub use leave::{LEAVE_DOMAIN, LeaveRequest};
pub use message::SealedMessage;
use own::PendingRow;
pub(crate) use own::{LeafKey, OwnKeys};
pub use process::{Invalid, Message, Processed, Repair, RowMeta, StagedChange};
pub use welcome::{WelcomeOut, WelcomePart};
pub use whisper::{MAX_WHISPER_CONTENT, WHISPER_BYTES, Whisper};

use crate::account::AccountRef;
use crate::credential::{LeafCredential, Member};
use crate::keys::MemberKeyPair;
use crate::policy::rules::PolicyBreach;
use crate::policy::{Policy, Role};
use crate::provider::{Crypto, Provider};
use crate::rows::{Changes, Rows};
use crate::store::StoreError;

/// Exporter label of the send key.
const SEND_KEY: &str = "parlour send key";

/// Why an operation on a group was not done. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The group's own rows do not read: discard the group and rejoin.
    #[error("rows of the group do not read")]
    Rows(#[from] StoreError),
    /// The rows contradict each other: discard the group and rejoin.
    #[error("rows of the group are inconsistent: {0}")]
    Inconsistent(&'static str),
    /// A commit of ours waits for the room's answer.
    #[error("an own commit is pending")]
    PendingCommit,
    /// There is no commit of ours to merge or clear.
    #[error("no own commit is pending")]
    NoPendingCommit,
    /// A received commit waits for `merge_staged` or `refuse_staged`.
    #[error("a received commit is staged")]
    StagedCommit,
    /// There is no received commit to merge or refuse.
    #[error("no received commit is staged")]
    NothingStaged,
    /// We are no member any more.
    #[error("removed from the group")]
    Removed,
    /// The change breaks the policy.
    #[error("change breaks the policy")]
    Policy(#[from] PolicyBreach),
    /// A leaf that is not there.
    #[error("no such member")]
    NoSuchMember,
    /// More bytes than can be framed (4 GB).
    #[error("content is too long")]
    TooLong,
    /// OpenMLS refused.
    #[error("MLS refused: {0}")]
    Mls(String),
}

impl GroupError {
    fn mls(error: impl std::fmt::Display) -> Self {
        Self::Mls(error.to_string())
    }
}

/// An own commit that waits for the room's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// The commit id it was made under.
    pub id: [u8; 16],
    /// Digest of the send key if it is accepted.
    pub next_send_key_digest: [u8; 32],
    /// Epoch if it is accepted.
    pub next_epoch: u64,
}

/// A received commit that waits to be merged or refused.
struct Staged {
    commit: Box<StagedCommit>,
    room_seq: u64,
    removes: bool,
}

/// One loaded conversation.
pub struct Group {
    mls: MlsGroup,
    provider: Provider,
    own: OwnKeys,
    policy: Policy,
    pending: Option<PendingRow>,
    staged: Option<Staged>,
}

impl Group {
    /// Loads a group from all of its rows; `None` if there is none in them.
    ///
    /// # Errors
    /// [`GroupError::Rows`] or [`GroupError::Inconsistent`]: discard them and rejoin.
    pub fn load(rows: Rows) -> Result<Option<Self>, GroupError> {
        let provider = Provider::new(rows);
        let Some(room) = own::room(provider.store())? else { return Ok(None) };
        let mls = load_mls(&provider, &room)?;
        Self::assemble(mls, provider).map(Some)
    }

    /// Everything beside OpenMLS's own state comes from rows, too.
    fn assemble(mls: MlsGroup, provider: Provider) -> Result<Self, GroupError> {
        own::check(provider.store())?;
        let own = OwnKeys::load(provider.store())?;
        let policy =
            Policy::of(mls.extensions()).map_err(|_| GroupError::Inconsistent("no policy in the group context"))?;
        let pending = PendingRow::load(provider.store())?;
        if pending.is_some() != mls.pending_commit().is_some() {
            return Err(GroupError::Inconsistent("half a pending commit"));
        }
        let group = Self { mls, provider, own, policy, pending, staged: None };
        if group.is_active() && group.own_member()?.leaf_key() != group.own.leaf_public() {
            return Err(GroupError::Inconsistent("own leaf key"));
        }
        Ok(group)
    }

    /// Back to what is finished: after a failed or refused operation.
    fn roll_back(&mut self) -> Result<(), GroupError> {
        self.provider.store().discard();
        self.staged = None;
        let store = self.provider.store();
        self.mls = load_mls(&self.provider, &self.room())?;
        self.own = OwnKeys::load(store)?;
        self.pending = PendingRow::load(store)?;
        Ok(())
    }

    /// Does an operation wholly or not at all.
    fn attempt<T>(&mut self, operation: impl FnOnce(&mut Self) -> Result<T, GroupError>) -> Result<T, GroupError> {
        match operation(self) {
            Ok(value) => {
                self.provider.store().finish();
                Ok(value)
            }
            Err(error) => {
                self.roll_back()?;
                Err(error)
            }
        }
    }

    /// One batch of everything that succeeded since the last call. Commit it before sending what the operations gave;
    /// if that fails, drop the group and load it again.
    pub fn take_changes(&mut self) -> Changes {
        self.provider.store().take()
    }

    /// The room: it is the MLS group id.
    pub fn room(&self) -> [u8; 16] {
        self.mls.group_id().as_slice().try_into().expect("checked when the group was made or joined")
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.mls.epoch().as_u64()
    }

    /// The own leaf's index.
    pub fn own_leaf(&self) -> u32 {
        self.mls.own_leaf_index().u32()
    }

    /// The own leaf; `None` once removed.
    pub fn own(&self) -> Option<Member> {
        self.own_member().ok()
    }

    fn own_member(&self) -> Result<Member, GroupError> {
        let index = self.own_leaf();
        self.member(index)?.ok_or(GroupError::Removed)
    }

    /// False once our own removal was merged.
    pub fn is_active(&self) -> bool {
        self.mls.is_active()
    }

    /// All leaves with their credentials, by leaf index. Whether their devices are on the accounts' lists is for the
    /// caller to check, with [`Member::verify`].
    pub fn members(&self) -> Vec<Member> {
        // Every leaf was checked when it came in.
        self.mls.members().filter_map(|member| member_of(&member).ok()).collect()
    }

    fn member(&self, leaf: u32) -> Result<Option<Member>, GroupError> {
        let index = openmls::prelude::LeafNodeIndex::new(leaf);
        let Some(node) = self.mls.public_group().leaf(index) else { return Ok(None) };
        LeafCredential::of_leaf(node.credential(), node.signature_key().as_slice())
            .map(|credential| Some(Member { leaf, credential }))
            .map_err(|_| GroupError::Inconsistent("credential of a leaf"))
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The role that counts for an account here.
    pub fn role_of(&self, account: &AccountRef) -> Role {
        self.policy.role_among(account, &self.members())
    }

    /// The own commit that waits for the room's answer.
    pub fn pending(&self) -> Option<Pending> {
        self.pending.as_ref().map(PendingRow::public)
    }

    /// True while an own commit waits for the room's answer.
    pub fn has_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// The key of our entry: it signs commits and opens the entry.
    pub fn member_key_pair(&self) -> &MemberKeyPair {
        self.own.member()
    }

    /// This epoch's send key, which every member derives and of which the server knows the digest.
    ///
    /// # Errors
    /// [`GroupError::Removed`].
    pub fn send_key(&self) -> Result<Zeroizing<[u8; 32]>, GroupError> {
        self.export(SEND_KEY)
    }

    /// A secret of this epoch under a label (RFC 9420 §8.5), the same for every member.
    fn export(&self, label: &str) -> Result<Zeroizing<[u8; 32]>, GroupError> {
        if !self.is_active() {
            return Err(GroupError::Removed);
        }
        let key = self.mls.export_secret(self.provider.crypto(), label, &[], 32).map_err(GroupError::mls)?;
        exported(&key)
    }

    /// SHA-256 of [`Self::send_key`].
    ///
    /// # Errors
    /// [`GroupError::Removed`].
    pub fn send_key_digest(&self) -> Result<[u8; 32], GroupError> {
        self.send_key().map(|key| Sha256::digest(*key).into())
    }

    fn ready(&self) -> Result<(), GroupError> {
        match (self.is_active(), &self.staged) {
            (false, _) => Err(GroupError::Removed),
            (true, Some(_)) => Err(GroupError::StagedCommit),
            (true, None) => Ok(()),
        }
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let room = parlour_proto::ids::log_tag(&self.room());
        write!(f, "Group(~{room:08x}, epoch {}, leaf {})", self.epoch(), self.own_leaf())
    }
}

fn load_mls(provider: &Provider, room: &[u8; 16]) -> Result<MlsGroup, GroupError> {
    MlsGroup::load(provider.store(), &GroupId::from_slice(room))?
        .ok_or(GroupError::Inconsistent("group without its MLS state"))
}

fn member_of(member: &openmls::prelude::Member) -> Result<Member, crate::credential::CredentialError> {
    let credential = LeafCredential::of_leaf(&member.credential, &member.signature_key)?;
    Ok(Member { leaf: member.index.u32(), credential })
}

fn exported(secret: &[u8]) -> Result<Zeroizing<[u8; 32]>, GroupError> {
    secret.try_into().map(Zeroizing::new).map_err(|_| GroupError::Inconsistent("exporter"))
}

/// Digest of the send key after a commit that is not merged yet; `None` if the commit removes us.
fn next_send_key_digest(commit: &StagedCommit, crypto: &Crypto) -> Option<[u8; 32]> {
    if commit.self_removed() {
        return None;
    }
    let key = Zeroizing::new(commit.export_secret(crypto, SEND_KEY, &[], 32).ok()?);
    Some(Sha256::digest(&*key).into())
}
