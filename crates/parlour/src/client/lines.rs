//! `run --json`: commands on stdin, events and results on stdout, one JSON object per line. The schema is in `docs/cli.md`.
//!
//! Nothing piles up: at most [`IN_FLIGHT`] commands are under way, and when nobody reads stdout, the engine and with it the
//! server's pushes wait. The end of stdin finishes what is under way and what is queued, then says `bye`.

mod command;

use super::session::{LOOK_AGAIN, Session, connection, has_failed, unexpected, unsent};
use super::view;
use crate::exit::{Exit, Trouble};
use crate::out::write_object;
use command::Command;
use parlour_client::api::{Connection, Failure, Intent, Reply};
use parlour_shell::{Events, Runner};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Stdin};
use tokio::time::Instant;

/// Version of the schema; grows when a field or a command changes its meaning (not when one is added).
const SCHEMA: u32 = 1;
/// Most commands under way.
const IN_FLIGHT: usize = 64;
/// The longest line, bytes.
const MAX_LINE: u64 = 1024 * 1024;
/// How long the end of stdin waits for the server to take what is queued.
const FINISH: Duration = Duration::from_secs(30);

/// `run`.
pub(super) async fn run(session: &mut Session) -> Result<(), Trouble> {
    greet(session).await?;
    let Session { runner, events, .. } = session;
    let runner = &*runner;
    drop(runner.submit(Intent::Sync).await?);
    let mut lines = Lines::new();
    let mut work = Work::default();
    let mut state = Connection::Offline;
    while !(lines.ended && work.is_empty()) {
        tokio::select! {
            biased;
            (id, result) = work.next(), if !work.is_empty() => answer(id, result),
            event = events.recv() => match event {
                Some(event) => {
                    state = connection(&event).unwrap_or(state);
                    view::event(&event).iter().for_each(write_object);
                }
                None => return Ok(runner.intent(Intent::Status).await.map(drop)?),
            },
            line = lines.next(), if !lines.ended && work.len() < IN_FLIGHT => match line {
                Some(Ok((id, command))) => work.push(id, Box::pin(command.run(runner))),
                Some(Err((id, trouble))) => answer(id, Err(trouble)),
                None => {}
            },
            _ = tokio::signal::ctrl_c() => lines.ended = true,
        }
    }
    drop(work);
    finish(runner, events, state).await
}

async fn greet(session: &mut Session) -> Result<(), Trouble> {
    let reply = session.intent(Intent::WhoAmI).await?;
    let Reply::Identities(all) = &reply else { return Err(unexpected(&reply)) };
    if all.is_empty() {
        return Err(Failure::NotSignedIn.into());
    }
    let identities: Vec<Value> = all.iter().map(view::identity).collect();
    write_object(&json!({"type": "ready", "schema": SCHEMA, "identities": identities}));
    Ok(())
}

fn answer(id: Value, result: Result<Value, Trouble>) {
    write_object(&match result {
        Ok(ok) => json!({"type": "result", "id": id, "ok": ok}),
        Err(trouble) => json!({"type": "result", "id": id, "error": view::error(&trouble)}),
    });
}

/// Waits until the server has what is queued, or cannot be reached.
async fn finish(runner: &Runner, events: &mut Events, mut state: Connection) -> Result<(), Trouble> {
    let until = Instant::now() + FINISH;
    let mut asked = runner;
    let queued = loop {
        let queued = unsent(&mut asked).await?;
        if queued == 0 || has_failed(state) || Instant::now() > until {
            break queued;
        }
        tokio::select! {
            Some(event) = events.recv() => {
                state = connection(&event).unwrap_or(state);
                view::event(&event).iter().for_each(write_object);
            }
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    };
    write_object(&json!({"type": "bye", "queued": queued}));
    match queued {
        0 => Ok(()),
        _ => Err(Trouble::new(Exit::Offline, "queued", "the server has not taken everything yet; it is kept here")),
    }
}

type Doing<'a> = Pin<Box<dyn Future<Output = Result<Value, Trouble>> + 'a>>;

/// The commands under way, oldest first.
#[derive(Default)]
struct Work<'a>(VecDeque<(Value, Doing<'a>)>);

impl<'a> Work<'a> {
    fn push(&mut self, id: Value, doing: Doing<'a>) {
        self.0.push_back((id, doing));
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    /// The next one that is done, whichever it is.
    async fn next(&mut self) -> (Value, Result<Value, Trouble>) {
        std::future::poll_fn(|context| {
            for index in 0..self.0.len() {
                if let std::task::Poll::Ready(result) = self.0[index].1.as_mut().poll(context) {
                    let (id, _) = self.0.remove(index).expect("the index is in range");
                    return std::task::Poll::Ready((id, result));
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// Commands from stdin. Reading can be interrupted at any await without losing bytes.
struct Lines {
    input: BufReader<Stdin>,
    line: Vec<u8>,
    ended: bool,
}

type Parsed = Result<(Value, Command), (Value, Trouble)>;

impl Lines {
    fn new() -> Self {
        Self { input: BufReader::new(tokio::io::stdin()), line: Vec::new(), ended: false }
    }

    /// The next command; `None` at the end and for empty lines.
    async fn next(&mut self) -> Option<Parsed> {
        let room = MAX_LINE - self.line.len() as u64;
        let mut limited = (&mut self.input).take(room);
        let read = limited.read_until(b'\n', &mut self.line).await;
        if !matches!(read, Ok(1..)) {
            self.ended = true;
        }
        let line = std::mem::take(&mut self.line);
        let text = line.trim_ascii();
        if line.len() as u64 >= MAX_LINE {
            self.ended = true;
            return Some(Err((Value::Null, Trouble::usage("a line is limited to 1 MiB; nothing more is read"))));
        }
        if text.is_empty() { None } else { Some(command::parse(text)) }
    }
}
