//! A home: the directory in which one client lives.
//!
//! | file | what |
//! |---|---|
//! | `home` | `parlour-home 1`: the version of this layout |
//! | `key` | the home key, 64 hexadecimal digits, mode 0600; or |
//! | `key.argon2` | salt and cost from which a passphrase gives the home key, and a check value |
//! | `rows.db` (`-wal`, `-shm`) | the engine's rows, sealed under the home key |
//! | `rows.page` | the page key, sealed under the home key: without it the keys of messages in `rows.db` do not open |
//! | `server`, `ca.pem` | where the server is, and who else may vouch for it |
//! | `lock` | held by the one process that has the home open; says which command that is |
//!
//! Whoever has `key` (or the passphrase), `rows.db` and `rows.page` of the same moment has everything: protect the directory like a private SSH key.

mod error;
mod files;
mod key;
mod lock;

pub use error::HomeError;

use crate::rows::{HomeKey, Rows, SqliteRows};
use lock::Lock;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The layout this version writes.
const VERSION: u32 = 1;

/// How a home is opened (and, when it is new, made).
#[derive(Clone, Default)]
pub enum Unlock {
    /// By the file `key`.
    #[default]
    KeyFile,
    /// By a passphrase.
    Passphrase(Zeroizing<String>),
}

/// Where a home's server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `ws://`, `wss://`, `http://` or `https://`, host, and port.
    pub url: String,
    /// Certificates (PEM) that may vouch for it beside the public ones.
    pub ca_pem: Option<String>,
}

/// An open home. No other process can open it until this, all its clones and the runners on it are gone.
#[derive(Clone)]
pub struct Home {
    path: PathBuf,
    key: HomeKey,
    _lock: Arc<Lock>,
}

impl Home {
    /// Opens the home in `path`, making it when there is none. `command` is shown to whoever finds the home locked.
    ///
    /// # Errors
    /// [`HomeError`]; nothing is changed then.
    pub fn open_or_make(path: &Path, unlock: &Unlock, command: &str) -> Result<Self, HomeError> {
        files::make_dir(path)?;
        let lock = Lock::take(path, command)?;
        match files::read(path, "home")? {
            Some(text) => check_version(path, &text)?,
            None => make(path, unlock)?,
        }
        Self::unlock(path, unlock, lock)
    }

    /// Opens the home in `path`.
    ///
    /// # Errors
    /// [`HomeError::None`] when there is none; the others of [`Home::open_or_make`].
    pub fn open(path: &Path, unlock: &Unlock, command: &str) -> Result<Self, HomeError> {
        if !path.join("home").is_file() {
            return Err(HomeError::None { path: path.to_owned() });
        }
        Self::open_or_make(path, unlock, command)
    }

    fn unlock(path: &Path, unlock: &Unlock, lock: Lock) -> Result<Self, HomeError> {
        let key = key::load(path, unlock)?;
        Ok(Self { path: path.to_owned(), key, _lock: Arc::new(lock) })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The home's rows.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn rows(&self) -> Result<Box<dyn Rows>, HomeError> {
        let path = self.path.join("rows.db");
        files::make_private(&path)?;
        Ok(Box::new(SqliteRows::open(&path, &self.key)?))
    }

    /// The server that this home belongs to, once it was told.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn server(&self) -> Result<Option<Server>, HomeError> {
        let Some(url) = files::read(&self.path, "server")? else { return Ok(None) };
        Ok(Some(Server { url: url.trim().to_owned(), ca_pem: files::read(&self.path, "ca.pem")? }))
    }

    /// Remembers the server.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn set_server(&self, server: &Server) -> Result<(), HomeError> {
        match &server.ca_pem {
            Some(pem) => files::write(&self.path, "ca.pem", pem)?,
            None => files::remove(&self.path, "ca.pem")?,
        }
        files::write(&self.path, "server", &format!("{}\n", server.url))
    }

    /// Removes everything in the home and the directory, if nothing else is in it.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn destroy(self) -> Result<(), HomeError> {
        for name in [
            "rows.page",
            "rows.page.new",
            "rows.db",
            "rows.db-wal",
            "rows.db-shm",
            "key",
            "key.argon2",
            "server",
            "ca.pem",
            "home",
            "lock",
        ] {
            files::remove(&self.path, name)?;
        }
        if let Err(error) = std::fs::remove_dir(&self.path) {
            tracing::info!(%error, "the home's directory stays: something else is in it");
        }
        Ok(())
    }
}

