//! The conversation's policy: who may do what, how long things live. It is an extension of the GroupContext, so that
//! all members hold the same one, authenticated, and judge every commit alike; the rules are in [`rules`].

pub(crate) mod rules;

use std::collections::BTreeMap;
use std::fmt;

use minicbor::{Decode, Encode};
use openmls::prelude::{Extension, Extensions, GroupContext, UnknownExtension};
use rand_core::CryptoRngCore;

use crate::account::AccountRef;
use crate::credential::Member;
use crate::seal::{SealError, ValueKey, open, seal};
use crate::suite::{POLICY, required_capabilities};

const VERSION: u8 = 1;

/// The policy does not decode, or contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("policy does not read")]
pub struct PolicyError;

/// A conversation of two accounts, or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// Two accounts (or one with itself), for good.
    #[n(0)]
    Direct,
    /// Any number of accounts.
    #[n(1)]
    Group,
}

/// What an account may do; the later contains the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Writes, leaves, swaps and updates.
    #[n(0)]
    Member,
    /// Also adds, removes members and sets the policy but for roles.
    #[n(1)]
    Admin,
    /// Also removes anybody and gives roles.
    #[n(2)]
    Owner,
}

/// Whom a rule of a group lets do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Allowed {
    /// Every member.
    #[n(0)]
    Everyone,
    /// Admins and owners.
    #[n(1)]
    Admins,
}

impl Allowed {
    /// Whether somebody of this role is among them.
    pub fn covers(self, role: Role) -> bool {
        self == Self::Everyone || role >= Role::Admin
    }
}

/// The policy of one conversation.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Policy {
    #[n(0)]
    version: u8,
    /// Two accounts or a group; never changes.
    #[n(1)]
    pub kind: Kind,
    /// Admins and owners; everybody else is a member. Direct: both accounts, as owners.
    #[n(2)]
    pub roles: BTreeMap<AccountRef, Role>,
    /// Who may bring new accounts in (groups).
    #[n(3)]
    pub who_may_add: Allowed,
    /// Seconds after which messages are destroyed; `None`: kept.
    #[n(4)]
    pub expiry_s: Option<u64>,
    /// How many seconds back a joiner may be given; `None`: nothing from before.
    #[n(5)]
    pub history_s: Option<u64>,
    /// Sends are signed by member keys and metered per entry (groups).
    #[n(6)]
    pub attributed: bool,
    /// Key of knocks: every member can read who asks to be let back in, the server cannot.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub knock_key: [u8; 32],
    /// The room that this one replaces; never changes.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub predecessor: Option<[u8; 16]>,
    /// Who may write (groups). MLS cannot keep anybody from it: members refuse what others write.
    #[n(9)]
    pub who_may_write: Allowed,
    /// Who may change title and picture (groups); these are said, so members refuse them from others.
    #[n(10)]
    pub who_may_change: Allowed,
    /// Each may keep messages beyond `expiry_s`, for themselves; `None`: no.
    #[n(11)]
    pub archive: Option<bool>,
    /// How often the expiry was set for what was there already, too; `None`: never.
    #[n(12)]
    pub expiry_again: Option<u32>,
}

/// The shortest and the longest expiry, seconds: an hour, a year.
pub const EXPIRY_S: std::ops::RangeInclusive<u64> = 3_600..=366 * 86_400;

impl Policy {
    /// For two accounts (twice the same: notes to oneself).
    pub fn direct(one: AccountRef, other: AccountRef, rng: &mut dyn CryptoRngCore) -> Self {
        let roles = [(one, Role::Owner), (other, Role::Owner)].into();
        Self { kind: Kind::Direct, who_may_add: Allowed::Admins, ..Self::fresh(roles, rng) }
    }

    /// For a group with one owner; every member may add.
    pub fn group(owner: AccountRef, rng: &mut dyn CryptoRngCore) -> Self {
        Self::fresh([(owner, Role::Owner)].into(), rng)
    }

    fn fresh(roles: BTreeMap<AccountRef, Role>, rng: &mut dyn CryptoRngCore) -> Self {
        let mut knock_key = [0; 32];
        rng.fill_bytes(&mut knock_key);
        Self {
            version: VERSION,
            kind: Kind::Group,
            roles,
            who_may_add: Allowed::Everyone,
            expiry_s: None,
            history_s: None,
            attributed: false,
            knock_key,
            predecessor: None,
            who_may_write: Allowed::Everyone,
            who_may_change: Allowed::Everyone,
            archive: None,
            expiry_again: None,
        }
    }

    /// The role written down for an account. See [`Policy::role_among`] for the one that counts.
    pub fn listed_role(&self, account: &AccountRef) -> Role {
        self.roles.get(account).copied().unwrap_or(Role::Member)
    }

    /// The role that counts: where no owner is left, admins act as owners; where no admin is left either, everybody.
    pub fn role_among(&self, account: &AccountRef, members: &[Member]) -> Role {
        self.role_in(account, members.iter().map(Member::account))
    }

