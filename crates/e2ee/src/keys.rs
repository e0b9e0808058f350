//! Long-lived keys: the account's root, a device's pair of keys, and the key of a room's entry.
//!
//! Every signature of this crate covers a domain and the bytes, so that a signature made for one purpose is never
//! valid for another. Leaf keys, one per leaf, live in the group's rows; see [`crate::Group`].

mod recovery;

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_core::CryptoRngCore;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// Why a key or a signature was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The recovery words are not 24 words of the list with a right checksum.
    #[error("recovery words are not right")]
    RecoveryWords,
    /// Stored key bytes have the wrong version or length.
    #[error("stored key does not read")]
    Malformed,
    /// The public key is not a usable Ed25519 or X25519 key.
    #[error("public key is not usable")]
    PublicKey,
    /// The signature does not fit the key, the domain and the bytes.
    #[error("signature does not verify")]
    Signature,
}

/// What a signature covers: `domain || 0x00 || bytes`. A domain is ASCII text without a zero byte.
fn to_sign(domain: &str, bytes: &[u8]) -> Vec<u8> {
    debug_assert!(!domain.as_bytes().contains(&0));
    [domain.as_bytes(), &[0], bytes].concat()
}

pub(crate) fn sign(key: &SigningKey, domain: &str, bytes: &[u8]) -> [u8; 64] {
    key.sign(&to_sign(domain, bytes)).to_bytes()
}

pub(crate) fn generate_signing_key(rng: &mut dyn CryptoRngCore) -> SigningKey {
    let mut secret = Zeroizing::new([0; 32]);
    rng.fill_bytes(secret.as_mut_slice());
    SigningKey::from_bytes(&secret)
}

/// Checks a signature by an Ed25519 key over a domain and bytes, strictly (no malleable or small-order keys).
///
/// # Errors
/// [`KeyError::PublicKey`] or [`KeyError::Signature`].
pub fn verify(public: &[u8; 32], domain: &str, bytes: &[u8], signature: &[u8]) -> Result<(), KeyError> {
    let key = VerifyingKey::from_bytes(public).map_err(|_| KeyError::PublicKey)?;
    let signature = Signature::from_slice(signature).map_err(|_| KeyError::Signature)?;
    key.verify_strict(&to_sign(domain, bytes), &signature).map_err(|_| KeyError::Signature)
}

/// The account's root: it signs the first device and answers forks of the device list. It exists only in the recovery
/// words that the user keeps; a client forgets it as soon as it has signed.
#[derive(Clone)]
pub struct RootKey(SigningKey);

impl RootKey {
    /// Draws a new root.
    pub fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        Self(generate_signing_key(rng))
    }

    pub(crate) fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Its public half, pinned by contacts.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs.
    pub fn sign(&self, domain: &str, bytes: &[u8]) -> [u8; 64] {
        sign(&self.0, domain, bytes)
    }

    /// The recovery key as text: 24 English words (BIP-39), single spaces between them.
    pub fn recovery_words(&self) -> Zeroizing<String> {
        recovery::words(&self.0.to_bytes())
    }

    /// Reads a recovery key as a person types it: any case, any white space.
    ///
    /// # Errors
    /// [`KeyError::RecoveryWords`] for unknown words, the wrong number of them, or a wrong checksum.
    pub fn from_recovery_words(words: &str) -> Result<Self, KeyError> {
        recovery::secret(words).map(|secret| Self(SigningKey::from_bytes(&secret)))
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(…)")
    }
}

const DEVICE_KEYS_VERSION: u8 = 1;

/// A device's own keys: Ed25519 for signatures, X25519 for what is sealed to it. Listed in the account's device list.
#[derive(Clone)]
pub struct DeviceKeys {
    signing: SigningKey,
    hpke: StaticSecret,
}

impl DeviceKeys {
    /// Draws new keys.
    pub fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        let signing = generate_signing_key(rng);
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(secret.as_mut_slice());
        Self { signing, hpke: StaticSecret::from(*secret) }
    }

    /// Ed25519 public key.
    pub fn signing_public(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    /// X25519 public key, for [`crate::seal_to_device`].
    pub fn hpke_public(&self) -> [u8; 32] {
        PublicKey::from(&self.hpke).to_bytes()
    }

    /// Signs.
    pub fn sign(&self, domain: &str, bytes: &[u8]) -> [u8; 64] {
        sign(&self.signing, domain, bytes)
    }

    pub(crate) fn hpke_secret(&self) -> &StaticSecret {
        &self.hpke
    }

    /// For the engine's encrypted rows: version byte, signing secret, HPKE secret (65 bytes).
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(65));
        bytes.push(DEVICE_KEYS_VERSION);
        bytes.extend_from_slice(self.signing.as_bytes());
        bytes.extend_from_slice(self.hpke.as_bytes());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let Some((&DEVICE_KEYS_VERSION, secrets)) = bytes.split_first() else { return Err(KeyError::Malformed) };
        let (signing, hpke) = secrets.split_at_checked(32).ok_or(KeyError::Malformed)?;
        let hpke: Zeroizing<[u8; 32]> = Zeroizing::new(hpke.try_into().map_err(|_| KeyError::Malformed)?);
        let signing = SigningKey::try_from(signing).map_err(|_| KeyError::Malformed)?;
        Ok(Self { signing, hpke: StaticSecret::from(*hpke) })
    }
}

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKeys(…)")
    }
}

/// The key of one entry in one room: the only name under which the server knows a member.
#[derive(Clone)]
pub struct MemberKeyPair(SigningKey);

impl MemberKeyPair {
    /// Draws a new pair.
    pub fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        Self(generate_signing_key(rng))
    }

    /// Its public half: the entry's member key.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs.
    pub fn sign(&self, domain: &str, bytes: &[u8]) -> [u8; 64] {
        sign(&self.0, domain, bytes)
    }

    /// The secret, 32 bytes.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Reads what [`Self::to_bytes`] gave.
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }
}

impl fmt::Debug for MemberKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberKeyPair(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rng;

    #[test]
    fn a_signature_holds_for_its_domain_bytes_and_key_only() {
        let keys = DeviceKeys::generate(&mut test_rng(1));
        let other = DeviceKeys::generate(&mut test_rng(2)).signing_public();
        let signature = keys.sign("parlour-a", b"bytes");
        let public = keys.signing_public();
        assert_eq!(verify(&public, "parlour-a", b"bytes", &signature), Ok(()));
        assert_eq!(verify(&public, "parlour-b", b"bytes", &signature), Err(KeyError::Signature));
        assert_eq!(verify(&public, "parlour-a", b"byteS", &signature), Err(KeyError::Signature));
        assert_eq!(verify(&other, "parlour-a", b"bytes", &signature), Err(KeyError::Signature));
        assert_eq!(verify(&public, "parlour-a", b"bytes", &signature[..63]), Err(KeyError::Signature));
    }

    #[test]
    fn device_keys_survive_storage() {
        let keys = DeviceKeys::generate(&mut test_rng(1));
        let read = DeviceKeys::from_bytes(&keys.to_bytes()).unwrap();
        assert_eq!((read.signing_public(), read.hpke_public()), (keys.signing_public(), keys.hpke_public()));
        for broken in [&[][..], &keys.to_bytes()[..64], &[9; 65]] {
            assert!(DeviceKeys::from_bytes(broken).is_err());
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = DeviceKeys::generate(&mut test_rng(1));
        let root = RootKey::generate(&mut test_rng(1));
        assert_eq!(format!("{keys:?} {root:?}"), "DeviceKeys(…) RootKey(…)");
    }
}
