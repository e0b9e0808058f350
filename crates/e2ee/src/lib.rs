//! MLS conversations, account and device keys, sealing.
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate self as parlour_e2ee;

mod account;
mod cbor;
mod credential;
mod franking;
mod group;
mod key_package;
mod keys;
mod padding;
mod policy;
mod provider;
mod rows;
mod safety_number;
mod seal;
mod store;
mod suite;

pub use account::{AccountRef, DeviceId, Identity};
pub use credential::{CredentialError, LEAF_DOMAIN, LeafCredential, Member};
pub use franking::{Evidence, FRANK_DOMAIN, FrankingError, Report, ReportVerified, verify_report};
pub use group::{
    Change, Group, GroupError, Invalid, JoinError, Joined, LEAVE_DOMAIN, LeaveRequest, Message, Pending, PendingCommit,
    Processed, Repair, RowMeta, SealedMessage, StagedChange, Update, WelcomeIn, WelcomeOut, WelcomePart,
};
pub use key_package::{
    CLOCK_TOLERANCE_MS, ClaimedKeyPackage, KEY_PACKAGE_MAX_AGE_MS, KeyPackage, KeyPackageError, KeyPackageId,
    KeyPackageMade, LastResort, make_key_package,
};
pub use keys::{DeviceKeys, KeyError, MemberKeyPair, RootKey, verify};
pub use padding::padme;
pub use policy::rules::PolicyBreach;
pub use policy::{Kind, Policy, PolicyError, Role, WhoMayAdd, open_knock, seal_knock};
pub use rows::{Changes, Rows};
pub use safety_number::safety_number;
pub use seal::{SEAL_OVERHEAD, SealError, ValueKey, open, seal, seal_to_device};
pub use store::StoreError;

#[cfg(test)]
fn test_rng(seed: u8) -> rand_chacha::ChaCha20Rng {
    rand_core::SeedableRng::from_seed([seed; 32])
}
