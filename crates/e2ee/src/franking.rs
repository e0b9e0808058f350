//! Franking: a message can be reported, and only as it was sent (message franking with committing tags).
//!
//! Beside the ciphertext travels `tag = HMAC-SHA-256(salt, content)`, which the server stamps without reading anything.
//! Inside the ciphertext are the salt and the leaf key's signature over tag, room, epoch and message id. Receivers
//! refuse a message whose tag or signature does not hold, so that nobody can send what could not be reported. A report
//! shows that a device of that account signed that content there and then; members cannot repudiate what they send.
//!
//! Not here: the server's stamp, which only the server can check.

use std::fmt;

use hmac::{Hmac, Mac};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use rand_core::CryptoRngCore;
use sha2::Sha256;

use crate::account::{AccountRef, DeviceId};
use crate::credential::LeafCredential;
use crate::group::LeafKey;
use crate::keys::verify;
use crate::padding::{pad, unpad};

/// Signature domain of a message.
pub const FRANK_DOMAIN: &str = "parlour-frank-1";

const VERSION: u8 = 1;

/// Why a message or a report was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrankingError {
    /// The envelope, its padding or the evidence does not read.
    #[error("envelope does not read")]
    Malformed,
    /// The tag is not that of the content.
    #[error("tag does not fit the content")]
    Tag,
    /// The leaf did not sign this message.
    #[error("leaf signature does not verify")]
    Signature,
    /// The leaf does not belong to the device.
    #[error("credential does not verify")]
    Credential,
}

#[derive(Encode, Decode)]
#[cbor(array)]
pub(crate) struct Envelope {
    #[n(0)]
    version: u8,
    #[n(1)]
    padded: ByteVec,
    #[cbor(n(2), with = "minicbor::bytes")]
    salt: [u8; 32],
    #[cbor(n(3), with = "minicbor::bytes")]
    signature: [u8; 64],
}

/// What the place of a message says about it.
pub(crate) struct Expected<'a> {
    pub(crate) room: [u8; 16],
    pub(crate) epoch: u64,
    pub(crate) message_id: [u8; 16],
    pub(crate) tag: [u8; 32],
    pub(crate) sender: &'a LeafCredential,
}

fn tag_of(salt: &[u8; 32], content: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(salt).expect("any length of key will do").chain_update(content)
}

/// Fixed lengths, so that plain concatenation is unambiguous.
fn to_sign(tag: &[u8; 32], room: &[u8; 16], epoch: u64, message_id: &[u8; 16]) -> Vec<u8> {
    [&tag[..], room, &epoch.to_be_bytes(), message_id].concat()
}

impl Envelope {
    /// The plaintext for MLS, and the evidence. `None` if the content is too long to frame.
    pub(crate) fn seal(
        content: &[u8],
        leaf: &LeafKey,
        credential: &LeafCredential,
        (room, epoch, message_id): ([u8; 16], u64, [u8; 16]),
        rng: &mut dyn CryptoRngCore,
    ) -> Option<(Vec<u8>, Evidence)> {
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        let tag: [u8; 32] = tag_of(&salt, content).finalize().into_bytes().into();
        let signature = leaf.sign_for(FRANK_DOMAIN, &to_sign(&tag, &room, epoch, &message_id));
        let envelope = Self { version: VERSION, padded: pad(content)?.into(), salt, signature };
        let evidence =
            Evidence { room, epoch, message_id, salt, tag, signature, credential: credential.to_bytes().into() };
        Some((crate::cbor::encode(&envelope), evidence))
    }

    /// The content and its evidence, if all of it holds.
    pub(crate) fn open(plaintext: &[u8], expected: &Expected<'_>) -> Result<(Vec<u8>, Evidence), FrankingError> {
        let envelope: Self = crate::cbor::decode(plaintext).ok_or(FrankingError::Malformed)?;
        if envelope.version != VERSION {
            return Err(FrankingError::Malformed);
        }
        let content = unpad(&envelope.padded).ok_or(FrankingError::Malformed)?;
        let evidence = Evidence {
            room: expected.room,
            epoch: expected.epoch,
            message_id: expected.message_id,
            salt: envelope.salt,
            tag: expected.tag,
            signature: envelope.signature,
            credential: expected.sender.to_bytes().into(),
        };
        evidence.check(content, expected.sender)?;
        Ok((content.to_vec(), evidence))
    }
}

/// What a report about one message needs beside its content; keep it as long as the message.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Evidence {
    /// The room.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub room: [u8; 16],
    /// The epoch.
    #[n(1)]
    pub epoch: u64,
    /// The message id.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub message_id: [u8; 16],
    /// Opens the tag.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub salt: [u8; 32],
    /// What the server stamped.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub tag: [u8; 32],
    /// The sender's leaf key over tag, room, epoch and message id.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub signature: [u8; 64],
    /// The sender's [`LeafCredential`], encoded.
    #[n(6)]
    pub credential: ByteVec,
}

impl Evidence {
    /// Encodes it (CBOR, about 380 bytes).
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::cbor::encode(self)
    }

    /// Decodes it; `None` if it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        crate::cbor::decode(bytes)
    }

    fn check(&self, content: &[u8], sender: &LeafCredential) -> Result<(), FrankingError> {
        tag_of(&self.salt, content).verify_slice(&self.tag).map_err(|_| FrankingError::Tag)?;
        let signed = to_sign(&self.tag, &self.room, self.epoch, &self.message_id);
        verify(&sender.leaf_key, FRANK_DOMAIN, &signed, &self.signature).map_err(|_| FrankingError::Signature)
    }
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evidence(message ~{:08x})", parlour_proto::ids::log_tag(&self.message_id))
    }
}

/// A message that somebody complains about.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    /// What was said.
    pub content: Vec<u8>,
    /// What proves it.
    pub evidence: Evidence,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Report({} bytes, {:?})", self.content.len(), self.evidence)
    }
}

/// Who is shown to have sent a reported message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportVerified {
    /// The account.
    pub account: AccountRef,
    /// The device.
    pub device: DeviceId,
}

/// Verifies a report: tag, leaf signature, and that the leaf belongs to the device with this signing key (take it from
/// the account's device list). The server's stamp over the tag is for the server to check.
///
/// # Errors
/// [`FrankingError`] says what does not hold.
pub fn verify_report(report: &Report, device_signing_key: &[u8; 32]) -> Result<ReportVerified, FrankingError> {
    let credential = LeafCredential::from_bytes(&report.evidence.credential).map_err(|_| FrankingError::Malformed)?;
    report.evidence.check(&report.content, &credential)?;
    credential.verify(&credential.leaf_key, device_signing_key).map_err(|_| FrankingError::Credential)?;
    Ok(ReportVerified { account: credential.account, device: credential.device })
}
