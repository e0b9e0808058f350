//! The measured points, as a table in JSON and as plots: small SVG files that are read in light and in dark.

use super::backup::Backup;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// A server with so much in its store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) accounts: f64,
    pub(super) rows: f64,
    pub(super) start_s: f64,
    /// Resident, bytes.
    pub(super) memory: f64,
    /// Bytes of the file.
    pub(super) database: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Server CPU of a message, delivered.
    pub(super) cpu_us: f64,
    pub(super) backup: Backup,
}

/// A full server with so many connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crowd {
    pub(super) count: f64,
    /// Resident, bytes.
    pub(super) memory: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Server CPU of a message, delivered.
    pub(super) cpu_us: f64,
    /// Cores in use while nobody writes.
    pub(super) idle_cpu: f64,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(super) struct Curves {
    pub(super) store: Vec<Step>,
    pub(super) connections: Vec<Crowd>,
}

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 42.0;
/// Colours of lines that stand out on white and on black.
const COLOURS: [&str; 3] = ["#2f80d0", "#d9822b", "#3a9d5d"];

/// A line of a plot.
struct Line<'a> {
    name: &'a str,
    points: Vec<(f64, f64)>,
}

impl Curves {
    /// What an earlier run left in `dir`, if any: a run of one part keeps the other.
    ///
    /// # Errors
    /// When it is not what [`Curves::write`] wrote.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let Ok(text) = std::fs::read(dir.join("curves.json")) else { return Ok(Self::default()) };
        let read: Value = serde_json::from_slice(&text).context("curves.json")?;
        let list = |name: &str| read[name].as_array().cloned().with_context(|| format!("no {name} in curves.json"));
        let of = |of: &Value, name: &str| of[name].as_f64().unwrap_or(f64::NAN);
        let step = |s: &Value| Step {
            accounts: of(s, "accounts"),
            rows: of(s, "rows"),
            start_s: of(s, "start_s"),
            memory: of(s, "memory_bytes"),
            database: of(s, "database_bytes"),
            p50_ms: of(s, "p50_ms"),
            p99_ms: of(s, "p99_ms"),
            cpu_us: of(s, "cpu_us"),
            backup: Backup {
                took_s: of(s, "backup_s"),
                cpu_s: of(s, "backup_cpu_s"),
                bytes: of(s, "backup_bytes"),
                p99_before_ms: of(s, "p99_before_ms"),
                p99_during_ms: of(s, "p99_during_ms"),
                p99_after_ms: of(s, "p99_after_ms"),
                longest_ms: of(s, "longest_during_ms"),
                restore_s: of(s, "restore_s"),
            },
        };
        let crowd = |c: &Value| Crowd {
            count: of(c, "connections"),
            memory: of(c, "memory_bytes"),
            p50_ms: of(c, "p50_ms"),
            p99_ms: of(c, "p99_ms"),
            cpu_us: of(c, "cpu_us"),
            idle_cpu: of(c, "idle_cores"),
        };
        Ok(Self {
            store: list("store")?.iter().map(step).collect(),
            connections: list("connections")?.iter().map(crowd).collect(),
        })
    }

    /// Writes `curves.json` and the plots into `dir`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("curves.json"), self.json())?;
        let store =
            |of: fn(&Step) -> f64| self.store.iter().map(|step| (step.rows / 1e6, of(step))).collect::<Vec<_>>();
        let crowd = |of: fn(&Crowd) -> f64| {
            self.connections.iter().map(|step| (step.count / 1e3, of(step))).collect::<Vec<_>>()
        };
        let (rows, connections) = ("million waiting messages", "thousand connections");
        let plots = [
            ("memory", "Resident memory, GB", rows, vec![Line { name: "started", points: store(|s| s.memory / 1e9) }]),
            (
                "start",
                "From spawn to the first answer, s",
                rows,
                vec![Line { name: "start", points: store(|s| s.start_s) }],
            ),
            (
                "latency",
                "Delivery at 500 messages/s, ms",
                rows,
                vec![
                    Line { name: "p99", points: store(|s| s.p99_ms) },
                    Line { name: "p50", points: store(|s| s.p50_ms) },
                ],
            ),
            ("cpu", "Server CPU of a message, µs", rows, vec![Line { name: "delivered", points: store(|s| s.cpu_us) }]),
            (
                "backup",
                "Backup and restore, s",
                rows,
                vec![
                    Line { name: "backup", points: store(|s| s.backup.took_s) },
                    Line { name: "its CPU", points: store(|s| s.backup.cpu_s) },
                    Line { name: "restore", points: store(|s| s.backup.restore_s) },
                ],
            ),
            (
                "backup-latency",
                "p99 around a backup, ms",
                rows,
                vec![
                    Line { name: "before", points: store(|s| s.backup.p99_before_ms) },
                    Line { name: "during", points: store(|s| s.backup.p99_during_ms) },
                    Line { name: "after", points: store(|s| s.backup.p99_after_ms) },
                ],
            ),
            (
                "connections-memory",
                "Resident memory, GB",
                connections,
                vec![Line { name: "full store", points: crowd(|c| c.memory / 1e9) }],
            ),
            (
                "connections-latency",
                "Delivery at 500 messages/s, ms",
                connections,
                vec![
                    Line { name: "p99", points: crowd(|c| c.p99_ms) },
                    Line { name: "p50", points: crowd(|c| c.p50_ms) },
                ],
            ),
            (
                "connections-cpu",
                "Server CPU of a message, µs",
                connections,
                vec![Line { name: "delivered", points: crowd(|c| c.cpu_us) }],
            ),
        ];
        for (name, title, along, lines) in plots {
            let path = dir.join(format!("{name}.svg"));
            std::fs::write(&path, plot(title, along, &lines)).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    fn json(&self) -> String {
        let store: Vec<_> = self.store.iter().map(|s| json!({
            "accounts": s.accounts, "rows": s.rows, "start_s": s.start_s, "memory_bytes": s.memory, "database_bytes": s.database,
            "p50_ms": s.p50_ms, "p99_ms": s.p99_ms, "cpu_us": s.cpu_us, "backup_s": s.backup.took_s, "backup_cpu_s": s.backup.cpu_s,
            "backup_bytes": s.backup.bytes, "p99_before_ms": s.backup.p99_before_ms, "p99_during_ms": s.backup.p99_during_ms,
            "p99_after_ms": s.backup.p99_after_ms, "longest_during_ms": s.backup.longest_ms, "restore_s": s.backup.restore_s,
        })).collect();
        let connections: Vec<_> = self.connections.iter().map(|c| json!({
            "connections": c.count, "memory_bytes": c.memory, "p50_ms": c.p50_ms, "p99_ms": c.p99_ms, "cpu_us": c.cpu_us,
            "idle_cores": c.idle_cpu,
        })).collect();
        format!("{:#}\n", json!({ "store": store, "connections": connections }))
    }
}

