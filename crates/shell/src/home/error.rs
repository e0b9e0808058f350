//! Why a home did not open.

use crate::rows::RowsError;
use std::path::PathBuf;

/// Why a home did not open.
#[allow(missing_docs, reason = "the comment on each variant tells its fields")]
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is no home there.
    #[error("there is no home in {}: sign up or sign in first", path.display())]
    None { path: PathBuf },
    /// Something else is there.
    #[error("{} is not a Parlour home", path.display())]
    NotAHome { path: PathBuf },
    /// Another process has it open; `holder` says which command.
    #[error("the home {} is in use by {holder}; end that first, or use another home", path.display())]
    Locked { path: PathBuf, holder: String },
    /// A newer Parlour wrote it.
    #[error("the home {} was written by a newer Parlour (layout {version}; this one knows {known}): please update", path.display())]
    Newer { path: PathBuf, version: u32, known: u32 },
    /// It needs a passphrase.
    #[error("this home is locked by a passphrase")]
    PassphraseNeeded,
    /// The passphrase is not the one.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// It has a key file and no passphrase.
    #[error("this home has a key file, not a passphrase")]
    NoPassphrase,
    /// Neither `key` nor `key.argon2` is there.
    #[error("the key of the home {} is missing: without it nothing in it can be read", path.display())]
    KeyMissing { path: PathBuf },
    /// A key file has a form that this version does not know.
    #[error("{} is damaged", path.display())]
    KeyDamaged { path: PathBuf },
    /// A file could not be read or written.
    #[error("{}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// The rows could not be opened.
    #[error(transparent)]
    Rows(#[from] RowsError),
}
