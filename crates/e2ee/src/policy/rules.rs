//! Whether a commit is allowed. Every member asks this of the same values and gets the same answer: a commit that
//! breaks a rule is void for all.
//!
//! | what | who |
//! |---|---|
//! | swap: remove a leaf and add one of the same device | everybody |
//! | update the own leaf | its owner; the device stays the same |
//! | add a leaf of an account that is in, by itself | that account |
//! | add any other leaf | groups: as `who_may_add` says; direct: either, for the two accounts only |
//! | remove an own account's leaf, or one whose owner asked to leave | everybody |
//! | remove a leaf of somebody of a lower role | admins |
//! | remove any leaf | owners |
//! | set the policy | admins; roles: owners; the kind and the predecessor: nobody |
//! | put the room into attributed mode | everybody (groups); out of it: admins, as all of the policy |
//! | drop the role of an account that has no leaf before, or none after | everybody (groups) |
//!
//! So a role ends with the membership: whoever removes somebody, or lets them go, drops it in the same commit. A group keeps
//! an owner on its list as long as one is in it. Without one, admins act as owners; without admins, everybody
//! ([`Policy::role_among`]).
//!
//! Two leaves never belong to one device of one account, nor share a member key.

use std::collections::{BTreeMap, BTreeSet};

use crate::account::AccountRef;
use crate::credential::{LeafCredential, Member};
use crate::policy::{Kind, Policy, Role};

/// Which rule a commit breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyBreach {
    /// The new policy does not read, or other extensions came with it.
    #[error("policy does not read")]
    Policy,
    /// The policy was changed by somebody who may not, or in what never changes.
    #[error("policy change not allowed")]
    PolicyChange,
    /// Somebody was added by somebody who may not.
    #[error("adding not allowed")]
    Add,
    /// Somebody was removed by somebody who may not.
    #[error("removing not allowed")]
    Remove,
    /// A leaf changed hands in an update.
    #[error("a leaf stays with its device")]
    Update,
    /// Two leaves of one device, or with one member key.
    #[error("two leaves of one device or member key")]
    Twice,
    /// A proposal of a kind that this room does not use.
    #[error("kind of proposal not in use")]
    Proposal,
    /// A leave request that is not signed by the leaf it names.
    #[error("leave request does not verify")]
    LeaveRequest,
}

/// A commit, as every member sees it.
pub(crate) struct Proposed<'a> {
    pub(crate) before: &'a Policy,
    pub(crate) after: &'a Policy,
    /// Leaves before the commit.
    pub(crate) members: &'a [Member],
    pub(crate) committer: &'a Member,
    /// The committer's credential afterwards, if the commit has a path.
    pub(crate) updated: Option<&'a LeafCredential>,
    pub(crate) added: &'a [LeafCredential],
    pub(crate) removed: &'a [Member],
    /// Leaves whose owners asked to leave.
    pub(crate) leaving: &'a BTreeSet<u32>,
}

