//! The home key, and how rows are sealed under it.
//!
//! Values: XChaCha20-Poly1305, random nonce in front, the row's key as associated data, so that values cannot be swapped
//! between rows. Keys: each byte is masked by a PRF of the bytes before it. That keeps prefixes (a range read still finds
//! its rows) but not order, and shows nothing of a key but how long a prefix two rows share.

use super::RowsError;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use rand_core::{OsRng, RngCore};
use sha2::Sha256;
use zeroize::Zeroizing;

const NONCE_LEN: usize = 24;

/// The 32 bytes that open a home. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct HomeKey(Zeroizing<[u8; 32]>);

impl HomeKey {
    /// Takes raw bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Draws a new key from the system.
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(bytes.as_mut());
        Self(bytes)
    }

    /// The raw bytes.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key for one purpose.
    fn derive(&self, label: &[u8]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(prf(&keyed(self.bytes()), label))
    }

    /// Seals a note bound to `context` (for the wrong-passphrase check).
    pub(crate) fn seal_note(&self, context: &[u8], note: &[u8]) -> Vec<u8> {
        Sealer::new(self).seal(context, note)
    }

    /// Opens what [`HomeKey::seal_note`] sealed.
    pub(crate) fn open_note(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        Sealer::new(self).open(context, sealed).ok()
    }
}

impl std::fmt::Debug for HomeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HomeKey(..)")
    }
}

/// Seals and opens the rows of one home.
pub(super) struct Sealer {
    values: XChaCha20Poly1305,
    keys: Hmac<Sha256>,
}

impl Sealer {
    pub(super) fn new(home: &HomeKey) -> Self {
        let values = home.derive(b"parlour-home-values-1");
        let keys = home.derive(b"parlour-home-keys-1");
        Self { values: XChaCha20Poly1305::new(Key::from_slice(values.as_ref())), keys: keyed(&keys) }
    }

    /// Nonce and ciphertext of a value under its row's key.
    pub(super) fn seal(&self, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        OsRng.fill_bytes(&mut nonce);
        let payload = Payload { msg: value, aad: key };
        let sealed = self.values.encrypt(XNonce::from_slice(&nonce), payload).expect("a row is far below 256 GB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// The value again.
    pub(super) fn open(&self, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, RowsError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(RowsError::Damaged)?;
        let payload = Payload { msg: sealed, aad: key };
        self.values.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| RowsError::Damaged)
    }

    /// The stored form of a key; the blinded form of a prefix is a prefix of the blinded form.
    pub(super) fn blind(&self, key: &[u8]) -> Vec<u8> {
        (0..key.len()).map(|i| key[i] ^ self.mask(&key[..i])).collect()
    }

    /// The key of a stored form.
    pub(super) fn unblind(&self, stored: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(stored.len());
        for byte in stored {
            let plain = byte ^ self.mask(&key);
            key.push(plain);
        }
        key
    }

    fn mask(&self, before: &[u8]) -> u8 {
        prf(&self.keys, before)[0]
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn prf(keyed: &Hmac<Sha256>, input: &[u8]) -> [u8; 32] {
    keyed.clone().chain_update(input).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&HomeKey::new([byte; 32]))
    }

    #[test]
    fn blinding_keeps_prefixes_and_comes_back() {
        let sealer = sealer(1);
        let stored = sealer.blind(b"c/abcdef");
        assert!(stored.starts_with(&sealer.blind(b"c/ab")));
        assert!(!stored.starts_with(&sealer.blind(b"c/b")));
        assert_eq!(sealer.unblind(&stored), b"c/abcdef");
        assert_ne!(stored, b"c/abcdef");
    }

    #[test]
    fn a_value_opens_only_under_its_own_key() {
        let sealer = sealer(1);
        let sealed = sealer.seal(b"a", b"value");
        assert_eq!(sealer.open(b"a", &sealed).unwrap(), b"value");
        assert!(matches!(sealer.open(b"b", &sealed), Err(RowsError::Damaged)));
        assert!(matches!(self::sealer(2).open(b"a", &sealed), Err(RowsError::Damaged)));
        assert!(matches!(sealer.open(b"a", b"short"), Err(RowsError::Damaged)));
    }
}
