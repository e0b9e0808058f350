//! Own commits: made, kept pending until the room answers, then merged or cleared.
//!
//! The commit's bytes and Welcome are not stored here: they belong into the engine's outbox, in the same transaction as
//! the changes.

use openmls::prelude::{
    CommitMessageBundle, LeafNodeIndex, MlsGroup, NewSignerBundle, OpenMlsProvider as _, StagedCommit,
};
use rand_core::CryptoRngCore;
use tls_codec::Serialize as _;

use super::change::{Change, Update};
use super::own::{self, OwnKeys, PendingRow};
use super::process::inspect::Inspected;
use super::welcome::{Pieces, Shared, WelcomeOut, WelcomePart};
use super::{Group, GroupError, exported, next_send_key_digest};
use crate::account::Identity;
use crate::credential::{LeafCredential, Member};
use crate::policy::Policy;
use crate::provider::Provider;
use crate::seal::{ValueKey, seal};

/// Exporter label of the key under which a Welcome's tree is sealed.
pub(super) const TREE_KEY: &str = "parlour welcome tree";

/// A commit to send. It is already pending in the group.
#[derive(Debug, Clone)]
pub struct PendingCommit {
    /// The commit, a PrivateMessage.
    pub commit: Vec<u8>,
    /// The id it was made under; it is the message's authenticated data.
    pub id: [u8; 16],
    /// Digest of the next epoch's send key: travels beside the commit.
    pub next_send_key_digest: [u8; 32],
    /// Epoch once it is accepted.
    pub next_epoch: u64,
    /// Our entry's member key once it is accepted.
    pub member_key: [u8; 32],
    /// For those added.
    pub welcome: Option<WelcomeOut>,
    /// Those added, in the order of the change.
    pub added: Vec<LeafCredential>,
    /// Those removed.
    pub removed: Vec<Member>,
    /// It puts the room into attributed mode, or out of it.
    pub attributed: Option<bool>,
}

/// What attributed mode is afterwards, if that is something else.
pub(super) fn switched(before: &Policy, after: &Policy) -> Option<bool> {
    (before.attributed != after.attributed).then_some(after.attributed)
}

