//! A new conversation with nobody in it but this device.

use openmls::prelude::{GroupId, MlsGroup};
use rand_core::CryptoRngCore;

use super::{Group, GroupError, OwnKeys, own};
use crate::account::Identity;
use crate::policy::Policy;
use crate::policy::rules::PolicyBreach;
use crate::provider::Provider;
use crate::rows::Rows;
use crate::suite::{PAST_EPOCHS, SUITE, capabilities, lifetime, ratchet};

impl Group {
    /// Creates the group of a new room, at epoch 0, with this device as its only leaf.
    ///
    /// # Errors
    /// [`GroupError::Policy`] for a policy that contradicts itself.
    pub fn create(
        me: &Identity<'_>,
        room: [u8; 16],
        policy: &Policy,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Self, GroupError> {
        if !policy.is_consistent() {
            return Err(GroupError::Policy(PolicyBreach::Policy));
        }
        let provider = Provider::new(Rows::default());
        let keys = OwnKeys::generate(rng);
        provider.seed(rng);
        let mls = MlsGroup::builder()
            .with_group_id(GroupId::from_slice(&room))
            .with_wire_format_policy(openmls::prelude::PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .padding_size(0)
            .max_past_epochs(PAST_EPOCHS)
            .number_of_resumption_psks(0)
            .use_ratchet_tree_extension(false)
            .sender_ratchet_configuration(ratchet())
            .lifetime(lifetime())
            .ciphersuite(SUITE)
            .with_group_context_extensions(policy.extensions())
            .with_capabilities(capabilities())
            .build(&provider, keys.leaf(), keys.credential(me).with_key(keys.leaf().key()))
            .map_err(GroupError::mls)?;
        own::set_room(provider.store(), &room);
        keys.store(provider.store());
        provider.store().finish();
        Self::assemble(mls, provider)
    }
}
