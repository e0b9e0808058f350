//! Sealing of values: at rest under a key, to a device under its public key, and knocks under the policy's key.
//!
//! Every sealed thing begins with a version byte. Associated data is the caller's: name the place the value belongs
//! to, so that it cannot be moved.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use rand_core::CryptoRngCore;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::keys::DeviceKeys;

const VERSION: u8 = 1;
const NONCE: usize = 24;

/// Bytes that [`seal`] adds: version, nonce and tag.
pub const SEAL_OVERHEAD: usize = 1 + NONCE + 16;

/// Why something sealed does not open, or nothing can be sealed to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too short, or a version from the future.
    #[error("sealed value does not read")]
    Malformed,
    /// Wrong key, wrong associated data, or changed bytes.
    #[error("sealed value does not open")]
    DoesNotOpen,
    /// It says that it lies under another key.
    #[error("sealed value lies under another key")]
    OtherKey,
    /// The public key contributes nothing.
    #[error("public key is not usable")]
    PublicKey,
}

/// A 32-byte key for values; erased from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ValueKey([u8; 32]);

impl ValueKey {
    /// Draws a new key.
    pub fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        let mut key = Self([0; 32]);
        rng.fill_bytes(&mut key.0);
        key
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for sealing this key under another.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ValueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValueKey(…)")
    }
}

/// The `n`-th key from a seed that is random and used for nothing else (HKDF-SHA-256).
pub fn derive_value_key(seed: &[u8; 32], n: u64) -> ValueKey {
    let mut key = ValueKey([0; 32]);
    let info = [&b"parlour-value-key-1\0"[..], &n.to_be_bytes()].concat();
    Hkdf::<Sha256>::new(None, seed).expand(&info, &mut key.0).expect("32 bytes");
    key
}

/// Seals a value: version, random nonce, XChaCha20-Poly1305 ([`SEAL_OVERHEAD`] bytes longer than the plaintext).
pub fn seal(key: &ValueKey, aad: &[u8], plaintext: &[u8], rng: &mut dyn CryptoRngCore) -> Vec<u8> {
    let mut nonce = [0; NONCE];
    rng.fill_bytes(&mut nonce);
    let ciphertext = XChaCha20Poly1305::new(key.as_bytes().into())
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: plaintext, aad })
        .expect("values are shorter than 256 GB");
    [&[VERSION][..], &nonce, &ciphertext].concat()
}

/// [`seal`] without randomness: the nonce is a MAC over what is sealed, so that no two plaintexts share one (as in SIV, RFC 5297,
/// with HMAC-SHA-256 cut to 24 bytes). Equal plaintexts under the same key at the same place give equal bytes.
pub fn seal_again(key: &ValueKey, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key.as_bytes()).expect("any length");
    mac.update(b"parlour-nonce-1\0");
    mac.update(&(aad.len() as u64).to_be_bytes());
    mac.update(aad);
    mac.update(plaintext);
    let tag = mac.finalize().into_bytes();
    let nonce = &tag[..NONCE];
    let ciphertext = XChaCha20Poly1305::new(key.as_bytes().into())
        .encrypt(XNonce::from_slice(nonce), Payload { msg: plaintext, aad })
        .expect("values are shorter than 256 GB");
    [&[VERSION][..], nonce, &ciphertext].concat()
}

/// Opens what [`seal`] or [`seal_again`] sealed with the same key and associated data.
///
/// # Errors
/// [`SealError::Malformed`] or [`SealError::DoesNotOpen`].
pub fn open(key: &ValueKey, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let Some((&VERSION, rest)) = sealed.split_first() else { return Err(SealError::Malformed) };
    let (nonce, ciphertext) = rest.split_at_checked(NONCE).ok_or(SealError::Malformed)?;
    XChaCha20Poly1305::new(key.as_bytes().into())
        .decrypt(XNonce::from_slice(nonce), Payload { msg: ciphertext, aad })
        .map(Zeroizing::new)
        .map_err(|_| SealError::DoesNotOpen)
}

