//! Reach: who may contact an account. Rules per app, blocks as keyed hashes, invites and door tokens by digest (`DESIGN.md` §7).

use minicbor::{Decode, Encode};
use parlour_proto::{
    frames::{AccountRef, AppId, ReachRule},
    ids::{AccountId, Digest, UnixMillis},
    problem::{Code, Problem},
};
use parlour_store::{KeyRange, RowBatch, Store, UnixTime};

use crate::{
    accounts::{PROFILE, account_partition},
    apps::Apps,
    directory,
    error::{Refused, refuse},
    keys::Keys,
    record,
    retention::{Kind, Lifetimes, Setting},
};

/// Most invites of an account at one time.
const MAX_INVITES: usize = 200;
/// Most door tokens of an account.
const MAX_DOORS: usize = 10_000;
/// Most blocks of an account.
const MAX_BLOCKS: usize = 10_000;

pub(crate) fn rule_key(from: &AppId) -> Vec<u8> {
    [b"r", from.as_str().as_bytes()].concat()
}

pub(crate) fn block_key(keys: &Keys, owner: &AccountId, other: &AccountRef) -> Vec<u8> {
    let name = keys.relation.mac(b"block", &[&owner.0, other.app.as_str().as_bytes(), &other.account.0]);
    [b"b", &name[..]].concat()
}

pub(crate) fn door_key(digest: &Digest) -> Vec<u8> {
    [b"d", &digest.0[..]].concat()
}

pub(crate) fn invite_key(digest: &Digest) -> Vec<u8> {
    [b"i", &digest.0[..]].concat()
}

pub(crate) fn rule_of(value: &[u8]) -> Option<ReachRule> {
    match value {
        [1] => Some(ReachRule::Ask),
        [2] => Some(ReachRule::Invite),
        [3] => Some(ReachRule::Nobody),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct InviteRecord {
    #[n(0)]
    pub(crate) uses: u32,
    #[n(1)]
    pub(crate) until: u64,
    /// It reaches whatever the rule for an app is.
    #[n(2)]
    pub(crate) everywhere: Option<bool>,
}

/// What an invite is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How many claims.
    pub uses: u32,
    /// How long, seconds.
    pub ttl_s: u64,
    /// Also from apps whose people may not ask.
    pub everywhere: bool,
}

/// The reach settings of one account.
pub struct Reach<'a, S> {
    /// Where they are.
    pub store: &'a S,
    /// Keyed hashes of blocks.
    pub keys: &'a Keys,
    /// All apps.
    pub apps: &'a Apps,
    /// Whose.
    pub owner: &'a AccountRef,
    /// How long an invite may live.
    pub lifetimes: &'a Lifetimes,
}

