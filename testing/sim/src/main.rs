//! `cargo xtask sim`: runs seeds, prints what was met, and of a failing one the shortest list of steps that was found.
#![allow(clippy::print_stdout, reason = "a command line tool")]

use std::{process::ExitCode, time::Instant};

use clap::Parser;
use parlour_sim::{Coverage, Director, Plant, Size, shrink, steps};

/// The seeded simulation.
#[derive(Debug, Parser)]
struct Args {
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Many seeds: A..B, B not included.
    #[arg(long)]
    seeds: Option<String>,
    /// Simulated hours of each.
    #[arg(long, default_value_t = 1)]
    hours: u32,
    /// As little as the tests run.
    #[arg(long)]
    small: bool,
    /// A planted bug, by name.
    #[arg(long)]
    plant: Option<String>,
    /// How many runs to spend on making a failing list short.
    #[arg(long, default_value_t = 60)]
    shrink: u32,
    /// Print all that happens.
    #[arg(long)]
    trace: bool,
    /// Print the table of operations and faults.
    #[arg(long)]
    coverage: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let range = args.seeds.as_deref().and_then(|range| {
        let (from, to) = range.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    if args.seeds.is_some() && range.is_none() {
        println!("--seeds takes A..B");
        return ExitCode::FAILURE;
    }
    let plant = args.plant.as_deref().map(|name| Plant::ALL.into_iter().find(|plant| format!("{plant:?}") == name));
    if plant == Some(None) {
        println!("planted bugs: {:?}", Plant::ALL);
        return ExitCode::FAILURE;
    }
    if args.trace {
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).without_time().with_ansi(false).init();
    }
    let mut failed = Vec::new();
    let mut coverage = Coverage::default();
    for seed in range.unwrap_or(args.seed..args.seed + 1) {
        if !run(&args, seed, plant.flatten(), &mut coverage) {
            failed.push(seed);
        }
    }
    if args.coverage {
        println!("{coverage}");
    }
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        println!("failed: {failed:?}");
        ExitCode::FAILURE
    }
}

fn run(args: &Args, seed: u64, plant: Option<Plant>, coverage: &mut Coverage) -> bool {
    let size = if args.small { Size::small() } else { Size::hours(args.hours) };
    let steps = steps(seed, size);
    let begun = Instant::now();
    let outcome = Director::traced(seed, plant, args.trace && args.shrink == 0).run(&steps);
    coverage.add(&outcome.coverage);
    println!(
        "seed {seed}: {:.2} simulated h in {:.1} s; {} ops, {} faults, {} + {} crashes, {} engines, {} + {} lost frames, \
         {} messages looked for {} times; {}",
        outcome.simulated_ms as f64 / 3.6e6,
        begun.elapsed().as_secs_f64(),
        outcome.ops,
        outcome.struck,
        outcome.crashes.0,
        outcome.crashes.1,
        outcome.engines,
        outcome.frames.0,
        outcome.frames.1,
        outcome.messages.0,
        outcome.messages.1,
        &outcome.digest[..16],
    );
    if outcome.faults.is_empty() {
        return true;
    }
    println!("seed {seed} FAILED after {} of {} steps:", outcome.steps, steps.len());
    outcome.faults.iter().take(12).for_each(|fault| println!("  {fault}"));
    if args.shrink > 0 {
        let short =
            shrink(seed, plant, steps[..outcome.steps.min(steps.len())].to_vec(), &outcome.faults[0], args.shrink);
        println!("{} steps are left that fail:", short.len());
        for step in &short {
            println!("  +{:>6} ms {:?} who {} with {} how {}", step.wait_ms, step.what, step.who, step.with, step.how);
        }
        let again = Director::traced(seed, plant, args.trace).run(&short);
        for fault in again.faults.iter().take(6) {
            println!("  {fault}");
        }
    }
    let size = if args.small { "--small".to_owned() } else { format!("--hours {}", args.hours) };
    println!("again: cargo xtask sim --seed {seed} {size}");
    false
}
