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

const AXE_VERSION: &str = "4.14.1";
/// What npm is told to fetch for the accessibility test. It refuses what does not have this digest.
const AXE_LOCK: &str = r#"{
  "name": "parlour-tools",
  "lockfileVersion": 3,
  "requires": true,
  "packages": {
    "": { "name": "parlour-tools", "dependencies": { "axe-core": "VERSION" } },
    "node_modules/axe-core": {
      "version": "VERSION",
      "integrity": "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
    }
  }
}
"#;
const AXE_PACKAGE: &str = r#"{ "name": "parlour-tools", "private": true, "dependencies": { "axe-core": "VERSION" } }"#;

/// axe-core as one script; a tool of the tests, no part of what is built.
pub(crate) fn axe() -> Result<PathBuf> {
    let dir = cache()?.join(format!("tools/axe-{AXE_VERSION}"));
    let script = dir.join("node_modules/axe-core/axe.min.js");
    if !script.exists() {
        eprintln!("installing axe-core into {} (once)", dir.display());
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("package.json"), AXE_PACKAGE.replace("VERSION", AXE_VERSION))?;
        std::fs::write(dir.join("package-lock.json"), AXE_LOCK.replace("VERSION", AXE_VERSION))?;
        let quietly = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"];
        run(Command::new("npm").args(quietly).arg(&dir)).context("no axe-core: the accessibility test needs npm")?;
    }
    Ok(script)
}

/// Chromium and its driver: from the path, else from Debian's packages where this user may install them.
pub(crate) fn chromium() -> Result<()> {
    if Command::new("chromedriver").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    eprintln!("installing chromium and chromium-driver");
    // Package lists may be missing or old; if they cannot be renewed, those that are there may do.
    if run(Command::new("apt-get").args(["update", "-qq"])).is_err() {
        eprintln!("`apt-get update` did not work; using the package lists as they are");
    }
    let packages = ["install", "--yes", "--quiet", "--no-install-recommends", "chromium", "chromium-driver"];
    let mut install = Command::new("apt-get");
    install.args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut install).context("no chromedriver: install Chromium and its driver")
}
