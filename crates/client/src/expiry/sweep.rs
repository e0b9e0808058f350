//! What is over is found by an index: for each day, which messages are over at which instant. The days up to this one are in memory; an
//! engine that opens after weeks reads one day after the other.

use super::clock::{Clock, Running};
use crate::api::{ConversationId, Event};
use crate::engine::{Engine, Load};
use crate::keyring::Keyring;
use crate::messages::{Pair, QUEUED};
use crate::rows::codec::record;
use crate::rows::{LAZY, decode, encode, prefix};
use crate::state::{Conversation, Saying};
use parlour_proto::ids::{MessageId, UnixMillis};
use rand_core::CryptoRngCore;
use std::collections::{BTreeMap, BTreeSet};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Days read at one time, and messages destroyed at one time.
const AT_ONCE: usize = 64;
/// What is sure is written down so often.
const NOTE_MS: u64 = HOUR_MS;

record! {
    /// A row of the index.
    struct Over {
        order: u64,
        received: bool,
    }
}

/// Something of the index that is in memory.
struct Due {
    over: Over,
    /// It was looked at when its time was over: it is said to be gone, if it is.
    told: bool,
    /// Its rows are being read.
    reading: bool,
}

type Place = (UnixMillis, ConversationId, MessageId);

/// What this run knows of what is over.
#[derive(Default)]
pub(crate) struct Sweep {
    pub(crate) running: Running,
    /// Days that are in memory, and whether they are being read.
    days: BTreeMap<u32, bool>,
    due: BTreeMap<Place, Due>,
}

fn day_of(instant: UnixMillis) -> u32 {
    u32::try_from(instant.0 / DAY_MS).unwrap_or(u32::MAX)
}

fn index_row(identity: u16, (instant, conversation, message): &Place) -> Vec<u8> {
    let mut key = prefix(LAZY, b'x', identity);
    key.extend(day_of(*instant).to_be_bytes());
    key.extend(instant.0.to_be_bytes());
    key.extend(conversation.0);
    key.extend(message.0);
    key
}

fn place_of(key: &[u8]) -> Option<Place> {
    let rest = key.get(4 + 4..)?;
    let (instant, rest) = rest.split_at_checked(8)?;
    let (conversation, message) = rest.split_at_checked(16)?;
    let instant = UnixMillis(u64::from_be_bytes(instant.try_into().ok()?));
    Some((instant, ConversationId(conversation.try_into().ok()?), MessageId(message.try_into().ok()?)))
}

impl Engine {
    fn clock(&self) -> Option<&Clock> {
        self.s.clock.get(&())
    }

    /// What time it is by the clock that is ahead: what is over by it is not shown.
    pub(crate) fn hidden_by(&self) -> UnixMillis {
        let sure = self.clock().map_or(UnixMillis(0), |clock| clock.sure);
        self.server_time().max(sure)
    }

    pub(crate) fn is_over(&self, expires: Option<UnixMillis>, kept: bool) -> bool {
        !kept && expires.is_some_and(|expires| expires <= self.hidden_by())
    }

    /// An input's time. It is written down once an hour, and when it was doubted.
    pub(crate) fn tick_clock(&mut self) {
        if self.me().is_none() {
            return;
        }
        let mut clock = self.clock().cloned().unwrap_or_else(Clock::new);
        clock.tick(&mut self.sweep.running, self.now);
        let doubt = |clock: &Clock| clock.doubt.as_ref().map(|doubt| doubt.ran_ms / NOTE_MS);
        let noted = self.clock().map(|noted| (noted.sure, doubt(noted)));
        if clock.swept == 0 && clock.sure > UnixMillis(0) {
            clock.swept = day_of(clock.sure);
        }
        let news = match noted {
            None => clock.sure > UnixMillis(0),
            Some((sure, before)) => {
                clock.sure.since(sure) >= NOTE_MS || doubt(&clock) != before || sure == UnixMillis(0)
            }
        };
        // What is not written down is forgotten by a restart only.
        self.s.clock.replace(&(), clock, news);
    }

