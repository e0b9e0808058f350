//! A compiler for the browser: the target of the installed toolchain where it is there, else a private one.
//!
//! The private one is made of Debian packages (`rustc-web` and its friends), unpacked and never installed, into
//! `~/.cache/parlour/wasm/VERSION`. Debian's std for wasm lacks what an ordinary build wants, so it is compiled once from
//! Debian's own source (about two minutes). Nothing here calls rustup: many machines cannot reach its server.

use crate::tools::cache;
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target's name.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// How to call cargo for the browser.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// The compiler, where it is not cargo's own choice.
    pub(crate) rustc: Option<PathBuf>,
}

impl Toolchain {
    /// Finds a toolchain or makes one, telling on stderr what it does.
    ///
    /// # Errors
    /// When there is no target and none can be made; says what would help.
    pub(crate) fn find_or_make() -> Result<Self> {
        if has_target(&sysroot()?) {
            return Ok(Self { rustc: None });
        }
        let root = cache()?.join("wasm");
        fs::create_dir_all(&root)?;
        let lock = fs::File::create(root.join("lock"))?;
        lock.lock().context("another build is making the browser toolchain")?;
        if let Some(ready) = newest_ready(&root)? {
            return Ok(Self { rustc: Some(ready.join("rustc")) });
        }
        eprintln!("web: no {TARGET} here; making a private toolchain (once: 140 MB, a few minutes)");
        let packages = Packages::choose().context(HELP)?;
        let home = root.join(&packages.version);
        make(&home, &packages).context(HELP)?;
        Ok(Self { rustc: Some(home.join("rustc")) })
    }

    /// A cargo command that builds with it.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        if let Some(rustc) = &self.rustc {
            cargo.env("RUSTC", rustc);
        }
        cargo
    }

    /// Adds what makes programs smaller than the stable flags of the profile do. Only the private toolchain can: it has
    /// std's source, and its version is known. Of rustup's, nothing but what is stable is asked.
    pub(crate) fn build_for_size(&self, cargo: &mut Command) {
        if self.rustc.is_none() {
            return;
        }
        cargo.args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"]);
        // Joined to the flags of `.cargo/config.toml`; the environment's would replace them.
        cargo.args(["--config", &format!("target.{TARGET}.rustflags={SMALL:?}")]);
        cargo.env("RUSTC_BOOTSTRAP", "1");
    }
}

/// A panic is a trap, without a sentence, a place or values: <https://doc.rust-lang.org/unstable-book> has each flag.
/// `{:?}` of a derived type prints its name or its variant's, and no fields.
const SMALL: [&str; 4] =
    ["-Zunstable-options", "-Cpanic=immediate-abort", "-Zlocation-detail=none", "-Zfmt-debug=shallow"];

const HELP: &str = "no compiler for the browser: with rustup, `rustup target add wasm32-unknown-unknown`; \
     otherwise Debian 12 or later with `deb.debian.org` and its security archive";

/// The newest finished toolchain.
fn newest_ready(root: &Path) -> Result<Option<PathBuf>> {
    let mut ready = Vec::new();
    for entry in fs::read_dir(root)? {
        let home = entry?.path();
        if home.join("ready").is_file() {
            ready.push((fs::metadata(home.join("ready"))?.modified()?, home));
        }
    }
    Ok(ready.into_iter().max().map(|(_, home)| home))
}

fn make(home: &Path, packages: &Packages) -> Result<()> {
    if home.exists() {
        fs::remove_dir_all(home)?;
    }
    let debs = home.join("debs");
    fs::create_dir_all(&debs)?;
    let root = home.join("root");
    eprintln!("web: downloading {}", packages.names().join(" "));
    succeed(Command::new("apt-get").args(["download", "-qq"]).args(packages.names()).current_dir(&debs))?;
    for deb in fs::read_dir(&debs)? {
        succeed(Command::new("dpkg").arg("-x").arg(deb?.path()).arg(&root))?;
    }
    fs::remove_dir_all(&debs)?;
    let (host, rustc) = (host()?, home.join("rustc"));
    link_lld(&root, &host)?;
    write_wrapper(&rustc, &root)?;
    build_std(home, &rustc, &root)?;
    ensure!(has_target(&root.join("usr")), "the private toolchain lacks its standard library");
    fs::write(home.join("ready"), &packages.version)?;
    eprintln!("web: the toolchain is in {}", home.display());
    Ok(())
}

/// Debian's compiler finds the linker where rustup's own would be.
fn link_lld(root: &Path, host: &str) -> Result<()> {
    let lld = sysroot()?.join("lib/rustlib").join(host).join("bin/rust-lld");
    ensure!(lld.is_file(), "no linker for wasm: {} is not there", lld.display());
    let bin = root.join("usr/lib/rustlib").join(host).join("bin");
    fs::create_dir_all(&bin)?;
    let link = bin.join("rust-lld");
    if !link.exists() {
        std::os::unix::fs::symlink(lld, link)?;
    }
    Ok(())
}

