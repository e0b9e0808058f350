//! What one commit is to do.

use super::Group;
use super::leave::LeaveRequest;
use crate::account::AccountRef;
use crate::key_package::KeyPackage;
use crate::policy::{Kind, Policy};

/// How the own leaf is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// Fresh leaf key and path; the entry keeps its member key.
    KeepMemberKey,
    /// Fresh leaf key, path and member key; the server must be told the new one.
    NewMemberKey,
}

/// What one commit is to do; parts combine.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Devices to add.
    pub add: Vec<KeyPackage>,
    /// Leaves to remove.
    pub remove: Vec<u32>,
    /// The new policy.
    pub policy: Option<Policy>,
    /// Renewal of the own leaf.
    pub update: Option<Update>,
    /// Leaves to remove because they asked.
    pub leaves: Vec<LeaveRequest>,
}

impl Change {
    /// Adds devices.
    pub fn add(add: Vec<KeyPackage>) -> Self {
        Self { add, ..Self::default() }
    }

    /// Removes leaves.
    pub fn remove(remove: Vec<u32>) -> Self {
        Self { remove, ..Self::default() }
    }

    /// Answers a knock: the device's old leaf goes, its new one comes.
    pub fn swap(old_leaf: u32, new: KeyPackage) -> Self {
        Self { add: vec![new], remove: vec![old_leaf], ..Self::default() }
    }

    /// Sets the policy.
    pub fn policy(policy: Policy) -> Self {
        Self { policy: Some(policy), ..Self::default() }
    }

    /// Renews the own leaf.
    pub fn update(update: Update) -> Self {
        Self { update: Some(update), ..Self::default() }
    }

    /// Lets leaves go that asked to.
    pub fn leave(leaves: Vec<LeaveRequest>) -> Self {
        Self { leaves, ..Self::default() }
    }

    /// Both; of two policies or updates the other's.
    pub fn and(mut self, other: Self) -> Self {
        self.add.extend(other.add);
        self.remove.extend(other.remove);
        self.leaves.extend(other.leaves);
        self.policy = other.policy.or(self.policy);
        self.update = other.update.or(self.update);
        self
    }
}

impl Group {
    /// The policy without the roles that end with this change: of those it removes with their last leaf, and of those it adds
    /// that were listed and not in. `None` if none does.
    pub fn policy_without_the_gone(&self, change: &Change) -> Option<Policy> {
        let members = self.members();
        let asked = change.leaves.iter().filter_map(|request| self.leaving_leaf(request));
        let removed: Vec<u32> = change.remove.iter().copied().chain(asked).collect();
        let is_in = |account: &AccountRef| members.iter().any(|member| member.account() == account);
        let stays = |account: &AccountRef| {
            members.iter().any(|member| member.account() == account && !removed.contains(&member.leaf))
        };
        let adds = |account: &AccountRef| change.add.iter().any(|new| new.credential().account == *account);
        let mut policy = self.policy().clone();
        policy.roles.retain(|account, _| if is_in(account) { stays(account) || adds(account) } else { !adds(account) });
        (policy.kind == Kind::Group && policy != *self.policy()).then_some(policy)
    }
}
