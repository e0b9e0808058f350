//! The suite's KEM: X-Wing, ML-KEM-768 with X25519 (draft-connolly-cfrg-xwing-kem-06).
//!
//! A private key is the 32-byte seed (§5.2), a public key 1,216 bytes, an encapsulation 1,120. As in the draft, an
//! encapsulation whose X25519 half contributes nothing is not refused: ML-KEM alone keeps the secret then.

use openmls_traits::types::{CryptoError, HpkeKeyPair};
use shake::{ExtendableOutput, Shake256, Update, XofReader};
use x_wing::{Ciphertext, Decapsulate, DecapsulationKey, Decapsulator, EncapsulationKey, KeyExport, TryKeyInit};
use zeroize::{Zeroize, Zeroizing};

/// Randomness of one encapsulation.
pub(crate) type Randomness = Zeroizing<[u8; x_wing::ENCAPSULATION_RANDOMNESS_SIZE]>;

/// What both sides agree on.
pub(crate) type SharedSecret = Zeroizing<[u8; 32]>;

/// `DeriveKeyPair(ikm)`: the seed is SHAKE256 of any input (draft-ietf-hpke-pq, "Derive Key Pair").
pub(crate) fn derive_key_pair(ikm: &[u8]) -> HpkeKeyPair {
    let mut seed = Zeroizing::new([0; x_wing::DECAPSULATION_KEY_SIZE]);
    let mut shake = Shake256::default();
    shake.update(ikm);
    shake.finalize_xof().read(seed.as_mut_slice());
    let public = DecapsulationKey::from(*seed).encapsulation_key().to_bytes().to_vec();
    HpkeKeyPair { private: seed.as_slice().into(), public }
}

/// `Encap(pkR)` with the randomness given: the encapsulation and the secret.
///
/// # Errors
/// [`CryptoError::InvalidPublicKey`]: wrong length, or coefficients out of range (FIPS 203 §7.2).
pub(crate) fn encapsulate(public: &[u8], randomness: &Randomness) -> Result<(Vec<u8>, SharedSecret), CryptoError> {
    let key = EncapsulationKey::new_from_slice(public).map_err(|_| CryptoError::InvalidPublicKey)?;
    let (encapsulation, mut secret) = key.encapsulate_deterministic((&**randomness).into());
    let shared = Zeroizing::new(secret.0);
    secret.zeroize();
    Ok((encapsulation.to_vec(), shared))
}

/// `Decap(enc, skR)`. An encapsulation for somebody else gives another secret, not an error (FIPS 203 §6.3).
///
/// # Errors
/// [`CryptoError::InvalidLength`] of either.
pub(crate) fn decapsulate(encapsulation: &[u8], private: &[u8]) -> Result<SharedSecret, CryptoError> {
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(private.try_into().map_err(|_| CryptoError::InvalidLength)?);
    let encapsulation = Ciphertext::try_from(encapsulation).map_err(|_| CryptoError::InvalidLength)?;
    let mut secret = DecapsulationKey::from(*seed).decapsulate(&encapsulation);
    let shared = Zeroizing::new(secret.0);
    secret.zeroize();
    Ok(shared)
}
