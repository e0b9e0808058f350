//! Commands that call cargo and the built binaries.

use crate::{layers, tools, web};
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The folder cargo builds into.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs cargo with these arguments in the root and fails if it fails.
pub(crate) fn cargo(args: &[&str]) -> Result<()> {
    eprintln!("$ cargo {}", args.join(" "));
    run(Command::new("cargo").args(args))
}

/// Runs a command in the root and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.current_dir(root()).status().with_context(|| format!("cannot start {command:?}"))?;
    if status.success() { Ok(()) } else { bail!("{command:?} ended with {status}") }
}

/// Builds the apps and the binary and starts it on embedded defaults; stays in the foreground.
pub(crate) fn up(rest: &[String]) -> Result<()> {
    if let Err(error) = web::build() {
        eprintln!("xtask: the apps for browsers are not built ({error:#}); starting without them");
    }
    cargo(&["build", "--release", "--package", "parlour"])?;
    let mut command = Command::new(target().join("release/parlour"));
    command.arg("up").args(rest);
    if !rest.iter().any(|arg| arg == "--data" || arg.starts_with("--data=")) {
        command.arg("--data").arg(root().join("data"));
    }
    run(&mut command)
}

/// All tests: units, scenarios, conformance, the built binary; then the apps in a real browser. The apps are built beside
/// the first part: it waits for clocks and disks more than it computes.
pub(crate) fn test(rest: &[String]) -> Result<()> {
    run(test_command("--workspace", rest).arg("--no-run"))?;
    let apps = Beside::start("web", "web-build.log")?;
    let units = run(&mut test_command("--workspace", rest));
    let browser = apps.finish().and_then(|()| test_browser(rest));
    units.and(browser)
}

fn test_browser(rest: &[String]) -> Result<()> {
    tools::chromium()?;
    let mut command = test_command("--package=parlour-browser", rest);
    command.args(["--", "--ignored", "--test-threads=1"]).env("PARLOUR_AXE", tools::axe()?);
    run(&mut command)
}

/// `cargo test` of something, of what the filter names if there is one.
fn test_command(what: &str, rest: &[String]) -> Command {
    let mut command = Command::new("cargo");
    command.args(["test", what, "--no-fail-fast"]).args(rest.first());
    // The scenarios' binary: the tests of the whole workspace build it first, so that they need not.
    command.env("PARLOUR_BIN", target().join("debug/parlour"));
    command
}

/// Another of these commands, at work beside this one; what it says comes at its end, in one piece.
struct Beside {
    child: std::process::Child,
    log: PathBuf,
}

impl Beside {
    fn start(command: &str, log: &str) -> Result<Self> {
        eprintln!("$ cargo xtask {command} (beside the tests)");
        let log = target().join(log);
        let out = std::fs::File::create(&log)?;
        let err = out.try_clone()?;
        let mut this = Command::new(std::env::current_exe()?);
        let child = this.arg(command).current_dir(root()).stdin(Stdio::null()).stdout(out).stderr(err).spawn()?;
        Ok(Self { child, log })
    }

    fn finish(mut self) -> Result<()> {
        let status = self.child.wait()?;
        eprint!("{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        if status.success() {
            Ok(())
        } else {
            bail!("the apps for browsers are not built: {status}, see {}", self.log.display())
        }
    }
}

/// Runs the simulation, as the tests build it; with `--release` (which is to be built first) a night's worth is one command.
pub(crate) fn sim(rest: &[String]) -> Result<()> {
    let (release, rest): (Vec<&String>, Vec<&String>) = rest.iter().partition(|argument| *argument == "--release");
    let mut build = vec!["build", "--package", "parlour-sim"];
    build.extend(release.first().map(|_| "--release"));
    cargo(&build)?;
    let profile = if release.is_empty() { "debug" } else { "release" };
    run(Command::new(target().join(profile).join("parlour-sim")).args(rest))
}

/// Measures the release build: the server, or with `--web` the apps in a browser.
pub(crate) fn bench(rest: &[String]) -> Result<()> {
    if rest.first().is_some_and(|first| first == "--web") {
        return bench_web(&rest[1..]);
    }
    cargo(&["build", "--release", "--package", "parlour", "--package", "parlour-load"])?;
    let release = target().join("release");
    std::fs::create_dir_all(root().join("target"))?;
    run(Command::new(release.join("parlour-load"))
        .arg("--server-bin")
        .arg(release.join("parlour"))
        .arg("--json-out")
        .arg(root().join("target/bench.jsonl"))
        .args(rest))
}

fn bench_web(rest: &[String]) -> Result<()> {
    web::build()?;
    tools::chromium()?;
    cargo(&["build", "--release", "--package", "parlour", "--package", "parlour-browser"])?;
    let release = target().join("release");
    std::fs::create_dir_all(root().join("target"))?;
    run(Command::new(release.join("parlour-web-bench"))
        .env("PARLOUR_BIN", release.join("parlour"))
        .arg("--json-out")
        .arg(root().join("target/bench.jsonl"))
        .args(rest))
}

/// The formatter, checking only.
pub(crate) fn fmt() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])
}

/// Clippy over everything, warnings as errors.
pub(crate) fn clippy() -> Result<()> {
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

/// What `.ci/run` does, cheapest first.
pub(crate) fn ci() -> Result<()> {
    fmt()?;
    layers::check()?;
    clippy()?;
    test(&[])?;
    tools::deny()
}
