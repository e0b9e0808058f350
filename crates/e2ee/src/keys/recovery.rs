//! The recovery key: the root's 32 bytes as 24 BIP-39 words, the last of which carries a checksum.

use bip39::{Language, Mnemonic};
use zeroize::Zeroizing;

use super::KeyError;

const WORDS: usize = 24;

pub(super) fn words(secret: &[u8; 32]) -> Zeroizing<String> {
    let mnemonic = Mnemonic::from_entropy_in(Language::English, secret).expect("32 bytes are a valid length");
    Zeroizing::new(mnemonic.to_string())
}

pub(super) fn secret(words: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let words = Zeroizing::new(words.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase());
    let mnemonic = Mnemonic::parse_in_normalized(Language::English, &words).map_err(|_| KeyError::RecoveryWords)?;
    if mnemonic.word_count() != WORDS {
        return Err(KeyError::RecoveryWords);
    }
    let (entropy, _) = mnemonic.to_entropy_array();
    let entropy = Zeroizing::new(entropy);
    Ok(Zeroizing::new(entropy[..32].try_into().expect("24 words hold 32 bytes")))
}

#[cfg(test)]
mod tests {
    use crate::keys::{KeyError, RootKey};
    use crate::test_rng;

    #[test]
    fn words_bring_the_root_back_however_they_are_typed() {
        let root = RootKey::generate(&mut test_rng(1));
        let words = root.recovery_words();
        assert_eq!(words.split(' ').count(), 24);
        let typed = format!("  {}\n", words.to_uppercase().replace(' ', " \n\t"));
        assert_eq!(RootKey::from_recovery_words(&typed).unwrap().public(), root.public());
    }

    #[test]
    fn wrong_words_are_refused() {
        let words = RootKey::generate(&mut test_rng(1)).recovery_words();
        let shorter = words.rsplit_once(' ').unwrap().0;
        let first = words.split_once(' ').unwrap().0;
        let swapped = format!("{} {first}", words.split_once(' ').unwrap().1);
        let twelve = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
        for wrong in [shorter, twelve, "", "parlour"] {
            assert_eq!(RootKey::from_recovery_words(wrong).err(), Some(KeyError::RecoveryWords));
        }
        // A rotation passes the checksum once in 256: then it is another root.
        assert_ne!(RootKey::from_recovery_words(&swapped).ok().map(|root| root.public()), Some(first_root()));
    }

    fn first_root() -> [u8; 32] {
        RootKey::generate(&mut test_rng(1)).public()
    }
}
