//! Progress on stderr, for what takes longer than half a second.

use crate::exit::Trouble;
use crate::out::Out;
use parlour_client::api::{Connection, Event, IntentId};
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(500);
const EVERY: Duration = Duration::from_millis(100);
const WHEEL: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// A line that says what is being waited for; wiped when dropped.
pub(super) struct Progress {
    out: Out,
    enabled: bool,
    terminal: bool,
    next: Instant,
    step: String,
    shown: Option<String>,
    turn: usize,
}

impl Progress {
    pub(super) fn new(out: Out) -> Self {
        Self {
            out,
            enabled: out.progress,
            terminal: std::io::stderr().is_terminal(),
            next: Instant::now() + FIRST,
            step: "working".to_owned(),
            shown: None,
            turn: 0,
        }
    }

    /// Learns from an event what is going on; says on stderr when something queued will not be sent after all.
    pub(super) fn note(&mut self, event: &Event, own: Option<IntentId>) {
        match event {
            Event::Progress { intent, step, done, of } if own.is_none_or(|own| own == *intent) => {
                self.step = if *of > 0 { format!("{step} ({done} of {of})") } else { step.clone() };
            }
            Event::Connection { state: Connection::Waiting(_), .. } => "connecting".clone_into(&mut self.step),
            Event::Connection { state: Connection::CatchingUp, .. } => "fetching".clone_into(&mut self.step),
            Event::History { to, done, of } => {
                let step = if to.is_some() { "sending conversations" } else { "fetching conversations" };
                self.step = format!("{step} ({done} of {of})");
            }
            Event::NotSent { conversation, why, .. } => {
                let of = crate::text::short(&conversation.0);
                self.out.remark(format!("What you wrote could not be sent ({of}): {}", Trouble::from(why.clone())));
            }
            _ => {}
        }
    }

    /// Waits until the line is to be drawn (again).
    pub(super) async fn due(&self) {
        if self.enabled {
            tokio::time::sleep_until(self.next).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Draws it: a turning wheel at a terminal, a line per new step elsewhere.
    pub(super) fn show(&mut self) {
        self.next = Instant::now() + EVERY;
        let mut stderr = std::io::stderr().lock();
        if self.terminal {
            self.turn = (self.turn + 1) % WHEEL.len();
            let _ = write!(stderr, "\r\x1b[K{} {}…", WHEEL[self.turn], self.step);
            let _ = stderr.flush();
        } else if self.shown.as_ref() != Some(&self.step) {
            let _ = writeln!(stderr, "{}…", self.step);
        }
        self.shown = Some(self.step.clone());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal && self.shown.is_some() {
            let mut stderr = std::io::stderr().lock();
            let _ = write!(stderr, "\r\x1b[K");
            let _ = stderr.flush();
        }
    }
}
