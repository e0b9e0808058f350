//! Tools that come from the registry and are kept outside the work tree.

use crate::run::run;
use anyhow::{Context as _, Result};
use std::path::PathBuf;
use std::process::Command;

const DENY_VERSION: &str = "0.20.2";

/// `~/.cache/parlour`, or below `XDG_CACHE_HOME`: what is made once for all work trees.
pub(crate) fn cache() -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => {
            PathBuf::from(std::env::var_os("HOME").context("neither HOME nor XDG_CACHE_HOME is set")?).join(".cache")
        }
    };
    Ok(cache.join("parlour"))
}

/// Licences, bans and sources. Advisories need a database that is fetched from elsewhere: `cargo deny check advisories`
/// is for machines with a full network.
pub(crate) fn deny() -> Result<()> {
    let tools = cache()?.join("tools");
    let deny = tools.join("bin/cargo-deny");
    if !deny.exists() {
        eprintln!("installing cargo-deny {DENY_VERSION} into {} (once, a few minutes)", tools.display());
        run(Command::new("cargo")
            .args(["install", "--locked", "--quiet", "cargo-deny", "--version", DENY_VERSION, "--root"])
            .arg(&tools)
            .arg("--target-dir")
            .arg(tools.join("build")))?;
        std::fs::remove_dir_all(tools.join("build")).ok();
    }
    run(Command::new(deny).args(["--workspace", "check", "bans", "licenses", "sources"]))
}

/// Chromium and its driver: from the path, else from Debian's packages where this user may install them.
pub(crate) fn chromium() -> Result<()> {
    if Command::new("chromedriver").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    eprintln!("installing chromium and chromium-driver");
    let packages = ["install", "--yes", "--quiet", "--no-install-recommends", "chromium", "chromium-driver"];
    run(Command::new("apt-get").args(packages)).context("no chromedriver: install Chromium and its driver")
}
