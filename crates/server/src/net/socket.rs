//! One WebSocket: a single task that reads, answers and pushes, and writes everything that is ready in one go.
//!
//! Requests run one after another, but messages: they are submitted at once and answered, in order, when they are durable.
//! Whatever is wrong with a frame is answered with a problem code; the socket survives where it can.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use parlour_proto::{
    frames::{Answer, MAX_FRAME_BYTES, PROTOCOL_VERSION, Push, Request, ServerFrame},
    problem::{Code, Problem},
    wire,
};
use parlour_store::Store;
use rand_core::RngCore as _;
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol};

use super::{
    feed::{Fed, Feed},
    http::Role,
    io::Io,
    line::{Broken, Came, Line},
    requests::{self, Done, Exchange, farewell},
    server::{Server, Source},
};
use crate::{
    accounts::Session,
    ambient::Sleep,
    error::Refused,
    keypackages,
    limits::{Bucket, Rate},
    mailboxes::Notice,
    relays::{Heard, Seat},
    rooms::{Send, SendPending},
};

/// An anonymous socket closes after so long without a request.
const IDLE: Duration = Duration::from_secs(60);
/// A socket that is signed in, or in a relay, is pinged after so long without a word, and closed after twice that.
const PING: Duration = Duration::from_secs(55);
/// What is written must be taken within this time.
const WRITE: Duration = Duration::from_secs(120);
/// How often the times are looked at.
const TICK: Duration = Duration::from_secs(10);
/// Messages under way on one socket.
const UNDER_WAY: usize = 64;
/// Requests other than messages and acknowledgements, per socket.
const REQUESTS: Rate = Rate { per_s: 100.0, burst: 1_000.0 };
/// Malformed frames before the socket is closed.
const MAX_BAD: u8 = 32;

type Running<S> = Pin<Box<dyn Future<Output = Result<Done<S>, Refused>> + std::marker::Send>>;

enum State<S: Store> {
    Outbox,
    Stranger(Exchange),
    Member(Box<(Arc<Session>, Feed<S>)>),
}

/// A connection after its upgrade.
pub(super) struct Socket<S: Store, L> {
    line: L,
    server: Arc<Server<S>>,
    state: State<S>,
    nonce: [u8; 32],
    source: Source,
    seat: Seat,
    sends: VecDeque<(u64, SendPending)>,
    running: Option<(u64, Running<S>)>,
    tick: Sleep,
    heard: Instant,
    asked: Instant,
    stuck: Option<Instant>,
    pinged: bool,
    bucket: Option<Bucket>,
    bad: u8,
    /// To be told, and closed, when the running request is answered.
    ends: Option<Notice>,
    closing: bool,
}

/// The socket has ended.
struct End;

impl From<Broken> for End {
    fn from(_: Broken) -> Self {
        Self
    }
}

