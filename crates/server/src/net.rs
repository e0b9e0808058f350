//! The sockets and routes: the only part of the server that asks for the time, draws randomness or waits.
//!
//! `/v1/inbox` and `/v1/outbox` are WebSockets, one frame in one binary message; `/health`, `/metrics`, and, when the development
//! outbox is on, `/dev` and `/dev/outbox`. A connection is one task: HTTP until it is upgraded, then [`socket`].
//! Network addresses are used for limits while a connection is open, and are neither stored nor logged.

mod address;
mod descriptors;
mod feed;
mod http;
mod io;
mod line;
mod requests;
mod server;
mod socket;
mod tls;

pub use http::Role;
pub use line::{Broken, Came, Line};
pub use server::{Core, MoreMetrics, RunningServer, StartError, run};
pub use tls::TlsError;

use parlour_proto::ids::UnixMillis;

use crate::ambient::{Ambient as _, Machine};

/// The time of the machine.
pub fn now() -> UnixMillis {
    Machine.now()
}
