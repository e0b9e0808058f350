//! How rows are sealed under a profile's key, as the native home does it (`shell::rows::seal`), with a quicker PRF.
//!
//! Values: XChaCha20-Poly1305, random nonce in front, the row's key as associated data, so that values cannot be swapped
//! between rows. Keys: each byte is masked by a PRF (SipHash-2-4, 128-bit key) of the bytes before it. That keeps prefixes
//! (a range read still finds its rows) but not order, and shows nothing of a key but how long a prefix two rows share.
//! HMAC would cost as much for a key as decrypting a message does.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use rand_core::RngCore;
use siphasher::sip::SipHasher24;
use std::hash::Hasher as _;
use zeroize::Zeroizing;

/// Length of a profile's key, bytes: 32 for values, 16 for row keys.
pub const KEY_LEN: usize = 48;

const NONCE_LEN: usize = 24;

/// A value does not open: it was changed, or is of another profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row does not open under this profile's key")]
pub struct Damaged;

/// Seals and opens the rows of one profile.
pub struct Sealer {
    values: XChaCha20Poly1305,
    keys: Zeroizing<[u8; 16]>,
}

impl Sealer {
    /// Under a profile's key.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        let mut keys = Zeroizing::new([0; 16]);
        keys.copy_from_slice(&key[32..]);
        Self { values: XChaCha20Poly1305::new(Key::from_slice(&key[..32])), keys }
    }

    /// Nonce and ciphertext of a value under its row's key.
    pub fn seal(&self, key: &[u8], value: &[u8], rng: &mut impl RngCore) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let payload = Payload { msg: value, aad: key };
        let sealed = self.values.encrypt(XNonce::from_slice(&nonce), payload).expect("a row is far below 256 GB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// The value again.
    ///
    /// # Errors
    /// When it was not sealed for this row under this key.
    pub fn open(&self, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Damaged> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(Damaged)?;
        self.values.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: key }).map_err(|_| Damaged)
    }

    /// The stored form of a key; the stored form of a prefix is a prefix of it.
    pub fn blind(&self, key: &[u8]) -> Vec<u8> {
        let mut before = SipHasher24::new_with_key(&self.keys);
        let masked = key.iter().map(|byte| {
            let mask = before.finish() as u8;
            before.write_u8(*byte);
            byte ^ mask
        });
        masked.collect()
    }

    /// The key of a stored form.
    pub fn unblind(&self, stored: &[u8]) -> Vec<u8> {
        let mut before = SipHasher24::new_with_key(&self.keys);
        let plain = stored.iter().map(|byte| {
            let plain = byte ^ before.finish() as u8;
            before.write_u8(plain);
            plain
        });
        plain.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&[byte; KEY_LEN])
    }

    #[test]
    fn blinding_keeps_prefixes_and_comes_back() {
        let sealer = sealer(1);
        let stored = sealer.blind(b"lm/abcdef");
        assert!(stored.starts_with(&sealer.blind(b"lm/ab")));
        assert!(!stored.starts_with(&sealer.blind(b"lm/b")));
        assert_eq!(sealer.unblind(&stored), b"lm/abcdef");
        assert_ne!(stored, b"lm/abcdef");
        assert_ne!(stored, self::sealer(2).blind(b"lm/abcdef"));
    }

    #[test]
    fn a_value_opens_only_in_its_own_row_and_profile() {
        let sealed = sealer(1).seal(b"a", b"value", &mut rand_core::OsRng);
        assert_eq!(sealer(1).open(b"a", &sealed).unwrap(), b"value");
        assert_eq!(sealer(1).open(b"b", &sealed), Err(Damaged));
        assert_eq!(sealer(2).open(b"a", &sealed), Err(Damaged));
        assert_eq!(sealer(1).open(b"a", b"short"), Err(Damaged));
    }
}
