//! The seeded simulation: dozens of real engines and the real server in one process, on a simulated clock, network and disk.
//! One seed is one run, byte for byte the same: every frame, every row at the server, every row of a home (but two kinds of MLS
//! state in which OpenMLS writes hash maps: those by key and length), every message that is shown.
//!
//! # What counts as failure
//! After each stretch everything is mended (the network is there, all devices run), and then, on every device:
//!
//! 1. **Acknowledged and not shown**: what the author's screen says was sent is shown at all who were there, on all of their
//!    devices; what an engine has taken to send is on its own screen; nothing waits for ever, nobody is shut out.
//! 2. **Shown twice**: no text stands on one device twice.
//! 3. **Out of order within a sender**: what one device said stands in the order in which it was said.
//! 4. **Two histories**: what two screens both show stands in one order, and the same people are in the conversation.
//! 5. **Undecryptable**: no device counts a message that it could not show.
//! 6. **Readable after its time**: no text stands on a screen after its end; no row at the server a sweep after its own.
//! 7. **A secret at the server**: no mark of what people write, and no recovery key, in any frame or stored row.
//! 8. **A link between two accounts** of one human: no socket of one carries the other's account id.
//!
//! And at any time: what was shown is there after a crash.
//!
//! Not judged: what a device put back to an old copy did and was told before that, a person's place while it was being changed
//! (added, removed, left), pairs of which one does not want the other.

mod book;
mod clockwork;
mod coverage;
mod director;
mod home;
mod line;
mod oracle;
mod people;
pub mod plan;
mod plant;
mod secrets;
mod shrink;
mod store;
mod trace;
mod world;

pub use coverage::Coverage;
pub use director::{Director, Outcome};
pub use plan::{Size, Step, steps};
pub use plant::Plant;
pub use shrink::shrink;
