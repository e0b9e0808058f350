//! What the screens know and decide, without a browser: state reduced from the engine's events and replies, the rows of
//! a conversation, what is on screen of a long list, and everything about text and time.
//!
//! It deliberately draws nothing, reads no clock and asks nobody.

pub mod devices;
pub mod heights;
pub mod held;
pub mod lasting;
pub mod naming;
pub mod phone;
pub mod quiet;
pub mod route;
pub mod rows;
pub mod state;
pub mod strength;
pub mod text;
pub mod thread;
pub mod when;
pub mod words;

#[cfg(test)]
pub(crate) mod samples;
