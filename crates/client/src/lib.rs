//! The client engine, sans-IO: inputs in, effects out. See [`api`].

#[allow(missing_docs, reason = "names tell the fields")]
pub mod api;
