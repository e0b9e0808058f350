//! Every byte that leaves a process: ids, addresses, handles, frames, content, problem codes.
//!
//! Floor 0 of the house: no input or output, no async, no clock. What comes from outside is parsed here into
//! verified types ([`frames::Request`], [`content::Content`], [`handle::Handle`] …) or refused with a [`problem::Problem`].
//! The wire encoding (protobuf) is in [`wire`]; nobody else sees it.

pub mod address;
pub mod content;
pub mod device_list;
pub mod frames;
pub mod handle;
pub mod ids;
pub mod opaque;
pub mod problem;
mod unicode;
pub mod wire;

#[cfg(test)]
mod snapshot;
