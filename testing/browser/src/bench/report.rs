//! The figures: their names, units and targets, one JSON line each, and the table at the end.

use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// What a figure must reach.
#[derive(Debug, Clone, Copy)]
enum Target {
    AtMost(f64),
    AtLeast(f64),
    None,
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtMost(limit) => value <= limit,
            Target::AtLeast(limit) => value >= limit,
            Target::None => true,
        }
    }
}

struct Figure {
    name: &'static str,
    unit: &'static str,
    target: Target,
    about: &'static str,
}

const fn figure(name: &'static str, unit: &'static str, target: Target, about: &'static str) -> Figure {
    Figure { name, unit, target, about }
}

/// All figures, in the order of the table.
const FIGURES: &[Figure] = &[
    figure("web_transfer_bytes", "B", Target::AtMost(600_000.0), "all that a first visit brings, headers too"),
    figure("web_cold_ms", "ms", Target::AtMost(1_000.0), "navigation, nothing cached, to the usable sign-up screen"),
    figure("web_type_to_show_ms", "ms", Target::AtMost(60.0), "Enter in one browser to the text in the other's page"),
    figure("web_scroll_back_s", "s", Target::None, "scrolled from the newest of 10,000 messages to the first"),
    figure("web_warm_ms", "ms", Target::AtMost(500.0), "reload to the list drawn, 1,000 conversations"),
    figure("web_memory_bytes", "B", Target::AtMost(80e6), "page and worker, 1,000 conversations"),
    figure(
        "web_decrypt_per_s",
        "1/s",
        Target::AtLeast(1_000.0),
        "messages a second when an offline browser catches up on 5,000",
    ),
    figure("web_scroll_fps", "1/s", Target::AtLeast(50.0), "frames a second while the list scrolls during that"),
];

/// A figure's name, if there is one like that.
pub(crate) fn known(name: &str) -> Result<String, String> {
    let names = || FIGURES.iter().map(|figure| figure.name).collect::<Vec<_>>().join(", ");
    let found = FIGURES.iter().find(|figure| figure.name == name);
    found.map(|figure| figure.name.to_owned()).ok_or_else(|| format!("no such figure; there are: {}", names()))
}

/// Where results go: standard output, a file, and the table.
pub(crate) struct Report {
    file: File,
    results: Vec<(&'static Figure, f64)>,
}

impl Report {
    /// Appends to `file`.
    pub(crate) fn new(file: &Path) -> Result<Self> {
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let open = File::options().create(true).append(true).open(file);
        Ok(Self { file: open.with_context(|| format!("opening {}", file.display()))?, results: Vec::new() })
    }

    /// Takes one figure.
    pub(crate) fn put(&mut self, name: &str, value: f64) -> Result<()> {
        let figure = FIGURES.iter().find(|figure| figure.name == name);
        let figure = figure.with_context(|| format!("{name} is not declared"))?;
        let value = (value * 1000.0).round() / 1000.0;
        let line = serde_json::json!({ "metric": figure.name, "value": value, "unit": figure.unit });
        println!("{line}");
        writeln!(self.file, "{line}")?;
        self.results.push((figure, value));
        Ok(())
    }

    /// Whether every figure taken reaches its target.
    pub(crate) fn all_met(&self) -> bool {
        self.results.iter().all(|(figure, value)| figure.target.is_met(*value))
    }

    /// The table for people.
    pub(crate) fn table(&self) -> String {
        let mut out = format!("\n{:<20} {:>14} {:<4} {:>12}  {:<4}\n", "metric", "value", "unit", "target", "met");
        for (figure, value) in &self.results {
            let target = match figure.target {
                Target::AtMost(limit) => format!("<= {limit}"),
                Target::AtLeast(limit) => format!(">= {limit}"),
                Target::None => String::new(),
            };
            let met = match figure.target {
                Target::None => "",
                target if target.is_met(*value) => "yes",
                _ => "NO",
            };
            out += &format!(
                "{:<20} {value:>14} {:<4} {target:>12}  {met:<4} {}\n",
                figure.name, figure.unit, figure.about
            );
        }
        out
    }
}
