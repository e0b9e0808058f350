//! What the tests of this crate share.

use std::sync::Arc;

use parlour_proto::ids::UnixMillis;
use rand_core::SeedableRng as _;

use crate::{Rng, keys::Keys};

/// A seeded source of randomness.
pub(crate) fn rng(seed: u64) -> Rng {
    Rng::seed_from_u64(seed)
}

/// Noon of some day.
pub(crate) const NOON: UnixMillis = UnixMillis(20_000 * 86_400_000 + 43_200_000);

/// Keys in memory.
pub(crate) fn keys() -> Arc<Keys> {
    Arc::new(Keys::in_memory(NOON, &mut rng(7)))
}

/// Holds the stored bytes of a kind of record to `snapshots/stored.hex`: what was stored once must be read for ever, so that a
/// difference means a new version and a migration. Only a new kind adds a line.
pub(crate) fn holds(name: &str, stored: &[u8]) {
    let now = hex::encode(stored);
    let mut lines = include_str!("../snapshots/stored.hex").lines().filter_map(|line| line.split_once(": "));
    let held = lines.find(|(held, _)| *held == name).map(|(_, held)| held);
    assert!(held == Some(now.as_str()), "the stored bytes of another format, or of a new kind:\n{name}: {now}");
}
