//! OpenMLS's cryptography trait for the one suite in use, 0x004F: X-Wing, AES-128-GCM, SHA-256, Ed25519.
//!
//! Whatever else is asked for is refused, so that nothing else is linked. Encapsulation takes the caller's randomness.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeAeadType, HpkeCiphertext, HpkeConfig,
    HpkeKdfType, HpkeKemType, HpkeKeyPair, KemOutput, SignatureScheme,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};
use tls_codec::SecretVLBytes;
use zeroize::Zeroizing;

use super::hpke::Context;
use super::kem::{Randomness, SharedSecret};
use super::{Crypto, aead, kem};

impl Crypto {
    pub(super) fn set_seed(&self, seed: Zeroizing<[u8; 32]>) {
        *self.seed.lock().expect("nothing panics while it is held") = seed;
    }

    /// Randomness for one sealing, from the operation's seed and what is sealed: OpenMLS seals on several threads, so
    /// that drawing from one stream would give other bytes each time.
    fn randomness(&self, sealing: [&[u8]; 4]) -> Randomness {
        let seed = self.seed.lock().expect("nothing panics while it is held");
        let mut mac = Hmac::<Sha256>::new_from_slice(&**seed).expect("any length of key will do");
        for part in sealing {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let mut randomness = Randomness::new([0; x_wing::ENCAPSULATION_RANDOMNESS_SIZE]);
        ChaCha20Rng::from_seed(mac.finalize().into_bytes().into()).fill_bytes(randomness.as_mut_slice());
        randomness
    }

    fn encapsulate(&self, sealing: [&[u8]; 4]) -> Result<(Vec<u8>, SharedSecret), CryptoError> {
        kem::encapsulate(sealing[0], &self.randomness(sealing))
    }
}

#[cfg(test)]
impl Crypto {
    fn spoiled(&self, mut ciphertext: Vec<u8>) -> Vec<u8> {
        use std::sync::atomic::Ordering::Relaxed;
        let left = self.spoil.load(Relaxed);
        self.spoil.store(left.saturating_sub(1), Relaxed);
        if left == 1 {
            ciphertext[0] ^= 1;
        }
        ciphertext
    }
}

fn check_hpke(config: &HpkeConfig) -> Result<(), CryptoError> {
    match config {
        HpkeConfig(HpkeKemType::XWingKemDraft6, HpkeKdfType::HkdfSha256, HpkeAeadType::AesGcm128) => Ok(()),
        _ => Err(CryptoError::UnsupportedCiphersuite),
    }
}

fn check_hash(hash: HashType) -> Result<(), CryptoError> {
    if hash == HashType::Sha2_256 { Ok(()) } else { Err(CryptoError::UnsupportedHashAlgorithm) }
}

fn check_aead(aead: AeadType) -> Result<(), CryptoError> {
    if aead == AeadType::Aes128Gcm { Ok(()) } else { Err(CryptoError::UnsupportedAeadAlgorithm) }
}

fn check_signature(scheme: SignatureScheme) -> Result<(), CryptoError> {
    if scheme == SignatureScheme::ED25519 { Ok(()) } else { Err(CryptoError::UnsupportedSignatureScheme) }
}

impl OpenMlsCrypto for Crypto {
    fn supports(&self, suite: Ciphersuite) -> Result<(), CryptoError> {
        if suite == crate::suite::SUITE { Ok(()) } else { Err(CryptoError::UnsupportedCiphersuite) }
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        vec![crate::suite::SUITE]
    }

    fn hkdf_extract(&self, hash: HashType, salt: &[u8], ikm: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        check_hash(hash)?;
        let prk = Zeroizing::new(<[u8; 32]>::from(Hkdf::<Sha256>::extract(Some(salt), ikm).0));
        Ok(prk.as_slice().into())
    }

    fn hmac(&self, hash: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        check_hash(hash)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| CryptoError::InvalidLength)?;
        mac.update(message);
        let tag = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        Ok(tag.as_slice().into())
    }

    fn hkdf_expand(&self, hash: HashType, prk: &[u8], info: &[u8], len: usize) -> Result<SecretVLBytes, CryptoError> {
        check_hash(hash)?;
        let prk = Hkdf::<Sha256>::from_prk(prk).map_err(|_| CryptoError::HkdfOutputLengthInvalid)?;
        // Checked before the memory is asked for (RFC 5869 §2.3).
        if len > 255 * 32 {
            return Err(CryptoError::HkdfOutputLengthInvalid);
        }
        let mut okm = vec![0; len];
        prk.expand(info, &mut okm).map_err(|_| CryptoError::HkdfOutputLengthInvalid)?;
        Ok(okm.into())
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        check_hash(hash)?;
        Ok(Sha256::digest(data).to_vec())
    }

    fn aead_encrypt(
        &self,
        aead: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        check_aead(aead)?;
        aead::seal(key, nonce, aad, data)
    }

    fn aead_decrypt(
        &self,
        aead: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        check_aead(aead)?;
        aead::open(key, nonce, aad, data)
    }

    fn signature_key_gen(&self, _: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        // Leaf keys are made by this crate.
        Err(CryptoError::UnsupportedSignatureScheme)
    }

    /// Strictly: neither key nor commitment of small order (RFC 8032 §5.1.7 leaves it open).
    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        data: &[u8],
        public: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        check_signature(scheme)?;
        let key = VerifyingKey::try_from(public).map_err(|_| CryptoError::InvalidPublicKey)?;
        let signature = Signature::from_slice(signature).map_err(|_| CryptoError::InvalidLength)?;
        key.verify_strict(data, &signature).map_err(|_| CryptoError::InvalidSignature)
    }

    fn sign(&self, scheme: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        check_signature(scheme)?;
        let key = SigningKey::try_from(key).map_err(|_| CryptoError::InvalidLength)?;
        Ok(key.sign(data).to_vec())
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        public: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        check_hpke(&config)?;
        let (kem_output, secret) = self.encapsulate([public, info, aad, plaintext])?;
        let ciphertext = Context::new(secret.as_slice(), info)?.seal(aad, plaintext)?;
        #[cfg(test)]
        let ciphertext = self.spoiled(ciphertext);
        Ok(HpkeCiphertext { kem_output: kem_output.into(), ciphertext: ciphertext.into() })
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        private: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        check_hpke(&config)?;
        let secret =
            kem::decapsulate(input.kem_output.as_slice(), private).map_err(|_| CryptoError::HpkeDecryptionError)?;
        Context::new(secret.as_slice(), info)?.open(aad, input.ciphertext.as_slice())
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        public: &[u8],
        info: &[u8],
        context: &[u8],
        len: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        check_hpke(&config)?;
        let (kem_output, secret) = self.encapsulate([public, info, context, &[]])?;
        Ok((kem_output, Context::new(secret.as_slice(), info)?.export(context, len)?.into()))
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        kem_output: &[u8],
        private: &[u8],
        info: &[u8],
        context: &[u8],
        len: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        check_hpke(&config)?;
        let secret = kem::decapsulate(kem_output, private).map_err(|_| CryptoError::ReceiverSetupError)?;
        Ok(Context::new(secret.as_slice(), info)?.export(context, len)?.into())
    }

    fn derive_hpke_keypair(&self, config: HpkeConfig, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        check_hpke(&config)?;
        Ok(kem::derive_key_pair(ikm))
    }
}
