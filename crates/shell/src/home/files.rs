//! Small files of a home: for the owner only, replaced whole or not at all.

use super::HomeError;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Makes the directory for its owner only, if it is not there.
pub(super) fn make_dir(path: &Path) -> Result<(), HomeError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| at(path, source))
}

/// Makes an empty file for its owner only, if it is not there.
pub(super) fn make_private(path: &Path) -> Result<(), HomeError> {
    let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    made.map(drop).map_err(|source| at(path, source))
}

/// The text of a file; `None` if it is not there.
pub(super) fn read(dir: &Path, name: &str) -> Result<Option<String>, HomeError> {
    let path = dir.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(at(&path, source)),
    }
}

/// Writes a file whole, durably, for its owner only.
pub(super) fn write(dir: &Path, name: &str, text: &str) -> Result<(), HomeError> {
    let (path, temporary) = (dir.join(name), dir.join(format!("{name}.new")));
    write_and_rename(dir, &temporary, &path, text).map_err(|source| at(&path, source))
}

fn write_and_rename(dir: &Path, temporary: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(temporary, path)?;
    File::open(dir)?.sync_all()
}

/// Removes a file; it is no error if it is gone already.
pub(super) fn remove(dir: &Path, name: &str) -> Result<(), HomeError> {
    let path = dir.join(name);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at(&path, error)),
        _ => Ok(()),
    }
}

pub(super) fn at(path: &Path, source: std::io::Error) -> HomeError {
    HomeError::File { path: path.to_owned(), source }
}
