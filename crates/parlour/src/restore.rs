//! `parlour restore`: a data directory made of a backup and its keys, in another incarnation ([`Incarnation`]).
//!
//! Everything is verified before the directory gets its name: the backup's hash and format, that the keys are its own, that the
//! clock is not behind the backup. What is over by now is swept before anything can be served.

use crate::audit::bytes;
use crate::backup::{DATABASE, KeyRing, Manifest, Part, copy_trouble};
use crate::cli::RestoreArgs;
use crate::exit::{Exit, Trouble};
use crate::out::Out;
use parlour_proto::ids::UnixMillis;
use parlour_server::incarnation::{Incarnation, utc};
use parlour_server::keys::Keys;
use parlour_server::net;
use parlour_store::{
    SqliteOptions, SqliteStore, Store as _, StoreError, UnixTime, begin_anew, check_copy, rows_without_key,
};
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// `parlour restore`.
pub(crate) async fn restore(args: &RestoreArgs) -> Result<(), Trouble> {
    let out = Out::new(args.json, false);
    let now = net::now();
    must_be_empty(&args.data)?;
    out.remark(format!("Checking {} …", args.from.display()));
    let manifest = Manifest::verified(&args.from)?;
    let made = UnixMillis(manifest.made_ms);
    if now < made {
        let what =
            format!("the backup was made at {}, and this machine's clock says {}: set it first", utc(made), utc(now));
        return Err(Trouble::new(Exit::Failure, "clock_behind", what));
    }
    let ring = KeyRing::open(&args.keys)?;
    let part = Part::make(&args.data)?;
    let lost = lay(&args.from, &ring, part.path(), now)?;
    let incarnation = begin(part.path(), made, now).await?;
    part.becomes(&args.data).map_err(Trouble::failure)?;
    told(out, args, &manifest, &ring, incarnation, lost);
    Ok(())
}

fn must_be_empty(data: &Path) -> Result<(), Trouble> {
    match fs::read_dir(data).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(Trouble::usage(format!("{} is not empty: a restore writes over nothing", data.display()))),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Trouble::usage(format!("{}: {error}", data.display()))),
    }
}

/// Lays keys and database into a new directory; gives how many waiting rows have no key.
fn lay(from: &Path, ring: &KeyRing, part: &Path, now: UnixMillis) -> Result<u64, Trouble> {
    ring.lay(&part.join("keys")).map_err(disk_trouble)?;
    let database = from.join(DATABASE);
    check_copy(&database, part).map_err(|error| copy_trouble(&error))?;
    let without = rows_without_key(&database, part).map_err(|error| copy_trouble(&error))?;
    let copy = || -> std::io::Result<()> {
        let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part.join(DATABASE))?;
        std::io::copy(&mut File::open(&database)?, &mut to)?;
        to.sync_all()
    };
    copy().map_err(disk_trouble)?;
    begin_anew(part, UnixTime(now.seconds())).map_err(|error| copy_trouble(&error))?;
    Ok(without.into_iter().map(|(_, rows)| rows).sum())
}

/// Opens what was laid, once: its keys fit, what is over goes, another incarnation begins.
async fn begin(data: &Path, made: UnixMillis, now: UnixMillis) -> Result<Incarnation, Trouble> {
    let clock = Arc::new(move || UnixTime(now.seconds()));
    let options = SqliteOptions { reserve_bytes: 0, ..SqliteOptions::default() };
    let store = SqliteStore::open(data, clock, &options).map_err(disk_trouble)?;
    let keys = Keys::open(&data.join("keys"), now, &mut parlour_server::fresh_rng()).map_err(Trouble::failure)?;
    if !keys.are_those_of(&store).await.map_err(Trouble::failure)? {
        return Err(copy_trouble(&StoreError::WrongKey(data.join("keys")).into()));
    }
    let begun = Incarnation::begin(&store, made, now).await;
    let closed = store.close().await;
    let begun = begun.map_err(|refused| disk_trouble(anyhow::Error::from(refused)))?;
    closed.map_err(disk_trouble)?;
    Ok(begun)
}

fn disk_trouble(error: impl Into<anyhow::Error>) -> Trouble {
    let error = error.into();
    let full = error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(io, Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded))
            || matches!(cause.downcast_ref::<StoreError>(), Some(StoreError::Full))
    });
    match full {
        true => Trouble::new(Exit::Failure, "disk_full", "the disk is full; nothing was left behind"),
        false => Trouble::failure(error),
    }
}

fn told(out: Out, args: &RestoreArgs, manifest: &Manifest, ring: &KeyRing, incarnation: Incarnation, lost: u64) {
    out.object(&json!({
        "type": "restore", "path": args.data, "bytes": manifest.bytes, "made_ms": manifest.made_ms,
        "incarnation": incarnation.number, "waiting_rows_without_key": lost,
    }));
    let made = utc(UnixMillis(manifest.made_ms));
    out.line(format!("{} of {made} are in {}", bytes(manifest.bytes), args.data.display()));
    if lost > 0 {
        let keys = utc(UnixMillis(ring.made_ms));
        out.remark(format!(
            "{lost} waiting rows cannot be opened and are lost: the keys are of {keys}, older than the backup. Their authors' \
             apps send them again where they can."
        ));
    }
    out.line("\nClients notice at their next sign-in. Next: set `data` in your configuration and start the server.");
    out.line(format!("Accounts and devices that came after {made} must sign up or be linked again; what was"));
    out.line("deleted after it is there again, and passwords and reach rules are those of then.");
}
