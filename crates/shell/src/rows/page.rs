//! The page key: what the rows with the keys of messages are sealed under ([`KEY_RING`](parlour_client::rows::KEY_RING)). It is not in the
//! database but in a file beside it, sealed under the home key, and it is replaced whenever keys of messages are destroyed: a copy of the
//! database from before opens with neither what is there afterwards nor the home key.
//!
//! Replacing it must not cost the rows, whenever the process is killed:
//!
//! | step | the file holds |
//! |---|---|
//! | the new key is drawn | both |
//! | the rows are written, sealed under the new one, in one transaction with what else changed | both |
//! | done | the new one; the bytes of the file before are overwritten |
//!
//! Whoever opens a file with both looks which one opens the rows.

use super::RowsError;
use super::seal::{HomeKey, Sealer};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const CONTEXT: &[u8] = b"parlour-page-key-1";
/// Nonce, key, tag.
const SEALED: usize = 24 + 32 + 16;

/// The page key of one database.
pub(super) struct Page {
    path: PathBuf,
    home: HomeKey,
    key: HomeKey,
    sealer: Sealer,
}

impl Page {
    /// Reads the file, or makes it. `opens` says whether a key opens the rows (any does where there are none).
    pub(super) fn open(
        database: &Path,
        home: &HomeKey,
        opens: impl Fn(&Sealer) -> Result<bool, RowsError>,
    ) -> Result<Self, RowsError> {
        let path = database.with_extension("page");
        let keys = match read(&path)? {
            Some(bytes) => open_all(home, &bytes)?,
            None => Vec::new(),
        };
        let is_new = keys.is_empty();
        let keys = if is_new { vec![HomeKey::random()] } else { keys };
        let both = keys.len() > 1;
        for key in keys {
            let sealer = Sealer::new(&key);
            if opens(&sealer)? {
                let page = Self { path, home: home.clone(), key, sealer };
                if is_new || both {
                    page.write(&[&page.key])?;
                }
                return Ok(page);
            }
        }
        Err(RowsError::Damaged)
    }

    pub(super) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// The key that is to follow, and what it seals with; both are in the file from now on.
    pub(super) fn next(&self) -> Result<(HomeKey, Sealer), RowsError> {
        let next = HomeKey::random();
        self.write(&[&self.key, &next])?;
        let sealer = Sealer::new(&next);
        Ok((next, sealer))
    }

    /// The rows are sealed under the next key: the one before is destroyed.
    pub(super) fn turn(&mut self, (key, sealer): (HomeKey, Sealer)) {
        (self.key, self.sealer) = (key, sealer);
        if let Err(error) = self.write(&[&self.key]) {
            // Both keys are there still; the next start, or the next time, destroys the one before.
            tracing::warn!(%error, "a page key that is not needed any more could not be destroyed yet");
        }
    }

    fn write(&self, keys: &[&HomeKey]) -> Result<(), RowsError> {
        let bytes: Vec<u8> = keys.iter().flat_map(|key| self.home.seal_note(CONTEXT, key.bytes())).collect();
        replace(&self.path, &bytes).map_err(disk)
    }
}

fn open_all(home: &HomeKey, bytes: &[u8]) -> Result<Vec<HomeKey>, RowsError> {
    let open = |sealed: &[u8]| {
        let key = home.open_note(CONTEXT, sealed)?;
        Some(HomeKey::new(key.as_slice().try_into().ok()?))
    };
    // The newest first.
    let keys: Option<Vec<HomeKey>> = bytes.chunks(SEALED).rev().map(open).collect();
    keys.filter(|keys| !keys.is_empty() && keys.len() <= 2).ok_or(RowsError::Damaged)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, RowsError> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(4 * SEALED as u64).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk(error)),
    }
}

/// Replaces the file, then overwrites the bytes that it had before.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let before = OpenOptions::new().read(true).write(true).open(path).ok();
    let temporary = path.with_extension("page.new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    if let Some(mut before) = before {
        let len = usize::try_from(before.metadata()?.len()).unwrap_or(0).min(4 * SEALED);
        before.seek(SeekFrom::Start(0))?;
        before.write_all(&vec![0; len])?;
        before.sync_all()?;
    }
    Ok(())
}

fn disk(error: std::io::Error) -> RowsError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => RowsError::Full,
        _ => RowsError::File(error),
    }
}
