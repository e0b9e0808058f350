//! The committed inputs: one file for each target, one input in a line, in hexadecimal.

use std::path::PathBuf;

/// Where a target's inputs are.
fn file(target: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).join(format!("{target}.hex"))
}

/// The committed inputs of a target, beside its seeds; none if there is no file.
pub fn committed(target: &str) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(file(target)).unwrap_or_default();
    text.lines().map(|line| hex::decode(line).expect("a line is hexadecimal")).collect()
}

/// Inputs of the byte snapshots, which the product's own tests hold: `name hex`, or `hex` alone.
pub(crate) fn snapshot(text: &str) -> Vec<Vec<u8>> {
    let last = |line: &str| hex::decode(line.rsplit(' ').next().unwrap_or_default()).ok();
    text.lines().filter_map(last).collect()
}
