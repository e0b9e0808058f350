//! Looks through the files of a browser's profile.

use anyhow::Result;
use std::path::{Path, PathBuf};

/// Files below a folder that hold one of these, as UTF-8 or UTF-16.
///
/// # Errors
/// When the folder cannot be read.
pub fn find(dir: &Path, secrets: &[&str]) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(find(&path, secrets)?);
        } else if let Ok(bytes) = std::fs::read(&path) {
            for secret in secrets {
                let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
                if holds(&bytes, secret.as_bytes()) || holds(&bytes, &wide) {
                    found.push((path.clone(), (*secret).to_owned()));
                }
            }
        }
    }
    Ok(found)
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
