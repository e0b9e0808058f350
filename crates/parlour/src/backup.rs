//! `parlour backup`: the database of a server that may be running, as of one instant, and its keys apart from it.
//!
//! ```text
//! DIR/manifest.json   what it is, when it was made, size and SHA-256 of the database
//! DIR/store.db        the database: rows sealed, no free pages
//! FILE                with --keys-to: the keys
//! ```
//!
//! The directory gets its name when it is whole. Keys are copied after the database: the key of a day is durable before the first
//! row that is sealed under it.

mod manifest;
mod ring;

pub(crate) use manifest::Manifest;
pub(crate) use ring::KeyRing;

use crate::audit::bytes;
use crate::cli::BackupArgs;
use crate::exit::{Exit, Trouble};
use crate::out::Out;
use anyhow::Context as _;
use parlour_proto::ids::UnixMillis;
use parlour_server::incarnation::utc;
use parlour_server::net;
use parlour_store::{CopyError, copy_database, copy_size};
use serde_json::json;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The database in a backup.
pub(crate) const DATABASE: &str = "store.db";
/// Longer than this nothing that waits is kept: neither should a backup be.
const KEEP_DAYS: u64 = 30;
const DAY_MS: u64 = 86_400_000;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// `parlour backup`.
pub(crate) async fn backup(args: &BackupArgs) -> Result<(), Trouble> {
    let out = Out::new(args.json, false);
    let (began, made) = (Instant::now(), net::now());
    let target = target(&args.to, made)?;
    if let Some(file) = args.keys_to.as_ref().filter(|file| file.exists()) {
        return Err(Trouble::usage(format!("{} is there already; keys go into a new file", file.display())));
    }
    if args.keys_to.as_ref().is_some_and(|file| file.starts_with(&target)) {
        return Err(Trouble::usage("the keys do not belong into the backup that they open"));
    }
    let size = copy_size(&args.data).map_err(|error| copy_trouble(&error))?;
    out.remark(format!("Copying about {} of {} …", bytes(size), args.data.display()));
    let part = Part::make(&target)?;
    let manifest = write(out, &args.data, &part.0, made, size).await?;
    if let Some(file) = &args.keys_to {
        KeyRing::read(&args.data.join("keys"), made).and_then(|ring| ring.write(file)).map_err(Trouble::failure)?;
    }
    part.becomes(&target).map_err(Trouble::failure)?;
    told(out, args, &target, &manifest, began.elapsed());
    Ok(())
}

/// Where the backup goes.
fn target(to: &Path, made: UnixMillis) -> Result<PathBuf, Trouble> {
    let target = if to.is_dir() { to.join(format!("parlour-{}", stamp(made))) } else { to.to_owned() };
    if target.exists() {
        return Err(Trouble::usage(format!(
            "{} is there already; a backup goes into a new directory",
            target.display()
        )));
    }
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    if parent.is_some_and(|parent| !parent.is_dir()) {
        return Err(Trouble::not_found(format!("there is no directory for {}", target.display())));
    }
    Ok(target)
}

/// A time in a file's name: `20261122T193015Z`.
fn stamp(time: UnixMillis) -> String {
    let said: String = utc(time).chars().filter(char::is_ascii_digit).collect();
    let (day, minute) = said.split_at(said.len().saturating_sub(4));
    format!("{day}T{minute}{:02}Z", time.seconds() % 60)
}

async fn write(out: Out, data: &Path, part: &Path, made: UnixMillis, size: u64) -> Result<Manifest, Trouble> {
    let database = part.join(DATABASE);
    let copying = tokio::task::spawn_blocking({
        let (data, database) = (data.to_owned(), database.clone());
        move || copy_database(&data, &database)
    });
    let copied = watched(out, copying, &database, size).await?.map_err(|error| copy_trouble(&error))?;
    let manifest = Manifest::of(&database, made, copied.format).map_err(Trouble::failure)?;
    manifest.write(part).map_err(Trouble::failure)?;
    Ok(manifest)
}