/// A plot with both axes from 0.
fn plot(title: &str, along: &str, lines: &[Line<'_>]) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let (most_x, step_x) = round_up(all().map(|point| point.0).fold(0.0, f64::max));
    let (most_y, step_y) = round_up(all().map(|point| point.1).fold(0.0, f64::max));
    let x = |value: f64| LEFT + value / most_x * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / most_y * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <style>text{{fill:#333}}.g{{stroke:#8884}}@media(prefers-color-scheme:dark){{text{{fill:#ddd}}}}</style>\n\
         <title>{title}</title>\n<text x=\"{LEFT}\" y=\"16\" font-size=\"13\" font-weight=\"bold\">{title}</text>\n"
    );
    let steps = |most: f64, step: f64| (0..=(most / step).round() as usize).map(move |n| n as f64 * step);
    for value in steps(most_y, step_y) {
        let (at, from, to) = (y(value), LEFT, WIDTH - RIGHT);
        let _ = writeln!(
            svg,
            "<path class=\"g\" d=\"M{from:.1} {at:.1}H{to:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            from - 6.0,
            at + 4.0,
            said(value, step_y)
        );
    }
    for value in steps(most_x, step_x) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(value),
            HEIGHT - BOTTOM + 15.0,
            said(value, step_x)
        );
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    let _ = writeln!(svg, "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{along}</text>", HEIGHT - 8.0);
    for (number, (line, colour)) in lines.iter().zip(COLOURS).enumerate() {
        let at: Vec<String> = line.points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            at.join(" ")
        );
        for point in &line.points {
            let _ =
                writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(point.0), y(point.1));
        }
        let right = LEFT + 10.0 + number as f64 * 90.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{right:.1}\" y=\"22\" width=\"12\" height=\"4\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"28\">{}</text>",
            right + 16.0,
            line.name
        );
    }
    svg + "</svg>\n"
}

/// The end of an axis and the distance of its marks: four to eight of them, at round numbers.
fn round_up(most: f64) -> (f64, f64) {
    let most = if most > 0.0 { most } else { 1.0 };
    let power = 10f64.powf((most / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| most / step <= 6.0);
    let step = step.unwrap_or(most);
    ((most / step).ceil() * step, step)
}

fn said(value: f64, step: f64) -> String {
    let digits = (-step.log10().floor()).max(0.0) as usize;
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(round_up(10.0), (10.0, 2.0));
        let (end, step) = round_up(1.07);
        assert!((end - 1.2).abs() < 1e-9 && (step - 0.2).abs() < 1e-9);
        assert_eq!(round_up(37.0).1, 10.0);
        assert_eq!(said(0.30000000000000004, 0.1), "0.3");
        assert_eq!(said(40.0, 10.0), "40");
    }
}
