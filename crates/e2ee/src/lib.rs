//! End-to-end encryption: MLS conversations, account and device keys, sealing of values. The only crate that names
//! OpenMLS; what it gives and takes are plain bytes, numbers and its own types.
//!
//! It does no IO, reads no clock and draws no randomness: randomness is a parameter (`rng`), time is one (`now`) where
//! the age of a key package is judged, and storage is [`Rows`] in and [`Changes`] out. The same inputs give the same
//! bytes.
//!
//! # A conversation
//! [`Group::create`], [`Group::load`] and [`Group::join`] give a [`Group`]. Then:
//!
//! | to | call | and then |
//! |---|---|---|
//! | say something | [`Group::seal_message`] | store changes and payload in one transaction, send |
//! | change members, policy, own keys | [`Group::commit`] | store changes, commit and Welcome, send; on acceptance [`Group::merge_pending`], on a lost race process the winner and commit again |
//! | read a row of the room | [`Group::process`] | by what it was: show, [`Group::merge_staged`], [`Group::refuse_staged`], [`Group::merge_pending`], skip, repair |
//! | whisper (worth nothing later) | [`Group::seal_whisper`], [`Group::open_whisper`] | nothing has changed, nothing is stored |
//! | leave | [`Group::request_leave`] | send it as content; any other member commits [`Change::leave`] |
//!
//! After each step [`Group::take_changes`] is one batch of rows: commit it *before* sending. An operation that fails
//! leaves everything as it was; if the engine's transaction fails, it drops the `Group` and loads it again. A pending
//! commit is part of the rows and survives a crash.
//!
//! # What the caller must do
//! - Hold the device lists. This crate verifies that leaves are bound to their credentials and that a commit keeps the
//!   policy; whether a device belongs to an account is checked with [`Member::verify`] and
//!   [`ClaimedKeyPackage::verify`], with the signing key from the list.
//! - Hand in rows in the room's order, each once.
//! - Encrypt the rows at rest: they hold secrets in the clear.
//! - Believe [`Processed::OldCopy`] and [`Repair::PathSecret`] only so often: another member can provoke them.
//!
//! # The rest
//! [`RootKey`] (recovery words), [`DeviceKeys`], [`MemberKeyPair`]; [`seal`]/[`open`] for values, [`seal_to_device`],
//! [`seal_knock`]; [`verify_report`] for reports, [`safety_number`] for people who want to be sure.
//!
//! ```
//! use parlour_e2ee::*;
//! # use rand_chacha::rand_core::SeedableRng;
//! # let mut rng = rand_chacha::ChaCha20Rng::from_seed([1; 32]);
//! # let now = 1_900_000_000_000;
//! # let (alice_keys, bob_keys) = (DeviceKeys::generate(&mut rng), DeviceKeys::generate(&mut rng));
//! # let account = |id| AccountRef { app: "den.example.org".into(), id: [id; 16] };
//! # let (alice, bob) = (account(1), account(2));
//! # let alice_me = Identity { account: &alice, device: [1; 16], keys: &alice_keys };
//! # let bob_me = Identity { account: &bob, device: [2; 16], keys: &bob_keys };
//! // Bob publishes a key package; Alice claims it and checks it against his device list.
//! let package = make_key_package(&bob_me, LastResort::No, now, &mut rng)?;
//! let claimed = ClaimedKeyPackage::parse(&package.public, now)?.verify(&bob_keys.signing_public())?;
//!
//! // She opens a room with him in it; the server accepts her commit at sequence 1.
//! let policy = Policy::direct(alice.clone(), bob.clone(), &mut rng);
//! let mut at_alice = Group::create(&alice_me, [7; 16], &policy, &mut rng)?;
//! let pending = at_alice.commit(&alice_me, Change::add(vec![claimed]), [1; 16], &mut rng)?;
//! at_alice.merge_pending(1)?;
//!
//! // He joins by his part of the Welcome, and she writes.
//! let welcome = pending.welcome.as_ref().expect("he was added");
//! let welcome = WelcomeIn { room: [7; 16], shared: &welcome.shared, part: &welcome.parts[0].bytes };
//! let mut at_bob = Group::join(&welcome, package.rows)?.group;
//! let sealed = at_alice.seal_message(b"hello", [2; 16], &mut rng)?;
//! let row = RowMeta { room_seq: 2, id: [2; 16], next_send_key_digest: None, tag: Some(sealed.tag) };
//! let Processed::Message(message) = at_bob.process(&sealed.payload, &row)? else { panic!() };
//! assert_eq!((message.content.as_slice(), message.sender.account()), (&b"hello"[..], &alice));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(test)]
extern crate self as parlour_e2ee;

mod account;
mod backup;
mod cbor;
mod credential;
mod franking;
mod group;
mod key_package;
mod keys;
mod padding;
mod pairing;
mod policy;
mod provider;
mod rows;
mod safety_number;
mod seal;
mod store;
mod suite;

pub use account::{AccountRef, DeviceId, Identity};
pub use backup::{BackupSecret, backup_name, open_backup_chunk, seal_backup_chunk, seal_backup_page};
pub use credential::{CredentialError, LEAF_DOMAIN, LeafCredential, Member};
pub use franking::{Evidence, FRANK_DOMAIN, FrankingError, Report, ReportVerified, verify_report};
pub use group::{
    Change, Group, GroupError, Invalid, JoinError, Joined, LEAVE_DOMAIN, LeaveRequest, MAX_WHISPER_CONTENT, Message,
    Pending, PendingCommit, Processed, Repair, RowMeta, SealedMessage, StagedChange, Update, WHISPER_BYTES, WelcomeIn,
    WelcomeOut, WelcomePart, Whisper,
};
pub use key_package::{
    CLOCK_TOLERANCE_MS, ClaimedKeyPackage, KEY_PACKAGE_MAX_AGE_MS, KeyPackage, KeyPackageError, KeyPackageId,
    KeyPackageMade, LastResort, make_key_package,
};
pub use keys::{DeviceKeys, KeyError, MemberKeyPair, RootKey, verify};
pub use padding::padme;
pub use pairing::{Pairing, PairingError, PairingKeys, Side};
pub use policy::rules::PolicyBreach;
pub use policy::{Allowed, EXPIRY_S, Kind, Policy, PolicyError, Role, open_knock, seal_knock};
pub use rows::{Changes, Rows};
pub use safety_number::safety_number;
pub use seal::{SEAL_OVERHEAD, SealError, ValueKey, derive_value_key, open, seal, seal_again, seal_to_device};
pub use store::StoreError;

#[cfg(test)]
fn test_rng(seed: u8) -> rand_chacha::ChaCha20Rng {
    rand_core::SeedableRng::from_seed([seed; 32])
}
