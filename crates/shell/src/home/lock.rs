//! One process per home: an advisory lock on the file `lock`, which also tells who holds it. The system drops it when the
//! process ends, however it ends.

use super::{HomeError, files};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The lock of one home; free again when dropped.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock and writes down who has it.
    pub(super) fn take(home: &Path, command: &str) -> Result<Self, HomeError> {
        let path = home.join("lock");
        let opened = OpenOptions::new().create(true).read(true).write(true).truncate(false).mode(0o600).open(&path);
        let mut file = opened.map_err(|source| files::at(&path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(HomeError::Locked { path: home.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(files::at(&path, source)),
        }
        write_holder(&mut file, command).map_err(|source| files::at(&path, source))?;
        Ok(Self { _file: file })
    }
}

fn write_holder(file: &mut File, command: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "`{command}` (process {})", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(length) if length > 0 => text,
        _ => "another process".to_owned(),
    }
}