/// The compiler was unpacked, not installed: its libraries are not on the system's path.
fn write_wrapper(rustc: &Path, root: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let lib = fs::read_dir(root.join("usr/lib"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("-linux-gnu")))
        .context("the packages hold no library folder")?;
    let root = root.display();
    let script = format!("#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{root}/usr/bin/rustc' \"$@\"\n", lib.display());
    fs::write(rustc, script)?;
    fs::set_permissions(rustc, fs::Permissions::from_mode(0o755))?;
    succeed(Command::new(rustc).arg("--version"))
}

/// Compiles std by building an empty crate, and keeps the parts.
fn build_std(home: &Path, rustc: &Path, root: &Path) -> Result<()> {
    let seed = home.join("seed");
    fs::create_dir_all(seed.join("src"))?;
    let manifest = "[package]\nname = \"seed\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n";
    fs::write(seed.join("Cargo.toml"), manifest)?;
    fs::write(seed.join("src/lib.rs"), "")?;
    eprintln!("web: compiling the standard library for the browser");
    succeed(
        Command::new("cargo")
            .args(["build", "--release", "-Zbuild-std=std,panic_abort,test", "--target", TARGET])
            .env("RUSTC", rustc)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Cembed-bitcode=yes")
            .env("CARGO_TARGET_DIR", seed.join("target"))
            .current_dir(&seed),
    )?;
    let lib = root.join("usr/lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(&lib)?;
    for entry in fs::read_dir(seed.join("target").join(TARGET).join("release/deps"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libseed") {
            fs::copy(&path, lib.join(name))?;
        }
    }
    fs::remove_dir_all(&seed)?;
    Ok(())
}

/// The packages of one version.
#[derive(Debug)]
struct Packages {
    version: String,
    std: String,
    llvm: String,
}

impl Packages {
    /// The newest version that apt knows, and the LLVM it wants.
    fn choose() -> Result<Self> {
        // Root may have old lists, or none; somebody else has to live with what is there.
        let updated = Command::new("apt-get").args(["update", "-qq"]).status();
        if !updated.is_ok_and(|status| status.success()) {
            eprintln!("web: `apt-get update` did not work; using the package lists as they are");
        }
        let policy = output(Command::new("apt-cache").args(["policy", "rustc-web"]))?;
        let version = candidate(&policy).context("apt knows no rustc-web")?;
        let std = format!("libstd-rust-web-{}", major_minor(&version).context("rustc-web has an odd version")?);
        let shown = output(Command::new("apt-cache").args(["show", &format!("{std}={version}")]))?;
        let llvm = llvm(&shown).with_context(|| format!("{std} names no LLVM"))?;
        Ok(Self { version, std, llvm })
    }

    /// What apt is asked for.
    fn names(&self) -> Vec<String> {
        let same = ["rustc-web", &self.std, "libstd-rust-web-dev", "rust-web-src"];
        let mut names: Vec<String> = same.iter().map(|name| format!("{name}={}", self.version)).collect();
        names.push(self.llvm.clone());
        names
    }
}

/// The candidate in the output of `apt-cache policy`.
fn candidate(policy: &str) -> Option<String> {
    let line = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"))?;
    Some(line.trim().to_owned()).filter(|version| version != "(none)")
}

/// `1.96` of `1.96.0+dfsg1-1~deb12u2`.
fn major_minor(version: &str) -> Option<String> {
    let mut parts = version.split('.');
    Some(format!("{}.{}", parts.next()?, parts.next()?))
}

/// `libllvm22` of a package's description.
fn llvm(shown: &str) -> Option<String> {
    let depends = shown.lines().find_map(|line| line.strip_prefix("Depends:"))?;
    let names = depends.split(',').filter_map(|dependency| dependency.split_whitespace().next());
    names.map(str::to_owned).find(|name| name.starts_with("libllvm"))
}

fn has_target(sysroot: &Path) -> bool {
    let lib = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    fs::read_dir(lib).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libstd-")))
    })
}

fn sysroot() -> Result<PathBuf> {
    Ok(output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(crate::run::root()))?.trim().into())
}

fn host() -> Result<String> {
    let version = output(Command::new("rustc").arg("-vV").current_dir(crate::run::root()))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not tell its host")?.to_owned())
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_apt_says() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  Version table:\n";
        let version = candidate(policy).unwrap();
        assert_eq!(version, "1.96.0+dfsg1-1~deb12u2");
        assert_eq!(major_minor(&version).unwrap(), "1.96");
        assert_eq!(candidate("rustc-web:\n  Candidate: (none)\n"), None);
    }

    #[test]
    fn the_llvm_is_read_from_the_package_s_dependencies() {
        let shown = "Package: libstd-rust-web-1.96\nDepends: libc6 (>= 2.36), libllvm22 (>= 1:22), zlib1g\n";
        assert_eq!(llvm(shown).unwrap(), "libllvm22");
        assert_eq!(llvm("Package: x\n"), None);
    }
}
