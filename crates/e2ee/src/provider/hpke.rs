//! HPKE (RFC 9180) for the one suite in use: base mode, X-Wing, HKDF-SHA256, AES-128-GCM.
//!
//! Single-shot only, as MLS wants it (RFC 9420 §5.1.3): a context seals or opens once and is consumed, so that the
//! sequence number is always 0 and the nonce is the base nonce (§5.2).

use hkdf::{Hkdf, HkdfExtract};
use openmls_traits::types::CryptoError;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::aead;

/// `"HPKE" || kem_id || kdf_id || aead_id` (§5.1): X-Wing is 0x647A, HKDF-SHA256 0x0001, AES-128-GCM 0x0001.
const SUITE_ID: &[u8; 10] = b"HPKE\x64\x7a\x00\x01\x00\x01";
const VERSION: &[u8] = b"HPKE-v1";
const MODE_BASE: u8 = 0;
/// Output of the hash, `Nh`.
const HASH: usize = 32;

/// The key schedule's outcome on either side.
pub(super) struct Context {
    key: Zeroizing<[u8; aead::KEY]>,
    nonce: [u8; aead::NONCE],
    exporter: Zeroizing<[u8; HASH]>,
}

impl Context {
    /// `KeySchedule(mode_base, shared_secret, info, "", "")` (§5.1).
    ///
    /// # Errors
    /// [`CryptoError::HkdfOutputLengthInvalid`]: never, the lengths are ours.
    pub(super) fn new(shared_secret: &[u8], info: &[u8]) -> Result<Self, CryptoError> {
        let (psk_id_hash, _) = labeled_extract(&[], b"psk_id_hash", &[]);
        let (info_hash, _) = labeled_extract(&[], b"info_hash", info);
        let schedule = [&[MODE_BASE], psk_id_hash.as_slice(), info_hash.as_slice()].concat();
        let (_, secret) = labeled_extract(shared_secret, b"secret", &[]);
        let mut context = Self { key: Zeroizing::default(), nonce: [0; aead::NONCE], exporter: Zeroizing::default() };
        labeled_expand(&secret, b"key", &schedule, context.key.as_mut_slice())?;
        labeled_expand(&secret, b"base_nonce", &schedule, &mut context.nonce)?;
        labeled_expand(&secret, b"exp", &schedule, context.exporter.as_mut_slice())?;
        Ok(context)
    }

    /// `Context.Seal(aad, pt)` at sequence number 0 (§5.2).
    ///
    /// # Errors
    /// [`CryptoError::HpkeEncryptionError`].
    pub(super) fn seal(self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        aead::seal(self.key.as_slice(), &self.nonce, aad, plaintext).map_err(|_| CryptoError::HpkeEncryptionError)
    }

    /// `Context.Open(aad, ct)` at sequence number 0 (§5.2).
    ///
    /// # Errors
    /// [`CryptoError::HpkeDecryptionError`].
    pub(super) fn open(self, aad: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        aead::open(self.key.as_slice(), &self.nonce, aad, ciphertext).map_err(|_| CryptoError::HpkeDecryptionError)
    }

    /// `Context.Export(exporter_context, L)` (§5.3).
    ///
    /// # Errors
    /// [`CryptoError::ExporterError`] beyond 8,160 bytes.
    pub(super) fn export(self, context: &[u8], len: usize) -> Result<Vec<u8>, CryptoError> {
        let exporter = Hkdf::from_prk(self.exporter.as_slice()).map_err(|_| CryptoError::ExporterError)?;
        // Checked before the memory is asked for.
        if len > 255 * HASH {
            return Err(CryptoError::ExporterError);
        }
        let mut exported = vec![0; len];
        labeled_expand(&exporter, b"sec", context, &mut exported).map_err(|_| CryptoError::ExporterError)?;
        Ok(exported)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.nonce.zeroize();
    }
}

/// `LabeledExtract(salt, label, ikm)` (§4).
fn labeled_extract(salt: &[u8], label: &[u8], ikm: &[u8]) -> (Zeroizing<[u8; HASH]>, Hkdf<Sha256>) {
    let mut extract = HkdfExtract::<Sha256>::new(Some(salt));
    for part in [VERSION, SUITE_ID, label, ikm] {
        extract.input_ikm(part);
    }
    let (prk, hkdf) = extract.finalize();
    (Zeroizing::new(prk.into()), hkdf)
}

/// `LabeledExpand(prk, label, info, L)` (§4), where L is the length of `out`.
fn labeled_expand(prk: &Hkdf<Sha256>, label: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), CryptoError> {
    let len = u16::try_from(out.len()).map_err(|_| CryptoError::HkdfOutputLengthInvalid)?.to_be_bytes();
    prk.expand_multi_info(&[&len, VERSION, SUITE_ID, label, info], out)
        .map_err(|_| CryptoError::HkdfOutputLengthInvalid)
}
