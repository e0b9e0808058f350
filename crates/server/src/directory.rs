//! The directory: keyed hashes of handles to accounts. The handle itself is nowhere in it.
//!
//! An entry points to an account and is worth something only if that account exists: making an account writes its entries
//! first and the account last, so that a crash in between leaves a pointer to nobody, which the next sign-up replaces.

use minicbor::{Decode, Encode};
use parlour_proto::{
    frames::{AccountRef, AppId, SignIn},
    handle::Handle,
    ids::{AccountId, Digest},
};
use parlour_store::{Batch, PartitionId, PartitionKind, Row, RowBatch, Store, UnixTime};

use crate::{error::Refused, keys::Keys, record, retention::Kind};

const KEY: [u8; 1] = [1];

/// The keyed hash that names a handle.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HandleId(pub(crate) [u8; 32]);

impl std::fmt::Debug for HandleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HandleId(..)")
    }
}

/// What names a handle in the directory: itself, and how it looks.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The handle.
    pub handle: HandleId,
    /// What looks the same; `None` for numbers.
    pub skeleton: Option<HandleId>,
}

impl Names {
    /// The names of a handle on an app.
    pub fn of(keys: &Keys, app: &AppId, sign_in: SignIn, handle: &Handle) -> Self {
        let name = |label, text: &str| HandleId(keys.directory.mac(label, &[app.as_str().as_bytes(), text.as_bytes()]));
        Self {
            handle: name(b"handle", handle.canonical()),
            skeleton: (sign_in != SignIn::Phone).then(|| name(b"skeleton", &handle.skeleton())),
        }
    }
}

/// What an entry says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The account, if it exists.
    Account(AccountId),
    /// Freed not long ago.
    Quarantined,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct Record {
    #[cbor(n(0), with = "minicbor::bytes")]
    account: Option<[u8; 16]>,
    /// In a skeleton's entry: whose it is.
    #[cbor(n(1), with = "minicbor::bytes")]
    handle: Option<[u8; 32]>,
}

pub(crate) fn partition(name: &HandleId) -> PartitionId {
    PartitionId::new(PartitionKind::Directory, name.0)
}

/// The entry of a handle, with its stored bytes.
pub(crate) async fn find<S: Store>(store: &S, name: &HandleId) -> Result<Option<(Entry, bytes::Bytes)>, Refused> {
    let Some(row) = store.get(&partition(name), &KEY).await? else { return Ok(None) };
    let record: Record = record::decode(&row.value, "directory entry")?;
    let entry = record.account.map_or(Entry::Quarantined, |account| Entry::Account(AccountId(account)));
    Ok(Some((entry, row.value)))
}

/// Which handle a skeleton belongs to; `None` inside for a freed one.
pub(crate) async fn find_skeleton<S: Store>(store: &S, name: &HandleId) -> Result<Option<HandleId>, Refused> {
    let Some(row) = store.get(&partition(name), &KEY).await? else { return Ok(None) };
    let record: Record = record::decode(&row.value, "directory entry")?;
    Ok(record.handle.map(HandleId))
}

/// Takes a handle: `before` is the worthless entry that it replaces.
pub(crate) fn take(names: &Names, account: AccountId, before: Option<bytes::Bytes>) -> Vec<Batch> {
    let mut batches = Vec::new();
    if let Some(skeleton) = &names.skeleton {
        let record = record::encode(&Record { account: Some(account.0), handle: Some(names.handle.0) });
        batches.push(RowBatch::new(partition(skeleton)).put(KEY, record, Kind::Skeleton.row(), None).into());
    }
    let batch = RowBatch::new(partition(&names.handle));
    let batch = match before {
        Some(before) => batch.equals(KEY, before),
        None => batch.absent(KEY),
    };
    let record = record::encode(&Record { account: Some(account.0), handle: None });
    batches.push(batch.put(KEY, record, Kind::Handle.row(), None).into());
    batches
}

/// Frees a handle: nobody gets it, or one that looks like it, until `expires`.
pub(crate) fn quarantine(names: &Names, expires: Option<UnixTime>) -> Vec<Batch> {
    let put = |name: &HandleId, handle| {
        let record = record::encode(&Record { account: None, handle });
        RowBatch::new(partition(name)).put(KEY, record, Kind::Quarantine.row(), expires).into()
    };
    let skeleton = names.skeleton.iter().map(|name| put(name, Some(names.handle.0)));
    skeleton.chain([put(&names.handle, None)]).collect()
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct InviteRecord {
    #[n(0)]
    app: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    account: [u8; 16],
}

fn invite_partition(digest: &Digest) -> PartitionId {
    PartitionId::new(PartitionKind::Directory, [b"invite", &digest.0[..]].concat())
}

/// Whose invite this is.
pub(crate) async fn find_invite<S: Store>(store: &S, digest: &Digest) -> Result<Option<AccountRef>, Refused> {
    let Some(row) = store.get(&invite_partition(digest), &KEY).await? else { return Ok(None) };
    let record: InviteRecord = record::decode(&row.value, "invite pointer")?;
    let app = AppId::parse(&record.app).map_err(|_| Refused::Damaged("invite pointer"))?;
    Ok(Some(AccountRef { app, account: AccountId(record.account) }))
}

/// The row of an invite's pointer.
pub(crate) async fn invite_row<S: Store>(store: &S, digest: &Digest) -> Result<Option<Row>, Refused> {
    Ok(store.get(&invite_partition(digest), &KEY).await?)
}

/// Makes an invite's pointer.
pub(crate) fn put_invite(digest: &Digest, account: &AccountRef, expires: UnixTime) -> Batch {
    let record = record::encode(&InviteRecord { app: account.app.as_str().into(), account: account.account.0 });
    RowBatch::new(invite_partition(digest))
        .absent(KEY)
        .put(KEY, record, Kind::InvitePointer.row(), Some(expires))
        .into()
}

/// Erases an invite's pointer.
pub(crate) fn drop_invite(digest: &Digest) -> Batch {
    RowBatch::new(invite_partition(digest)).delete(KEY).into()
}

#[cfg(test)]
mod stored {
    use super::*;
    use crate::{record::encode, testing::holds};

    #[test]
    fn stored_bytes_stay_as_they_are() {
        holds("directory entry", &encode(&Record { account: Some([1; 16]), handle: None }));
        holds("look-alike entry", &encode(&Record { account: Some([1; 16]), handle: Some([2; 32]) }));
        holds("freed handle", &encode(&Record { account: None, handle: None }));
        holds("invite pointer", &encode(&InviteRecord { app: "den".to_owned(), account: [3; 16] }));
    }
}
