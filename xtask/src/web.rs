//! `cargo xtask web`: the apps for the browser, from source to `target/web`.

mod toolchain;

use crate::run::{root, run, target};
use anyhow::Result;
use std::process::Command;
use toolchain::{TARGET, Toolchain};

/// The programs: the page, and the worker that holds the engine.
const PROGRAMS: [&str; 2] = ["page", "worker"];

/// Builds everything that a browser loads. An unchanged tree takes about a second.
///
/// # Errors
/// When there is no compiler for the browser, or something does not build.
pub(crate) fn build() -> Result<()> {
    let toolchain = Toolchain::find_or_make()?;
    let wasm = target().join("wasm");
    eprintln!("web: building the apps");
    let mut cargo = toolchain.cargo();
    cargo.args(["build", "--package", "parlour-web", "--bins", "--locked", "--profile", "web", "--target", TARGET]);
    cargo.env("CARGO_TARGET_DIR", &wasm).env_remove("RUSTFLAGS");
    toolchain.build_for_size(&mut cargo);
    run(&mut cargo)?;
    let mut pack = Command::new("cargo");
    pack.args([
        "run",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "parlour-web-build",
        "--features",
        "build",
        "--",
    ]);
    pack.arg("--static").arg(root().join("crates/web/static"));
    pack.arg("--style").arg(root().join("crates/web/style"));
    pack.arg("--out").arg(target().join("web"));
    let programs = wasm.join(TARGET).join("web");
    pack.args(PROGRAMS.map(|name| programs.join(name).with_extension("wasm")));
    run(&mut pack)
}

/// Makes the toolchain only (so that a build machine can prepare it).
///
/// # Errors
/// When it cannot be made.
pub(crate) fn toolchain() -> Result<()> {
    Toolchain::find_or_make().map(drop)
}
