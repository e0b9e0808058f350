//! How rows are sealed under a profile's key, as the native home does it (`shell::rows::seal`), with a quicker PRF.
//!
//! Values: XChaCha20-Poly1305, random nonce in front, the row's key as associated data, so that values cannot be swapped
//! between rows. Keys: each byte is masked by a PRF (SipHash-2-4, 128-bit key) of the bytes before it. That keeps prefixes
//! (a range read still finds its rows) but not order, and shows nothing of a key but how long a prefix two rows share.
//! HMAC would cost as much for a key as decrypting a message does.
//!
//! The rows of the engine's key ring ([`KEY_RING`]) are sealed under a *page key* of their own. When keys were destroyed
//! ([`SHREDDED`]) the page is turned: [`Sealer::turn`] seals the whole ring under a new page key, and once the old one is
//! gone from the disk, nothing opens what earlier rows of the ring left behind there.

use super::Row;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use parlour_client::rows::{KEY_RING, SHREDDED};
use rand_core::RngCore;
use siphasher::sip::SipHasher24;
use std::collections::BTreeMap;
use std::hash::Hasher as _;
use zeroize::Zeroizing;

/// Length of a profile's key, bytes: 32 for values, 16 for row keys.
pub const KEY_LEN: usize = 48;

/// Length of a page key, bytes.
pub const PAGE_LEN: usize = 32;

const NONCE_LEN: usize = 24;

/// A value does not open: it was changed, or is of another profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row does not open under this profile's key")]
pub struct Damaged;

/// What a batch does: to each row, by its key, the last of its changes. `None` deletes.
pub type Batch<'c> = BTreeMap<&'c [u8], Option<&'c [u8]>>;

/// Rows as they are to be stored: by stored key; `None` deletes.
pub type Sealed = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Whether the page is to be turned with this batch.
pub fn is_shredding(batch: &Batch) -> bool {
    batch.keys().any(|key| key.starts_with(SHREDDED))
}

/// Seals and opens the rows of one profile.
pub struct Sealer {
    values: XChaCha20Poly1305,
    ring: XChaCha20Poly1305,
    keys: Zeroizing<[u8; 16]>,
}

impl Sealer {
    /// Under a profile's key and the page key of now.
    pub fn new(key: &[u8; KEY_LEN], page: &[u8; PAGE_LEN]) -> Self {
        let mut keys = Zeroizing::new([0; 16]);
        keys.copy_from_slice(&key[32..]);
        Self { values: cipher(&key[..32]), ring: cipher(page), keys }
    }

    /// Under another page key: gives the sealer that is to be used once the changes are written, and the whole ring as it is
    /// to be stored then, by stored key (`None` deletes). `stored` is the ring as it is stored now; of the batch, only what
    /// is of the ring is looked at.
    ///
    /// # Errors
    /// When a row of the ring does not open.
    pub fn turn(
        &self,
        page: &[u8; PAGE_LEN],
        stored: &[Row],
        batch: &Batch,
        rng: &mut impl RngCore,
    ) -> Result<(Self, Sealed), Damaged> {
        let next = Self { values: self.values.clone(), ring: cipher(page), keys: self.keys.clone() };
        let mut turned = Sealed::new();
        for (stored_key, sealed) in stored {
            let key = self.unblind(stored_key);
            if !batch.contains_key(key.as_slice()) {
                let value = Zeroizing::new(self.open(&key, sealed)?);
                turned.insert(stored_key.clone(), Some(next.seal(&key, &value, rng)));
            }
        }
        for (key, value) in batch.iter().filter(|(key, _)| key.starts_with(KEY_RING)) {
            turned.insert(self.blind(key), value.map(|value| next.seal(key, value, rng)));
        }
        Ok((next, turned))
    }

    fn cipher_of(&self, key: &[u8]) -> &XChaCha20Poly1305 {
        if key.starts_with(KEY_RING) { &self.ring } else { &self.values }
    }

