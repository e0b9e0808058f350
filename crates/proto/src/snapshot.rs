//! Byte snapshots: what was stored or sent once must be read for ever. A difference means a new version and a migration;
//! only a new kind of frame may add a line to `snapshots/*.hex`, which the failing test prints.

/// Compares lines of a name and hexadecimal bytes with a stored file.
pub(crate) fn check(stored: &str, now: &str) {
    for (stored, now) in stored.lines().zip(now.lines()) {
        assert_eq!(now, stored, "bytes changed");
    }
    assert!(stored == now, "the snapshot has other lines; all of them now:\n{now}");
}
