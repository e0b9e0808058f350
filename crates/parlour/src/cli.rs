//! The command line: what can be typed, and what `--help` teaches. No behaviour here.

mod client;

pub(crate) use client::{
    AccountCommand, AllowedName, BackupCommand, ClientArgs, ClientCommand, DeviceCommand, ExpiryArgs, GroupCommand,
    InviteArgs, LinkArgs, OnOff, ProofArgs, ReachCommand, ReadArgs, RoleName, Rule, SendArgs, ServerArgs, SignInArgs,
    SignUpArgs, kept_history,
};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Private messaging between stand-alone apps: the server, its tools, and a client for the command line.
#[derive(Parser)]
#[command(name = "parlour", version, after_help = EXAMPLES, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Try it:
  parlour demo                    three people on three apps meet, beside the bytes the server holds
  parlour up                      a server with three apps on this machine, for trying and developing

Run it for others:
  parlour check --config /etc/parlour.toml
  parlour serve --config /etc/parlour.toml
  parlour backup --data DIR --to BACKUPS --keys-to KEYS/today

Log: RUST_LOG=info parlour … (to stderr; never names, numbers, addresses or text).
Exit codes and the JSON Lines schema: docs/cli.md";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Starts everything on this machine: embedded store, three apps, development outbox for codes
    Up(UpArgs),
    /// Runs a server as its configuration says, until SIGTERM
    Serve(ConfigArgs),
    /// Explains a configuration and what is wrong with it
    Check(ConfigArgs),
    /// Prints what a server stores: each kind, how many, how old, how long, and why
    Audit(AuditArgs),
    /// Copies a server's database while it runs; its keys, which open the copy, go into a file of their own
    Backup(BackupArgs),
    /// Makes a data directory of a backup and its keys
    Restore(RestoreArgs),
    /// Shows it: a real server, three real clients, and what the server holds of them
    Demo(DemoArgs),
    /// A client: sign up, write, read, script bots
    Client(ClientArgs),
}

#[derive(Args)]
#[command(after_help = "\
The first start writes DIR/parlour.toml, with comments: edit it and start again.
Codes for phone apps appear in the development outbox, whose address is printed: `up` sends no SMS.
Ctrl-C stops; everything stays in DIR.")]
pub(crate) struct UpArgs {
    /// Where configuration, keys and store live
    #[arg(long, value_name = "DIR", default_value = "parlour-data")]
    pub(crate) data: PathBuf,
    /// Port to listen on (0: any free one); default: what the configuration says, 7448 at first
    #[arg(long, value_name = "N")]
    pub(crate) port: Option<u16>,
    /// Address to listen on; default: what the configuration says, 127.0.0.1 at first
    #[arg(long, value_name = "IP")]
    pub(crate) host: Option<std::net::IpAddr>,
}

#[derive(Args)]
pub(crate) struct ConfigArgs {
    /// The configuration (TOML); `parlour up` writes one with comments to begin with
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Args)]
pub(crate) struct AuditArgs {
    /// The server's data directory; the server may be running. Default: what the configuration says
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    pub(crate) data: Option<PathBuf>,
    /// The configuration whose lifetimes are in force; default: DIR/parlour.toml, and without it the ceilings
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One JSON object per kind, a line each
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(after_help = "\
A backup alone opens nothing, and the keys alone hold nothing: keep them in two places. Who has both reads what the
server reads: handles, device keys, who is in which room; never a message.
What was deleted after a backup lies in it, until you delete the backup. Keep none for longer than 30 days.
The configuration is not in it.")]
pub(crate) struct BackupArgs {
    /// The server's data directory; the server may be running
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// A new directory for the backup, or an existing one in which it gets a name with the time
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// A new file for the keys: elsewhere than the backup
    #[arg(long, value_name = "FILE")]
    pub(crate) keys_to: Option<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(after_help = "\
Stop the old server for good first: two servers of one history confuse everybody.
Clients notice at their next sign-in that something is forgotten, make rooms anew where they know more than the server,
and send again what it took after the backup. What nobody can bring back: accounts and devices that came after it,
reach rules and passwords changed after it; what was deleted after it is there again. See SECURITY.md.")]
pub(crate) struct RestoreArgs {
    /// The backup: the directory that `parlour backup` made
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// Its keys: the file that `--keys-to` made, at the same time as the backup or later
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: PathBuf,
    /// The new data directory: not there yet, or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// No pauses
    #[arg(long)]
    pub(crate) fast: bool,
    /// Leaves the server's data directory there and says where
    #[arg(long)]
    pub(crate) keep: bool,
}
