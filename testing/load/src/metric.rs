//! The figures: their names, units and targets, one JSON line each, and the table at the end.

use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// What a figure must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// Smaller is better.
    AtMost(f64),
    /// Larger is better.
    AtLeast(f64),
    /// Reported, not judged.
    None,
}

impl Target {
    /// Whether `value` reaches it.
    pub(crate) fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtMost(limit) => value <= limit,
            Target::AtLeast(limit) => value >= limit,
            Target::None => true,
        }
    }
}

/// One figure's definition.
#[derive(Debug)]
pub(crate) struct Metric {
    /// Its stable name.
    pub(crate) name: &'static str,
    /// Unit of the value.
    pub(crate) unit: &'static str,
    /// What it must reach.
    pub(crate) target: Target,
    /// One line for the table.
    pub(crate) about: &'static str,
}

const fn metric(name: &'static str, unit: &'static str, target: Target, about: &'static str) -> Metric {
    Metric { name, unit, target, about }
}

/// All figures, in the order of the table.
pub(crate) const METRICS: &[Metric] = &[
    metric("deliver_cpu_us", "us", Target::AtMost(60.0), "server CPU per message, recipient online, durable"),
    metric("deliver_per_s", "1/s", Target::AtLeast(15_000.0), "messages a second, closed loop"),
    metric("deliver_fsyncs", "1/message", Target::None, "group commits (one fsync each) per message"),
    metric("deliver_p50_ms", "ms", Target::AtMost(2.0), "latency at 500 messages/s, median"),
    metric("deliver_p99_ms", "ms", Target::AtMost(10.0), "latency at 500 messages/s, 99th percentile"),
    metric("latency_fsyncs", "1/message", Target::None, "group commits per message at 500 messages/s"),
    metric("store_cpu_us", "us", Target::AtMost(40.0), "server CPU per message stored for somebody offline"),
    metric("store_per_s", "1/s", Target::None, "messages a second stored for somebody offline"),
    metric("store_fsyncs", "1/message", Target::None, "group commits per message stored"),
    metric("drain_cpu_us", "us", Target::AtMost(15.0), "server CPU per message drained and durably deleted"),
    metric("fanout_cpu_us", "us", Target::AtMost(15.0), "server CPU per delivered copy, 500 members online"),
    metric("fanout_copies_per_s", "1/s", Target::None, "delivered copies a second"),
    metric("fanout_burst_cpu_us", "us", Target::None, "the same, 100 messages sent at once"),
    metric("idle_conn_bytes", "B", Target::AtMost(12_000.0), "resident memory per idle signed-in connection"),
    metric("idle_conn_tls_bytes", "B", Target::AtMost(30_000.0), "the same with TLS"),
    metric("idle_rss_bytes", "B", Target::AtMost(30_000_000.0), "resident memory, started and idle"),
    metric("start_ms", "ms", Target::AtMost(150.0), "from spawn to the first frame on the first connection"),
    metric("sweep_p99_times", "", Target::AtMost(2.0), "p99 while a million rows are swept, against none swept"),
    metric("sweep_whole_p99_times", "", Target::AtMost(2.0), "the same from a sweep's first row to its last"),
    metric("capacity_start_ms", "ms", Target::None, "start with a million accounts and ten million waiting messages"),
    metric("capacity_row_bytes", "B", Target::None, "the same: resident memory per waiting message"),
    metric("capacity_conn_bytes", "B", Target::AtMost(12_000.0), "the same: per idle signed-in connection"),
    metric("capacity_cpu_times", "", Target::AtMost(1.5), "server CPU per message, full and crowded, against empty"),
    metric("capacity_p99_ms", "ms", Target::AtMost(10.0), "latency at 500 messages/s, full and crowded"),
    metric("capacity_backup_s", "s", Target::None, "a backup of it while messages go"),
    metric("capacity_backup_p99_times", "", Target::AtMost(2.0), "p99 while it is made, against before"),
    metric("capacity_restore_s", "s", Target::None, "making a data directory of it"),
    metric("first_message_ms", "ms", Target::AtMost(150.0), "two real clients: command to the recipient's event"),
    metric(
        "group_100_ms",
        "ms",
        Target::AtMost(3_000.0),
        "a group of 100 real clients: command to the founder's answer",
    ),
    metric("group_100_all_ms", "ms", Target::None, "the same, until the last of them sees it"),
    metric("link_100_ms", "ms", Target::None, "a new device with 100 conversations: code typed to everything there"),
    metric("welcome_part_bytes", "B", Target::AtMost(8_000.0), "a group of 1,000: what one joiner's Welcome adds"),
    metric("welcome_shared_bytes", "B", Target::AtMost(3_000_000.0), "the same: the tree, stored once, sealed"),
    metric("large_join_ms", "ms", Target::None, "the same: joining it"),
    metric(
        "update_warm_bytes",
        "B",
        Target::AtMost(60_000.0),
        "the same: a renewed leaf, every 32nd device renewed before",
    ),
    metric("update_cold_bytes", "B", Target::None, "the same, where nobody has renewed a leaf"),
    metric("update_read_ms", "ms", Target::None, "the same: following somebody's renewal"),
    metric("large_state_bytes", "B", Target::None, "the same: a device's rows of the group"),
    metric("engines_decrypted", "messages", Target::None, "read by real clients while the load ran"),
];

