//! The project's own commands: `cargo xtask up | web | test | bench | sim | fuzz | layers | deny | ci`.
//!
//! Small on purpose: everything that can be an ordinary cargo command is one, so that nothing here needs learning.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod fuzz;
mod layers;
mod run;
mod tools;
mod web;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask COMMAND

  up [--data DIR] [--port N]   build everything and start it on this machine, printing where to go
  web [toolchain]              build the apps for the browser into target/web (or only make the compiler for it)
  test [FILTER]                run all tests (with FILTER: those whose name contains it)
  bench [--quick] [--only A,B] measure the release build; one JSON line per figure, also in target/bench.jsonl
  bench --web [--quick] [--only A,B]  the same of the apps in a real browser
  sim [--seed N | --seeds A..B] [--hours H] [--coverage] [--release]
                               run engines and server in a simulated world; a failing seed prints a short list of steps
  fuzz TARGET|all [--seconds N]  run libFuzzer on a target (a minute each unless told otherwise); needs a C++ compiler
  layers                       check who imports whom, and the house rules that no compiler holds
  deny                         check licences, duplicate and banned crates, and where crates come from
  fmt | clippy                 the formatter in check mode; clippy with warnings as errors
  ci                           everything that .ci/run does
";

fn main() -> std::process::ExitCode {
    match dispatch() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    match command.as_str() {
        "up" => run::up(&rest),
        "test" => run::test(&rest),
        "bench" => run::bench(&rest),
        "sim" => run::sim(&rest),
        "web" if rest.first().is_some_and(|what| what == "toolchain") => web::toolchain(),
        "web" => web::build(),
        "fuzz" => fuzz::fuzz(&rest),
        "layers" => layers::check(),
        "deny" => tools::deny(),
        "fmt" => run::fmt(),
        "clippy" => run::clippy(),
        "ci" => run::ci(),
        "" | "help" | "-h" | "--help" => {
            print!("{HELP}");
            Ok(())
        }
        other => {
            eprint!("{HELP}");
            bail!("no command '{other}'")
        }
    }
}
