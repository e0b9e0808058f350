//! The credential in a leaf: the account, the device, the entry's member key, and the device's signature that binds
//! them to this leaf's own signature key (MLS credential, RFC 9420 §5.3, private type).
//!
//! A leaf names no app version or platform: only what members must know. Whether the device is on the account's device
//! list is not known here; the engine checks that with [`LeafCredential::verify`].

use std::fmt;

use ed25519_dalek::SigningKey;
use minicbor::{Decode, Encode};
use openmls::prelude::{Credential, CredentialType, CredentialWithKey};
use parlour_proto::ids::log_tag;

use crate::account::{AccountRef, DeviceId, Identity};
use crate::keys::verify;
use crate::suite::CREDENTIAL;

/// Signature domain of a leaf.
pub const LEAF_DOMAIN: &str = "parlour-leaf-1";

const VERSION: u8 = 1;

/// Why a credential was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Not our kind of credential, or not its encoding.
    #[error("credential does not decode")]
    Malformed,
    /// A version from the future.
    #[error("credential version {0} is not known")]
    Version(u8),
    /// It was made for another leaf key.
    #[error("credential belongs to another leaf key")]
    LeafKey,
    /// The device's signature does not verify.
    #[error("device signature does not verify")]
    Signature,
}

/// What a leaf says about its owner.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct LeafCredential {
    #[n(0)]
    version: u8,
    /// The account.
    #[n(1)]
    pub account: AccountRef,
    /// The device that holds the leaf.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub device: DeviceId,
    /// The leaf's Ed25519 signature key.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub leaf_key: [u8; 32],
    /// The member key of the leaf's entry at the server.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub member_key: [u8; 32],
    /// The device's signature over all of the above under [`LEAF_DOMAIN`].
    #[cbor(n(5), with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

#[derive(Encode)]
#[cbor(array)]
struct ToSign<'a> {
    #[n(0)]
    account: &'a AccountRef,
    #[cbor(n(1), with = "minicbor::bytes")]
    device: DeviceId,
    #[cbor(n(2), with = "minicbor::bytes")]
    leaf_key: [u8; 32],
    #[cbor(n(3), with = "minicbor::bytes")]
    member_key: [u8; 32],
}

impl ToSign<'_> {
    fn bytes(&self) -> Vec<u8> {
        crate::cbor::encode(self)
    }
}

impl LeafCredential {
    pub(crate) fn sign(me: &Identity<'_>, leaf_key: [u8; 32], member_key: [u8; 32]) -> Self {
        let to_sign = ToSign { account: me.account, device: me.device, leaf_key, member_key };
        let signature = me.keys.sign(LEAF_DOMAIN, &to_sign.bytes());
        Self { version: VERSION, account: me.account.clone(), device: me.device, leaf_key, member_key, signature }
    }

    /// Checks that the device with this signing key made the leaf.
    ///
    /// # Errors
    /// [`CredentialError::LeafKey`] if the credential belongs to another leaf, [`CredentialError::Signature`] if the
    /// device did not sign it.
    pub fn verify(&self, leaf_key: &[u8; 32], device_signing_key: &[u8; 32]) -> Result<(), CredentialError> {
        if self.leaf_key != *leaf_key {
            return Err(CredentialError::LeafKey);
        }
        let to_sign = ToSign {
            account: &self.account,
            device: self.device,
            leaf_key: self.leaf_key,
            member_key: self.member_key,
        };
        verify(device_signing_key, LEAF_DOMAIN, &to_sign.bytes(), &self.signature)
            .map_err(|_| CredentialError::Signature)
    }

