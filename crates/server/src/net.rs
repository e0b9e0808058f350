//! The sockets and routes: the only part of the server that reads a clock, draws randomness or waits.
//!
//! `/v1/inbox` and `/v1/outbox` are WebSockets, one frame in one binary message; `/health`, `/metrics`, and, when the development
//! outbox is on, `/dev` and `/dev/outbox`. A connection is one task: HTTP until it is upgraded, then [`socket`].
//! Network addresses are used for limits while a connection is open, and are neither stored nor logged.

mod address;
mod feed;
mod http;
mod io;
mod requests;
mod server;
mod socket;
mod tls;

pub use server::{MoreMetrics, RunningServer, StartError, run};
pub use tls::TlsError;

use std::time::{SystemTime, UNIX_EPOCH};

use parlour_proto::ids::UnixMillis;

/// The time of the machine.
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