/// Seals to a device's HPKE key: RFC 9180 base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305,
/// single shot, behind a version byte. `info` names the purpose.
///
/// # Errors
/// [`SealError::PublicKey`] if the key is of small order.
pub fn seal_to_device(
    hpke_public: &[u8; 32],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    rng: &mut dyn CryptoRngCore,
) -> Result<Vec<u8>, SealError> {
    let mut ephemeral = Zeroizing::new([0; 32]);
    rng.fill_bytes(ephemeral.as_mut_slice());
    let ephemeral = StaticSecret::from(*ephemeral);
    let encapsulated = PublicKey::from(&ephemeral).to_bytes();
    let shared = dh_kem(&ephemeral, hpke_public, &encapsulated, hpke_public)?;
    let (key, nonce) = hpke_key_schedule(&shared, info);
    let ciphertext = ChaCha20Poly1305::new((&*key).into())
        .encrypt((&nonce).into(), Payload { msg: plaintext, aad })
        .expect("values are shorter than 256 GB");
    Ok([&[VERSION][..], &encapsulated, &ciphertext].concat())
}

impl DeviceKeys {
    /// Opens what [`seal_to_device`] sealed to this device with the same `info` and associated data.
    ///
    /// # Errors
    /// [`SealError::Malformed`] or [`SealError::DoesNotOpen`].
    pub fn open(&self, info: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let Some((&VERSION, rest)) = sealed.split_first() else { return Err(SealError::Malformed) };
        let (encapsulated, ciphertext) = rest.split_first_chunk::<32>().ok_or(SealError::Malformed)?;
        let shared = dh_kem(self.hpke_secret(), encapsulated, encapsulated, &self.hpke_public())
            .map_err(|_| SealError::DoesNotOpen)?;
        let (key, nonce) = hpke_key_schedule(&shared, info);
        ChaCha20Poly1305::new((&*key).into())
            .decrypt((&nonce).into(), Payload { msg: ciphertext, aad })
            .map(Zeroizing::new)
            .map_err(|_| SealError::DoesNotOpen)
    }
}

const KEM_SUITE: &[u8] = b"KEM\x00\x20";
const HPKE_SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x03";

/// RFC 9180 §4.1, `ExtractAndExpand` of the Diffie-Hellman result.
fn dh_kem(
    secret: &StaticSecret,
    public: &[u8; 32],
    encapsulated: &[u8; 32],
    recipient: &[u8; 32],
) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let shared = secret.diffie_hellman(&PublicKey::from(*public));
    if !shared.was_contributory() {
        return Err(SealError::PublicKey);
    }
    let prk = labeled_extract(KEM_SUITE, &[], b"eae_prk", shared.as_bytes());
    let mut secret = Zeroizing::new([0; 32]);
    labeled_expand(&prk, KEM_SUITE, b"shared_secret", &[encapsulated, &recipient[..]].concat(), secret.as_mut_slice());
    Ok(secret)
}

/// RFC 9180 §5.1, base mode.
fn hpke_key_schedule(shared: &[u8; 32], info: &[u8]) -> (Zeroizing<[u8; 32]>, [u8; 12]) {
    let (psk_id_hash, _) = extract(HPKE_SUITE, &[], b"psk_id_hash", &[]);
    let (info_hash, _) = extract(HPKE_SUITE, &[], b"info_hash", info);
    let context = [&[0][..], &psk_id_hash, &info_hash].concat();
    let secret = labeled_extract(HPKE_SUITE, shared, b"secret", &[]);
    let (mut key, mut nonce) = (Zeroizing::new([0; 32]), [0; 12]);
    labeled_expand(&secret, HPKE_SUITE, b"key", &context, key.as_mut_slice());
    labeled_expand(&secret, HPKE_SUITE, b"base_nonce", &context, &mut nonce);
    (key, nonce)
}

fn extract(suite: &[u8], salt: &[u8], label: &[u8], ikm: &[u8]) -> ([u8; 32], Hkdf<Sha256>) {
    let ikm = Zeroizing::new([b"HPKE-v1", suite, label, ikm].concat());
    let (prk, hkdf) = Hkdf::<Sha256>::extract(Some(salt), &ikm);
    (prk.into(), hkdf)
}

fn labeled_extract(suite: &[u8], salt: &[u8], label: &[u8], ikm: &[u8]) -> Hkdf<Sha256> {
    extract(suite, salt, label, ikm).1
}

