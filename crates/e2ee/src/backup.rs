//! The key of an account's backup: drawn by a device, opened by the recovery key alone.
//!
//! Devices hold a public key (X-Wing, of the suite) whose private half follows from the account's root key. To it they seal the
//! symmetric key under which the backup's chunks lie: the *key page*, stored beside them. So a device can change the key when
//! another one is revoked, and neither the server nor whoever has one device's old key reads what is written later.

use hkdf::Hkdf;
use rand_core::CryptoRngCore;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::keys::RootKey;
use crate::padding::{pad, unpad};
use crate::provider::kem;
use crate::seal::{SealError, ValueKey, open, seal};

const DERIVE: &[u8] = b"parlour-backup-kem-1";
const PAGE: &[u8] = b"parlour-backup-page-1";
const WHICH: &[u8] = b"parlour-backup-key-id-1";
const CHUNK: &[u8] = b"parlour-backup-chunk-2";
/// Chunks as they were before they were padded.
const BARE_CHUNK: &[u8] = b"parlour-backup-chunk-1";
/// The version of chunks that say which key they lie under. Those before begin with the version of what is sealed, 1.
const NAMED: u8 = 2;
/// Which key that is, bytes.
const KEY_ID: usize = 8;
/// Of an X-Wing encapsulation, bytes.
const ENCAPSULATION: usize = 1120;

/// What opens an account's key pages: 32 bytes that follow from the root key.
#[derive(Clone)]
pub struct BackupSecret(Zeroizing<Vec<u8>>);

impl BackupSecret {
    /// Of an account's root key.
    pub fn of(root: &RootKey) -> Self {
        let mut ikm = Zeroizing::new([0; 32]);
        let secret = root.secret();
        Hkdf::<Sha256>::new(None, &*secret).expand(DERIVE, ikm.as_mut_slice()).expect("32 bytes are not too many");
        Self(ikm.to_vec().into())
    }

    /// As bytes, to be kept for a while.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.0.clone()
    }

    /// Back from bytes.
    pub fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// What devices hold (1,216 bytes).
    pub fn public(&self) -> Vec<u8> {
        kem::derive_key_pair(&self.0).public
    }

    /// Opens a key page.
    ///
    /// # Errors
    /// [`SealError`] when it was made for another account, or is none.
    pub fn open_page(&self, page: &[u8]) -> Result<ValueKey, SealError> {
        let (encapsulation, sealed) = page.split_at_checked(ENCAPSULATION).ok_or(SealError::Malformed)?;
        let pair = kem::derive_key_pair(&self.0);
        let shared = kem::decapsulate(encapsulation, &pair.private).map_err(|_| SealError::Malformed)?;
        let key = open(&ValueKey::from_bytes(*shared), PAGE, sealed)?;
        Ok(ValueKey::from_bytes(key[..].try_into().map_err(|_| SealError::Malformed)?))
    }
}

impl std::fmt::Debug for BackupSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BackupSecret(…)")
    }
}

/// Seals a backup's key to the account's public key: the key page.
///
/// # Errors
/// [`SealError::PublicKey`] when it is none.
pub fn seal_backup_page(public: &[u8], key: &ValueKey, rng: &mut dyn CryptoRngCore) -> Result<Vec<u8>, SealError> {
    let mut randomness = kem::Randomness::new([0; _]);
    rng.fill_bytes(randomness.as_mut_slice());
    let (encapsulation, shared) = kem::encapsulate(public, &randomness).map_err(|_| SealError::PublicKey)?;
    let sealed = seal(&ValueKey::from_bytes(*shared), PAGE, key.as_bytes(), rng);
    Ok([encapsulation, sealed].concat())
}

/// Seals a chunk, padded, for its name: it opens under no other. In front of it stand a version and which key it lies under: while
/// the key is changed, chunks of both are there.
pub fn seal_backup_chunk(key: &ValueKey, name: &[u8; 16], content: &[u8], rng: &mut dyn CryptoRngCore) -> Vec<u8> {
    let padded = Zeroizing::new(pad(content).expect("chunks are shorter than 4 GB"));
    let sealed = seal(key, &[CHUNK, name].concat(), &padded, rng);
    [&[NAMED][..], &key_id(key), &sealed].concat()
}

/// Opens a chunk, also of a version that did not say which key it lay under.
///
/// # Errors
/// [`SealError::OtherKey`] when it says that it lies under another key; [`SealError::DoesNotOpen`] when it was changed, or lies under
/// another name.
pub fn open_backup_chunk(key: &ValueKey, name: &[u8; 16], chunk: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let Some((&NAMED, rest)) = chunk.split_first() else { return open_nameless(key, name, chunk) };
    let (id, sealed) = rest.split_at_checked(KEY_ID).ok_or(SealError::Malformed)?;
    if id != key_id(key) {
        return Err(SealError::OtherKey);
    }
    open_padded(key, name, sealed)
}

