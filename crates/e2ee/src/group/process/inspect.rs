//! What a commit does, taken out of OpenMLS's staged commit, and whether the policy allows it. The same for a received
//! commit and for our own before it is sent.

use std::collections::BTreeSet;

use openmls::prelude::{LeafNodeIndex, Proposal, StagedCommit};

use super::Invalid;
use crate::credential::{LeafCredential, Member};
use crate::group::Group;
use crate::group::leave::leaving;
use crate::policy::Policy;
use crate::policy::rules::{PolicyBreach, Proposed};

pub(in crate::group) struct Inspected {
    pub(in crate::group) members: Vec<Member>,
    pub(in crate::group) committer: Member,
    pub(in crate::group) added: Vec<LeafCredential>,
    pub(in crate::group) removed: Vec<Member>,
    /// The committer's credential afterwards, if there is a path.
    pub(in crate::group) updated: Option<LeafCredential>,
    pub(in crate::group) after: Policy,
    leaving: BTreeSet<u32>,
}

impl Inspected {
    pub(in crate::group) fn of(group: &Group, committer: u32, commit: &StagedCommit) -> Result<Self, Invalid> {
        let members = group.members();
        let find = |leaf: u32| members.iter().find(|member| member.leaf == leaf).cloned();
        let bound = |leaf: &openmls::prelude::LeafNode| {
            LeafCredential::of_leaf(leaf.credential(), leaf.signature_key().as_slice()).map_err(|_| Invalid::Credential)
        };
        let (mut added, mut removed, mut custom) = (Vec::new(), Vec::new(), Vec::new());
        for queued in commit.queued_proposals() {
            match queued.proposal() {
                Proposal::Add(add) => {
                    added.push(bound(add.key_package().leaf_node())?);
                }
                Proposal::Remove(remove) => removed.push(find(remove.removed().u32()).ok_or(Invalid::Commit)?),
                Proposal::GroupContextExtensions(_) => {}
                Proposal::Custom(proposal) => custom.push(&**proposal),
                _ => return Err(Invalid::Policy(PolicyBreach::Proposal)),
            }
        }
        let committer = find(committer).ok_or(Invalid::Commit)?;
        let updated = commit.update_path_leaf_node().map(bound).transpose()?;
        let leaving = leaving(custom.into_iter(), &group.room(), &members).map_err(Invalid::Policy)?;
        let after =
            Policy::of(commit.group_context().extensions()).map_err(|_| Invalid::Policy(PolicyBreach::Policy))?;
        Ok(Self { members, committer, added, removed, updated, after, leaving })
    }

    pub(in crate::group) fn check(&self, group: &Group) -> Result<(), PolicyBreach> {
        Proposed {
            before: &group.policy,
            after: &self.after,
            members: &self.members,
            committer: &self.committer,
            updated: self.updated.as_ref(),
            added: &self.added,
            removed: &self.removed,
            leaving: &self.leaving,
        }
        .check()
    }

    /// Those added with the leaves they get: the leftmost free ones, after the removals (RFC 9420 §12.1.1).
    pub(in crate::group) fn added_members(&self) -> Vec<Member> {
        let gone: BTreeSet<u32> = self.removed.iter().map(|member| member.leaf).collect();
        let taken: BTreeSet<u32> =
            self.members.iter().map(|member| member.leaf).filter(|leaf| !gone.contains(leaf)).collect();
        let free = (0..).filter(|leaf| !taken.contains(leaf));
        free.zip(&self.added).map(|(leaf, credential)| Member { leaf, credential: credential.clone() }).collect()
    }

    pub(in crate::group) fn removes(&self, leaf: LeafNodeIndex) -> bool {
        self.removed.iter().any(|member| member.leaf == leaf.u32())
    }
}
