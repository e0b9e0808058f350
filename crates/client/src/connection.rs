//! The two sockets: when to open, when to try again, when to close.
//!
//! Reconnecting waits a random time between 0 and 0.5 s, 1 s, 2 s … 60 s (full jitter). The outbox is opened when there is
//! something to send on it and closed after 60 idle seconds. What was asked on a socket that is gone is asked again by
//! whoever wanted it: every request is derived from stored state (see [`crate::engine`]).

use crate::api::{Connection, Effect, Event, Failure, Role, Socket};
use crate::engine::{Engine, Purpose};
use crate::signing;
use crate::state::Stage;
use parlour_proto::frames::{ClientFrame, PROTOCOL_VERSION, Request, sign_in_bytes};
use parlour_proto::ids::UnixMillis;
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;

const FIRST_RETRY_MS: u64 = 500;
const LONGEST_RETRY_MS: u64 = 60_000;
/// So far apart, at most, do a home's accounts begin to connect.
const APART_MS: u64 = 1_000;
const IDLE_MS: u64 = 60_000;
/// A request that is not answered by then will not be.
const ANSWER_MS: u64 = 30_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Closed,
    Opening,
    /// Open, waiting for the server's hello.
    Silent,
    Open,
}

/// One socket as the engine sees it.
#[derive(Debug)]
pub(crate) struct Link {
    wire: Wire,
    failures: u32,
    not_before: UnixMillis,
    last_used: UnixMillis,
    /// Of the server's hello.
    pub(crate) nonce: [u8; 32],
}

impl Link {
    pub(crate) fn new() -> Self {
        Link { wire: Wire::Closed, failures: 0, not_before: UnixMillis(0), last_used: UnixMillis(0), nonce: [0; 32] }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.wire == Wire::Open
    }

    fn is_closed(&self) -> bool {
        self.wire == Wire::Closed
    }

    /// The first try, too, comes at a time of its own.
    pub(crate) fn wait_a_little(&mut self, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        self.not_before = self.not_before.max(now.plus_ms(rng.next_u64() % (APART_MS + 1)));
    }

    pub(crate) fn clock_set_back(&mut self, by_ms: u64) {
        for at in [&mut self.not_before, &mut self.last_used] {
            at.0 = at.0.saturating_sub(by_ms);
        }
    }

    /// It works: the next failure starts counting anew.
    pub(crate) fn proven(&mut self) {
        self.failures = 0;
    }

    fn failed(&mut self, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        self.wire = Wire::Closed;
        let most = FIRST_RETRY_MS.saturating_mul(1 << self.failures.min(16)).min(LONGEST_RETRY_MS);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.plus_ms(rng.next_u64() % (most + 1));
    }
}

impl Engine {
    pub(crate) fn link(&mut self, role: Role) -> &mut Link {
        match role {
            Role::Inbox => &mut self.inbox,
            Role::Outbox => &mut self.outbox,
        }
    }

    fn socket(&self, role: Role) -> Socket {
        Socket { identity: self.identity_id(), role }
    }

    /// Signed in and everything that waited is processed: only now may anything be sent.
    pub(crate) fn is_online(&self) -> bool {
        self.signed_in && self.drained && self.inbox.is_open()
    }

    pub(crate) fn on_connected(&mut self, socket: Socket) {
        let now = self.now;
        let link = self.link(socket.role);
        if link.wire == Wire::Opening {
            link.wire = Wire::Silent;
            link.last_used = now;
        }
    }

    pub(crate) fn on_disconnected(&mut self, socket: Socket, rng: &mut dyn CryptoRngCore) {
        let now = self.now;
        let had_hello = self.link(socket.role).is_open();
        self.link(socket.role).failed(now, rng);
        self.forget_requests(socket.role);
        if socket.role == Role::Inbox {
            self.inbox_lost();
            if !had_hello || !self.wanted {
                self.fail_network_intents(&Failure::Offline);
                self.fail_joining(Failure::Offline);
            }
            self.show_connection();
        }
    }

    fn inbox_lost(&mut self) {
        self.signed_in = false;
        self.drained = false;
        self.server_caught_up = false;
        self.mailbox.clear();
        self.release_send_intents();
        self.sign_up_interrupted();
        self.relay_lost();
    }

    pub(crate) fn on_hello(&mut self, role: Role, version: u32, nonce: [u8; 32], time: UnixMillis) {
        if version != PROTOCOL_VERSION {
            self.wanted = false;
            let words = if version > PROTOCOL_VERSION {
                "the server speaks a newer version than this app: please update the app"
            } else {
                "the server speaks an older version than this app: its operator has to update it"
            };
            self.fail_network_intents(&Failure::Refused(Problem::new(Code::PleaseUpdate, words)));
            self.close(role);
            return;
        }
        self.server_ahead = i128::from(time.0) - i128::from(self.now.0);
        self.sweep.running.server = Some(time);
        let link = self.link(role);
        if link.wire != Wire::Silent {
            return;
        }
        link.wire = Wire::Open;
        link.nonce = nonce;
        if role == Role::Outbox {
            link.proven();
        }
    }

    /// Gives up a socket on which a request was not answered in time, or that was refused; tried again after a while.
    pub(crate) fn give_up(&mut self, role: Role, rng: &mut dyn CryptoRngCore) {
        let now = self.now;
        self.close(role);
        self.link(role).failed(now, rng);
        if role == Role::Inbox {
            self.inbox_lost();
        }
    }