    /// Notes when a message is over.
    pub(crate) fn index_over(
        &mut self,
        conversation: ConversationId,
        message: MessageId,
        expires: UnixMillis,
        order: u64,
        received: bool,
    ) {
        let clock = self.clock().cloned().unwrap_or_else(Clock::new);
        // A day that is swept is not read again.
        let place = (expires.max(clock.sure), conversation, message);
        let (day, over) = (day_of(place.0), Over { order, received });
        self.put_row(index_row(self.s.number, &place), Some(encode(&over)));
        if day > clock.last {
            self.s.clock.replace(&(), Clock { last: day, ..clock }, true);
        }
        if self.sweep.days.contains_key(&day) {
            self.sweep.due.insert(place, Due { over, told: false, reading: false });
            self.again = true;
        }
    }

    /// A message is not over at this instant any more.
    pub(crate) fn unindex_over(&mut self, conversation: ConversationId, message: MessageId, expires: UnixMillis) {
        let place = (expires, conversation, message);
        self.sweep.due.remove(&place);
        self.put_row(index_row(self.s.number, &place), None);
    }

    /// Hides and destroys what is over.
    pub(crate) fn settle_expiry(&mut self) {
        let Some(clock) = self.clock().filter(|clock| clock.sure > UnixMillis(0)).cloned() else { return };
        let hidden = self.hidden_by();
        self.read_days(&clock, hidden);
        self.look_at_due(hidden, clock.sure);
        self.destroy_keys(clock.sure);
        self.sweep_days(clock);
        self.wake_for_expiry(hidden);
    }

    fn read_days(&mut self, clock: &Clock, hidden: UnixMillis) {
        let last = day_of(hidden.plus_ms(HOUR_MS)).min(clock.last);
        let reading = self.sweep.days.values().filter(|reading| **reading).count();
        let new: Vec<u32> = (clock.swept..=last)
            .filter(|day| !self.sweep.days.contains_key(day))
            .take(AT_ONCE.saturating_sub(reading))
            .collect();
        for day in new {
            self.sweep.days.insert(day, true);
            let mut key = prefix(LAZY, b'x', self.s.number);
            key.extend(day.to_be_bytes());
            self.load_rows(key, Load::Day(day));
        }
    }

    pub(crate) fn on_day_rows(&mut self, day: u32, rows: &[Pair]) {
        self.sweep.days.insert(day, false);
        self.again = true;
        for (key, value) in rows {
            if let (Some(place), Ok(over)) = (place_of(key), decode::<Over>(value)) {
                self.sweep.due.entry(place).or_insert(Due { over, told: false, reading: false });
            }
        }
    }

    /// Messages that are over: said to be once they are, destroyed once that is sure.
    fn look_at_due(&mut self, hidden: UnixMillis, sure: UnixMillis) {
        let reading = self.sweep.due.values().filter(|due| due.reading).count();
        let over = self.sweep.due.iter_mut().take_while(|((instant, ..), _)| *instant <= hidden);
        let next: Vec<Place> = over
            .filter(|((instant, ..), due)| !due.reading && (!due.told || *instant <= sure))
            .take(AT_ONCE.saturating_sub(reading))
            .map(|(place, due)| {
                due.reading = true;
                *place
            })
            .collect();
        for place in next {
            let prefix = self.message_prefix(place.1, place.2);
            self.load_rows(prefix, Load::Over(place));
        }
    }

    pub(crate) fn on_over_rows(&mut self, place: Place, rows: &[Pair], rng: &mut dyn CryptoRngCore) {
        let Some(due) = self.sweep.due.get_mut(&place) else { return };
        let (instant, conversation, message) = place;
        let (told, at) = (std::mem::replace(&mut due.told, true), (due.over.order, due.over.received));
        due.reading = false;
        self.again = true;
        // It may be kept, or have been given another end.
        let is_over = self.show_rows(message, rows).is_none();
        if is_over && !told {
            let newest = self.s.conversations.get(&conversation).and_then(|c| c.newest.as_ref());
            if newest.is_some_and(|newest| newest.message == message) {
                self.forget_newest(conversation);
                self.find_newest(conversation, rng);
            }
            self.tell(Event::Gone { conversation, messages: vec![message] });
        }
        if self.clock().is_some_and(|clock| instant <= clock.sure) {
            self.sweep.due.remove(&place);
            self.put_row(index_row(self.s.number, &place), None);
            if is_over {
                self.destroy_message(conversation, message, rows, Some(at));
            }
        }
    }