/// Waits for the copy, telling a person how far it is.
async fn watched<T>(
    out: Out,
    mut copying: tokio::task::JoinHandle<T>,
    database: &Path,
    size: u64,
) -> Result<T, Trouble> {
    loop {
        match tokio::time::timeout(TELL_EVERY, &mut copying).await {
            Ok(done) => return done.map_err(Trouble::failure),
            Err(_) if out.progress => {
                let written = fs::metadata(database).map_or(0, |file| file.len());
                out.remark(format!("  {} of about {}", bytes(written), bytes(size)));
            }
            Err(_) => {}
        }
    }
}

fn told(out: Out, args: &BackupArgs, target: &Path, manifest: &Manifest, took: Duration) {
    let until = UnixMillis(manifest.made_ms + KEEP_DAYS * DAY_MS);
    out.object(&json!({
        "type": "backup", "path": target, "bytes": manifest.bytes, "sha256": manifest.sha256, "made_ms": manifest.made_ms,
        "keys": args.keys_to, "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "keep_until_ms": until.0,
    }));
    out.line(format!(
        "{} of {}, in {:.1} s",
        bytes(manifest.bytes),
        utc(UnixMillis(manifest.made_ms)),
        took.as_secs_f32()
    ));
    out.line(format!("  backup   {}", target.display()));
    match &args.keys_to {
        Some(file) => {
            out.line(format!("  keys     {}", file.display()));
            out.line(
                "\nEach alone opens nothing; together they open all that the server knows. Keep them in two places.",
            );
        }
        None => out.line("\nWithout its keys it opens nothing, and cannot be restored: --keys-to FILE copies them."),
    }
    out.line(format!("It holds what is deleted from now on: delete both by {}.", utc(until)));
}

/// A directory under a name of its own until it is whole; gone when dropped before.
pub(crate) struct Part(PathBuf);

impl Part {
    /// Makes it; one that an earlier run left behind goes.
    pub(crate) fn make(target: &Path) -> Result<Self, Trouble> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let path = target.with_file_name(name);
        let make = || -> std::io::Result<()> {
            if path.exists() {
                fs::remove_dir_all(&path)?;
            }
            DirBuilder::new().mode(0o700).create(&path)
        };
        make().with_context(|| path.display().to_string()).map_err(Trouble::failure)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives it its name, durably.
    pub(crate) fn becomes(self, target: &Path) -> anyhow::Result<()> {
        File::open(&self.0)?.sync_all()?;
        fs::rename(&self.0, target).with_context(|| target.display().to_string())?;
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What went wrong with a copy, for people and scripts.
pub(crate) fn copy_trouble(error: &CopyError) -> Trouble {
    match error {
        CopyError::NoStore(_) => Trouble::not_found(error.to_string()),
        CopyError::OtherFormat { .. } => {
            Trouble::new(Exit::Usage, "other_version", format!("{error}: use the release that wrote it"))
        }
        CopyError::NoRoom { needed, free, kept } => Trouble::new(
            Exit::Failure,
            "disk_full",
            format!(
                "no room on that disk: the copy takes about {}, {} are free, and {} of them stay free; nothing was left behind",
                bytes(*needed),
                bytes(*free),
                bytes(*kept)
            ),
        ),
        CopyError::Failed(parlour_store::StoreError::Full) => {
            Trouble::new(Exit::Failure, "disk_full", "the disk is full; nothing was left behind")
        }
        CopyError::Failed(parlour_store::StoreError::WrongKey(_)) => {
            Trouble::new(Exit::NotAuthenticated, "wrong_keys", "these keys are not those of this backup")
        }
        CopyError::Damaged(_) | CopyError::Failed(_) => Trouble::new(Exit::Failure, "failure", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_in_a_directory_is_named_by_its_second() {
        assert_eq!(stamp(UnixMillis(1_709_210_096_000)), "20240229T123456Z");
    }
}
