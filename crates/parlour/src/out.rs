//! Where everything for people and scripts goes: answers to stdout, remarks and progress to stderr.
//!
//! A reader that goes away (`parlour … | head`) ends the command quietly.

use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};

/// The two streams, and how they are to look.
#[derive(Clone, Copy)]
pub(crate) struct Out {
    /// JSON Lines instead of text.
    pub(crate) json: bool,
    /// Colours on stdout.
    pub(crate) colour: bool,
    /// Progress on stderr.
    pub(crate) progress: bool,
}

impl Out {
    pub(crate) fn new(json: bool, progress: bool) -> Self {
        let colour = !json && std::io::stdout().is_terminal() && colours_wanted();
        Self { json, colour, progress: progress || (std::io::stderr().is_terminal() && !json) }
    }

    /// Whether a person sits there who can be asked.
    pub(crate) fn can_ask() -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// A line on stdout, in text mode.
    pub(crate) fn line(self, text: impl AsRef<str>) {
        if !self.json {
            write_line(&mut std::io::stdout().lock(), text.as_ref());
        }
    }

    /// An object on stdout, in JSON mode.
    pub(crate) fn object(self, value: &impl Serialize) {
        if self.json {
            write_object(value);
        }
    }

    /// A remark on stderr.
    pub(crate) fn remark(self, text: impl AsRef<str>) {
        let mut stderr = std::io::stderr().lock();
        let _ = writeln!(stderr, "{}", text.as_ref());
    }

    /// Text in a style of `anstyle`'s kind: `\x1b[…m`, or plain without colours.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", style.code()) } else { text.to_owned() }
    }
}

/// Whether the user has not said no to colours (<https://no-color.org>).
pub(crate) fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes an object as one line, whatever the mode.
pub(crate) fn write_object(value: &impl Serialize) {
    let line = serde_json::to_string(value).expect("output types have string keys");
    write_line(&mut std::io::stdout().lock(), &line);
}

fn write_line(stream: &mut impl std::io::Write, text: &str) {
    let written = writeln!(stream, "{text}").and_then(|()| stream.flush());
    if let Err(error) = written {
        let quiet = error.kind() == std::io::ErrorKind::BrokenPipe;
        std::process::exit(if quiet { 0 } else { i32::from(crate::exit::Exit::Failure as u8) });
    }
}

/// The few styles there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Magenta,
    Cyan,
}

impl Style {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "31",
            Style::Green => "32",
            Style::Yellow => "33",
            Style::Magenta => "35",
            Style::Cyan => "36",
        }
    }
}
