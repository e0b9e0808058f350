//! OpenMLS's cryptography trait: everything to RustCrypto, except HPKE sealing, whose encapsulation takes the
//! caller's randomness. Only X-Wing (ML-KEM-768 with X25519), the one KEM of our suite.

use hmac::{Hmac, Mac};
use hpke_rs::hpke_types::{AeadAlgorithm, KdfAlgorithm, KemAlgorithm};
use hpke_rs::{Hpke, Mode};
use hpke_rs_rust_crypto::HpkeRustCrypto;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeAeadType, HpkeCiphertext, HpkeConfig,
    HpkeKdfType, HpkeKemType, HpkeKeyPair, KemOutput, SignatureScheme,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use sha2::Sha256;
use tls_codec::SecretVLBytes;
use x_wing::kem::TryKeyInit;
use zeroize::Zeroizing;

use super::Crypto;

impl Crypto {
    pub(super) fn set_seed(&self, seed: Zeroizing<[u8; 32]>) {
        *self.seed.lock().expect("nothing panics while it is held") = seed;
    }

    /// Randomness for one sealing, from the operation's seed and what is sealed: OpenMLS seals on several threads, so
    /// that drawing from one stream would give other bytes each time.
    fn randomness(&self, sealing: [&[u8]; 4]) -> Zeroizing<[u8; x_wing::ENCAPSULATION_RANDOMNESS_SIZE]> {
        let seed = self.seed.lock().expect("nothing panics while it is held");
        let mut mac = Hmac::<Sha256>::new_from_slice(&**seed).expect("any length of key will do");
        for part in sealing {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let mut randomness = Zeroizing::new([0; x_wing::ENCAPSULATION_RANDOMNESS_SIZE]);
        ChaCha20Rng::from_seed(mac.finalize().into_bytes().into()).fill_bytes(randomness.as_mut_slice());
        randomness
    }

    fn encapsulate(&self, sealing: [&[u8]; 4]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
        let key = x_wing::EncapsulationKey::new_from_slice(sealing[0]).map_err(|_| CryptoError::InvalidPublicKey)?;
        let randomness = self.randomness(sealing);
        let (ciphertext, secret) = key.encapsulate_deterministic(&(*randomness).into());
        Ok((ciphertext.to_vec(), Zeroizing::new(secret.to_vec())))
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

fn is_ours(config: &HpkeConfig) -> bool {
    matches!(config, HpkeConfig(HpkeKemType::XWingKemDraft6, HpkeKdfType::HkdfSha256, HpkeAeadType::AesGcm128))
}

fn hpke() -> Hpke<HpkeRustCrypto> {
    Hpke::new(Mode::Base, KemAlgorithm::XWingDraft06, KdfAlgorithm::HkdfSha256, AeadAlgorithm::Aes128Gcm)
}

impl OpenMlsCrypto for Crypto {
    fn hpke_seal(
        &self,
        config: HpkeConfig,
        public: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        if !is_ours(&config) {
            return Err(CryptoError::UnsupportedCiphersuite);
        }
        let (kem_output, secret) = self.encapsulate([public, info, aad, plaintext])?;
        let ciphertext = hpke()
            .key_schedule(&secret, info, &[], &[])
            .and_then(|mut context| context.seal(aad, plaintext))
            .map_err(|_| CryptoError::HpkeEncryptionError)?;
        #[cfg(test)]
        let ciphertext = self.spoiled(ciphertext);
        Ok(HpkeCiphertext { kem_output: kem_output.into(), ciphertext: ciphertext.into() })
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        public: &[u8],
        info: &[u8],
        context: &[u8],
        len: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        if !is_ours(&config) {
            return Err(CryptoError::UnsupportedCiphersuite);
        }
        let (kem_output, secret) = self.encapsulate([public, info, context, &[]])?;
        let exported = hpke()
            .key_schedule(&secret, info, &[], &[])
            .and_then(|schedule| schedule.export(context, len))
            .map_err(|_| CryptoError::ExporterError)?;
        Ok((kem_output, exported.into()))
    }

    fn supports(&self, suite: Ciphersuite) -> Result<(), CryptoError> {
        if suite == crate::suite::SUITE { Ok(()) } else { Err(CryptoError::UnsupportedCiphersuite) }
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        vec![crate::suite::SUITE]
    }

    fn hkdf_extract(&self, hash: HashType, salt: &[u8], ikm: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.primitives.hkdf_extract(hash, salt, ikm)
    }

    fn hmac(&self, hash: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.primitives.hmac(hash, key, message)
    }

    fn hkdf_expand(&self, hash: HashType, prk: &[u8], info: &[u8], len: usize) -> Result<SecretVLBytes, CryptoError> {
        self.primitives.hkdf_expand(hash, prk, info, len)
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.primitives.hash(hash, data)
    }

    fn aead_encrypt(
        &self,
        aead: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.primitives.aead_encrypt(aead, key, data, nonce, aad)
    }

    fn aead_decrypt(
        &self,
        aead: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.primitives.aead_decrypt(aead, key, data, nonce, aad)
    }

    fn signature_key_gen(&self, _: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        // Leaf keys are made by this crate; OpenMLS's way draws from the system.
        Err(CryptoError::UnsupportedSignatureScheme)
    }

    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        data: &[u8],
        public: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.primitives.verify_signature(scheme, data, public, signature)
    }

    fn sign(&self, scheme: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.primitives.sign(scheme, data, key)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        secret: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.primitives.hpke_open(config, input, secret, info, aad)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        kem_output: &[u8],
        secret: &[u8],
        info: &[u8],
        context: &[u8],
        len: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        self.primitives.hpke_setup_receiver_and_export(config, kem_output, secret, info, context, len)
    }

    fn derive_hpke_keypair(&self, config: HpkeConfig, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        self.primitives.derive_hpke_keypair(config, ikm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openmls_rust_crypto::RustCrypto;

    const OURS: HpkeConfig = HpkeConfig(HpkeKemType::XWingKemDraft6, HpkeKdfType::HkdfSha256, HpkeAeadType::AesGcm128);

    fn crypto(seed: u8) -> Crypto {
        let crypto = Crypto::default();
        crypto.set_seed(Zeroizing::new([seed; 32]));
        crypto
    }

    #[test]
    fn rust_crypto_opens_what_is_sealed_here_and_the_other_way_round() {
        let pair = crypto(1).derive_hpke_keypair(OURS, &[7; 32]).unwrap();
        let ours = crypto(1).hpke_seal(OURS, &pair.public, b"info", b"aad", b"text").unwrap();
        let theirs = RustCrypto::default().hpke_seal(OURS, &pair.public, b"info", b"aad", b"text").unwrap();
        for sealed in [ours, theirs] {
            assert_eq!(crypto(2).hpke_open(OURS, &sealed, &pair.private, b"info", b"aad").unwrap(), b"text");
        }
    }

    #[test]
    fn the_same_randomness_gives_the_same_bytes() {
        let pair = crypto(1).derive_hpke_keypair(OURS, &[7; 32]).unwrap();
        let seal = |seed| crypto(seed).hpke_seal(OURS, &pair.public, b"", b"", b"text").unwrap();
        assert!(seal(1) == seal(1));
        assert!(seal(1) != seal(2));
    }
}
