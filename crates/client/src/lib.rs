//! The client engine, sans-IO: inputs in, effects out. See [`api`] for what a shell does with it, [`rows`] for what it
//! stores, and the head of each module for the part that it plays:
//!
//! - the frame: [`identities`] (several accounts in one home), [`engine`] (inputs, effects, settling), `connection` (sockets), `parting` (before they close), `mls` (loaded groups), `state` (records);
//! - who: `signup`, `identity`, `profiles`, `contacts`, `keypackages`;
//! - own devices: `devices` (the list), `linking` (a new one), `own` (their room), `retold` (what one of them could not read), `leaves` (their leaves), `outside` (a leaf that was lost), `history`, `drafts`, `backup`;
//! - out: `intents`, `sending`, `typing`, `claims` (first contact), `commits` and `wants`, `outbox`, `chores`, `saying`;
//! - in: `incoming` (rows, once and in [`order`]), `joining` (Welcomes), `hearing`, `withheld` (what does not come), `messages`, `pages` (of a conversation);
//! - and `conversation` (its state machine), `requests`, `groups` and their `rules`, `guests`, `links` and `joins` (who comes into one); `repair`, `rebuild` and `doubts` (whether it is us).
//!
//! It never awaits, reads a clock, draws ambient randomness, or names OpenMLS.
#![forbid(unsafe_code)]

#[allow(missing_docs, reason = "names tell the fields")]
pub mod api;
pub mod engine;
pub mod identities;
pub mod order;
pub mod rows;

mod asides;
mod backup;
mod chores;
mod claims;
mod commits;
mod connection;
mod contacts;
mod conversation;
mod devices;
mod doubts;
mod drafts;
mod early;
mod expiry;
mod group_picture;
mod groups;
mod guests;
mod handover;
mod hearing;
mod history;
mod identity;
mod incoming;
mod intents;
mod interference;
mod joining;
mod joins;
mod keypackages;
mod keyring;
mod leaves;
mod linking;
mod links;
mod messages;
mod mls;
mod outbox;
mod outside;
mod own;
mod pages;
mod parting;
mod profiles;
mod rebuild;
mod renewal;
mod repair;
mod requests;
mod restored;
mod retold;
mod rules;
mod saying;
#[cfg(test)]
mod scale;
mod sending;
mod signing;
mod signup;
mod state;
mod typing;
mod wants;
mod withheld;

pub use engine::Engine;
pub use identities::Identities;
pub use keypackages::POOL_SIZE;
