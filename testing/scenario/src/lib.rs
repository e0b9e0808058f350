//! The kit of the scenarios: the real server, as a process or in this one, and real clients, whole or down to single frames.
//!
//! | to | take |
//! |---|---|
//! | run the built binary, kill it, start it again | [`process::Server`] |
//! | move its time, slow its disk down, take descriptors from it | [`process::Clock`], [`process::SlowDisk`], [`process::Circumstances`] |
//! | run the server within the test, with a quota | [`host::Host`] |
//! | be a person with a real engine and a home | [`person::Person`] |
//! | speak single frames, well-formed or not | [`wire::Wire`], [`device::Device`], [`device::WireRoom`] |
//! | be an insider with MLS state and no manners | [`insider::Insider`] |
//! | come between a client and the server | [`meddler::Meddler`] |
//! | fail a home's n-th transaction | [`rows::FailingRows`] |
//! | look for canaries in whatever the server wrote | [`search`] |
//! | read a stolen database and its log | [`thief`] |
//! | judge samples | [`stats`] |
//!
//! Nothing here sleeps to wait for a state: whoever waits looks again when something has come, or fails after
//! [`PATIENCE`].

pub mod binary;
pub mod device;
pub mod host;
pub mod http;
pub mod insider;
pub mod meddler;
pub mod person;
pub mod process;
pub mod rows;
pub mod search;
pub mod site;
pub mod stats;
pub mod thief;
pub mod wire;

use std::time::Duration;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A seeded source of choices: the same test makes the same ones.
pub fn seeded(seed: u64) -> rand_chacha::ChaCha20Rng {
    rand_core::SeedableRng::seed_from_u64(seed)
}