    /// Looks for servers that do not greet, requests that nobody answers, a mailbox that never comes to its end.
    pub(crate) fn settle_silence(&mut self, rng: &mut dyn CryptoRngCore) {
        if self.signed_in && !self.server_caught_up {
            let due = self.last_heard.plus_ms(ANSWER_MS);
            if self.now >= due {
                self.give_up(Role::Inbox, rng);
            } else {
                self.wake_at(due);
            }
        }
        for role in [Role::Inbox, Role::Outbox] {
            let (now, link) = (self.now, self.link(role));
            if matches!(link.wire, Wire::Opening | Wire::Silent) {
                let due = link.last_used.plus_ms(ANSWER_MS);
                if now >= due {
                    self.give_up(role, rng);
                } else {
                    self.wake_at(due);
                }
            }
            let oldest = self.flights.values().filter(|flight| flight.role == role).map(|flight| flight.sent).min();
            let Some(due) = oldest.map(|sent| sent.plus_ms(ANSWER_MS)) else { continue };
            if self.now >= due {
                self.give_up(role, rng);
            } else {
                self.wake_at(due);
            }
        }
    }

    /// The server's clock, as far as known.
    pub(crate) fn server_time(&self) -> UnixMillis {
        UnixMillis(u64::try_from(i128::from(self.now.0) + self.server_ahead).unwrap_or(0))
    }

    /// Signs in when the inbox is open and nobody did.
    pub(crate) fn settle_inbox(&mut self) {
        let wanted = self.wanted || self.sign_up.is_some() || self.joining.is_some() || self.has_network_intents();
        if !wanted {
            if !self.inbox.is_closed() {
                self.close(Role::Inbox);
                self.inbox_lost();
                self.show_connection();
            }
            return;
        }
        self.open_when_due(Role::Inbox);
        if self.inbox.is_open() && !self.signed_in && self.sign_up.is_none() && self.joining.is_none() {
            self.authenticate();
        }
    }

    pub(crate) fn authenticate(&mut self) {
        let Some(identity) = self.s.identity.get(&()) else { return };
        if matches!(identity.stage, Stage::Gone { .. }) {
            return;
        }
        let device = identity.device;
        let Some(key) = signing::device_key(&identity.keys) else { return };
        let signature = signing::sign(&key, &sign_in_bytes(&self.inbox.nonce, &device));
        self.ask(Role::Inbox, Purpose::Authenticate, || Request::Authenticate { device, signature });
    }

    /// Opens the outbox when somebody wants it, closes it when nobody did for a while.
    pub(crate) fn settle_outbox(&mut self) {
        let wanted = std::mem::take(&mut self.outbox_wanted) && self.signed_in;
        if wanted {
            self.open_when_due(Role::Outbox);
        } else if self.outbox.is_open() {
            let busy = self.flights.values().any(|flight| flight.role == Role::Outbox);
            let idle_at = self.outbox.last_used.plus_ms(IDLE_MS);
            if !self.signed_in || (!busy && self.now >= idle_at) {
                self.close(Role::Outbox);
            } else if !busy {
                self.wake_at(idle_at);
            }
        }
    }

    fn open_when_due(&mut self, role: Role) {
        let now = self.now;
        let socket = self.socket(role);
        let link = self.link(role);
        if !link.is_closed() {
            return;
        }
        let due = link.not_before;
        if now >= due {
            link.wire = Wire::Opening;
            link.last_used = now;
            self.act(Effect::Open(socket));
        } else {
            self.wake_at(due);
        }
        if role == Role::Inbox {
            self.show_connection();
        }
    }

    pub(crate) fn close(&mut self, role: Role) {
        let socket = self.socket(role);
        let link = self.link(role);
        if !link.is_closed() {
            link.wire = Wire::Closed;
            self.act(Effect::Close(socket));
            self.forget_requests(role);
        }
    }

    /// Tells the shell about the inbox, once per change.
    pub(crate) fn show_connection(&mut self) {
        let state = if !self.wanted {
            Connection::Offline
        } else if self.is_online() {
            Connection::Online
        } else if self.signed_in {
            Connection::CatchingUp
        } else {
            // Until when, only after a failure: the wait before the first try is nobody's concern.
            Connection::Waiting(if self.inbox.failures > 0 { self.inbox.not_before } else { UnixMillis(0) })
        };
        if self.shown_connection != Some(state) {
            self.shown_connection = Some(state);
            let identity = self.identity_id();
            self.tell(Event::Connection { identity, state });
        }
    }

    /// Whether a request for this purpose may go out now.
    pub(crate) fn may(&mut self, purpose: &Purpose) -> bool {
        if self.flights.values().any(|flight| flight.purpose == *purpose) {
            return false;
        }
        match self.later.get(purpose).copied() {
            Some(instant) if instant > self.now => {
                self.wake_at(instant);
                false
            }
            Some(_) => {
                self.later.remove(purpose);
                true
            }
            None => true,
        }
    }

    /// Sends a request unless one for the same purpose is under way, or the socket is not there (then it is opened).
    pub(crate) fn ask(&mut self, role: Role, purpose: Purpose, request: impl FnOnce() -> Request) -> bool {
        if !self.may(&purpose) {
            return false;
        }
        if !self.link(role).is_open() {
            self.outbox_wanted |= role == Role::Outbox;
            return false;
        }
        self.next_request += 1;
        let id = self.next_request;
        let sent = self.now;
        self.flights.insert(id, crate::engine::Flight { purpose, role, sent });
        self.send_frame(role, ClientFrame { id, request: request() });
        true
    }

    pub(crate) fn send_frame(&mut self, role: Role, frame: ClientFrame) {
        let now = self.now;
        let socket = self.socket(role);
        self.link(role).last_used = now;
        self.act(Effect::Send(socket, frame));
    }

    fn forget_requests(&mut self, role: Role) {
        self.flights.retain(|_, flight| flight.role != role);
    }
}
