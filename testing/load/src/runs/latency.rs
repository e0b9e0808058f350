//! Latency in an open loop: 500 messages a second at fixed instants, whatever the server does. Counted from the instant
//! at which a message was due (a late generator counts against the server, not for it) to the recipient's row.

use super::pairs;
use crate::cli::Cli;
use crate::closed::message_ids;
use crate::metric::{Report, percentile};
use crate::net::Net;
use crate::note;
use crate::process::{Server, ServerBin};
use crate::room::PreparedSend;
use crate::socket::{Role, Ws, connect};
use anyhow::{Result, anyhow, ensure};
use std::io::ErrorKind;
use std::ops::Range;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{Error, Message};

/// What this gives.
pub(crate) const FIGURES: &[&str] = &["deliver_p50_ms", "deliver_p99_ms", "latency_fsyncs"];
const PER_SECOND: u64 = 500;

/// Measures and reports.
pub(crate) fn run(cli: &Cli, bin: &ServerBin, report: &mut Report) -> Result<()> {
    let server = Server::fresh(bin)?;
    let mut line = Line::between(&server, cli.pairs)?;
    let before = server.usage()?;
    let (waited, lateness) = line.messages(cli.length().as_secs() * cli.repeats() as u64)?;
    let used = server.usage()?.since(before);

    let count = waited.len() as u64;
    note!(
        "latency: {count} messages, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, longest {:.2} ms; {:.1} us of server CPU each; generator late by {:.2} ms (p99)",
        percentile(&waited, 0.5),
        percentile(&waited, 0.99),
        percentile(&waited, 0.999),
        percentile(&waited, 1.0),
        used.cpu_us_per(count),
        percentile(&lateness, 0.99)
    );
    report.put("deliver_p50_ms", percentile(&waited, 0.5))?;
    report.put("deliver_p99_ms", percentile(&waited, 0.99))?;
    used.fsyncs.map_or(Ok(()), |fsyncs| report.put("latency_fsyncs", fsyncs / count as f64))
}

/// Pairs who are online, and write at fixed instants.
pub(crate) struct Line {
    net: Net,
    sends: Vec<PreparedSend>,
    outboxes: Vec<Ws>,
    recipients: Vec<usize>,
    /// Messages written so far.
    written: u64,
}

impl Line {
    /// So many pairs.
    pub(crate) fn between(server: &Server, count: usize) -> Result<Self> {
        let mut net = Net::new()?;
        let (mut sends, mut outboxes, mut recipients) = (Vec::new(), Vec::new(), Vec::new());
        for pair in pairs(server, count)? {
            sends.push(PreparedSend::new(&pair.room)?);
            outboxes.push(connect(&server.endpoint(), Role::Outbox)?.0);
            net.add(pair.sender.1)?;
            recipients.push(net.add(pair.recipient.1)?);
        }
        net.sweep(&mut Vec::new())?;
        net.idle_for(Duration::from_millis(500))?;
        Ok(Self { net, sends, outboxes, recipients, written: 0 })
    }

    /// Writes for so many seconds; gives how long each message took and how late each was written, milliseconds, sorted.
    pub(crate) fn messages(&mut self, seconds: u64) -> Result<(Vec<f64>, Vec<f64>)> {
        let numbers = self.written..self.written + PER_SECOND * seconds;
        self.written = numbers.end;
        let start = Instant::now() + Duration::from_millis(50);
        let Self { net, sends, outboxes, recipients, .. } = self;
        let (mut waited, lateness) = std::thread::scope(|scope| {
            let sender = scope.spawn(|| send_all(sends, outboxes, start, numbers.clone()));
            let waited = receive_all(net, sends, recipients, start, &numbers)?;
            let lateness = sender.join().map_err(|_| anyhow!("the sending thread panicked"))??;
            anyhow::Ok((waited, lateness))
        })?;
        for outbox in outboxes {
            drain(outbox)?;
        }
        waited.sort_by(f64::total_cmp);
        Ok((waited, lateness))
    }

    /// Answers pings and reads what waits, without writing.
    ///
    /// # Errors
    /// When a socket breaks.
    pub(crate) fn look(&mut self) -> Result<()> {
        self.net.idle_for(Duration::from_millis(200))?;
        ensure!(self.net.closed() == 0, "{} sockets are closed", self.net.closed());
        self.outboxes.iter_mut().try_for_each(drain)
    }
}

/// Reads what lies in an outbox's buffers; pings among it are answered.
fn drain(outbox: &mut Ws) -> Result<()> {
    let patience = outbox.get_ref().tcp().read_timeout()?;
    outbox.get_ref().tcp().set_read_timeout(Some(Duration::from_millis(1)))?;
    loop {
        match outbox.read() {
            Ok(_) => {}
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => return Err(error.into()),
        }
    }
    outbox.flush()?;
    Ok(outbox.get_ref().tcp().set_read_timeout(patience)?)
}

fn due(start: Instant, number: u64) -> Instant {
    start + Duration::from_nanos(number * 1_000_000_000 / PER_SECOND)
}

/// Message `number` goes into room `number % rooms`. The answers stay in the kernel's buffers until all are written.
fn send_all(sends: &[PreparedSend], outboxes: &mut [Ws], start: Instant, numbers: Range<u64>) -> Result<Vec<f64>> {
    let mut lateness = Vec::new();
    for number in numbers.clone() {
        let due = due(start, number - numbers.start);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        lateness.push(due.elapsed().as_secs_f64() * 1e3);
        let at = (number % sends.len() as u64) as usize;
        outboxes[at].send(Message::binary(sends[at].frame(number)))?;
    }
    lateness.sort_by(f64::total_cmp);
    Ok(lateness)
}

/// Milliseconds from due to row, for each message.
fn receive_all(
    net: &mut Net,
    sends: &[PreparedSend],
    recipients: &[usize],
    start: Instant,
    numbers: &Range<u64>,
) -> Result<Vec<f64>> {
    let count = numbers.end - numbers.start;
    let mut lane_of = vec![None; recipients.iter().max().map_or(0, |max| max + 1)];
    recipients.iter().enumerate().for_each(|(lane, &socket)| lane_of[socket] = Some(lane));
    let mut waited = Vec::with_capacity(count as usize);
    let (mut seen, mut got) = (vec![false; count as usize], Vec::new());
    while (waited.len() as u64) < count {
        net.turn(Duration::from_millis(100), &mut got)?;
        let now = Instant::now();
        ensure!(now < due(start, count) + Duration::from_secs(30), "{} of {count} messages came", waited.len());
        for (socket, frame) in &got {
            let Some(lane) = lane_of.get(*socket).copied().flatten() else { continue };
            for id in message_ids(frame) {
                let Some(number) = sends[lane].number(id).and_then(|number| number.checked_sub(numbers.start)) else {
                    continue;
                };
                ensure!(!std::mem::replace(&mut seen[number as usize], true), "message {number} came twice");
                waited.push(now.saturating_duration_since(due(start, number)).as_secs_f64() * 1e3);
            }
        }
    }
    Ok(waited)
}