/// Writes the key first and the version last: a half-made home is made again.
fn make(path: &Path, unlock: &Unlock) -> Result<(), HomeError> {
    if path.join("rows.db").exists() {
        return Err(HomeError::NotAHome { path: path.to_owned() });
    }
    key::make(path, unlock)?;
    files::write(path, "home", &format!("parlour-home {VERSION}\n"))
}

fn check_version(path: &Path, text: &str) -> Result<(), HomeError> {
    let version = text.trim().strip_prefix("parlour-home ").and_then(|number| number.parse().ok());
    match version {
        Some(version) if version <= VERSION => Ok(()),
        Some(version) => Err(HomeError::Newer { path: path.to_owned(), version, known: VERSION }),
        None => Err(HomeError::NotAHome { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlour_client::api::Changes;

    fn passphrase(text: &str) -> Unlock {
        Unlock::Passphrase(Zeroizing::new(text.to_owned()))
    }

    fn write_a_row(home: &Home) {
        home.rows().unwrap().commit(&Changes(vec![(b"k".to_vec(), Some(b"v".to_vec()))])).unwrap();
    }

    #[test]
    fn a_home_keeps_its_rows_and_its_server() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/home");
        let server = Server { url: "ws://127.0.0.1:1".to_owned(), ca_pem: Some("pem".to_owned()) };
        {
            let home = Home::open_or_make(&path, &Unlock::KeyFile, "test").unwrap();
            assert_eq!(home.server().unwrap(), None);
            home.set_server(&server).unwrap();
            write_a_row(&home);
        }
        let home = Home::open(&path, &Unlock::KeyFile, "test").unwrap();
        assert_eq!(home.server().unwrap(), Some(server));
        assert_eq!(home.rows().unwrap().load(b"").unwrap().len(), 1);
    }

    #[test]
    fn the_key_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open_or_make(dir.path(), &Unlock::KeyFile, "test").unwrap();
        write_a_row(&home);
        for name in ["key", "rows.db", "home", "lock"] {
            let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_second_process_is_told_which_command_holds_the_home() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Home::open_or_make(dir.path(), &Unlock::KeyFile, "read --follow").unwrap();
        match Home::open(dir.path(), &Unlock::KeyFile, "send") {
            Err(HomeError::Locked { holder, .. }) => assert!(holder.contains("read --follow"), "{holder}"),
            other => panic!("{:?}", other.err()),
        }
    }

    #[test]
    fn a_passphrase_opens_its_home_and_another_does_not() {
        let dir = tempfile::tempdir().unwrap();
        write_a_row(&Home::open_or_make(dir.path(), &passphrase("correct horse"), "test").unwrap());
        assert!(matches!(Home::open(dir.path(), &passphrase("wrong"), "test"), Err(HomeError::WrongPassphrase)));
        assert!(matches!(Home::open(dir.path(), &Unlock::KeyFile, "test"), Err(HomeError::PassphraseNeeded)));
        let home = Home::open(dir.path(), &passphrase("correct horse"), "test").unwrap();
        assert_eq!(home.rows().unwrap().load(b"").unwrap().len(), 1);
    }

    #[test]
    fn a_passphrase_for_a_home_without_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(Home::open_or_make(dir.path(), &Unlock::KeyFile, "test").unwrap());
        assert!(matches!(Home::open(dir.path(), &passphrase("x"), "test"), Err(HomeError::NoPassphrase)));
    }

    #[test]
    fn a_home_of_a_newer_version_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        drop(Home::open_or_make(dir.path(), &Unlock::KeyFile, "test").unwrap());
        std::fs::write(dir.path().join("home"), "parlour-home 2\n").unwrap();
        let error = Home::open(dir.path(), &Unlock::KeyFile, "test").err().unwrap();
        assert!(matches!(error, HomeError::Newer { version: 2, known: 1, .. }), "{error}");
    }

    #[test]
    fn a_missing_home_and_a_missing_key_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Home::open(dir.path(), &Unlock::KeyFile, "test"), Err(HomeError::None { .. })));
        drop(Home::open_or_make(dir.path(), &Unlock::KeyFile, "test").unwrap());
        std::fs::remove_file(dir.path().join("key")).unwrap();
        assert!(matches!(Home::open(dir.path(), &Unlock::KeyFile, "test"), Err(HomeError::KeyMissing { .. })));
    }

    #[test]
    fn a_destroyed_home_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("home");
        let home = Home::open_or_make(&path, &Unlock::KeyFile, "test").unwrap();
        write_a_row(&home);
        home.destroy().unwrap();
        assert!(!path.exists());
    }
}
