//! Byte snapshots: what was stored or sent once must be read for ever. A difference means a new version and a migration;
//! only then is the file written anew, with `PARLOUR_UPDATE_SNAPSHOTS=1`.

use std::path::Path;

/// Compares with `snapshots/<name>.hex`: a line each, a name and hexadecimal bytes.
pub(crate) fn check(name: &str, lines: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots").join(format!("{name}.hex"));
    if std::env::var_os("PARLOUR_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, lines).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    for (stored, now) in stored.lines().zip(lines.lines()) {
        assert_eq!(now, stored, "in {}", path.display());
    }
    assert_eq!(lines.lines().count(), stored.lines().count(), "in {}", path.display());
}
