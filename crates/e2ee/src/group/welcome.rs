//! A Welcome in two pieces (RFC 9420 §12.4.3.1): what all joiners share is sent and stored once, what differs is about
//! 1.2 kB for each.
//!
//! - *Shared*: version, the encrypted GroupInfo, and the ratchet tree sealed under a key that the next epoch exports.
//!   The tree names every account in the room: the server may hold it because it cannot open it.
//! - *Part*: version and the joiner's encrypted group secrets, without the key package's reference, by which the
//!   server could tell whose it was. The joiner knows which package it is by the member key of its entry.

use tls_codec::{Deserialize as _, Serialize as _, VLBytes};

use crate::suite::SUITE;

const VERSION: u8 = 1;

/// A Welcome for all joiners of one commit.
#[derive(Clone, PartialEq, Eq)]
pub struct WelcomeOut {
    /// For all joiners.
    pub shared: Vec<u8>,
    /// One for each joiner, in the order of the added packages.
    pub parts: Vec<WelcomePart>,
}

/// One joiner's part of a Welcome.
#[derive(Clone, PartialEq, Eq)]
pub struct WelcomePart {
    /// The joiner's entry.
    pub member_key: [u8; 32],
    /// Encrypted to the joiner's key package.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for WelcomeOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WelcomeOut({} bytes shared, {} parts)", self.shared.len(), self.parts.len())
    }
}

impl std::fmt::Debug for WelcomePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WelcomePart({} bytes)", self.bytes.len())
    }
}

/// A whole Welcome taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pieces {
    pub(super) group_info: Vec<u8>,
    pub(super) secrets: Vec<Secret>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Secret {
    /// Key package reference.
    pub(super) reference: Vec<u8>,
    pub(super) kem_output: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
}

fn take(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    VLBytes::tls_deserialize(bytes).ok().map(Into::into)
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    VLBytes::new(bytes.to_vec()).tls_serialize(out).ok().map(|_| ())
}

impl Pieces {
    /// Takes a serialized `Welcome` apart.
    pub(super) fn of(mut welcome: &[u8]) -> Option<Self> {
        let suite = welcome.split_off(..2)?;
        if suite != u16::from(SUITE).to_be_bytes() {
            return None;
        }
        let all = take(&mut welcome)?;
        let group_info = take(&mut welcome)?;
        let (mut rest, mut secrets) = (all.as_slice(), Vec::new());
        while !rest.is_empty() {
            secrets.push(Secret {
                reference: take(&mut rest)?,
                kem_output: take(&mut rest)?,
                ciphertext: take(&mut rest)?,
            });
        }
        welcome.is_empty().then_some(Self { group_info, secrets })
    }

    /// Serializes it as a `Welcome`.
    pub(super) fn assemble(&self) -> Option<Vec<u8>> {
        let mut secrets = Vec::new();
        for secret in &self.secrets {
            put(&mut secrets, &secret.reference)?;
            put(&mut secrets, &secret.kem_output)?;
            put(&mut secrets, &secret.ciphertext)?;
        }
        let mut welcome = u16::from(SUITE).to_be_bytes().to_vec();
        put(&mut welcome, &secrets)?;
        put(&mut welcome, &self.group_info)?;
        Some(welcome)
    }
}

/// The shared piece.
pub(super) struct Shared {
    pub(super) group_info: Vec<u8>,
    pub(super) sealed_tree: Vec<u8>,
}

impl Shared {
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, &self.group_info)?;
        put(&mut bytes, &self.sealed_tree)?;
        Some(bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, mut rest) = bytes.split_first()? else { return None };
        let shared = Self { group_info: take(&mut rest)?, sealed_tree: take(&mut rest)? };
        rest.is_empty().then_some(shared)
    }
}

impl Secret {
    pub(super) fn encode_part(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, &self.kem_output)?;
        put(&mut bytes, &self.ciphertext)?;
        Some(bytes)
    }

    pub(super) fn decode_part(bytes: &[u8], reference: Vec<u8>) -> Option<Self> {
        let (&VERSION, mut rest) = bytes.split_first()? else { return None };
        let secret = Self { reference, kem_output: take(&mut rest)?, ciphertext: take(&mut rest)? };
        rest.is_empty().then_some(secret)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces() -> Pieces {
        let secret =
            |byte: u8| Secret { reference: vec![byte; 32], kem_output: vec![byte; 1120], ciphertext: vec![byte; 70] };
        Pieces { group_info: vec![7; 500], secrets: vec![secret(1), secret(2)] }
    }

    #[test]
    fn what_is_taken_apart_goes_together_again() {
        let whole = pieces().assemble().unwrap();
        let apart = Pieces::of(&whole).unwrap();
        assert_eq!(apart, pieces());
        let again = apart
            .secrets
            .iter()
            .map(|secret| Secret::decode_part(&secret.encode_part().unwrap(), secret.reference.clone()).unwrap());
        let shared = Shared { group_info: apart.group_info.clone(), sealed_tree: vec![3; 70_000] };
        let shared = Shared::decode(&shared.encode().unwrap()).unwrap();
        assert_eq!(shared.sealed_tree, vec![3; 70_000]);
        let again = Pieces { group_info: shared.group_info, secrets: again.collect() };
        assert_eq!(again.assemble().unwrap(), whole);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pieces::of(&bytes);
            let _ = Shared::decode(&bytes);
            let _ = Secret::decode_part(&bytes, vec![0; 32]);
        }
    }
}
