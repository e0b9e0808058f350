//! OpenMLS's storage trait over the overlay. Rows belong to one group, so the group id is not part of a key.
//!
//! Not here: proposals by reference, PSKs and signature key pairs, which this crate does not use.

use openmls::prelude::KeyPackageBundle;
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use serde::Serialize;

use super::codec::{decode, encode};
use super::{Store, StoreError};

impl Store {
    /// The key package of these rows: there is at most one, whatever its reference.
    pub(crate) fn only_key_package(&self) -> Result<Option<KeyPackageBundle>, StoreError> {
        self.read(KEY_PACKAGE)
    }
}

type Done = Result<(), StoreError>;

/// Key of a key package's row: label and the hash reference.
const KEY_PACKAGE: &[u8] = b"mls/key package";
const OWN_LEAVES: &[u8] = b"mls/own leaves";

macro_rules! group_values {
    ($($write:ident, $read:ident, $delete:ident, $bound:ident, $key:literal;)*) => {
        $(
            fn $write<G: traits::GroupId<CURRENT_VERSION>, T: traits::$bound<CURRENT_VERSION>>(
                &self,
                _: &G,
                value: &T,
            ) -> Done {
                self.put($key, value)
            }

            fn $read<G: traits::GroupId<CURRENT_VERSION>, T: traits::$bound<CURRENT_VERSION>>(
                &self,
                _: &G,
            ) -> Result<Option<T>, StoreError> {
                self.read($key)
            }

            fn $delete<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Done {
                self.delete($key);
                Ok(())
            }
        )*
    };
}

fn epoch_keys<E: Serialize>(epoch: &E, leaf_index: u32) -> Result<Vec<u8>, StoreError> {
    let mut key = b"mls/epoch keys/".to_vec();
    key.extend(encode(epoch)?);
    key.extend(leaf_index.to_be_bytes());
    Ok(key)
}

fn encryption_key<K: Serialize>(public: &K) -> Result<Vec<u8>, StoreError> {
    // The public key is 1.2 kB: its digest names it as well.
    use sha2::{Digest, Sha256};
    let mut key = b"mls/encryption key/".to_vec();
    key.extend_from_slice(&Sha256::digest(encode(public)?)[..16]);
    Ok(key)
}

impl StorageProvider<CURRENT_VERSION> for Store {
    type Error = StoreError;

    group_values! {
        write_mls_join_config, mls_group_join_config, delete_group_config, MlsGroupJoinConfig, b"mls/config";
        write_tree, tree, delete_tree, TreeSync, b"mls/tree";
        write_interim_transcript_hash, interim_transcript_hash, delete_interim_transcript_hash, InterimTranscriptHash,
            b"mls/interim hash";
        write_context, group_context, delete_context, GroupContext, b"mls/context";
        write_confirmation_tag, confirmation_tag, delete_confirmation_tag, ConfirmationTag, b"mls/confirmation";
        write_resumption_psk_store, resumption_psk_store, delete_all_resumption_psk_secrets, ResumptionPskStore,
            b"mls/resumption";
        write_own_leaf_index, own_leaf_index, delete_own_leaf_index, LeafNodeIndex, b"mls/own index";
        write_group_epoch_secrets, group_epoch_secrets, delete_group_epoch_secrets, GroupEpochSecrets,
            b"mls/epoch secrets";
    }

