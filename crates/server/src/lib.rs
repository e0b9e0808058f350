//! The server: apps, accounts, directory, rooms, mailboxes, retention; then the sockets and routes.
//!
//! Domain modules are generic over the [`Store`](parlour_store::Store) port and take `now` and randomness as parameters; only
//! [`net`] asks for them (of an [`ambient`]) or opens a socket. The server links no MLS library: it orders, queues and forgets what it cannot read.
//! Each request's life: `net` parses a frame, a domain module decides and submits one ordered list of batches, the store
//! makes it durable, `net` answers. Nothing about a person is logged.

pub mod accounts;
pub mod ambient;
pub mod apps;
mod backups;
pub mod claims;
pub mod config;
pub mod directory;
pub mod error;
pub mod grants;
pub mod incarnation;
pub mod keypackages;
pub mod keys;
pub mod limits;
pub mod mailboxes;
pub mod metrics;
pub mod net;
pub mod reach;
pub(crate) mod record;
pub mod relays;
pub mod retention;
pub mod rooms;
mod sync;
#[cfg(test)]
mod testing;
pub mod web;

use rand_core::SeedableRng as _;

/// The source of randomness that domain calls take.
pub type Rng = rand_chacha::ChaCha20Rng;

/// A generator seeded by the operating system, for the shells.
pub fn fresh_rng() -> Rng {
    Rng::from_rng(rand_core::OsRng).expect("the operating system gives randomness")
}