    /// [`Policy::role_among`] where only the members' accounts are known.
    pub fn role_in<'a>(&self, account: &AccountRef, members: impl IntoIterator<Item = &'a AccountRef>) -> Role {
        self.roles_in(members)(account)
    }

    /// [`Policy::role_in`] for many of them: the members are looked at once.
    pub fn roles_in<'a>(&self, members: impl IntoIterator<Item = &'a AccountRef>) -> impl Fn(&AccountRef) -> Role {
        let highest = members.into_iter().map(|member| self.listed_role(member)).max();
        move |account| {
            let listed = self.listed_role(account);
            if highest.is_none_or(|highest| listed >= highest) { Role::Owner } else { listed }
        }
    }

    /// For the room that is to replace `room`: the same rules, a new key for knocks, and not in attributed mode, which the server learns
    /// by a commit.
    #[must_use]
    pub fn successor(&self, room: [u8; 16], rng: &mut dyn CryptoRngCore) -> Self {
        let mut next = Self { predecessor: Some(room), attributed: false, ..self.clone() };
        rng.fill_bytes(&mut next.knock_key);
        next
    }

    /// Whether this is the policy of a room that replaces `room`, which had the policy `old`.
    #[must_use]
    pub fn succeeds(&self, old: &Self, room: [u8; 16]) -> bool {
        *self == Self { predecessor: Some(room), knock_key: self.knock_key, attributed: false, ..old.clone() }
    }

    /// Encodes it (CBOR).
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::cbor::encode(self)
    }

    /// Decodes it.
    ///
    /// # Errors
    /// [`PolicyError`] if it is not a policy of this version or contradicts itself.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PolicyError> {
        crate::cbor::decode::<Self>(bytes).filter(Self::is_consistent).ok_or(PolicyError)
    }

    pub(crate) fn is_consistent(&self) -> bool {
        let roles_fit = match self.kind {
            Kind::Direct => {
                !self.attributed
                    && (1..=2).contains(&self.roles.len())
                    && self.roles.values().all(|role| *role == Role::Owner)
            }
            Kind::Group => self.roles.values().all(|role| *role != Role::Member),
        };
        let expiry_fits = self.expiry_s.is_none_or(|seconds| EXPIRY_S.contains(&seconds));
        self.version == VERSION && roles_fit && expiry_fits
    }

    /// Whether an owner is listed. (The last one may have left.)
    pub(crate) fn has_owner(&self) -> bool {
        self.roles.values().any(|role| *role == Role::Owner)
    }

    /// The extensions of a group under this policy: all of them.
    pub(crate) fn extensions(&self) -> Extensions<GroupContext> {
        Extensions::from_vec(vec![
            Extension::RequiredCapabilities(required_capabilities()),
            Extension::Unknown(POLICY, UnknownExtension(self.to_bytes())),
        ])
        .expect("both belong into a group context")
    }

    /// The policy of a group with these extensions.
    pub(crate) fn of(extensions: &Extensions<GroupContext>) -> Result<Self, PolicyError> {
        let ours =
            extensions.iter().count() == 2 && extensions.required_capabilities() == Some(&required_capabilities());
        let policy = extensions.unknown(POLICY).ok_or(PolicyError)?;
        if ours { Self::from_bytes(&policy.0) } else { Err(PolicyError) }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy({:?}, {} roles)", self.kind, self.roles.len())
    }
}

const KNOCK: &[u8] = b"parlour-knock-1\0";

/// Seals a knock for the members of `room`, under the policy's knock key.
pub fn seal_knock(policy: &Policy, room: &[u8; 16], payload: &[u8], rng: &mut dyn CryptoRngCore) -> Vec<u8> {
    seal(&ValueKey::from_bytes(policy.knock_key), &[KNOCK, room].concat(), payload, rng)
}

/// Opens a knock.
///
/// # Errors
/// [`SealError`] if it was not sealed for this room under this policy.
pub fn open_knock(policy: &Policy, room: &[u8; 16], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    open(&ValueKey::from_bytes(policy.knock_key), &[KNOCK, room].concat(), sealed).map(|payload| payload.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rng;

    fn account(id: u8) -> AccountRef {
        AccountRef { app: "den.example.org".into(), id: [id; 16] }
    }

    #[test]
    fn a_policy_comes_back_and_contradictions_do_not() {
        let mut policy = Policy::group(account(1), &mut test_rng(1));
        policy.predecessor = Some([5; 16]);
        policy.expiry_s = Some(86_400);
        assert_eq!(Policy::from_bytes(&policy.to_bytes()), Ok(policy.clone()));
        assert_eq!(Policy::of(&policy.extensions()), Ok(policy.clone()));
        policy.roles.insert(account(2), Role::Member);
        assert_eq!(Policy::from_bytes(&policy.to_bytes()), Err(PolicyError));
        policy.roles.clear();
        assert_eq!(Policy::from_bytes(&policy.to_bytes()), Ok(policy), "the last owner left");
        let mut direct = Policy::direct(account(1), account(2), &mut test_rng(1));
        assert!(direct.is_consistent());
        direct.roles.insert(account(3), Role::Owner);
        assert_eq!(Policy::from_bytes(&direct.to_bytes()), Err(PolicyError));
        for (seconds, fits) in [(3_599, false), (3_600, true), (366 * 86_400, true), (366 * 86_400 + 1, false)] {
            let policy = Policy { expiry_s: Some(seconds), ..Policy::group(account(1), &mut test_rng(1)) };
            assert_eq!(Policy::from_bytes(&policy.to_bytes()).is_ok(), fits, "{seconds}");
        }
        let mut newer = Policy::group(account(1), &mut test_rng(1));
        newer.version = 2;
        assert_eq!(Policy::from_bytes(&newer.to_bytes()), Err(PolicyError));
    }

    #[test]
    fn a_knock_opens_in_its_room_only() {
        let policy = Policy::group(account(1), &mut test_rng(1));
        let sealed = seal_knock(&policy, &[1; 16], b"it is me", &mut test_rng(2));
        assert_eq!(open_knock(&policy, &[1; 16], &sealed).unwrap(), b"it is me");
        assert!(open_knock(&policy, &[2; 16], &sealed).is_err());
        assert!(open_knock(&Policy::group(account(1), &mut test_rng(9)), &[1; 16], &sealed).is_err());
    }
}
