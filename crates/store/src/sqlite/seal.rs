//! Sealing at rest: XChaCha20-Poly1305 with a random nonce, `nonce (24) || ciphertext || tag (16)`.

use bytes::Bytes;
use chacha20poly1305::{AeadInPlace, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use rand_chacha::ChaCha20Rng;
use rand_core::{OsRng, RngCore, SeedableRng};
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// A key that seals rows.
#[derive(Clone)]
pub(super) struct SealKey(XChaCha20Poly1305);

/// Where nonces and new keys come from: one generator per owner, seeded by the system.
pub(super) fn system_rng() -> ChaCha20Rng {
    let mut seed = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(&mut seed[..]);
    ChaCha20Rng::from_seed(*seed)
}

impl SealKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Seals the concatenation of `parts`, bound to `context`.
    pub(super) fn seal(&self, rng: &mut impl RngCore, context: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut sealed = Vec::with_capacity(NONCE_BYTES + len + TAG_BYTES);
        sealed.resize(NONCE_BYTES, 0);
        rng.fill_bytes(&mut sealed);
        for part in parts {
            sealed.extend_from_slice(part);
        }
        let (nonce, text) = sealed.split_at_mut(NONCE_BYTES);
        let tag = self
            .0
            .encrypt_in_place_detached(XNonce::from_slice(nonce), context, text)
            .expect("a row is shorter than the cipher's limit of 256 GiB");
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens what [`Self::seal`] made with the same `context`; `None` if it is anything else.
    pub(super) fn open(&self, context: &[u8], mut sealed: Vec<u8>) -> Option<Bytes> {
        let end = sealed.len().checked_sub(TAG_BYTES).filter(|end| *end >= NONCE_BYTES)?;
        let (text, tag) = sealed.split_at_mut(end);
        let (nonce, text) = text.split_at_mut(NONCE_BYTES);
        self.0.decrypt_in_place_detached(XNonce::from_slice(nonce), context, text, Tag::from_slice(tag)).ok()?;
        Some(Bytes::from(sealed).slice(NONCE_BYTES..end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_row_opens_only_whole_and_in_its_place() {
        let key = SealKey::new(&[7; 32]);
        let sealed = key.seal(&mut system_rng(), b"here", &[b"head", b"", b"payload"]);
        assert_eq!(key.open(b"here", sealed.clone()).as_deref(), Some(&b"headpayload"[..]));
        assert!(key.open(b"there", sealed.clone()).is_none());
        assert!(SealKey::new(&[8; 32]).open(b"here", sealed.clone()).is_none());
        for end in 0..sealed.len() {
            assert!(key.open(b"here", sealed[..end].to_vec()).is_none());
        }
    }
}
