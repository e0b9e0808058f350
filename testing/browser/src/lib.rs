//! Real browsers against the real server: Chromium, driven over WebDriver.
//!
//! [`Server`] runs the built binary on a fresh folder; [`Driver`] is one chromedriver; [`Browser`] is one Chromium with a
//! profile of its own. [`Browser::faults`] gives what a test must not leave behind: console errors and violations of the
//! Content-Security-Policy. [`Native`] is somebody without a browser, for the other side; [`Wire`] counts what goes over
//! the network.

mod browser;
mod command;
mod driver;
mod native;
mod person;
mod search;
mod server;
mod wire;

pub use browser::Browser;
pub use driver::Driver;
pub use native::Native;
pub use person::{PASSWORD, Person, ScrolledBack};
pub use search::find;
pub use server::{Limits, Server};
pub use wire::Wire;

use std::path::PathBuf;
use std::time::Duration;

/// How long something may take to show before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The workspace's root folder.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The folder cargo builds into.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