    /// All of a message goes: rows, index, what lists show, and its key if it had one of its own.
    pub(crate) fn destroy_message(
        &mut self,
        conversation: ConversationId,
        message: MessageId,
        rows: &[Pair],
        place: Option<(u64, bool)>,
    ) {
        for (key, _) in rows {
            self.put_row(key.clone(), None);
        }
        let single: Vec<u64> = self.single_key(rows).into_iter().collect();
        self.s.ring.destroy(&single);
        self.s.unread.remove(&(conversation, message));
        if let Some(asking) = self.s.conversations.get_mut(&conversation).and_then(|c| c.asking.as_mut()) {
            // A request shows its only text.
            asking.text = None;
        }
        let place = self.place_in(rows).or(place).filter(|(order, _)| *order < QUEUED);
        if let Some((order, received)) = place {
            self.unindex_message(conversation, order);
            self.mark_kept(conversation, order);
            self.over_in_backup(conversation, order);
            if let Some(c) = self.s.conversations.get_mut(&conversation).filter(|c| received && order > c.read_up_to) {
                c.unread = c.unread.saturating_sub(1);
                self.changed.insert(conversation);
            }
        }
        if self.s.conversations.get(&conversation).and_then(|c| c.newest.as_ref()).is_some_and(|n| n.message == message)
        {
            self.forget_newest(conversation);
        }
    }

    /// Keys whose stretch of time is over.
    fn destroy_keys(&mut self, sure: UnixMillis) {
        let due = self.s.ring.due(sure);
        if !due.is_empty() {
            self.shred(&due);
        }
    }

    /// Destroys keys. What is still to be sent is not over: it goes under another one.
    pub(crate) fn shred(&mut self, numbers: &[u64]) {
        let keys: BTreeSet<u64> = numbers.iter().copied().collect();
        let waiting: Vec<_> =
            self.s.outgoing.iter().filter(|(_, item)| keys.contains(&item.key)).map(|(at, _)| *at).collect();
        for at in waiting {
            self.rekey_outgoing(at);
        }
        self.s.ring.destroy(numbers);
        // Lists do not show what cannot be read.
        let under = |c: &Conversation| Keyring::key_of(&c.preview).is_some_and(|key| keys.contains(&key));
        let blind: Vec<_> = self.s.conversations.iter().filter(|(_, c)| under(c)).map(|(id, _)| *id).collect();
        blind.into_iter().for_each(|id| self.forget_newest(id));
    }

    fn rekey_outgoing(&mut self, at: (ConversationId, u64)) {
        let Some(saying) = self.s.outgoing.get(&at).map(|item| item.saying.clone()) else { return };
        let key = self.outgoing_key(at.0, &saying);
        let Some(item) = self.s.outgoing.get_mut(&at) else { return };
        item.key = key;
        let item = item.clone();
        if matches!(item.saying, Saying::Text { .. }) && !item.accepted {
            self.show_outgoing(at.0, at.1, &item, crate::api::MessageState::Queued);
        }
    }

    /// Days of which nothing is left.
    fn sweep_days(&mut self, mut clock: Clock) {
        let before = clock.swept;
        while clock.swept < day_of(clock.sure) {
            let is_done = clock.swept > clock.last
                || (self.sweep.days.get(&clock.swept) == Some(&false)
                    && self
                        .sweep
                        .due
                        .first_key_value()
                        .is_none_or(|((instant, ..), _)| day_of(*instant) > clock.swept));
            if !is_done {
                break;
            }
            self.sweep.days.remove(&clock.swept);
            clock.swept += 1;
        }
        if clock.swept != before {
            self.s.clock.replace(&(), clock, true);
            self.again = true;
        }
    }

    fn wake_for_expiry(&mut self, hidden: UnixMillis) {
        let next = self.sweep.due.iter().find(|(_, due)| !due.told).map(|((instant, ..), _)| *instant);
        // Once an hour anyway: days begin, and time that runs is counted.
        let next = [next, self.s.ring.next_due()].into_iter().flatten().filter(|next| *next > hidden).min();
        let wait = next.map_or(HOUR_MS, |next| next.since(hidden)).clamp(1, HOUR_MS);
        self.wake_at(self.now.plus_ms(wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_row_says_when_which_message_is_over() {
        let place = (UnixMillis(1_800_000_123_456), ConversationId([7; 16]), MessageId([9; 16]));
        let key = index_row(3, &place);
        assert_eq!(place_of(&key), Some(place));
        assert!(key.starts_with(&[&prefix(LAZY, b'x', 3)[..], &20_833u32.to_be_bytes()].concat()));
        assert_eq!(place_of(b"lx\0\0short"), None);
    }
}
