//! The binary `parlour`, built beside the running test if it is not there yet.

use anyhow::{Context as _, Result, anyhow, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the binary is. `PARLOUR_BIN` names another one; otherwise cargo brings it up to date, once for each test program.
///
/// # Errors
/// When it does not build.
pub fn parlour() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow!("the binary parlour: {error}"))
}

fn build() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("PARLOUR_BIN") {
        return Ok(path.into());
    }
    // target/<profile>/deps/<this test>
    let this = std::env::current_exe()?;
    let profile = this.ancestors().nth(2).context("a test lies in target/<profile>/deps")?;
    let target = profile.parent().context("a profile lies in the target directory")?;
    let profile_name = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "parlour", "--bin", "parlour", "--profile", profile_name]);
    command.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(target);
    let output = command.output().context("cargo does not start")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(profile.join("parlour"))
}
