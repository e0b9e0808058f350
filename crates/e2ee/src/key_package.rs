//! Key packages: what lets others add one of my devices to a conversation (RFC 9420 §10).
//!
//! Each has its own leaf key and its own member key, so that nothing links two conversations of one device. The
//! private parts are rows to be stored under the package's id and deleted once it is used. Age is judged by the
//! engine's clock, never by OpenMLS's.

use openmls::prelude::{
    Extension, Extensions, KeyPackage as MlsKeyPackage, KeyPackageIn, OpenMlsProvider as _, ProtocolVersion,
    UnknownExtension,
};
use rand_core::CryptoRngCore;
use tls_codec::{Deserialize as _, Serialize as _};

use crate::account::Identity;
use crate::credential::{CredentialError, LeafCredential};
use crate::group::OwnKeys;
use crate::provider::{Crypto, Provider};
use crate::rows::Rows;
use crate::suite::{MADE_AT, SUITE, capabilities, is_capable, lifetime};

/// Packages older than this are not used: 90 days.
pub const KEY_PACKAGE_MAX_AGE_MS: u64 = 90 * 24 * 3_600_000;

/// How far another device's clock may be ahead of ours: 48 hours.
pub const CLOCK_TOLERANCE_MS: u64 = 48 * 3_600_000;

/// Why a key package was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyPackageError {
    /// It does not decode, or is not of our suite, version or capabilities.
    #[error("key package does not read")]
    Malformed,
    /// Its own signatures do not verify.
    #[error("key package signature does not verify")]
    Signature,
    /// Its credential is not right.
    #[error("key package credential is not right")]
    Credential(#[from] CredentialError),
    /// It is older than [`KEY_PACKAGE_MAX_AGE_MS`], or from the future.
    #[error("key package is too old or from the future")]
    Age,
    /// It could not be made.
    #[error("key package could not be made")]
    NotMade,
}

/// Hash reference of a key package (RFC 9420 §5.2): its name in rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPackageId(pub [u8; 32]);

impl std::fmt::Debug for KeyPackageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyPackageId(~{:08x})", parlour_proto::ids::log_tag(&self.0))
    }
}

/// Whether a package may be used more than once, when nothing else is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastResort {
    /// Used once.
    No,
    /// Stays until it is replaced; whoever joined by it updates its leaf before its first message.
    Yes,
}

/// A new key package.
#[derive(Debug, Clone)]
pub struct KeyPackageMade {
    /// Its name.
    pub id: KeyPackageId,
    /// What is published: about 2.9 kB.
    pub public: Vec<u8>,
    /// The member key of the entry that whoever uses it will make.
    pub member_key: [u8; 32],
    /// The private parts: to be stored, all of them, and given to [`crate::Group::join`].
    pub rows: Rows,
}

/// Makes a key package.
///
/// # Errors
/// [`KeyPackageError::NotMade`].
pub fn make_key_package(
    me: &Identity<'_>,
    last_resort: LastResort,
    now: u64,
    rng: &mut dyn CryptoRngCore,
) -> Result<KeyPackageMade, KeyPackageError> {
    let provider = Provider::new(Rows::default());
    let own = OwnKeys::generate(rng);
    provider.seed(rng);
    let made_at = Extension::Unknown(MADE_AT, UnknownExtension(now.to_be_bytes().to_vec()));
    let mut builder = MlsKeyPackage::builder()
        .leaf_node_capabilities(capabilities())
        .key_package_lifetime(lifetime())
        .key_package_extensions(Extensions::single(made_at).map_err(|_| KeyPackageError::NotMade)?);
    if last_resort == LastResort::Yes {
        builder = builder.mark_as_last_resort();
    }
    let credential = own.credential(me);
    let bundle = builder
        .build(SUITE, &provider, own.leaf(), credential.with_key(own.leaf().key()))
        .map_err(|_| KeyPackageError::NotMade)?;
    own.store_for_key_package(provider.store());
    provider.store().finish();
    let mut rows = Rows::default();
    rows.apply(&provider.store().take());
    Ok(KeyPackageMade {
        id: id_of(bundle.key_package(), provider.crypto())?,
        public: bundle.key_package().tls_serialize_detached().map_err(|_| KeyPackageError::NotMade)?,
        member_key: credential.member_key,
        rows,
    })
}

fn id_of(key_package: &MlsKeyPackage, crypto: &Crypto) -> Result<KeyPackageId, KeyPackageError> {
    let reference = key_package.hash_ref(crypto).map_err(|_| KeyPackageError::Malformed)?;
    reference.as_slice().try_into().map(KeyPackageId).map_err(|_| KeyPackageError::Malformed)
}

/// A key package that somebody gave us: its own signatures and age are right, but not yet whose it is.
#[derive(Clone)]
pub struct ClaimedKeyPackage {
    package: MlsKeyPackage,
    id: KeyPackageId,
    credential: LeafCredential,
    made_at: u64,
}

