//! The suite's AEAD: AES-128-GCM with 12-byte nonces and 16-byte tags (RFC 5116 §5.1).

use aes::Aes128;
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use openmls_traits::types::CryptoError;

pub(super) const KEY: usize = 16;
pub(super) const NONCE: usize = 12;

/// Ciphertext and tag.
///
/// # Errors
/// [`CryptoError::InvalidLength`] of key or nonce; [`CryptoError::TooMuchData`] beyond 64 GB.
pub(super) fn seal(key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let nonce = checked(nonce)?;
    cipher(key)?.encrypt(nonce, Payload { msg: plaintext, aad }).map_err(|_| CryptoError::TooMuchData)
}

/// The plaintext.
///
/// # Errors
/// [`CryptoError::InvalidLength`] of key or nonce; [`CryptoError::AeadDecryptionError`].
pub(super) fn open(key: &[u8], nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let nonce = checked(nonce)?;
    cipher(key)?.decrypt(nonce, Payload { msg: ciphertext, aad }).map_err(|_| CryptoError::AeadDecryptionError)
}

fn cipher(key: &[u8]) -> Result<AesGcm<Aes128, U12>, CryptoError> {
    AesGcm::new_from_slice(key).map_err(|_| CryptoError::InvalidLength)
}

fn checked(nonce: &[u8]) -> Result<&GenericArray<u8, U12>, CryptoError> {
    if nonce.len() == NONCE { Ok(nonce.into()) } else { Err(CryptoError::InvalidLength) }
}
