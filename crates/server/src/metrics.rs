//! Counters for operators, as Prometheus text. Totals only: no label names a person, a room or an address.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parlour_proto::problem::Code;

/// What is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Open inbox sockets.
    pub inboxes: AtomicU64,
    /// Open outbox sockets.
    pub outboxes: AtomicU64,
    /// Open connections, whatever they are.
    pub connections: AtomicU64,
    /// Connections refused for being too many, from one address or at all.
    pub refused_connections: AtomicU64,
    /// Frames that came.
    pub frames: AtomicU64,
    /// Messages accepted.
    pub sends: AtomicU64,
    /// Whispers handed on.
    pub whispers: AtomicU64,
    /// Commits accepted.
    pub commits: AtomicU64,
    /// Rows pushed.
    pub rows: AtomicU64,
    /// Claims answered.
    pub claims: AtomicU64,
    problems: [AtomicU64; Code::ALL.len() + 1],
}

impl Metrics {
    /// Counts a refusal.
    pub fn problem(&self, code: Code) {
        let at = Code::ALL.iter().position(|known| *known == code).unwrap_or(Code::ALL.len());
        self.problems[at].fetch_add(1, Relaxed);
    }

    /// The Prometheus text; `more` are further counters by name.
    pub fn render(&self, more: &[(&'static str, u64)]) -> String {
        let mut out = String::new();
        let gauges = [
            ("parlour_inbox_sockets", &self.inboxes),
            ("parlour_outbox_sockets", &self.outboxes),
            ("parlour_connections", &self.connections),
        ];
        for (name, value) in gauges {
            let _ = writeln!(out, "# TYPE {name} gauge\n{name} {}", value.load(Relaxed));
        }
        let counters = [
            ("parlour_connections_refused_total", &self.refused_connections),
            ("parlour_frames_total", &self.frames),
            ("parlour_sends_accepted_total", &self.sends),
            ("parlour_whispers_total", &self.whispers),
            ("parlour_commits_accepted_total", &self.commits),
            ("parlour_rows_pushed_total", &self.rows),
            ("parlour_claims_total", &self.claims),
        ];
        for (name, value) in counters {
            let _ = writeln!(out, "# TYPE {name} counter\n{name} {}", value.load(Relaxed));
        }
        for (name, value) in more {
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            let _ = writeln!(out, "# TYPE {name} {kind}\n{name} {value}");
        }
        let _ = writeln!(out, "# TYPE parlour_problems_total counter");
        for (code, count) in Code::ALL.iter().zip(&self.problems) {
            let _ = writeln!(out, "parlour_problems_total{{code=\"{code:?}\"}} {}", count.load(Relaxed));
        }
        out
    }
}
