//! Sealing at rest: XChaCha20-Poly1305 with a random nonce, `nonce (24) || ciphertext || tag (16)`.

use bytes::Bytes;
use chacha20::{cipher::consts::U10, hchacha};
use rand_chacha::ChaCha20Rng;
use rand_core::{OsRng, RngCore, SeedableRng};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// A key that seals rows.
#[derive(Clone)]
pub(super) struct SealKey(Zeroizing<[u8; 32]>);

/// Where nonces and new keys come from: one generator per owner, seeded by the system.
pub(super) fn system_rng() -> ChaCha20Rng {
    let mut seed = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(&mut seed[..]);
    ChaCha20Rng::from_seed(*seed)
}

impl SealKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*key))
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
        let (key, nonce) = self.for_nonce(nonce);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(context), text)
            .expect("a row is shorter than the cipher's limit of 256 GiB");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what [`Self::seal`] made with the same `context`; `None` if it is anything else.
    pub(super) fn open(&self, context: &[u8], mut sealed: Vec<u8>) -> Option<Bytes> {
        let end = sealed.len().checked_sub(TAG_BYTES).filter(|end| *end >= NONCE_BYTES)?;
        let (nonce, text) = sealed.split_at_mut(NONCE_BYTES);
        let (key, nonce) = self.for_nonce(nonce);
        key.open_in_place(nonce, Aad::from(context), text).ok()?;
        Some(Bytes::from(sealed).slice(NONCE_BYTES..end))
    }

    /// XChaCha20 is ChaCha20 under a key made of the first 16 bytes of the nonce (draft-irtf-cfrg-xchacha-03 §2.3).
    fn for_nonce(&self, nonce: &[u8]) -> (LessSafeKey, Nonce) {
        let (first, last) = nonce.split_at(16);
        let subkey = Zeroizing::new(<[u8; 32]>::from(hchacha::<U10>((&*self.0).into(), first.into())));
        let key = UnboundKey::new(&CHACHA20_POLY1305, &subkey[..]).expect("the key has 32 bytes");
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(last);
        (LessSafeKey::new(key), Nonce::assume_unique_for_key(nonce))
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
    #[test]
    fn it_is_xchacha20_poly1305_as_others_know_it() {
        use chacha20poly1305::{
            KeyInit, XChaCha20Poly1305,
            aead::{Aead, Payload},
        };
        let sealed = SealKey::new(&[7; 32]).seal(&mut system_rng(), b"context", &[b"text"]);
        let other = XChaCha20Poly1305::new(&[7; 32].into());
        let payload = Payload { msg: &sealed[24..], aad: b"context" };
        assert_eq!(other.decrypt(sealed[..24].into(), payload).unwrap(), b"text");
    }
}