impl ClaimedKeyPackage {
    /// Reads a published key package and checks everything but the device's signature.
    ///
    /// # Errors
    /// [`KeyPackageError`] says what is wrong with it.
    pub fn parse(public: &[u8], now: u64) -> Result<Self, KeyPackageError> {
        let crypto = Crypto::default();
        let package = KeyPackageIn::tls_deserialize_exact(public)
            .map_err(|_| KeyPackageError::Malformed)?
            .validate(&crypto, ProtocolVersion::Mls10)
            .map_err(|_| KeyPackageError::Signature)?;
        let leaf = package.leaf_node();
        if package.ciphersuite() != SUITE || !is_capable(leaf.capabilities()) {
            return Err(KeyPackageError::Malformed);
        }
        let credential = LeafCredential::of_leaf(leaf.credential(), leaf.signature_key().as_slice())?;
        let made_at = made_at(&package).ok_or(KeyPackageError::Malformed)?;
        if made_at > now.saturating_add(CLOCK_TOLERANCE_MS) || now.saturating_sub(made_at) > KEY_PACKAGE_MAX_AGE_MS {
            return Err(KeyPackageError::Age);
        }
        Ok(Self { id: id_of(&package, &crypto)?, package, credential, made_at })
    }

    /// Its name.
    pub fn id(&self) -> KeyPackageId {
        self.id
    }

    /// Whose it claims to be.
    pub fn credential(&self) -> &LeafCredential {
        &self.credential
    }

    /// True for a last-resort package.
    pub fn last_resort(&self) -> bool {
        self.package.last_resort()
    }

    /// When it says it was made, unix milliseconds.
    pub fn made_at(&self) -> u64 {
        self.made_at
    }

    /// Checks that it comes from the device with this signing key; take the key from the account's device list.
    ///
    /// # Errors
    /// [`KeyPackageError::Credential`].
    pub fn verify(self, device_signing_key: &[u8; 32]) -> Result<KeyPackage, KeyPackageError> {
        self.credential.verify(&self.credential.leaf_key, device_signing_key)?;
        Ok(KeyPackage { package: self.package, credential: self.credential, id: self.id })
    }
}

fn made_at(package: &MlsKeyPackage) -> Option<u64> {
    let extension = package.extensions().iter().find_map(|extension| match extension {
        Extension::Unknown(MADE_AT, UnknownExtension(bytes)) => Some(bytes),
        _ => None,
    })?;
    extension.as_slice().try_into().ok().map(u64::from_be_bytes)
}

/// A key package of a known device: the only thing that can be added to a group.
#[derive(Clone)]
pub struct KeyPackage {
    package: MlsKeyPackage,
    credential: LeafCredential,
    id: KeyPackageId,
}

impl KeyPackage {
    /// Its name.
    pub fn id(&self) -> KeyPackageId {
        self.id
    }

    /// Whose it is.
    pub fn credential(&self) -> &LeafCredential {
        &self.credential
    }

    pub(crate) fn mls(&self) -> &MlsKeyPackage {
        &self.package
    }
}

impl std::fmt::Debug for ClaimedKeyPackage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClaimedKeyPackage({:?}, {:?})", self.id, self.credential)
    }
}

impl std::fmt::Debug for KeyPackage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyPackage({:?}, {:?})", self.id, self.credential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::AccountRef;
    use crate::keys::DeviceKeys;
    use crate::test_rng;

    const NOW: u64 = 1_900_000_000_000;

    fn made(last_resort: LastResort) -> (KeyPackageMade, [u8; 32]) {
        let keys = DeviceKeys::generate(&mut test_rng(1));
        let account = AccountRef { app: "den.example.org".into(), id: [1; 16] };
        let me = Identity { account: &account, device: [2; 16], keys: &keys };
        (make_key_package(&me, last_resort, NOW, &mut test_rng(2)).unwrap(), keys.signing_public())
    }

    #[test]
    fn a_claimed_package_is_the_one_that_was_made() {
        let (made, device) = made(LastResort::No);
        let claimed = ClaimedKeyPackage::parse(&made.public, NOW).unwrap();
        assert_eq!((claimed.id(), claimed.made_at(), claimed.last_resort()), (made.id, NOW, false));
        assert_eq!(claimed.credential().member_key, made.member_key);
        assert!(claimed.clone().verify(&DeviceKeys::generate(&mut test_rng(9)).signing_public()).is_err());
        assert!(claimed.verify(&device).is_ok());
        assert!(made.public.len() < 3000, "{}", made.public.len());
    }

    #[test]
    fn age_is_judged_by_the_clock_given() {
        let (made, _) = made(LastResort::Yes);
        let parse = |now| ClaimedKeyPackage::parse(&made.public, now).map(|package| package.last_resort());
        assert_eq!(parse(NOW + KEY_PACKAGE_MAX_AGE_MS), Ok(true));
        assert_eq!(parse(NOW + KEY_PACKAGE_MAX_AGE_MS + 1), Err(KeyPackageError::Age));
        assert_eq!(parse(NOW - CLOCK_TOLERANCE_MS), Ok(true));
        assert_eq!(parse(NOW - CLOCK_TOLERANCE_MS - 1), Err(KeyPackageError::Age));
    }

    #[test]
    fn no_changed_byte_passes() {
        let (made, _) = made(LastResort::No);
        for position in (0..made.public.len()).step_by(37) {
            let mut changed = made.public.clone();
            changed[position] ^= 1;
            assert!(ClaimedKeyPackage::parse(&changed, NOW).is_err(), "byte {position}");
        }
        assert!(ClaimedKeyPackage::parse(&[&made.public[..], &[0]].concat(), NOW).is_err());
    }

    #[test]
    fn the_same_randomness_makes_the_same_package() {
        assert_eq!(made(LastResort::No).0.public, made(LastResort::No).0.public);
    }
}