    // The trait orders the two type parameters differently here.
    fn write_group_state<T: traits::GroupState<CURRENT_VERSION>, G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &G,
        value: &T,
    ) -> Done {
        self.put(b"mls/state", value)
    }

    fn group_state<T: traits::GroupState<CURRENT_VERSION>, G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<T>, StoreError> {
        self.read(b"mls/state")
    }

    fn delete_group_state<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Done {
        self.delete(b"mls/state");
        Ok(())
    }

    fn write_message_secrets<G: traits::GroupId<CURRENT_VERSION>, T: traits::MessageSecrets<CURRENT_VERSION>>(
        &self,
        _: &G,
        value: &T,
    ) -> Done {
        self.put_message_secrets(value)
    }

    fn message_secrets<G: traits::GroupId<CURRENT_VERSION>, T: traits::MessageSecrets<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<T>, StoreError> {
        self.read_message_secrets()
    }

    fn delete_message_secrets<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Done {
        self.delete_message_secrets_rows();
        Ok(())
    }

    fn append_own_leaf_node<G: traits::GroupId<CURRENT_VERSION>, L: traits::LeafNode<CURRENT_VERSION>>(
        &self,
        _: &G,
        leaf: &L,
    ) -> Done {
        let mut leaves: Vec<L> = self.read(OWN_LEAVES)?.unwrap_or_default();
        // `L` is not `Clone`: through its own bytes.
        leaves.push(decode(&encode(leaf)?)?);
        self.put(OWN_LEAVES, &leaves)
    }

    fn own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>, L: traits::LeafNode<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Vec<L>, StoreError> {
        Ok(self.read(OWN_LEAVES)?.unwrap_or_default())
    }

    fn delete_own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Done {
        self.delete(OWN_LEAVES);
        Ok(())
    }

    fn write_encryption_key_pair<E: traits::EncryptionKey<CURRENT_VERSION>, P: traits::HpkeKeyPair<CURRENT_VERSION>>(
        &self,
        public: &E,
        pair: &P,
    ) -> Done {
        self.put(&encryption_key(public)?, pair)
    }

    fn encryption_key_pair<P: traits::HpkeKeyPair<CURRENT_VERSION>, E: traits::EncryptionKey<CURRENT_VERSION>>(
        &self,
        public: &E,
    ) -> Result<Option<P>, StoreError> {
        self.read(&encryption_key(public)?)
    }

    fn delete_encryption_key_pair<E: traits::EncryptionKey<CURRENT_VERSION>>(&self, public: &E) -> Done {
        self.delete(&encryption_key(public)?);
        Ok(())
    }

    fn write_encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
        P: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        epoch: &E,
        leaf_index: u32,
        pairs: &[P],
    ) -> Done {
        self.put(&epoch_keys(epoch, leaf_index)?, pairs)
    }

    fn encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
        P: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        epoch: &E,
        leaf_index: u32,
    ) -> Result<Vec<P>, StoreError> {
        Ok(self.read(&epoch_keys(epoch, leaf_index)?)?.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<CURRENT_VERSION>, E: traits::EpochKey<CURRENT_VERSION>>(
        &self,
        _: &G,
        epoch: &E,
        leaf_index: u32,
    ) -> Done {
        self.delete(&epoch_keys(epoch, leaf_index)?);
        Ok(())
    }

    fn write_key_package<H: traits::HashReference<CURRENT_VERSION>, K: traits::KeyPackage<CURRENT_VERSION>>(
        &self,
        _: &H,
        key_package: &K,
    ) -> Done {
        self.put(KEY_PACKAGE, key_package)
    }

    fn key_package<H: traits::HashReference<CURRENT_VERSION>, K: traits::KeyPackage<CURRENT_VERSION>>(
        &self,
        _: &H,
    ) -> Result<Option<K>, StoreError> {
        self.read(KEY_PACKAGE)
    }

    fn delete_key_package<H: traits::HashReference<CURRENT_VERSION>>(&self, _: &H) -> Done {
        self.delete(KEY_PACKAGE);
        Ok(())
    }

    // Not in use: proposals travel inside commits only.

    fn queue_proposal<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        Q: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        _: &R,
        _: &Q,
    ) -> Done {
        Err(StoreError::NotInUse)
    }

    fn queued_proposal_refs<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Vec<R>, StoreError> {
        Ok(Vec::new())
    }

    fn queued_proposals<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        Q: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
    ) -> Result<Vec<(R, Q)>, StoreError> {
        Ok(Vec::new())
    }

    fn remove_proposal<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        _: &G,
        _: &R,
    ) -> Done {
        Ok(())
    }

    fn clear_proposal_queue<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Done {
        Ok(())
    }

    // Not in use: leaf keys are rows of this crate.

    fn write_signature_key_pair<
        S: traits::SignaturePublicKey<CURRENT_VERSION>,
        P: traits::SignatureKeyPair<CURRENT_VERSION>,
    >(
        &self,
        _: &S,
        _: &P,
    ) -> Done {
        Err(StoreError::NotInUse)
    }

    fn signature_key_pair<
        S: traits::SignaturePublicKey<CURRENT_VERSION>,
        P: traits::SignatureKeyPair<CURRENT_VERSION>,
    >(
        &self,
        _: &S,
    ) -> Result<Option<P>, StoreError> {
        Ok(None)
    }

    fn delete_signature_key_pair<S: traits::SignaturePublicKey<CURRENT_VERSION>>(&self, _: &S) -> Done {
        Ok(())
    }

    // Not in use: no pre-shared keys.

    fn write_psk<I: traits::PskId<CURRENT_VERSION>, B: traits::PskBundle<CURRENT_VERSION>>(
        &self,
        _: &I,
        _: &B,
    ) -> Done {
        Err(StoreError::NotInUse)
    }

    fn psk<B: traits::PskBundle<CURRENT_VERSION>, I: traits::PskId<CURRENT_VERSION>>(
        &self,
        _: &I,
    ) -> Result<Option<B>, StoreError> {
        Ok(None)
    }

    fn delete_psk<I: traits::PskId<CURRENT_VERSION>>(&self, _: &I) -> Done {
        Ok(())
    }
}
