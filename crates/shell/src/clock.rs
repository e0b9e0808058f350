//! The one place of this crate that reads the system's clock.

use parlour_proto::ids::UnixMillis;
use std::time::{SystemTime, UNIX_EPOCH};

/// The system's time now; 1970 if the clock stands before it.
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