    /// Encodes it (CBOR, about 190 bytes).
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::cbor::encode(self)
    }

    /// Decodes it.
    ///
    /// # Errors
    /// [`CredentialError::Malformed`] or [`CredentialError::Version`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CredentialError> {
        let credential: Self = crate::cbor::decode(bytes).ok_or(CredentialError::Malformed)?;
        match (credential.version, credential.account.app.len()) {
            (VERSION, 1..=253) => Ok(credential),
            (VERSION, _) => Err(CredentialError::Malformed),
            (version, _) => Err(CredentialError::Version(version)),
        }
    }

    /// True if both credentials name the same device of the same account.
    pub fn same_device(&self, other: &Self) -> bool {
        self.account == other.account && self.device == other.device
    }

    pub(crate) fn with_key(&self, leaf_key: &SigningKey) -> CredentialWithKey {
        CredentialWithKey {
            credential: Credential::new(CredentialType::Other(CREDENTIAL), self.to_bytes()),
            signature_key: leaf_key.verifying_key().to_bytes().as_slice().into(),
        }
    }

    /// The credential of a leaf whose signature key is `leaf_key`, bound to it.
    pub(crate) fn of_leaf(credential: &Credential, leaf_key: &[u8]) -> Result<Self, CredentialError> {
        let parsed = Self::of(credential)?;
        if parsed.leaf_key.as_slice() == leaf_key { Ok(parsed) } else { Err(CredentialError::LeafKey) }
    }

    pub(crate) fn of(credential: &Credential) -> Result<Self, CredentialError> {
        if credential.credential_type() != CredentialType::Other(CREDENTIAL) {
            return Err(CredentialError::Malformed);
        }
        Self::from_bytes(credential.serialized_content())
    }
}

impl fmt::Debug for LeafCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeafCredential({:?}, device ~{:08x})", self.account, log_tag(&self.device))
    }
}

/// A leaf of the group and what it says about its owner.
#[derive(Clone, PartialEq, Eq)]
pub struct Member {
    /// Leaf index.
    pub leaf: u32,
    /// The leaf's credential, bound to its signature key.
    pub credential: LeafCredential,
}

impl Member {
    /// The account.
    pub fn account(&self) -> &AccountRef {
        &self.credential.account
    }

    /// The device.
    pub fn device(&self) -> DeviceId {
        self.credential.device
    }

    /// The member key of its entry at the server.
    pub fn member_key(&self) -> [u8; 32] {
        self.credential.member_key
    }

    /// The leaf's signature key.
    pub fn leaf_key(&self) -> [u8; 32] {
        self.credential.leaf_key
    }

    /// Checks that the device with this signing key made the leaf.
    ///
    /// # Errors
    /// As [`LeafCredential::verify`].
    pub fn verify(&self, device_signing_key: &[u8; 32]) -> Result<(), CredentialError> {
        self.credential.verify(&self.credential.leaf_key, device_signing_key)
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member(leaf {}, {:?})", self.leaf, self.credential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::DeviceKeys;
    use crate::test_rng;

    fn credential() -> (LeafCredential, [u8; 32]) {
        let account = AccountRef { app: "den.example.org".into(), id: [1; 16] };
        let keys = DeviceKeys::generate(&mut test_rng(1));
        let me = Identity { account: &account, device: [2; 16], keys: &keys };
        (LeafCredential::sign(&me, [3; 32], [4; 32]), keys.signing_public())
    }

    #[test]
    fn a_credential_is_bound_to_every_field() {
        let (good, device) = credential();
        assert_eq!(good.verify(&[3; 32], &device), Ok(()));
        assert_eq!(good.verify(&[9; 32], &device), Err(CredentialError::LeafKey));
        let changes: [fn(&mut LeafCredential); 4] = [
            |c| c.account.app = "bell.example.org".into(),
            |c| c.account.id[0] = 9,
            |c| c.device[0] = 9,
            |c| c.member_key[0] = 9,
        ];
        for change in changes {
            let mut changed = good.clone();
            change(&mut changed);
            assert_eq!(changed.verify(&[3; 32], &device), Err(CredentialError::Signature));
        }
    }

    #[test]
    fn it_decodes_what_it_encodes_and_refuses_other_versions_and_trailing_bytes() {
        let (good, _) = credential();
        let bytes = good.to_bytes();
        assert_eq!(LeafCredential::from_bytes(&bytes), Ok(good));
        assert!(bytes.len() < 220, "{}", bytes.len());
        let mut newer = bytes.clone();
        newer[1] = 2;
        assert_eq!(LeafCredential::from_bytes(&newer), Err(CredentialError::Version(2)));
        assert_eq!(LeafCredential::from_bytes(&[&bytes[..], &[0]].concat()), Err(CredentialError::Malformed));
        assert_eq!(LeafCredential::from_bytes(&bytes[..bytes.len() - 1]), Err(CredentialError::Malformed));
    }
}