impl Proposed<'_> {
    pub(crate) fn check(&self) -> Result<(), PolicyBreach> {
        self.check_policy()?;
        self.check_update()?;
        self.check_uniqueness()?;
        self.added.iter().all(|new| self.may_add(new)).then_some(()).ok_or(PolicyBreach::Add)?;
        self.removed.iter().all(|old| self.may_remove(old)).then_some(()).ok_or(PolicyBreach::Remove)
    }

    fn role(&self) -> Role {
        self.before.role_among(self.committer.account(), self.members)
    }

    fn check_policy(&self) -> Result<(), PolicyBreach> {
        let (before, after) = (self.before, self.after);
        if before == after {
            return Ok(());
        }
        let fixed = before.kind == after.kind && before.predecessor == after.predecessor && after.is_consistent();
        let kept = self.what_everybody_may_set();
        let owned = after.has_owner() || !kept.has_owner();
        if fixed && owned && (kept == *after || self.may_set(&kept)) { Ok(()) } else { Err(PolicyBreach::PolicyChange) }
    }

    /// Beyond what everybody may set.
    fn may_set(&self, kept: &Policy) -> bool {
        let roles = kept.roles == self.after.roles || (kept.kind == Kind::Group && self.role() == Role::Owner);
        roles && self.role() >= Role::Admin
    }

    /// The policy from before, with what everybody may change changed as this commit does.
    fn what_everybody_may_set(&self) -> Policy {
        let mut kept = self.without_the_gone();
        kept.attributed |= kept.kind == Kind::Group && self.after.attributed;
        kept
    }

    /// The policy from before without the roles that this commit drops and everybody may drop.
    fn without_the_gone(&self) -> Policy {
        let mut kept = self.before.clone();
        if kept.kind == Kind::Group {
            kept.roles.retain(|account, _| self.after.roles.contains_key(account) || self.is_in(account));
        }
        kept
    }

    /// Whether an account has leaves before and after. (In a swap it has.)
    fn is_in(&self, account: &AccountRef) -> bool {
        let is_theirs = |member: &&Member| member.account() == account;
        let is_gone = |member: &&Member| self.removed.iter().any(|gone| gone.leaf == member.leaf);
        let theirs = || self.members.iter().filter(is_theirs);
        theirs().next().is_some()
            && (theirs().any(|member| !is_gone(&member)) || self.added.iter().any(|new| new.account == *account))
    }

    fn check_update(&self) -> Result<(), PolicyBreach> {
        match self.updated {
            Some(after) if !after.same_device(&self.committer.credential) => Err(PolicyBreach::Update),
            _ => Ok(()),
        }
    }

    fn check_uniqueness(&self) -> Result<(), PolicyBreach> {
        let gone: BTreeSet<u32> = self.removed.iter().map(|member| member.leaf).collect();
        let staying = self.members.iter().filter(|member| !gone.contains(&member.leaf)).map(|member| {
            if member.leaf == self.committer.leaf {
                self.updated.unwrap_or(&member.credential)
            } else {
                &member.credential
            }
        });
        let mut devices = BTreeMap::new();
        let mut member_keys = BTreeSet::new();
        for credential in staying.chain(self.added) {
            let known = devices.insert((&credential.account, credential.device), ()).is_some();
            if known || !member_keys.insert(credential.member_key) {
                return Err(PolicyBreach::Twice);
            }
        }
        Ok(())
    }

    fn may_add(&self, new: &LeafCredential) -> bool {
        if self.removed.iter().any(|old| old.credential.same_device(new)) {
            return true;
        }
        match self.before.kind {
            Kind::Direct => self.before.roles.contains_key(&new.account),
            Kind::Group => {
                new.account == self.committer.credential.account || self.before.who_may_add.covers(self.role())
            }
        }
    }

    fn may_remove(&self, old: &Member) -> bool {
        let theirs = self.before.role_among(old.account(), self.members);
        old.account() == self.committer.account()
            || self.leaving.contains(&old.leaf)
            || self.added.iter().any(|new| new.same_device(&old.credential))
            || self.role() == Role::Owner
            || self.role() > theirs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Identity;
    use crate::keys::DeviceKeys;
    use crate::policy::Allowed;
    use crate::test_rng;

    fn account(id: u8) -> AccountRef {
        AccountRef { app: "den.example.org".into(), id: [id; 16] }
    }

    /// Account `id`, device `device`, with keys of its own.
    fn leaf(id: u8, device: u8) -> LeafCredential {
        let keys = DeviceKeys::generate(&mut test_rng(1));
        let me = Identity { account: &account(id), device: [device; 16], keys: &keys };
        LeafCredential::sign(&me, [id ^ device; 32], [id.wrapping_mul(16) ^ device; 32])
    }

    fn member(index: u32, id: u8) -> Member {
        Member { leaf: index, credential: leaf(id, id) }
    }

    /// 1 owner, 2 admin, 3 and 4 members, at leaves 0 to 3.
    struct Room {
        policy: Policy,
        members: Vec<Member>,
    }

    fn room() -> Room {
        let mut policy = Policy::group(account(1), &mut test_rng(1));
        policy.roles.insert(account(2), Role::Admin);
        policy.who_may_add = Allowed::Admins;
        Room { policy, members: (1..=4).map(|id| member(u32::from(id) - 1, id)).collect() }
    }

    #[derive(Default)]
    struct Does {
        by: usize,
        after: Option<Policy>,
        add: Vec<LeafCredential>,
        remove: Vec<usize>,
        update: Option<LeafCredential>,
        leaving: BTreeSet<u32>,
    }

    fn judge(room: &Room, does: Does) -> Result<(), PolicyBreach> {
        let removed: Vec<Member> = does.remove.iter().map(|index| room.members[*index].clone()).collect();
        Proposed {
            before: &room.policy,
            after: does.after.as_ref().unwrap_or(&room.policy),
            members: &room.members,
            committer: &room.members[does.by],
            updated: does.update.as_ref(),
            added: &does.add,
            removed: &removed,
            leaving: &does.leaving,
        }
        .check()
    }

    #[test]
    fn who_may_add_is_kept() {
        let mut room = room();
        let add = |by| Does { by, add: vec![leaf(9, 9)], ..Does::default() };
        assert_eq!(judge(&room, add(0)), Ok(()));
        assert_eq!(judge(&room, add(1)), Ok(()));
        assert_eq!(judge(&room, add(2)), Err(PolicyBreach::Add));
        assert_eq!(judge(&room, Does { by: 2, add: vec![leaf(3, 7)], ..Does::default() }), Ok(()), "own device");
        assert_eq!(judge(&room, Does { by: 2, add: vec![leaf(4, 7)], ..Does::default() }), Err(PolicyBreach::Add));
        room.policy.who_may_add = Allowed::Everyone;
        assert_eq!(judge(&room, add(2)), Ok(()));
    }

    #[test]
    fn removing_needs_a_higher_role_a_request_or_a_swap() {
        let room = room();
        let remove = |by, index| Does { by, remove: vec![index], ..Does::default() };
        for index in 1..4 {
            assert_eq!(judge(&room, remove(0, index)), Ok(()));
        }
        assert_eq!(judge(&room, remove(1, 2)), Ok(()));
        assert_eq!(judge(&room, remove(1, 0)), Err(PolicyBreach::Remove));
        assert_eq!(judge(&room, remove(2, 3)), Err(PolicyBreach::Remove));
        assert_eq!(judge(&room, Does { leaving: [3].into(), ..remove(2, 3) }), Ok(()));
        assert_eq!(judge(&room, Does { leaving: [1].into(), ..remove(2, 3) }), Err(PolicyBreach::Remove));
        let mut again = leaf(4, 4);
        again.leaf_key = [99; 32];
        again.member_key = [99; 32];
        assert_eq!(judge(&room, Does { add: vec![again], ..remove(2, 3) }), Ok(()));
        let mut other_device = leaf(4, 8);
        other_device.member_key = [98; 32];
        assert!(judge(&room, Does { add: vec![other_device], ..remove(2, 3) }).is_err());
    }

    #[test]
    fn roles_are_given_by_owners_and_the_rest_of_the_policy_by_admins() {
        let room = room();
        let mut expiry = room.policy.clone();
        expiry.expiry_s = Some(3_600);
        let mut promoted = room.policy.clone();
        promoted.roles.insert(account(3), Role::Admin);
        let mut other_kind = room.policy.clone();
        other_kind.predecessor = Some([1; 16]);
        let set = |by, after: &Policy| Does { by, after: Some(after.clone()), ..Does::default() };
        assert_eq!(judge(&room, set(0, &expiry)), Ok(()));
        assert_eq!(judge(&room, set(1, &expiry)), Ok(()));
        assert_eq!(judge(&room, set(2, &expiry)), Err(PolicyBreach::PolicyChange));
        assert_eq!(judge(&room, set(0, &promoted)), Ok(()));
        assert_eq!(judge(&room, set(1, &promoted)), Err(PolicyBreach::PolicyChange));
        assert_eq!(judge(&room, set(0, &other_kind)), Err(PolicyBreach::PolicyChange));
        let mut ownerless = room.policy.clone();
        ownerless.roles.insert(account(1), Role::Admin);
        assert_eq!(judge(&room, set(0, &ownerless)), Err(PolicyBreach::PolicyChange), "a group has an owner");
    }

    #[test]
    fn everybody_puts_a_group_into_attributed_mode_and_admins_end_it() {
        let mut room = room();
        let set = |by, after: &Policy| Does { by, after: Some(after.clone()), ..Does::default() };
        let attributed = Policy { attributed: true, ..room.policy.clone() };
        for by in 0..4 {
            assert_eq!(judge(&room, set(by, &attributed)), Ok(()));
        }
        let more = Policy { who_may_add: Allowed::Everyone, ..attributed.clone() };
        assert_eq!(judge(&room, set(2, &more)), Err(PolicyBreach::PolicyChange), "and nothing by the way");
        let ended = room.policy.clone();
        room.policy = attributed;
        assert_eq!(judge(&room, set(2, &ended)), Err(PolicyBreach::PolicyChange));
        assert_eq!(judge(&room, set(1, &ended)), Ok(()));
        let direct = Policy { attributed: true, ..Policy::direct(account(1), account(2), &mut test_rng(1)) };
        assert!(!direct.is_consistent(), "of two, the other one it is");
        let next = room.policy.successor([7; 16], &mut test_rng(3));
        assert!(!next.attributed && next.succeeds(&room.policy, [7; 16]), "a room made anew begins without");
    }

    #[test]
    fn a_role_ends_with_the_membership_and_not_before() {
        let room = room();
        let without = |id| {
            let mut after = room.policy.clone();
            after.roles.remove(&account(id));
            Some(after)
        };
        let removes = |by, index, id| Does { by, remove: vec![index], after: without(id), ..Does::default() };
        assert_eq!(judge(&room, removes(0, 1, 2)), Ok(()), "an owner removes an admin");
        assert_eq!(judge(&room, Does { leaving: [1].into(), ..removes(3, 1, 2) }), Ok(()), "a member lets an admin go");
        assert_eq!(judge(&room, Does { leaving: [0].into(), ..removes(3, 0, 1) }), Ok(()), "and the last owner");
        for by in [1, 2] {
            let does = Does { by, after: without(2), ..Does::default() };
            assert_eq!(judge(&room, does), Err(PolicyBreach::PolicyChange), "still in");
        }
        let does = Does { leaving: [3].into(), ..removes(2, 3, 2) };
        assert_eq!(judge(&room, does), Err(PolicyBreach::PolicyChange), "somebody else goes");
        assert_eq!(
            judge(&room, Does { after: without(1), ..Does::default() }),
            Err(PolicyBreach::PolicyChange),
            "last owner"
        );
        // A member who lets somebody go may not give a role by the way.
        let mut more = without(2).unwrap();
        more.roles.insert(account(4), Role::Owner);
        let does = Does { leaving: [1].into(), after: Some(more), ..removes(3, 1, 2) };
        assert_eq!(judge(&room, does), Err(PolicyBreach::PolicyChange));
        let mut more = without(2).unwrap();
        more.who_may_add = Allowed::Everyone;
        let does = Does { leaving: [1].into(), after: Some(more), ..removes(3, 1, 2) };
        assert_eq!(judge(&room, does), Err(PolicyBreach::PolicyChange));
    }

    #[test]
    fn a_swap_or_one_of_several_devices_takes_no_role() {
        let mut room = room();
        room.members.push(Member { leaf: 4, credential: leaf(2, 7) });
        let mut after = room.policy.clone();
        after.roles.remove(&account(2));
        let one = Does { remove: vec![1], after: Some(after.clone()), ..Does::default() };
        assert_eq!(judge(&room, Does { leaving: [1].into(), by: 2, ..one }), Err(PolicyBreach::PolicyChange));
        room.members.pop();
        let mut again = leaf(2, 2);
        again.leaf_key = [99; 32];
        again.member_key = [99; 32];
        let swap = Does { by: 2, remove: vec![1], add: vec![again], after: Some(after), ..Does::default() };
        assert_eq!(judge(&room, swap), Err(PolicyBreach::PolicyChange));
    }

    #[test]
    fn whoever_is_listed_and_not_in_may_be_added_without_the_role() {
        let mut room = room();
        room.policy.roles.insert(account(9), Role::Admin);
        room.policy.who_may_add = Allowed::Everyone;
        let mut after = room.policy.clone();
        after.roles.remove(&account(9));
        let add = |after| Does { by: 2, add: vec![leaf(9, 9)], after, ..Does::default() };
        assert_eq!(judge(&room, add(Some(after))), Ok(()));
        assert_eq!(judge(&room, add(None)), Ok(()));
    }

    #[test]
    fn without_an_owner_the_next_lower_role_acts() {
        let mut room = room();
        room.members.remove(0);
        assert_eq!(judge(&room, Does { by: 0, remove: vec![1], ..Does::default() }), Ok(()));
        assert_eq!(judge(&room, Does { by: 1, remove: vec![0], ..Does::default() }), Err(PolicyBreach::Remove));
        room.members.remove(0);
        assert_eq!(judge(&room, Does { by: 0, remove: vec![1], ..Does::default() }), Ok(()));
    }

    #[test]
    fn a_direct_conversation_stays_between_two() {
        let mut room = room();
        room.policy = Policy::direct(account(1), account(2), &mut test_rng(1));
        room.members.truncate(2);
        assert_eq!(judge(&room, Does { add: vec![leaf(2, 7)], ..Does::default() }), Ok(()));
        assert_eq!(judge(&room, Does { add: vec![leaf(3, 3)], ..Does::default() }), Err(PolicyBreach::Add));
        let mut after = room.policy.clone();
        after.expiry_s = Some(3_600);
        assert_eq!(judge(&room, Does { by: 1, after: Some(after.clone()), ..Does::default() }), Ok(()));
        after.roles.remove(&account(2));
        assert_eq!(judge(&room, Does { after: Some(after), ..Does::default() }), Err(PolicyBreach::PolicyChange));
    }

    #[test]
    fn devices_and_member_keys_are_there_once() {
        let room = room();
        let mut same_key = leaf(9, 9);
        same_key.member_key = room.members[3].credential.member_key;
        assert_eq!(judge(&room, Does { add: vec![same_key], ..Does::default() }), Err(PolicyBreach::Twice));
        let mut same_device = leaf(3, 3);
        same_device.member_key = [77; 32];
        assert_eq!(judge(&room, Does { add: vec![same_device], ..Does::default() }), Err(PolicyBreach::Twice));
        assert_eq!(judge(&room, Does { update: Some(leaf(2, 2)), ..Does::default() }), Err(PolicyBreach::Update));
        assert_eq!(judge(&room, Does { update: Some(leaf(1, 1)), ..Does::default() }), Ok(()));
    }
}
