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
