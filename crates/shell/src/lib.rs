//! Runs an engine natively: a home directory with encrypted rows, sockets on tokio, a clock, a source of randomness.
//!
//! The engine decides everything; this crate carries out. [`runner::Runner`] is the whole of it for most callers:
//!
//! ```text
//! intent ──► Runner ──► engine.handle ──► drain ──► 1. one transaction  (rows)
//!                            ▲                      2. frames           (net)
//!                            └── frames, ticks ──── 3. events           (Events)
//! ```
//!
//! It deliberately does not look into frames, rows or messages, does not retry (the engine does), and prints nothing.

pub mod clock;
pub mod drain;
pub mod home;
pub mod net;
pub mod rows;
pub mod runner;

pub use home::{Home, HomeError, Unlock};
pub use net::{Endpoint, NetError};
pub use rows::{Rows, RowsError};
pub use runner::{Events, Runner, Stopped};