/// A connection after its upgrade, with what was read beyond.
pub(super) async fn web_socket(io: Io, read: Bytes) -> WebSocketStream<Io> {
    let config = protocol::WebSocketConfig::default()
        .read_buffer_size(2 * 1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(3 * MAX_FRAME_BYTES)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let role = protocol::Role::Server;
    if read.is_empty() {
        WebSocketStream::from_raw_socket(io, role, Some(config)).await
    } else {
        WebSocketStream::from_partially_read(io, read.to_vec(), role, Some(config)).await
    }
}

impl<S: Store, L: Line> Socket<S, L> {
    /// Runs a socket to its end.
    pub(super) async fn run(server: Arc<Server<S>>, role: Role, line: L, source: Source) {
        let mut nonce = [0; 32];
        let ambient = server.ambient.clone();
        ambient.rng().fill_bytes(&mut nonce);
        let started = ambient.instant();
        let seat = Seat::new(server.relays.clone(), ambient.now());
        let mut socket = Self {
            line,
            server,
            state: if role == Role::Outbox { State::Outbox } else { State::Stranger(Exchange::None) },
            nonce,
            source,
            seat,
            sends: VecDeque::new(),
            running: None,
            tick: ambient.sleep(TICK),
            heard: started,
            asked: started,
            stuck: None,
            pinged: false,
            bucket: None,
            bad: 0,
            ends: None,
            closing: false,
        };
        let hello = Push::Hello { version: PROTOCOL_VERSION, nonce, time: ambient.now() };
        if socket.push(hello).is_ok() {
            std::future::poll_fn(|cx| socket.poll(cx)).await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_work(cx) {
            Ok(()) => Poll::Pending,
            Err(End) => Poll::Ready(()),
        }
    }

    fn poll_work(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        self.poll_times(cx)?;
        loop {
            // Nothing is produced that the peer does not take.
            match self.line.poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Err(End),
                Poll::Pending => {
                    self.stuck.get_or_insert_with(|| self.server.ambient.instant());
                    return Ok(());
                }
            }
            if self.closing {
                return match self.line.poll_close(cx) {
                    Poll::Ready(_) => Err(End),
                    Poll::Pending => Ok(()),
                };
            }
            let progress = self.poll_sends(cx)?
                | self.poll_running(cx)?
                | self.poll_feed(cx)?
                | self.poll_relay(cx)?
                | self.poll_read(cx)?;
            if !progress {
                break;
            }
        }
        match self.line.poll_flush(cx) {
            Poll::Ready(Ok(())) => self.stuck = None,
            Poll::Ready(Err(_)) => return Err(End),
            Poll::Pending => {
                self.stuck.get_or_insert_with(|| self.server.ambient.instant());
            }
        }
        Ok(())
    }

    fn poll_sends(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut progress = false;
        while let Some((id, pending)) = self.sends.front_mut() {
            let Poll::Ready(result) = pending.poll(cx) else { break };
            let id = *id;
            self.sends.pop_front();
            if result.is_ok() {
                self.server.metrics.sends.fetch_add(1, Relaxed);
            }
            self.answer(id, result)?;
            progress = true;
        }
        Ok(progress)
    }

    fn poll_running(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let Some((id, running)) = &mut self.running else { return Ok(false) };
        let Poll::Ready(result) = running.as_mut().poll(cx) else { return Ok(false) };
        let id = *id;
        self.running = None;
        match result {
            Ok(Done::Answer(answer)) => self.answer(id, Ok(answer))?,
            Ok(Done::Pending(pending)) => self.sends.push_back((id, pending)),
            Ok(Done::Exchange(answer, exchange)) => {
                self.state = State::Stranger(exchange);
                self.answer(id, Ok(answer))?;
            }
            Ok(Done::SignedIn(member, answer)) => {
                self.state = State::Member(member);
                self.answer(id, Ok(answer))?;
            }
            Ok(Done::Gone(answer)) => {
                self.answer(id, Ok(answer))?;
                self.close(farewell(Notice::Gone))?;
            }
            Err(refused) => self.answer(id, Err(refused))?,
        }
        if let Some(notice) = self.ends.take().filter(|_| !self.closing) {
            self.close(farewell(notice))?;
        }
        Ok(true)
    }

    fn poll_feed(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let State::Member(member) = &mut self.state else { return Ok(false) };
        let Poll::Ready(fed) = member.1.poll_next(cx) else { return Ok(false) };
        match fed {
            Fed::Rows(frame, rows) => {
                self.server.metrics.rows.fetch_add(rows, Relaxed);
                self.write(frame)?;
            }
            Fed::Whisper(frame) => self.write(frame)?,
            Fed::CaughtUp => self.push(Push::CaughtUp)?,
            Fed::Notice(Notice::PoolsLow) => self.tell_pools(),
            Fed::Notice(Notice::DeviceList { length }) => self.push(Push::DeviceList { length })?,
            // What runs is answered first: it may be the deletion that ends this socket.
            Fed::Notice(notice) if self.running.is_some() => self.ends = Some(notice),
            Fed::Notice(notice) => self.close(farewell(notice))?,
            Fed::Failed(refused) => self.close(refused.problem())?,
        }
        Ok(true)
    }

    fn poll_relay(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        if !self.seat.is_taken() {
            return Ok(false);
        }
        match self.seat.poll_next(cx, self.server.ambient.now()) {
            Poll::Ready(Heard::Payload(payload)) => self.push(Push::Relay { payload })?,
            Poll::Ready(Heard::Closed) => self.push(Push::RelayClosed)?,
            Poll::Pending => return Ok(false),
        }
        Ok(true)
    }

    /// Says how many key packages are left; a running request comes first, the next claim will tell again.
    fn tell_pools(&mut self) {
        let State::Member(member) = &self.state else { return };
        if self.running.is_some() {
            return;
        }
        let (server, device) = (self.server.clone(), member.0.device);
        let look = async move {
            let left = keypackages::left(&server.store, &device).await?;
            let (door, stranger, last_resort_used) = (left.door, left.stranger, left.last_resort_used);
            Ok(Done::Answer(Answer::Pools { door, stranger, last_resort_used }))
        };
        self.running = Some((0, Box::pin(look)));
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        if self.running.is_some() || self.sends.len() >= UNDER_WAY {
            return Ok(false);
        }
        let Poll::Ready(came) = self.line.poll_next(cx) else { return Ok(false) };
        self.heard = self.server.ambient.instant();
        self.pinged = false;
        match came {
            Came::Frame(frame) => self.frame(frame)?,
            Came::Text => self.bad_frame(0, Problem::new(Code::Malformed, "frames are binary"))?,
            Came::Life => {}
            Came::End => return Err(End),
            Came::TooLarge => self.close(Problem::new(Code::TooLarge, "a frame holds at most 4 MiB"))?,
            Came::Garbage => self.close(Problem::new(Code::Malformed, "not a WebSocket frame"))?,
        }
        Ok(true)
    }

    fn frame(&mut self, frame: Bytes) -> Result<(), End> {
        self.server.metrics.frames.fetch_add(1, Relaxed);
        let frame = match wire::decode_client(frame) {
            Ok(frame) => frame,
            Err(bad) => return self.bad_frame(bad.id, bad.problem),
        };
        if let Request::Ack { seq } = frame.request {
            match &mut self.state {
                State::Member(member) => member.1.ack(seq),
                _ => return self.answer(frame.id, Err(out_of_place().into())),
            }
            return Ok(());
        }
        self.asked = self.heard;
        if self.server.is_stopping() {
            return self.close(farewell(Notice::Stopping));
        }
        self.request(frame.id, frame.request)
    }

    fn request(&mut self, id: u64, request: Request) -> Result<(), End> {
        let request = match (&self.state, request) {
            (State::Outbox, Request::Send { room, message_id, send_key, tag, payload }) => {
                let send = Send { room, message_id, send_key, tag, payload, by: None };
                match self.server.rooms.try_send(&send, self.server.ambient.now()) {
                    Some(Ok(pending)) => {
                        self.sends.push_back((id, pending));
                        return Ok(());
                    }
                    Some(Err(refused)) => return self.answer(id, Err(refused)),
                    None => {}
                }
                let Send { room, message_id, send_key, tag, payload, .. } = send;
                Request::Send { room, message_id, send_key, tag, payload }
            }
            (_, request) => request,
        };
        let now = self.server.ambient.now();
        if let Err(slow) = self.bucket.get_or_insert_with(|| Bucket::full(REQUESTS, now)).take(REQUESTS, now) {
            return self.answer(id, Err(slow.into()));
        }
        if let Some(result) = self.relay(&request) {
            return self.relayed(id, result);
        }
        let server = self.server.clone();
        let running: Running<S> = match &mut self.state {
            State::Outbox => Box::pin(requests::outbox(server, request)),
            State::Stranger(exchange) => {
                let exchange = std::mem::take(exchange);
                Box::pin(requests::stranger(server, request, exchange, self.nonce, self.source))
            }
            State::Member(member) => Box::pin(requests::member(server, request, member.0.clone(), self.nonce)),
        };
        self.running = Some((id, running));
        Ok(())
    }

    /// What a request about relays comes to; `None` when it is another one, or this is no inbox.
    fn relay(&mut self, request: &Request) -> Option<Result<Answer, Problem>> {
        let session = match &self.state {
            State::Outbox => return None,
            State::Stranger(_) => None,
            State::Member(member) => Some(&*member.0),
        };
        requests::relay(&self.server, &mut self.seat, request, session, self.source)
    }

    fn relayed(&mut self, id: u64, result: Result<Answer, Problem>) -> Result<(), End> {
        match result {
            Err(problem) if self.seat.is_barred() => self.close(problem),
            result => self.answer(id, result.map_err(Refused::from)),
        }
    }

    fn bad_frame(&mut self, id: u64, problem: Problem) -> Result<(), End> {
        self.bad = self.bad.saturating_add(1);
        if self.bad >= MAX_BAD {
            return self.close(problem);
        }
        self.answer(id, Err(problem.into()))
    }

    fn answer(&mut self, id: u64, result: Result<Answer, Refused>) -> Result<(), End> {
        let result = result.map_err(Refused::problem);
        if let Err(problem) = &result {
            self.server.metrics.problem(problem.code);
        }
        if id == 0
            && let Ok(Answer::Pools { door, stranger, last_resort_used }) = result
        {
            return self.push(Push::PoolsLow { door, stranger, last_resort_used });
        }
        self.write(wire::encode_server(&ServerFrame::Answer { id, result }))
    }

    fn push(&mut self, push: Push) -> Result<(), End> {
        self.write(wire::encode_server(&ServerFrame::Push(push)))
    }

    fn close(&mut self, problem: Problem) -> Result<(), End> {
        self.closing = true;
        self.push(Push::Closing(problem))
    }

    fn write(&mut self, frame: Bytes) -> Result<(), End> {
        Ok(self.line.send(frame)?)
    }

    fn poll_times(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while self.tick.as_mut().poll(cx).is_ready() {
            let now = self.server.ambient.instant();
            self.tick = self.server.ambient.sleep_until(now + TICK);
            if self.stuck.is_some_and(|since| now - since > WRITE) {
                return Err(End);
            }
            let silent = now - self.heard;
            let clock = self.server.ambient.now();
            self.seat.tick(clock);
            match &self.state {
                _ if self.closing => return Err(End),
                State::Stranger(_) if self.seat.is_late(clock) && self.running.is_none() => {
                    self.close(Problem::new(Code::OutOfPlace, "sign in within 30 seconds"))?;
                }
                State::Outbox if now - self.asked > IDLE && self.sends.is_empty() && self.running.is_none() => {
                    self.close(Problem::new(Code::OutOfPlace, "nothing was asked for a minute"))?;
                }
                State::Member(_) | State::Stranger(_) if silent > 2 * PING => return Err(End),
                State::Member(_) | State::Stranger(_) if silent > PING && !self.pinged => {
                    self.pinged = true;
                    self.line.ping()?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn out_of_place() -> Problem {
    Problem::new(Code::OutOfPlace, "not on this socket, or not in its present state")
}