impl<S: Store> Reach<'_, S> {
    fn batch(&self) -> RowBatch {
        RowBatch::new(account_partition(&self.owner.account)).present(PROFILE)
    }

    /// The rules, for each app.
    ///
    /// # Errors
    /// The store's.
    pub async fn rules(&self) -> Result<Vec<(AppId, ReachRule)>, Refused> {
        let partition = account_partition(&self.owner.account);
        let rows = self.store.range(&partition, &KeyRange::prefix(b"r".to_vec()), usize::MAX).await?;
        let rule = |app: &AppId| {
            let row = rows.iter().find(|row| row.key == rule_key(app));
            row.and_then(|row| rule_of(&row.value)).unwrap_or_else(|| self.apps.default_rule(&self.owner.app, app))
        };
        Ok(self.apps.ids().map(|app| (app.clone(), rule(app))).collect())
    }

    /// Changes a rule.
    ///
    /// # Errors
    /// `NoSuchApp`.
    pub async fn set_rule(&self, from: &AppId, rule: ReachRule) -> Result<(), Refused> {
        self.apps.sign_in(from)?;
        let value = match rule {
            ReachRule::Ask => vec![1],
            ReachRule::Invite => vec![2],
            ReachRule::Nobody => vec![3],
        };
        self.commit(self.batch().put(rule_key(from), value, Kind::ReachRule.row(), None)).await
    }

    /// Makes an invite by its token's digest.
    ///
    /// # Errors
    /// `SlowDown` when there are too many.
    pub async fn create_invite(&self, digest: &Digest, terms: Terms, now: UnixMillis) -> Result<(), Refused> {
        let Terms { uses, ttl_s, everywhere } = terms;
        self.room_for(b"i", MAX_INVITES, "revoke an invite first").await?;
        let expires = UnixTime(now.seconds()).plus_s(ttl_s.clamp(60, self.lifetimes.seconds(Setting::Invite)));
        let (uses, until) = (uses.clamp(1, 10_000), expires.0 * 1_000);
        let record = InviteRecord { uses, until, everywhere: everywhere.then_some(true) };
        let own = self.batch().put(invite_key(digest), record::encode(&record), Kind::Invite.row(), Some(expires));
        let pointer = directory::put_invite(digest, self.owner, expires);
        let _ = self.store.commit(vec![own.into(), pointer]).await?;
        Ok(())
    }

    /// Revokes an invite, or all.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoke_invite(&self, digest: Option<&Digest>) -> Result<(), Refused> {
        let own = invite_digests(self.store, &self.owner.account).await?;
        let gone = own.into_iter().filter(|found| digest.is_none_or(|digest| digest == found));
        let mut batches = Vec::new();
        for digest in gone {
            batches.push(self.batch().delete(invite_key(&digest)).into());
            batches.push(directory::drop_invite(&digest));
        }
        let _ = self.store.commit(batches).await?;
        Ok(())
    }

    /// Stores the digest of a door token.
    ///
    /// # Errors
    /// `SlowDown` when there are too many.
    pub async fn put_door(&self, digest: &Digest) -> Result<(), Refused> {
        self.room_for(b"d", MAX_DOORS, "drop a door token first").await?;
        self.commit(self.batch().put(door_key(digest), Vec::new(), Kind::Door.row(), None)).await
    }

    /// Deletes a door token's digest.
    ///
    /// # Errors
    /// The store's.
    pub async fn drop_door(&self, digest: &Digest) -> Result<(), Refused> {
        self.commit(self.batch().delete(door_key(digest))).await
    }

    /// Blocks an account.
    ///
    /// # Errors
    /// `SlowDown` when there are too many.
    pub async fn block(&self, other: &AccountRef) -> Result<(), Refused> {
        self.room_for(b"b", MAX_BLOCKS, "take a block back first").await?;
        let key = block_key(self.keys, &self.owner.account, other);
        self.commit(self.batch().put(key, Vec::new(), Kind::Block.row(), None)).await
    }

    /// Takes a block back.
    ///
    /// # Errors
    /// The store's.
    pub async fn unblock(&self, other: &AccountRef) -> Result<(), Refused> {
        self.commit(self.batch().delete(block_key(self.keys, &self.owner.account, other))).await
    }

    async fn room_for(&self, prefix: &[u8], most: usize, advice: &str) -> Result<(), Refused> {
        let partition = account_partition(&self.owner.account);
        let rows = self.store.range(&partition, &KeyRange::prefix(prefix.to_vec()), most).await?;
        if rows.len() >= most { refuse(Code::SlowDown, advice) } else { Ok(()) }
    }

    async fn commit(&self, batch: RowBatch) -> Result<(), Refused> {
        if self.store.commit(vec![batch.into()]).await?.is_applied() {
            return Ok(());
        }
        Err(Problem::new(Code::NotADevice, "the account is gone").into())
    }
}

/// The digests of an account's invites.
pub(crate) async fn invite_digests<S: Store>(store: &S, account: &AccountId) -> Result<Vec<Digest>, Refused> {
    let rows = store.range(&account_partition(account), &KeyRange::prefix(b"i".to_vec()), usize::MAX).await?;
    Ok(rows.iter().filter_map(|row| Digest::try_from(row.key.get(1..)?).ok()).collect())
}

#[cfg(test)]
mod stored {
    use super::*;
    use crate::{record::encode, testing::holds};

    #[test]
    fn stored_bytes_stay_as_they_are() {
        let invite = InviteRecord { uses: 3, until: 1_700_000_000_000, everywhere: None };
        holds("invite", &encode(&invite));
        holds("invite everywhere", &encode(&InviteRecord { everywhere: Some(true), ..invite }));
        for (stored, rule) in [(1, ReachRule::Ask), (2, ReachRule::Invite), (3, ReachRule::Nobody)] {
            assert_eq!(rule_of(&[stored]), Some(rule));
        }
        assert_eq!(rule_of(&[4]), None);
    }
}