    /// Nonce and ciphertext of a value under its row's key.
    pub fn seal(&self, key: &[u8], value: &[u8], rng: &mut impl RngCore) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let payload = Payload { msg: value, aad: key };
        let sealed =
            self.cipher_of(key).encrypt(XNonce::from_slice(&nonce), payload).expect("a row is far below 256 GB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// The value again.
    ///
    /// # Errors
    /// When it was not sealed for this row under this key.
    pub fn open(&self, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Damaged> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(Damaged)?;
        self.cipher_of(key).decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: key }).map_err(|_| Damaged)
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

fn cipher(key: &[u8]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(Key::from_slice(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::OsRng;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&[byte; KEY_LEN], &[byte; PAGE_LEN])
    }

    fn stored(sealer: &Sealer, rows: &[(&[u8], &[u8])]) -> Vec<Row> {
        rows.iter().map(|(key, value)| (sealer.blind(key), sealer.seal(key, value, &mut OsRng))).collect()
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

    #[test]
    fn the_key_ring_is_sealed_under_its_page_and_all_else_is_not() {
        let other_page = Sealer::new(&[1; KEY_LEN], &[2; PAGE_LEN]);
        let sealed = sealer(1).seal(b"ez\0\0a", b"key", &mut OsRng);
        assert_eq!(sealer(1).open(b"ez\0\0a", &sealed).unwrap(), b"key");
        assert_eq!(other_page.open(b"ez\0\0a", &sealed), Err(Damaged));
        let sealed = sealer(1).seal(b"ev\0\0a", b"conversation", &mut OsRng);
        assert_eq!(other_page.open(b"ev\0\0a", &sealed).unwrap(), b"conversation");
    }

    #[test]
    fn a_turned_page_has_the_ring_as_the_batch_leaves_it() {
        let before = sealer(1);
        let ring = stored(&before, &[(b"ez\0\0a", b"old"), (b"ez\0\0b", b"goes"), (b"ez\0\x01c", b"another's")]);
        let batch: Batch = BTreeMap::from([
            (b"ez\0\0a".as_slice(), Some(b"new".as_slice())),
            (b"ez\0\0b", None),
            (b"ez\0\0d", Some(b"came")),
            (b"eZ\0\0", Some(b"")),
            (b"ev\0\0x", Some(b"not of the ring")),
        ]);
        assert!(is_shredding(&batch));
        let (after, turned) = before.turn(&[7; PAGE_LEN], &ring, &batch, &mut OsRng).unwrap();
        let opened: BTreeMap<Vec<u8>, Option<Vec<u8>>> = turned
            .iter()
            .map(|(key, sealed)| {
                let key = after.unblind(key);
                let value = sealed.as_ref().map(|sealed| after.open(&key, sealed).unwrap());
                (key, value)
            })
            .collect();
        let expected: [(&[u8], Option<&[u8]>); 4] = [
            (b"ez\0\0a", Some(b"new")),
            (b"ez\0\0b", None),
            (b"ez\0\0d", Some(b"came")),
            (b"ez\0\x01c", Some(b"another's")),
        ];
        let expected = expected.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)));
        assert_eq!(opened, BTreeMap::from(expected));
    }

    #[test]
    fn what_was_sealed_before_the_page_was_turned_does_not_open_after() {
        let before = sealer(1);
        let ring = stored(&before, &[(b"ez\0\0a", b"destroyed"), (b"ez\0\0b", b"stays")]);
        let batch: Batch = BTreeMap::from([(b"ez\0\0a".as_slice(), None), (b"eZ\0\0", Some(b"".as_slice()))]);
        let (after, _) = before.turn(&[7; PAGE_LEN], &ring, &batch, &mut OsRng).unwrap();
        for (key, sealed) in &ring {
            assert_eq!(after.open(&after.unblind(key), sealed), Err(Damaged));
        }
    }

    #[test]
    fn a_ring_of_another_page_is_not_turned() {
        let ring = stored(&sealer(1), &[(b"ez\0\0a", b"key")]);
        let other = Sealer::new(&[1; KEY_LEN], &[2; PAGE_LEN]);
        assert_eq!(other.turn(&[7; PAGE_LEN], &ring, &Batch::new(), &mut OsRng).err(), Some(Damaged));
        assert!(!is_shredding(&Batch::new()));
    }
}
