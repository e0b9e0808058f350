//! A profiler beside a measured run: `--profile 'perf record -e cpu-clock -g -o /tmp/perf.data -p {pid}'`.

use crate::cli::Cli;
use crate::note;
use crate::process::Server;
use anyhow::{Context as _, Result};
use std::process::{Child, Command};

/// A running profiler, or none.
pub(crate) struct Profiler(Option<Child>);

impl Profiler {
    /// Starts the command of `--profile`, with `{pid}` replaced.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn attach(cli: &Cli, server: &Server) -> Result<Self> {
        let Some(command) = &cli.profile else { return Ok(Self(None)) };
        let command = command.replace("{pid}", &server.pid().to_string());
        note!("profiling: {command} (the figures of this run are worse for it)");
        let child = Command::new("sh").arg("-c").arg(format!("exec {command}")).spawn().context("the profiler")?;
        Ok(Self(Some(child)))
    }

    /// Interrupts it (SIGINT, so that it writes its file) and waits.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(crate) fn finish(self) -> Result<()> {
        let Some(mut child) = self.0 else { return Ok(()) };
        Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
        child.wait()?;
        Ok(())
    }
}