/// The definition of a name.
pub(crate) fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// Where results go: standard output, a file, and the table.
#[derive(Debug)]
pub(crate) struct Report {
    file: Option<File>,
    results: Vec<(&'static Metric, f64)>,
}

impl Report {
    /// Appends to `file` if given.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn new(file: Option<&Path>) -> Result<Self> {
        let open = |path: &Path| {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            File::options().create(true).append(true).open(path)
        };
        let file = file.map(|path| open(path).with_context(|| format!("opening {}", path.display()))).transpose()?;
        Ok(Self { file, results: Vec::new() })
    }

    /// Takes one figure.
    ///
    /// # Errors
    /// When the name is not declared, or a line cannot be written.
    pub(crate) fn put(&mut self, name: &str, value: f64) -> Result<()> {
        let metric = find(name).with_context(|| format!("{name} is not declared"))?;
        let value = (value * 1000.0).round() / 1000.0;
        let line = serde_json::json!({ "metric": metric.name, "value": value, "unit": metric.unit });
        writeln!(std::io::stdout(), "{line}")?;
        if let Some(file) = &mut self.file {
            writeln!(file, "{line}")?;
        }
        self.results.push((metric, value));
        Ok(())
    }

    /// Whether every figure taken reaches its target.
    pub(crate) fn all_met(&self) -> bool {
        self.results.iter().all(|(metric, value)| metric.target.is_met(*value))
    }

    /// The table for people.
    pub(crate) fn table(&self) -> String {
        let mut out =
            format!("\n{:<20} {:>12} {:<10} {:>12}  {:<6} {}\n", "metric", "value", "unit", "target", "met", "");
        for (metric, value) in &self.results {
            let (target, met) = match metric.target {
                Target::AtMost(limit) => (format!("<= {limit}"), metric.target.is_met(*value)),
                Target::AtLeast(limit) => (format!(">= {limit}"), metric.target.is_met(*value)),
                Target::None => (String::new(), true),
            };
            let met = match (metric.target, met) {
                (Target::None, _) => "",
                (_, true) => "yes",
                (_, false) => "NO",
            };
            out += &format!(
                "{:<20} {value:>12} {:<10} {target:>12}  {met:<6} {}\n",
                metric.name, metric.unit, metric.about
            );
        }
        out
    }
}

/// The middle one (the upper of two middles).
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that `share` (0 to 1) of the sorted values do not exceed.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for metric in METRICS {
            assert_eq!(METRICS.iter().filter(|other| other.name == metric.name).count(), 1, "{}", metric.name);
        }
    }

    #[test]
    fn a_median_of_three_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn the_99th_percentile_of_a_hundred_is_the_99th() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&values, 0.99), 99.0);
        assert_eq!(percentile(&values, 0.5), 50.0);
    }
}