impl Group {
    /// Makes a commit and keeps it pending. An empty change is a commit that changes nothing.
    ///
    /// # Errors
    /// [`GroupError::PendingCommit`] while another one is pending; [`GroupError::Policy`] if the others would refuse
    /// it; [`GroupError::NoSuchMember`] for a leaf that is not there, or a leave request that is void.
    pub fn commit(
        &mut self,
        me: &Identity<'_>,
        change: Change,
        id: [u8; 16],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<PendingCommit, GroupError> {
        self.ready()?;
        if self.pending.is_some() {
            return Err(GroupError::PendingCommit);
        }
        self.attempt(|group| group.make_commit(me, change, id, rng))
    }

    fn make_commit(
        &mut self,
        me: &Identity<'_>,
        change: Change,
        id: [u8; 16],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<PendingCommit, GroupError> {
        let leaving = change.leaves.iter().map(|request| self.leaving_leaf(request).ok_or(GroupError::NoSuchMember));
        let mut removals: std::collections::BTreeSet<u32> = leaving.collect::<Result<_, _>>()?;
        removals.extend(&change.remove);
        for leaf in &removals {
            self.member(*leaf)?.ok_or(GroupError::NoSuchMember)?;
        }
        let next = change.update.map(|update| match update {
            Update::KeepMemberKey => self.own.with_new_leaf(rng),
            Update::NewMemberKey => OwnKeys::generate(rng),
        });
        self.provider.seed(rng);
        self.mls.set_aad(id.to_vec());
        let signers = Signers { now: &self.own, next: next.as_ref().map(|keys| (keys, keys.credential(me))) };
        let bundle = build(&mut self.mls, &self.provider, &change, &removals, &signers)?;
        let pending = self.mls.pending_commit().ok_or(GroupError::Inconsistent("no pending commit"))?;
        let inspected = Inspected::of(self, self.own_leaf(), pending).map_err(|_| GroupError::NoSuchMember)?;
        inspected.check(self)?;
        let digest = next_send_key_digest(pending, self.provider.crypto())
            .ok_or(GroupError::Inconsistent("no send key in the pending commit"))?;
        let welcome = self.split_welcome(&bundle, pending, &change, rng)?;
        let commit = bundle.commit().tls_serialize_detached().map_err(GroupError::mls)?;
        let row = PendingRow {
            id,
            hash: own::hash(&commit),
            digest,
            next_epoch: pending.epoch().as_u64(),
            removes: !removals.is_empty(),
        };
        row.store(self.provider.store());
        if let Some(next) = &next {
            next.store_next(self.provider.store());
        }
        let made = PendingCommit {
            commit,
            id,
            next_send_key_digest: digest,
            next_epoch: row.next_epoch,
            member_key: next.as_ref().unwrap_or(&self.own).member().public(),
            welcome,
            added: inspected.added,
            removed: inspected.removed,
            attributed: switched(&self.policy, &inspected.after),
        };
        self.pending = Some(row);
        Ok(made)
    }

    fn split_welcome(
        &self,
        bundle: &CommitMessageBundle,
        pending: &StagedCommit,
        change: &Change,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Option<WelcomeOut>, GroupError> {
        let Some(welcome) = bundle.welcome() else { return Ok(None) };
        const BROKEN: GroupError = GroupError::Inconsistent("welcome");
        let pieces = Pieces::of(&welcome.tls_serialize_detached().map_err(GroupError::mls)?).ok_or(BROKEN)?;
        let tree = pending
            .export_ratchet_tree(self.provider.crypto(), self.mls.export_ratchet_tree())
            .map_err(GroupError::mls)?
            .ok_or(BROKEN)?
            .tls_serialize_detached()
            .map_err(GroupError::mls)?;
        let key = pending.export_secret(self.provider.crypto(), TREE_KEY, &[], 32).map_err(GroupError::mls)?;
        let key = ValueKey::from_bytes(*exported(&key)?);
        let sealed_tree = seal(&key, &self.room(), &tree, rng);
        let shared = Shared { group_info: pieces.group_info, sealed_tree }.encode().ok_or(BROKEN)?;
        let part = |package: &crate::key_package::KeyPackage| {
            let secret = pieces.secrets.iter().find(|secret| secret.reference == package.id().0)?;
            Some(WelcomePart { member_key: package.credential().member_key, bytes: secret.encode_part()? })
        };
        let parts = change.add.iter().map(|package| part(package).ok_or(BROKEN)).collect::<Result<_, _>>()?;
        Ok(Some(WelcomeOut { shared, parts }))
    }

    /// The room accepted our commit at `room_seq`: on to the next epoch.
    ///
    /// # Errors
    /// [`GroupError::NoPendingCommit`].
    pub fn merge_pending(&mut self, room_seq: u64) -> Result<(), GroupError> {
        self.ready()?;
        let pending = self.pending.clone().ok_or(GroupError::NoPendingCommit)?;
        self.attempt(|group| {
            let ended = group.epoch();
            group.mls.merge_pending_commit(&group.provider).map_err(GroupError::mls)?;
            let store = group.provider.store();
            if let Some(next) = OwnKeys::load_next(store)? {
                next.store(store);
                group.own = next;
            }
            own::remember(store, &pending.hash)?;
            group.after_merge(ended, room_seq, pending.removes)
        })
    }

    /// The room did not accept our commit: as if it had never been made.
    ///
    /// # Errors
    /// [`GroupError::NoPendingCommit`].
    pub fn clear_pending(&mut self) -> Result<(), GroupError> {
        self.ready()?;
        if self.pending.is_none() {
            return Err(GroupError::NoPendingCommit);
        }
        self.attempt(|group| {
            group.mls.clear_pending_commit(group.provider.store())?;
            own::delete_pending(group.provider.store());
            group.pending = None;
            Ok(())
        })
    }

    /// What every merged commit leaves behind, whoever made it.
    pub(super) fn after_merge(&mut self, ended: u64, room_seq: u64, removes: bool) -> Result<(), GroupError> {
        let store = self.provider.store();
        own::delete_pending(store);
        self.pending = None;
        if removes {
            own::close(store, ended, room_seq)?;
        }
        own::forget_sent_before(store, self.epoch().saturating_sub(crate::suite::PAST_EPOCHS as u64));
        self.policy = Policy::of(self.mls.extensions())
            .map_err(|_| GroupError::Inconsistent("no policy in the group context"))?;
        Ok(())
    }
}

/// Who signs a commit, and who signs afterwards.
struct Signers<'a> {
    now: &'a OwnKeys,
    next: Option<(&'a OwnKeys, LeafCredential)>,
}

fn build(
    mls: &mut MlsGroup,
    provider: &Provider,
    change: &Change,
    removals: &std::collections::BTreeSet<u32>,
    signers: &Signers<'_>,
) -> Result<CommitMessageBundle, GroupError> {
    let mut builder = mls
        .commit_builder()
        .consume_proposal_store(false)
        .propose_adds(change.add.iter().map(|package| package.mls().clone()))
        .propose_removals(removals.iter().map(|leaf| LeafNodeIndex::new(*leaf)))
        .add_proposals(change.leaves.iter().map(|request| request.proposal()));
    if let Some(policy) = &change.policy {
        builder = builder.propose_group_context_extensions(policy.extensions()).map_err(GroupError::mls)?;
    }
    let builder = builder
        .load_psks(provider.storage())
        .map_err(GroupError::mls)?
        .use_ratchet_tree_extension(false)
        .create_group_info(false);
    let (rand, crypto) = (provider.rand(), provider.crypto());
    let complete = match &signers.next {
        None => builder.build(rand, crypto, signers.now.leaf(), |_| true),
        Some((keys, credential)) => {
            let bundle =
                NewSignerBundle { signer: keys.leaf(), credential_with_key: credential.with_key(keys.leaf().key()) };
            builder.build_with_new_signer(rand, crypto, signers.now.leaf(), bundle, |_| true)
        }
    };
    complete.map_err(GroupError::mls)?.stage_commit(provider).map_err(GroupError::mls)
}
