//! The `parlour` binary: the server, its tools, the demo, and the client for the command line. The only place that joins
//! adapters; everything that decides is in the crates below.

mod audit;
mod backup;
mod cli;
mod client;
mod demo;
mod disk;
mod exit;
mod host;
mod out;
mod qr;
mod restore;
mod serve;
mod text;

use clap::Parser as _;
use cli::{Cli, Command};
use exit::Trouble;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(&cli.command);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return end(Err(Trouble::failure(error))),
    };
    let result = runtime.block_on(run(cli.command));
    // A blocked read of stdin must not keep the process.
    runtime.shutdown_background();
    end(result)
}

async fn run(command: Command) -> Result<(), Trouble> {
    match command {
        Command::Up(args) => serve::up(&args).await,
        Command::Serve(args) => serve::serve(&args).await,
        Command::Check(args) => serve::check(&args),
        Command::Audit(args) => audit::audit(&args),
        Command::Backup(args) => backup::backup(&args).await,
        Command::Restore(args) => restore::restore(&args).await,
        Command::Demo(args) => demo::demo(&args).await,
        Command::Client(args) => client::run(args).await,
    }
}

fn end(result: Result<(), Trouble>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            let _ = writeln!(std::io::stderr().lock(), "parlour: {trouble}");
            ExitCode::from(trouble.exit as u8)
        }
    }
}

/// Servers tell of their life; clients only of what is odd, unless RUST_LOG says otherwise.
fn log_to_stderr(command: &Command) {
    let default = match command {
        Command::Serve(_) => "info",
        _ => "error",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into());
    let colours = std::io::stderr().is_terminal() && out::colours_wanted();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    log.with_ansi(colours).init();
}
