//! Whispers: something small for whoever is in the same epoch and listens now. Beside the messages: no generation of a
//! ratchet is used up, nothing is stored, so that those who are away miss nothing by it.
//!
//! The key is an exporter of the epoch (RFC 9420 §8.5), the same for all members. So a whisper comes from *some* member of
//! this epoch, and the leaf that it names is that member's word: each can whisper in the name of another, and whoever carries
//! whispers can carry one twice. Say nothing by them that would be worth it.

use parlour_proto::frames::labelled;
use rand_core::CryptoRngCore;

use super::{Group, GroupError};
use crate::credential::Member;
use crate::seal::{SEAL_OVERHEAD, ValueKey, open, seal};

/// Exporter label of the key.
const KEY: &str = "parlour whisper";
/// Domain of the associated data.
const DOMAIN: &[u8] = b"parlour-whisper-1";
/// Bytes before sealing: leaf index (4), length of the content (1), content, zeros.
const PLAINTEXT: usize = 64;
const HEAD: usize = 4 + 1;

/// Bytes of every whisper.
pub const WHISPER_BYTES: usize = PLAINTEXT + SEAL_OVERHEAD;
/// The longest content of a whisper, bytes.
pub const MAX_WHISPER_CONTENT: usize = PLAINTEXT - HEAD;

/// A whisper that some member of this epoch made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whisper {
    /// Who says to have made it.
    pub sender: Member,
    /// At most [`MAX_WHISPER_CONTENT`] bytes.
    pub content: Vec<u8>,
}

impl Group {
    /// Seals content for the other members of this epoch: [`WHISPER_BYTES`], whatever it is. Changes nothing here.
    ///
    /// # Errors
    /// [`GroupError::Removed`], or [`GroupError::TooLong`] above [`MAX_WHISPER_CONTENT`] bytes.
    pub fn seal_whisper(&self, content: &[u8], rng: &mut dyn CryptoRngCore) -> Result<Vec<u8>, GroupError> {
        let key = self.whisper_key()?;
        let len = u8::try_from(content.len()).ok().filter(|len| usize::from(*len) <= MAX_WHISPER_CONTENT);
        let len = len.ok_or(GroupError::TooLong)?;
        let mut plaintext = [0; PLAINTEXT];
        plaintext[..4].copy_from_slice(&self.own_leaf().to_be_bytes());
        plaintext[4] = len;
        plaintext[HEAD..HEAD + content.len()].copy_from_slice(content);
        Ok(seal(&key, &self.whisper_place(), &plaintext, rng))
    }

    /// Opens what a member sealed in this epoch; `None` if it is of another one, of another room, or no whisper. Changes
    /// nothing here.
    pub fn open_whisper(&self, payload: &[u8]) -> Option<Whisper> {
        if payload.len() != WHISPER_BYTES {
            return None;
        }
        let plaintext = open(&self.whisper_key().ok()?, &self.whisper_place(), payload).ok()?;
        let (leaf, rest) = plaintext.split_first_chunk::<4>()?;
        let (len, rest) = rest.split_first()?;
        let (content, zeros) = rest.split_at_checked(usize::from(*len))?;
        let sender = self.member(u32::from_be_bytes(*leaf)).ok()??;
        zeros.iter().all(|byte| *byte == 0).then(|| Whisper { sender, content: content.to_vec() })
    }

    fn whisper_key(&self) -> Result<ValueKey, GroupError> {
        self.export(KEY).map(|key| ValueKey::from_bytes(*key))
    }

    fn whisper_place(&self) -> Vec<u8> {
        labelled(DOMAIN, &[&self.room(), &self.epoch().to_be_bytes()])
    }
}
