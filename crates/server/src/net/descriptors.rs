//! How many connections the process has descriptors for: all that the system gives it, but for those that the store needs.
//!
//! A connection beyond them is closed at once, which its client understands. One that is left unaccepted would wait without an answer,
//! and one that took the last descriptor would keep the store from making the key of the next day.

/// For the database and its log, readers, keys, the reserve, and whatever else is opened for a moment.
const KEPT: u64 = 64;
/// When the system does not say.
const USUAL: u64 = 1_024;

/// Raises the process's limit as far as it may, and gives how many connections fit.
pub(super) fn for_connections() -> usize {
    let raised = rlimit::increase_nofile_limit(rlimit::INFINITY);
    let descriptors = raised.inspect_err(|error| tracing::warn!(%error, "the limit of descriptors")).unwrap_or(USUAL);
    usize::try_from(descriptors.saturating_sub(KEPT).max(1)).unwrap_or(usize::MAX)
}
