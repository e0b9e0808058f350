//! Our provider against OpenMLS's own on RustCrypto: the same bytes where nothing is drawn, each other's bytes where
//! something is, and refusals as in RFC 9180 and RFC 9420.

use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, HashType, HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType,
    HpkeKeyPair, SignatureScheme,
};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::Crypto;
use crate::suite::SUITE;

const HPKE: HpkeConfig = SUITE.hpke_config();
const HASH: HashType = SUITE.hash_algorithm();
const AEAD: AeadType = SUITE.aead_algorithm();
const SIGNATURE: SignatureScheme = SUITE.signature_algorithm();

fn ours(seed: u8) -> Crypto {
    let crypto = Crypto::default();
    crypto.set_seed(Zeroizing::new([seed; 32]));
    crypto
}

fn theirs() -> RustCrypto {
    RustCrypto::default()
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=most)
}

fn pair(ikm: &[u8]) -> HpkeKeyPair {
    ours(0).derive_hpke_keypair(HPKE, ikm).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn hashes_and_derivations_are_the_same(a in bytes(200), b in bytes(300), len in 0..9000_usize) {
        prop_assert_eq!(ours(0).hash(HASH, &b).unwrap(), theirs().hash(HASH, &b).unwrap());
        prop_assert_eq!(ours(0).hmac(HASH, &a, &b).unwrap(), theirs().hmac(HASH, &a, &b).unwrap());
        prop_assert_eq!(ours(0).hkdf_extract(HASH, &a, &b).unwrap(), theirs().hkdf_extract(HASH, &a, &b).unwrap());
        // A key that is too short, an output that is too long: both refuse.
        let expanded = (ours(0).hkdf_expand(HASH, &a, &b, len), theirs().hkdf_expand(HASH, &a, &b, len));
        prop_assert_eq!(&expanded.0, &expanded.1);
        prop_assert_eq!(expanded.0.is_ok(), a.len() >= 32 && len <= 255 * 32);
    }

    #[test]
    fn sealed_bytes_are_the_same(key: [u8; 16], nonce: [u8; 12], aad in bytes(100), text in bytes(2000)) {
        let sealed = ours(0).aead_encrypt(AEAD, &key, &text, &nonce, &aad).unwrap();
        prop_assert_eq!(&sealed, &theirs().aead_encrypt(AEAD, &key, &text, &nonce, &aad).unwrap());
        prop_assert_eq!(ours(0).aead_decrypt(AEAD, &key, &sealed, &nonce, &aad).unwrap(), text);
    }

    #[test]
    fn sealed_bytes_that_were_changed_do_not_open(
        key: [u8; 16], nonce: [u8; 12], aad in bytes(20), text in bytes(100), at: prop::sample::Index, bit in 0..8_u8,
    ) {
        let mut sealed = ours(0).aead_encrypt(AEAD, &key, &text, &nonce, &aad).unwrap();
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        let refused = Err(CryptoError::AeadDecryptionError);
        prop_assert_eq!(ours(0).aead_decrypt(AEAD, &key, &sealed, &nonce, &aad), refused.clone());
        sealed[at] ^= 1 << bit;
        let longer = [aad.as_slice(), b"!"].concat();
        prop_assert_eq!(ours(0).aead_decrypt(AEAD, &key, &sealed, &nonce, &longer), refused.clone());
        prop_assert_eq!(ours(0).aead_decrypt(AEAD, &key, &sealed[..at], &nonce, &aad), refused);
    }

    #[test]
    fn signatures_are_the_same_and_hold(key: [u8; 32], data in bytes(300), at: prop::sample::Index, bit in 0..8_u8) {
        let public = ed25519_dalek::SigningKey::from_bytes(&key).verifying_key().to_bytes();
        let mut signature = ours(0).sign(SIGNATURE, &data, &key).unwrap();
        prop_assert_eq!(&signature, &theirs().sign(SIGNATURE, &data, &key).unwrap());
        prop_assert_eq!(ours(0).verify_signature(SIGNATURE, &data, &public, &signature), Ok(()));
        prop_assert_eq!(theirs().verify_signature(SIGNATURE, &data, &public, &signature), Ok(()));
        signature[at.index(64)] ^= 1 << bit;
        prop_assert!(ours(0).verify_signature(SIGNATURE, &data, &public, &signature).is_err());
        prop_assert!(theirs().verify_signature(SIGNATURE, &data, &public, &signature).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn key_pairs_are_the_same(ikm in bytes(100)) {
        let theirs = theirs().derive_hpke_keypair(HPKE, &ikm).unwrap();
        prop_assert_eq!(pair(&ikm).public, theirs.public);
        prop_assert_eq!(&pair(&ikm).private[..], &theirs.private[..]);
    }

    #[test]
    fn each_opens_what_the_other_seals(
        ikm: [u8; 32], seed: u8, info in bytes(100), aad in bytes(100), text in bytes(500),
    ) {
        let pair = pair(&ikm);
        let from_us = ours(seed).hpke_seal(HPKE, &pair.public, &info, &aad, &text).unwrap();
        let from_them = theirs().hpke_seal(HPKE, &pair.public, &info, &aad, &text).unwrap();
        for sealed in [from_us, from_them] {
            prop_assert_eq!(&ours(0).hpke_open(HPKE, &sealed, &pair.private, &info, &aad).unwrap(), &text);
            prop_assert_eq!(&theirs().hpke_open(HPKE, &sealed, &pair.private, &info, &aad).unwrap(), &text);
        }
    }

    #[test]
    fn both_sides_export_the_same_whoever_is_on_them(
        ikm: [u8; 32], seed: u8, info in bytes(100), context in bytes(100), len in 0..500_usize,
    ) {
        let pair = pair(&ikm);
        let from_us = ours(seed).hpke_setup_sender_and_export(HPKE, &pair.public, &info, &context, len).unwrap();
        let from_them = theirs().hpke_setup_sender_and_export(HPKE, &pair.public, &info, &context, len).unwrap();
        for (output, exported) in [from_us, from_them] {
            let private = &pair.private;
            let at_us = ours(0).hpke_setup_receiver_and_export(HPKE, &output, private, &info, &context, len).unwrap();
            let at_them = theirs().hpke_setup_receiver_and_export(HPKE, &output, private, &info, &context, len).unwrap();
            prop_assert_eq!(&at_us[..], &exported[..]);
            prop_assert_eq!(&at_them[..], &exported[..]);
        }
    }
}

/// Something sealed, with all that opens it.
fn sealed() -> (HpkeKeyPair, HpkeCiphertext) {
    let pair = pair(&[7; 32]);
    let sealed = ours(1).hpke_seal(HPKE, &pair.public, b"info", b"aad", b"text").unwrap();
    (pair, sealed)
}

/// Both providers refuse to open it.
fn refused(sealed: &HpkeCiphertext, private: &[u8], info: &[u8], aad: &[u8]) {
    assert_eq!(ours(0).hpke_open(HPKE, sealed, private, info, aad), Err(CryptoError::HpkeDecryptionError));
    assert!(theirs().hpke_open(HPKE, sealed, private, info, aad).is_err());
}

#[test]
fn the_same_randomness_gives_the_same_bytes() {
    let pair = pair(&[7; 32]);
    let seal = |seed| ours(seed).hpke_seal(HPKE, &pair.public, b"", b"", b"text").unwrap();
    assert!(seal(1) == seal(1));
    assert!(seal(1) != seal(2));
}

#[test]
fn another_key_info_or_associated_data_does_not_open() {
    let (key, sealed) = sealed();
    refused(&sealed, &pair(&[8; 32]).private, b"info", b"aad");
    refused(&sealed, &key.private, b"infO", b"aad");
    refused(&sealed, &key.private, b"info", b"aaD");
    refused(&sealed, &key.private[..31], b"info", b"aad");
    refused(&sealed, b"", b"info", b"aad");
}

#[test]
fn an_encapsulation_that_was_cut_or_changed_does_not_open() {
    let (key, sealed) = sealed();
    let output = sealed.kem_output.as_slice();
    let mut broken: Vec<Vec<u8>> = [0, 1, 1088, 1119].map(|len| output[..len].to_vec()).into();
    broken.push([output, &[0]].concat());
    for at in [0, 600, 1087, 1088, 1118] {
        let mut changed = output.to_vec();
        changed[at] ^= 1;
        broken.push(changed);
    }
    for kem_output in broken {
        let exported = ours(0).hpke_setup_receiver_and_export(HPKE, &kem_output, &key.private, b"", b"", 32);
        assert_eq!(exported.is_err(), kem_output.len() != 1120);
        let sealed = HpkeCiphertext { kem_output: kem_output.into(), ciphertext: sealed.ciphertext.clone() };
        refused(&sealed, &key.private, b"info", b"aad");
    }
}

#[test]
fn a_ciphertext_that_was_cut_or_changed_does_not_open() {
    let (key, sealed) = sealed();
    let whole = sealed.ciphertext.as_slice();
    let mut changed = whole.to_vec();
    changed[0] ^= 1;
    for broken in [&[], &whole[..15], &whole[..whole.len() - 1], &changed] {
        let sealed = HpkeCiphertext { kem_output: sealed.kem_output.clone(), ciphertext: broken.to_vec().into() };
        refused(&sealed, &key.private, b"info", b"aad");
    }
}

#[test]
fn a_public_key_that_is_none_is_refused() {
    let public = pair(&[7; 32]).public;
    // A coefficient of 0xFFF is beyond the modulus (FIPS 203 §7.2).
    let beyond = [&[0xFF; 3], &public[3..]].concat();
    for broken in [&[], &public[..1215], &[public.as_slice(), &[0]].concat(), &beyond] {
        let sealed = ours(1).hpke_seal(HPKE, broken, b"", b"", b"");
        assert_eq!(sealed.err(), Some(CryptoError::InvalidPublicKey));
        assert!(ours(1).hpke_setup_sender_and_export(HPKE, broken, b"", b"", 32).is_err());
        assert!(theirs().hpke_seal(HPKE, broken, b"", b"", b"").is_err());
    }
}

#[test]
fn an_encapsulation_without_contribution_gives_what_the_reference_gives() {
    let (key, sealed) = sealed();
    let output = [&sealed.kem_output.as_slice()[..1088], &[0; 32]].concat();
    let at_us = ours(0).hpke_setup_receiver_and_export(HPKE, &output, &key.private, b"", b"", 32).unwrap();
    let at_them = theirs().hpke_setup_receiver_and_export(HPKE, &output, &key.private, b"", b"", 32).unwrap();
    assert_eq!(at_us[..], at_them[..]);
}

#[test]
fn too_long_an_export_is_refused() {
    let pair = pair(&[7; 32]);
    assert!(ours(1).hpke_setup_sender_and_export(HPKE, &pair.public, b"", b"", 255 * 32).is_ok());
    for len in [255 * 32 + 1, 70_000, usize::MAX] {
        let exported = ours(1).hpke_setup_sender_and_export(HPKE, &pair.public, b"", b"", len);
        assert_eq!(exported.err(), Some(CryptoError::ExporterError));
    }
}

#[test]
fn keys_nonces_and_signatures_of_a_wrong_length_are_refused() {
    let crypto = ours(0);
    let wrong = CryptoError::InvalidLength;
    assert_eq!(crypto.aead_encrypt(AEAD, &[0; 32], b"", &[0; 12], b""), Err(wrong.clone()));
    assert_eq!(crypto.aead_encrypt(AEAD, &[0; 16], b"", &[0; 11], b""), Err(wrong.clone()));
    assert_eq!(crypto.aead_decrypt(AEAD, &[0; 15], &[0; 16], &[0; 12], b""), Err(wrong.clone()));
    assert_eq!(crypto.aead_decrypt(AEAD, &[0; 16], &[0; 16], &[0; 24], b""), Err(wrong.clone()));
    assert_eq!(crypto.sign(SIGNATURE, b"", &[0; 64]), Err(wrong.clone()));
    let public = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes();
    assert_eq!(crypto.verify_signature(SIGNATURE, b"", &public, &[0; 63]), Err(wrong));
    let key = crypto.verify_signature(SIGNATURE, b"", &public[1..], &[0; 64]);
    assert_eq!(key, Err(CryptoError::InvalidPublicKey));
}

#[test]
fn a_key_of_small_order_verifies_nothing() {
    // With the neutral element as key and commitment and 0 as the scalar, a lax verifier takes any text.
    let neutral = [&[1][..], &[0; 31]].concat();
    let forged = [neutral.as_slice(), &[0; 32]].concat();
    for data in [&b"one"[..], b"two"] {
        let refused = Err(CryptoError::InvalidSignature);
        assert_eq!(ours(0).verify_signature(SIGNATURE, data, &neutral, &forged), refused);
        assert_eq!(theirs().verify_signature(SIGNATURE, data, &neutral, &forged), refused);
    }
}

#[test]
fn only_the_one_suite_is_supported() {
    let crypto = ours(0);
    assert_eq!(crypto.supported_ciphersuites(), [SUITE]);
    assert_eq!(crypto.supports(SUITE), Ok(()));
    for suite in theirs().supported_ciphersuites() {
        let unsupported = Err(CryptoError::UnsupportedCiphersuite);
        assert_eq!(crypto.supports(suite), if suite == SUITE { Ok(()) } else { unsupported });
    }
    let other = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
    assert_eq!(crypto.supports(other), Err(CryptoError::UnsupportedCiphersuite));
}

#[test]
fn whatever_belongs_to_another_suite_is_refused() {
    let crypto = ours(0);
    for hash in [HashType::Sha2_384, HashType::Sha2_512] {
        let unsupported = CryptoError::UnsupportedHashAlgorithm;
        assert_eq!(crypto.hash(hash, b""), Err(unsupported.clone()));
        assert_eq!(crypto.hmac(hash, b"", b""), Err(unsupported.clone()));
        assert_eq!(crypto.hkdf_extract(hash, b"", b""), Err(unsupported.clone()));
        assert_eq!(crypto.hkdf_expand(hash, &[0; 64], b"", 32), Err(unsupported));
    }
    for aead in [AeadType::Aes256Gcm, AeadType::ChaCha20Poly1305] {
        let unsupported = Err(CryptoError::UnsupportedAeadAlgorithm);
        assert_eq!(crypto.aead_encrypt(aead, &[0; 32], b"", &[0; 12], b""), unsupported.clone());
        assert_eq!(crypto.aead_decrypt(aead, &[0; 32], &[0; 16], &[0; 12], b""), unsupported);
    }
    for scheme in [SignatureScheme::ECDSA_SECP256R1_SHA256, SignatureScheme::ED448, SignatureScheme::MLDSA44] {
        let unsupported = Err(CryptoError::UnsupportedSignatureScheme);
        assert_eq!(crypto.sign(scheme, b"", &[0; 32]), unsupported.clone());
        assert_eq!(
            crypto.verify_signature(scheme, b"", &[0; 32], &[0; 64]),
            Err(CryptoError::UnsupportedSignatureScheme)
        );
        assert!(crypto.signature_key_gen(scheme).is_err());
    }
    let (key, sealed) = sealed();
    let unsupported = Some(CryptoError::UnsupportedCiphersuite);
    let others: [fn() -> HpkeConfig; 3] = [
        || HpkeConfig(HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::AesGcm128),
        || HpkeConfig(HpkeKemType::XWingKemDraft6, HpkeKdfType::HkdfSha384, HpkeAeadType::AesGcm128),
        || HpkeConfig(HpkeKemType::XWingKemDraft6, HpkeKdfType::HkdfSha256, HpkeAeadType::AesGcm256),
    ];
    for config in others {
        assert_eq!(crypto.hpke_seal(config(), &key.public, b"", b"", b"").err(), unsupported);
        assert_eq!(crypto.hpke_open(config(), &sealed, &key.private, b"info", b"aad").err(), unsupported);
        assert_eq!(crypto.derive_hpke_keypair(config(), &[7; 32]).err(), unsupported);
        assert!(crypto.hpke_setup_sender_and_export(config(), &key.public, b"", b"", 32).is_err());
        let output = sealed.kem_output.as_slice();
        assert!(crypto.hpke_setup_receiver_and_export(config(), output, &key.private, b"", b"", 32).is_err());
    }
}