fn open_padded(key: &ValueKey, name: &[u8; 16], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let padded = open(key, &[CHUNK, name].concat(), sealed)?;
    unpad(&padded).map(|content| content.to_vec().into()).ok_or(SealError::Malformed)
}

fn open_nameless(key: &ValueKey, name: &[u8; 16], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    match open_padded(key, name, sealed) {
        Err(SealError::DoesNotOpen) => open(key, &[BARE_CHUNK, name].concat(), sealed),
        opened => opened,
    }
}

/// Which key it is; tells nothing of it.
fn key_id(key: &ValueKey) -> [u8; KEY_ID] {
    let mut id = [0; KEY_ID];
    Hkdf::<Sha256>::new(None, key.as_bytes()).expand(WHICH, &mut id).expect("8 bytes are not too many");
    id
}

/// The name of a chunk at the server: tells nothing without the key. It begins with a zero byte.
pub fn backup_name(key: &ValueKey, what: &str, part: u32) -> [u8; 16] {
    let mut name = [0; 16];
    let info = [b"parlour-backup-name-1\0", what.as_bytes(), &[0], &part.to_be_bytes()].concat();
    Hkdf::<Sha256>::new(None, key.as_bytes()).expand(&info, &mut name[1..]).expect("15 bytes are not too many");
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rng;

    #[test]
    fn the_recovery_key_opens_the_page_and_another_does_not() {
        let (root, other) = (RootKey::generate(&mut test_rng(1)), RootKey::generate(&mut test_rng(2)));
        let secret = BackupSecret::of(&root);
        let key = ValueKey::generate(&mut test_rng(3));
        let page = seal_backup_page(&secret.public(), &key, &mut test_rng(4)).unwrap();
        let words = RootKey::from_recovery_words(&root.recovery_words()).unwrap();
        assert_eq!(BackupSecret::of(&words).open_page(&page).unwrap().as_bytes(), key.as_bytes());
        assert!(BackupSecret::of(&other).open_page(&page).is_err());
        for cut in [0, 1, ENCAPSULATION, page.len() - 1] {
            assert!(secret.open_page(&page[..cut]).is_err(), "{cut}");
        }
        assert!(seal_backup_page(&[0; 7], &key, &mut test_rng(4)).is_err());
        let kept = BackupSecret::from_bytes(secret.to_bytes());
        assert_eq!(kept.open_page(&page).unwrap().as_bytes(), key.as_bytes());
    }

    #[test]
    fn a_chunk_opens_under_its_own_name_and_key_and_its_size_tells_little() {
        let (key, other) = (ValueKey::from_bytes([1; 32]), ValueKey::from_bytes([2; 32]));
        let sealed = seal_backup_chunk(&key, &[3; 16], b"what was said", &mut test_rng(1));
        assert_eq!(open_backup_chunk(&key, &[3; 16], &sealed).unwrap().as_slice(), b"what was said");
        assert_eq!(open_backup_chunk(&key, &[4; 16], &sealed).unwrap_err(), SealError::DoesNotOpen);
        assert_eq!(open_backup_chunk(&other, &[3; 16], &sealed).unwrap_err(), SealError::OtherKey);
        let size = |len| seal_backup_chunk(&key, &[3; 16], &vec![7; len], &mut test_rng(2)).len();
        assert_eq!((size(13), size(5_000)), (size(100), size(5_010)));
        // What was written before there was padding, or before it said which key it lies under, is still read.
        assert_eq!(open_backup_chunk(&key, &[3; 16], &sealed[1 + KEY_ID..]).unwrap().as_slice(), b"what was said");
        let bare = seal(&key, &[BARE_CHUNK, &[3; 16][..]].concat(), b"old", &mut test_rng(3));
        assert_eq!(open_backup_chunk(&key, &[3; 16], &bare).unwrap().as_slice(), b"old");
    }

    #[test]
    fn names_differ_by_key_kind_and_part() {
        let (one, other) = (ValueKey::from_bytes([1; 32]), ValueKey::from_bytes([2; 32]));
        let names = [
            backup_name(&one, "contacts", 0),
            backup_name(&one, "contacts", 1),
            backup_name(&one, "rooms", 0),
            backup_name(&other, "contacts", 0),
        ];
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    }
}
