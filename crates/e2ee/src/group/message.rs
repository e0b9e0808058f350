//! Sending a message.

use openmls::prelude::{MlsMessageOut, OpenMlsProvider as _};
use rand_core::CryptoRngCore;
use tls_codec::Serialize as _;

use super::{Group, GroupError, own};
use crate::franking::{Envelope, Evidence};

/// A message to send.
#[derive(Clone)]
pub struct SealedMessage {
    /// The message, a PrivateMessage: about 440 bytes for a short text. Keep it until the echo; a retry sends the same
    /// bytes.
    pub payload: Vec<u8>,
    /// Franking tag: travels beside the payload.
    pub tag: [u8; 32],
    /// Its epoch.
    pub epoch: u64,
    /// What a report about it would need.
    pub evidence: Evidence,
}

impl std::fmt::Debug for SealedMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedMessage({} bytes, epoch {})", self.payload.len(), self.epoch)
    }
}

impl Group {
    /// Pads, franks and encrypts content. The message id is authenticated with it.
    ///
    /// # Errors
    /// [`GroupError::Removed`], or [`GroupError::TooLong`].
    pub fn seal_message(
        &mut self,
        content: &[u8],
        message_id: [u8; 16],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<SealedMessage, GroupError> {
        self.ready()?;
        let credential = self.own_member()?.credential;
        self.attempt(|group| {
            let epoch = group.epoch();
            let (plaintext, evidence) =
                Envelope::seal(content, group.own.leaf(), &credential, (group.room(), epoch, message_id), rng)
                    .ok_or(GroupError::TooLong)?;
            let message = group.encrypt(&plaintext, message_id, rng)?;
            let payload = message.tls_serialize_detached().map_err(GroupError::mls)?;
            own::sent(group.provider.store(), epoch, &own::hash(&payload));
            Ok(SealedMessage { payload, tag: evidence.tag, epoch, evidence })
        })
    }

    pub(super) fn encrypt(
        &mut self,
        plaintext: &[u8],
        message_id: [u8; 16],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<MlsMessageOut, GroupError> {
        self.provider.seed(rng);
        self.provider.storage().leave_past_alone();
        self.mls.set_aad(message_id.to_vec());
        self.mls.create_message(&self.provider, self.own.leaf(), plaintext).map_err(GroupError::mls)
    }
}