fn labeled_expand(prk: &Hkdf<Sha256>, suite: &[u8], label: &[u8], info: &[u8], out: &mut [u8]) {
    let len = u16::try_from(out.len()).expect("keys are short").to_be_bytes();
    prk.expand_multi_info(&[&len, b"HPKE-v1", suite, label, info], out).expect("keys are short");
}

#[cfg(test)]
mod tests {
    use openmls_rust_crypto::RustCrypto;
    use openmls_traits::crypto::OpenMlsCrypto;
    use openmls_traits::types::{HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType};

    use super::*;
    use crate::test_rng;

    const HPKE: HpkeConfig =
        HpkeConfig(HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305);

    #[test]
    fn a_value_opens_with_its_key_and_place_only() {
        let key = ValueKey::generate(&mut test_rng(1));
        let sealed = seal(&key, b"place", b"value", &mut test_rng(2));
        assert_eq!(sealed.len(), 5 + SEAL_OVERHEAD);
        assert_eq!(**open(&key, b"place", &sealed).unwrap(), *b"value");
        let other = ValueKey::generate(&mut test_rng(3));
        assert_eq!(open(&other, b"place", &sealed), Err(SealError::DoesNotOpen));
        assert_eq!(open(&key, b"other place", &sealed), Err(SealError::DoesNotOpen));
        assert_eq!(open(&key, b"place", &[&[2], &sealed[1..]].concat()), Err(SealError::Malformed));
        for len in 0..sealed.len() {
            assert!(open(&key, b"place", &sealed[..len]).is_err());
        }
    }

    #[test]
    fn a_value_sealed_again_is_the_same_and_another_shares_no_nonce() {
        let key = derive_value_key(&[7; 32], 1);
        let sealed = seal_again(&key, b"place", b"value");
        assert_eq!(sealed, seal_again(&key, b"place", b"value"));
        assert_eq!(**open(&key, b"place", &sealed).unwrap(), *b"value");
        let nonce = |sealed: &[u8]| sealed[1..=NONCE].to_vec();
        for other in [seal_again(&key, b"place", b"walue"), seal_again(&key, b"plac", b"evalue")] {
            assert_ne!(nonce(&sealed), nonce(&other));
        }
        let next = derive_value_key(&[7; 32], 2);
        assert_eq!(open(&next, b"place", &sealed), Err(SealError::DoesNotOpen));
    }

    #[test]
    fn a_device_opens_what_is_sealed_to_it() {
        let device = DeviceKeys::generate(&mut test_rng(1));
        let sealed = seal_to_device(&device.hpke_public(), b"info", b"aad", b"value", &mut test_rng(2)).unwrap();
        assert_eq!(**device.open(b"info", b"aad", &sealed).unwrap(), *b"value");
        assert_eq!(device.open(b"other", b"aad", &sealed), Err(SealError::DoesNotOpen));
        assert_eq!(device.open(b"info", b"other", &sealed), Err(SealError::DoesNotOpen));
        assert_eq!(device.open(b"info", b"aad", &sealed[..20]), Err(SealError::Malformed));
        assert_eq!(seal_to_device(&[0; 32], b"info", b"aad", b"value", &mut test_rng(2)), Err(SealError::PublicKey));
    }

    #[test]
    fn it_is_the_hpke_of_the_standard() {
        let device = DeviceKeys::generate(&mut test_rng(1));
        let secret = device.hpke_secret().to_bytes();
        let sealed = seal_to_device(&device.hpke_public(), b"info", b"aad", b"value", &mut test_rng(2)).unwrap();
        let theirs =
            HpkeCiphertext { kem_output: sealed[1..33].to_vec().into(), ciphertext: sealed[33..].to_vec().into() };
        assert_eq!(RustCrypto::default().hpke_open(HPKE, &theirs, &secret, b"info", b"aad").unwrap(), b"value");
        let sealed = RustCrypto::default().hpke_seal(HPKE, &device.hpke_public(), b"info", b"aad", b"value").unwrap();
        let ours = [&[1][..], sealed.kem_output.as_slice(), sealed.ciphertext.as_slice()].concat();
        assert_eq!(**device.open(b"info", b"aad", &ours).unwrap(), *b"value");
    }
}
