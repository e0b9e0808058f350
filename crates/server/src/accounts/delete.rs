//! Deleting an account: everything of it goes at once, by a job that a crash cannot stop halfway (`DESIGN.md` §9).

use minicbor::{Decode, Encode};
use parlour_proto::{
    frames::delete_account_bytes,
    ids::{AccountId, DeviceId, Digest, UnixMillis},
    problem::Code,
};
use parlour_store::{KeyRange, RowBatch, Store};

use super::{Accounts, Session, account_partition, holdings::ever_listed, not_a_device};
use crate::{
    claims,
    directory::{self, HandleId, Names},
    error::{Refused, refuse},
    reach, record,
    retention::Kind,
    rooms::verifies,
};

const DELETION: &[u8] = b"x";

/// What a deletion still has to reach after the account's own rows are gone.
#[derive(Encode, Decode)]
#[cbor(array)]
struct Deletion {
    #[cbor(n(0), with = "minicbor::bytes")]
    name: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    skeleton: Option<[u8; 32]>,
    /// 16 bytes each.
    #[cbor(n(2), with = "minicbor::bytes")]
    devices: Vec<u8>,
    /// Digests of invites, 32 bytes each.
    #[cbor(n(3), with = "minicbor::bytes")]
    invites: Vec<u8>,
}

impl<S: Store> Accounts<S> {
    /// Deletes the account of a session: `signature` is by the device over this socket's nonce.
    ///
    /// # Errors
    /// `BadSignature`; `NotADevice` when it is gone already.
    pub async fn delete(
        &self,
        session: &Session,
        nonce: &[u8; 32],
        signature: &[u8; 64],
        now: UnixMillis,
    ) -> Result<(), Refused> {
        let id = session.account.account;
        if !verifies(&session.signing_key, &delete_account_bytes(nonce, &id), signature) {
            return refuse(Code::BadSignature, "the device's signature is wrong");
        }
        let account = self.account(&id).await?.ok_or_else(not_a_device)?;
        let (name, skeleton) = account.names;
        let deletion = Deletion {
            name: name.0,
            skeleton: skeleton.map(|name| name.0),
            devices: ever_listed(account.list.links()).iter().flat_map(|device| device.0).collect(),
            invites: reach::invite_digests(&self.store, &id).await?.iter().flat_map(|digest| digest.0).collect(),
        };
        let batch = RowBatch::new(account_partition(&id)).delete_range(KeyRange::all()).put(
            DELETION,
            record::encode(&deletion),
            Kind::Deletion.row(),
            None,
        );
        let _ = self.store.commit(vec![batch.into()]).await?;
        self.finish_deletion(&id, &deletion, now).await
    }

    /// Everything after the account's own rows. Can be repeated.
    async fn finish_deletion(&self, id: &AccountId, deletion: &Deletion, now: UnixMillis) -> Result<(), Refused> {
        let names = Names { handle: HandleId(deletion.name), skeleton: deletion.skeleton.map(HandleId) };
        let mut batches = directory::quarantine(&names, self.lifetimes.expires(Kind::Quarantine, now));
        for digest in deletion.invites.chunks_exact(32).filter_map(|digest| Digest::try_from(digest).ok()) {
            batches.push(directory::drop_invite(&digest));
        }
        batches.push(claims::erase(&self.keys, id));
        let _ = self.store.commit(batches).await?;
        for device in deletion.devices.chunks_exact(16).filter_map(|device| DeviceId::try_from(device).ok()) {
            // What a crash left of a removed device goes, too; not what another account has under the id.
            if self.device(&device).await?.is_none_or(|record| record.account == id.0) {
                self.revoke(&device, now).await?;
            }
        }
        let done = RowBatch::new(account_partition(id)).delete(DELETION);
        let _ = self.store.commit(vec![done.into()]).await?;
        self.deleted.notify_one();
        Ok(())
    }

    /// Finishes the deletions that a crash interrupted.
    ///
    /// # Errors
    /// The store's.
    pub async fn resume_deletions(&self, now: UnixMillis) -> Result<(), Refused> {
        let mut cursor = None;
        loop {
            let page = self.store.scan(Kind::Deletion.row(), cursor, 64).await?;
            for (partition, row) in &page.rows {
                let Ok(id) = AccountId::try_from(&partition.id[..]) else { continue };
                let deletion: Deletion = record::decode(&row.value, "deletion")?;
                self.finish_deletion(&id, &deletion, now).await?;
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod stored {
    use super::*;
    use crate::{record::encode, testing::holds};

    #[test]
    fn stored_bytes_stay_as_they_are() {
        let deletion = Deletion { name: [1; 32], skeleton: Some([2; 32]), devices: vec![3; 16], invites: vec![4; 32] };
        holds("deletion under way", &encode(&deletion));
        holds("deletion under way, no skeleton", &encode(&Deletion { skeleton: None, ..deletion }));
    }
}
