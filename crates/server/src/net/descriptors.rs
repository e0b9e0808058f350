//! How many connections the process has descriptors for: all that the system gives it, but for those that the store needs.
//!
//! Of those beyond them a few are answered in HTTP and soon closed: who asks for a socket is told to come later, and an operator whose
//! server is full is still told of it (`/health`, `/metrics`). The rest is closed at once, which its client understands. One that is left
//! unaccepted would wait without an answer, and one that took the last descriptor would keep the store from making the key of the next
//! day.

/// For the database and its log, readers, keys, the reserve, and whatever else is opened for a moment.
const KEPT: u64 = 64;
/// Connections that are answered in HTTP only, when there is no room for more.
pub(super) const SPARE: usize = 16;
/// When the system does not say.
const USUAL: u64 = 1_024;

/// Raises the process's limit as far as it may, and gives how many connections fit.
pub(super) fn for_connections() -> usize {
    let raised = rlimit::increase_nofile_limit(rlimit::INFINITY);
    let descriptors = raised.inspect_err(|error| tracing::warn!(%error, "the limit of descriptors")).unwrap_or(USUAL);
    usize::try_from(descriptors.saturating_sub(KEPT + SPARE as u64).max(1)).unwrap_or(usize::MAX)
}
