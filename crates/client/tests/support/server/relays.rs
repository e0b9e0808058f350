//! Relays between two sockets, as the real server keeps them; without the limits per account and address.

use super::{SocketKey, no};
use parlour_proto::frames::RELAY_SLOTS;
use parlour_proto::ids::UnixMillis;
use parlour_proto::problem::{Code, Problem};
use rand_core::RngCore;
use std::collections::BTreeMap;

const LIFE_MS: u64 = 600_000;
const PAYLOADS: u32 = 64;
const BYTES: usize = 256 * 1024;

struct Relay {
    opener: SocketKey,
    joiner: Option<SocketKey>,
    until: UnixMillis,
    payloads: u32,
    bytes: usize,
}

#[derive(Default)]
pub(super) struct Relays(BTreeMap<u32, Relay>);

impl Relays {
    /// The new slot, and who is to be told that the relay before it is over.
    pub(super) fn open(&mut self, by: SocketKey, now: UnixMillis, rng: &mut impl RngCore) -> (u32, Option<SocketKey>) {
        let other = self.leave(by);
        let slot = loop {
            let slot = rng.next_u32() % RELAY_SLOTS;
            if !self.0.contains_key(&slot) {
                break slot;
            }
        };
        let relay = Relay { opener: by, joiner: None, until: now.plus_ms(LIFE_MS), payloads: 0, bytes: 0 };
        self.0.insert(slot, relay);
        (slot, other)
    }

    /// Who is to be told that the relay before is over.
    pub(super) fn join(&mut self, by: SocketKey, slot: u32) -> Result<Option<SocketKey>, Problem> {
        let free = self.0.get(&slot).is_some_and(|relay| relay.joiner.is_none() && relay.opener != by);
        if !free {
            return Err(no(Code::Expired));
        }
        let other = self.leave(by);
        self.0.get_mut(&slot).unwrap().joiner = Some(by);
        Ok(other)
    }

    /// Whom a payload goes to; `None` when it is one too many.
    pub(super) fn hand_on(&mut self, by: SocketKey, len: usize) -> Result<Option<SocketKey>, Problem> {
        let slot = self.slot_of(by).ok_or(no(Code::Expired))?;
        let relay = self.0.get_mut(&slot).unwrap();
        let joiner = relay.joiner.ok_or(no(Code::Expired))?;
        relay.payloads += 1;
        relay.bytes += len;
        let to = if relay.opener == by { joiner } else { relay.opener };
        Ok((relay.payloads <= PAYLOADS && relay.bytes <= BYTES).then_some(to))
    }

    /// Ends the relay of a socket; the other side of it.
    pub(super) fn leave(&mut self, by: SocketKey) -> Option<SocketKey> {
        let relay = self.0.remove(&self.slot_of(by)?)?;
        if relay.opener == by { relay.joiner } else { Some(relay.opener) }
    }

    /// Ends the relays whose time is over; all their sides.
    pub(super) fn overdue(&mut self, now: UnixMillis) -> Vec<SocketKey> {
        let mut over = Vec::new();
        self.0.retain(|_, relay| {
            if relay.until <= now {
                over.push(relay.opener);
                over.extend(relay.joiner);
            }
            relay.until > now
        });
        over
    }

    fn slot_of(&self, key: SocketKey) -> Option<u32> {
        let found = self.0.iter().find(|(_, relay)| relay.opener == key || relay.joiner == Some(key));
        found.map(|(slot, _)| *slot)
    }
}
