//! The numbers on the wire: one cipher suite, our extension, credential and proposal types, and one configuration.

use openmls::prelude::{
    Capabilities, Ciphersuite, CredentialType, ExtensionType, Lifetime, MlsGroupJoinConfig,
    PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, ProposalType, ProtocolVersion, RequiredCapabilitiesExtension,
    SenderRatchetConfiguration,
};

/// ML-KEM-768+X25519, AES-128-GCM, SHA-256, Ed25519 (0x004F).
pub(crate) const SUITE: Ciphersuite = Ciphersuite::MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519;

/// Credential type of [`crate::LeafCredential`]; private use (RFC 9420 §17.1).
pub(crate) const CREDENTIAL: u16 = 0xF0A1;
/// GroupContext extension that holds the [`crate::Policy`].
pub(crate) const POLICY: u16 = 0xF1A1;
/// Key package extension: when it was made, unix milliseconds.
pub(crate) const MADE_AT: u16 = 0xF1A2;
/// Proposal that carries a [`crate::LeaveRequest`] inside a commit.
pub(crate) const LEAVE: u16 = 0xF2A1;

/// Past epochs whose messages can still be read.
pub(crate) const PAST_EPOCHS: usize = 3;
/// How many newer messages of one sender may overtake a message.
pub(crate) const OUT_OF_ORDER: u32 = 32;
/// How many messages of one sender may be missing before the next.
pub(crate) const FORWARD: u32 = 2000;

pub(crate) fn capabilities() -> Capabilities {
    Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&[SUITE]),
        Some(&[ExtensionType::Unknown(POLICY), ExtensionType::Unknown(MADE_AT), ExtensionType::LastResort]),
        Some(&[ProposalType::Custom(LEAVE)]),
        Some(&[CredentialType::Other(CREDENTIAL)]),
    )
}

/// Whether a leaf can be in our groups; newer ones may be capable of more.
pub(crate) fn is_capable(leaf: &Capabilities) -> bool {
    let ours = capabilities();
    ours.extensions().iter().all(|extension| leaf.extensions().contains(extension))
        && ours.proposals().iter().all(|proposal| leaf.proposals().contains(proposal))
        && ours.credentials().iter().all(|credential| leaf.credentials().contains(credential))
}

pub(crate) fn required_capabilities() -> RequiredCapabilitiesExtension {
    RequiredCapabilitiesExtension::new(
        &[ExtensionType::Unknown(POLICY)],
        &[ProposalType::Custom(LEAVE)],
        &[CredentialType::Other(CREDENTIAL)],
    )
}

/// Always valid by any clock: OpenMLS compares lifetimes with the system's time, and we judge with the engine's.
pub(crate) fn lifetime() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

pub(crate) fn config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        // Padding is ours, on the content.
        .padding_size(0)
        .max_past_epochs(PAST_EPOCHS)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(false)
        .sender_ratchet_configuration(ratchet())
        .build()
}

pub(crate) fn ratchet() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD)
}
