//! Pages of a conversation: the messages before a position, read without reading the rest of it.
//!
//! Messages lie under their ids, so that what somebody notes on one finds it. Beside them an index says which message has
//! which position: small rows, [`PAGE`] of them under one prefix. A query reads pages from the newest one back until it has
//! enough, then the messages that it shows: what it costs depends on what is asked for, not on how much was ever said.
//! Own messages without a position yet are in the outbox, in memory.
//!
//! A message that got another position (it came twice) leaves its old index row behind: a row counts if the message says
//! the same position.

use crate::api::{self, ConversationId, Failure, IntentId, Reply};
use crate::backup::BUCKET;
use crate::engine::{Engine, Load};
use crate::expiry::refile::PAGE as REFILED;
use crate::messages::{Pair, QUEUED};
use crate::restored::MOST_AGAIN;
use crate::rows::codec::record;
use crate::rows::{LAZY, decode, encode, prefix};
use crate::state::Saying;
use parlour_proto::content::MAX_REPORTS;
use parlour_proto::ids::{DeviceId, MessageId, UnixMillis};
use rand_core::CryptoRngCore;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Positions under one prefix.
const PAGE: u64 = 32;
/// The engine itself asks.
const NOBODY: IntentId = IntentId(0);
/// Most pages asked for at once.
const MOST_PAGES: u64 = 32;
/// So many messages, the newest, are told to have been read when a conversation is marked as read.
const MOST_READ: usize = 4 * MAX_REPORTS;

record! {
    /// Who has a position.
    struct Place {
        message: MessageId,
        received: bool,
    }
}

/// What pages are read for.
#[derive(Debug, Clone, Copy)]
enum Goal {
    /// So many messages, with those of the outbox.
    Show { limit: usize },
    /// Read reports; `arrived` counts what came meanwhile.
    Read { up_to: u64, arrived: u32 },
    /// So many messages, for an own device; `None`: for somebody who was added to the group.
    Copy { device: Option<DeviceId>, limit: usize },
    /// All of a bucket of the backup.
    Keep { bucket: u64 },
    /// What another own device has read: how many came after it.
    Unread { up_to: u64, arrived: u32 },
    /// The newest, for lists.
    Newest,
    /// Which are there, to be written anew.
    Refile { page: u64 },
    /// The newest, of which own ones since then may be lost.
    Own { since: UnixMillis },
}

/// A query under way: first index rows are read, then the messages that they name.
pub(crate) struct Walk {
    intent: IntentId,
    conversation: ConversationId,
    goal: Goal,
    /// Positions from here …
    from: u64,
    /// … to before here.
    before: u64,
    /// Pages before this one were not asked for yet.
    oldest_page: u64,
    places: BTreeMap<u64, Place>,
    /// Loads under way.
    waiting: usize,
    /// Places whose messages were asked for.
    asked: BTreeSet<u64>,
    messages: Vec<api::Message>,
}

impl Walk {
    /// How many places are still looked for.
    fn missing(&self) -> usize {
        match self.goal {
            Goal::Show { limit } | Goal::Copy { limit, .. } => limit.saturating_sub(self.places.len()),
            Goal::Keep { .. } => (BUCKET as usize).saturating_sub(self.places.len()),
            Goal::Newest => 1usize.saturating_sub(self.places.len()),
            Goal::Refile { .. } => REFILED.saturating_sub(self.places.len()),
            Goal::Own { .. } => MOST_AGAIN.saturating_sub(self.places.len()),
            Goal::Read { .. } | Goal::Unread { .. } => {
                MOST_READ.saturating_sub(self.places.values().filter(|place| place.received).count())
            }
        }
    }

    /// Takes the next older pages to be read.
    fn next_pages(&mut self) -> Range<u64> {
        let (newest, last) = (self.oldest_page, self.from / PAGE);
        if self.missing() == 0 || newest <= last {
            return newest..newest;
        }
        let pages = (self.missing() as u64).div_ceil(PAGE).saturating_add(1).min(MOST_PAGES);
        self.oldest_page = newest.saturating_sub(pages).max(last);
        self.oldest_page..newest
    }
}

/// A message that a query is to show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed {
    walk: u64,
    message: MessageId,
    order: u64,
}

/// Key prefix of a conversation's index.
pub(crate) fn index_prefix(identity: u16, conversation: &ConversationId) -> Vec<u8> {
    let mut key = prefix(LAZY, b'q', identity);
    key.extend(conversation.0);
    key
}

fn page_prefix(identity: u16, conversation: &ConversationId, page: u64) -> Vec<u8> {
    let mut key = index_prefix(identity, conversation);
    key.extend(page.to_be_bytes());
    key
}

/// The position that an index row is for.
fn order_of(key: &[u8]) -> Option<u64> {
    let rest = key.get(key.len().checked_sub(9)?..)?;
    let (page, slot) = rest.split_at(8);
    Some(u64::from_be_bytes(page.try_into().ok()?) * PAGE + u64::from(*slot.first()?))
}

impl Engine {
    /// Notes which message has a position.
    pub(crate) fn index_message(
        &mut self,
        conversation: ConversationId,
        message: MessageId,
        order: u64,
        received: bool,
    ) {
        let mut key = page_prefix(self.s.number, &conversation, order / PAGE);
        key.push(u8::try_from(order % PAGE).unwrap_or(0));
        self.put_row(key, Some(encode(&Place { message, received })));
    }

    /// Nobody has this position any more.
    pub(crate) fn unindex_message(&mut self, conversation: ConversationId, order: u64) {
        let mut key = page_prefix(self.s.number, &conversation, order / PAGE);
        key.push(u8::try_from(order % PAGE).unwrap_or(0));
        self.put_row(key, None);
    }

    /// Something came while queries are under way.
    pub(crate) fn arrived(&mut self, conversation: ConversationId) {
        for walk in self.walks.values_mut().filter(|walk| walk.conversation == conversation) {
            if let Goal::Read { arrived, .. } | Goal::Unread { arrived, .. } = &mut walk.goal {
                *arrived += 1;
            }
        }
    }

    /// `Messages`: the newest `limit` before a position.
    pub(crate) fn list_messages(
        &mut self,
        intent: IntentId,
        conversation: ConversationId,
        before: Option<u64>,
        limit: u32,
        rng: &mut dyn CryptoRngCore,
    ) {
        let Some(next_order) = self.s.conversations.get(&conversation).map(|c| c.next_order) else {
            return self.done(intent, Err(Failure::NotFound("conversation")));
        };
        let before = before.unwrap_or(u64::MAX);
        let queued = self
            .s
            .outgoing_of(conversation)
            .filter(|(at, item)| QUEUED + at < before && matches!(item.saying, Saying::Text { .. }))
            .map(|(at, item)| (QUEUED + at, Place { message: item.message, received: false }));
        let places = queued.collect();
        let goal = Goal::Show { limit: limit as usize };
        let before = before.min(next_order.saturating_add(1));
        self.start_walk(intent, conversation, goal, places, 0..before, rng);
    }

    /// Reads which messages came after one position and up to another, to report them as read.
    pub(crate) fn collect_read(
        &mut self,
        intent: IntentId,
        conversation: ConversationId,
        after: u64,
        up_to: u64,
        rng: &mut dyn CryptoRngCore,
    ) {
        let range = after.saturating_add(1)..up_to.saturating_add(1);
        self.start_walk(intent, conversation, Goal::Read { up_to, arrived: 0 }, BTreeMap::new(), range, rng);
    }

    /// A page for an own device, or (`None`) for somebody who was added to the group.
    pub(crate) fn read_page(
        &mut self,
        device: Option<DeviceId>,
        conversation: ConversationId,
        before: u64,
        limit: usize,
        rng: &mut dyn CryptoRngCore,
    ) {
        let next_order = self.s.conversations.get(&conversation).map_or(0, |c| c.next_order);
        let range = 0..before.min(next_order.saturating_add(1));
        self.start_walk(NOBODY, conversation, Goal::Copy { device, limit }, BTreeMap::new(), range, rng);
    }

    /// A bucket of the backup.
    pub(crate) fn read_bucket(&mut self, conversation: ConversationId, bucket: u64, rng: &mut dyn CryptoRngCore) {
        let range = bucket.saturating_mul(BUCKET)..bucket.saturating_add(1).saturating_mul(BUCKET);
        self.start_walk(NOBODY, conversation, Goal::Keep { bucket }, BTreeMap::new(), range, rng);
    }

    /// The newest messages, of which own ones since then may be lost.
    pub(crate) fn read_own(&mut self, conversation: ConversationId, since: UnixMillis, rng: &mut dyn CryptoRngCore) {
        let next_order = self.s.conversations.get(&conversation).map_or(0, |c| c.next_order);
        let range = 0..next_order.saturating_add(1);
        self.start_walk(NOBODY, conversation, Goal::Own { since }, BTreeMap::new(), range, rng);
    }

    /// Counts what came after a position.
    pub(crate) fn count_unread(&mut self, conversation: ConversationId, up_to: u64, rng: &mut dyn CryptoRngCore) {
        let next_order = self.s.conversations.get(&conversation).map_or(0, |c| c.next_order);
        let range = up_to.saturating_add(1)..next_order.saturating_add(1);
        self.start_walk(NOBODY, conversation, Goal::Unread { up_to, arrived: 0 }, BTreeMap::new(), range, rng);
    }

    /// The newest that is left, for lists.
    pub(crate) fn find_newest(&mut self, conversation: ConversationId, rng: &mut dyn CryptoRngCore) {
        let next_order = self.s.conversations.get(&conversation).map_or(0, |c| c.next_order);
        self.start_walk(NOBODY, conversation, Goal::Newest, BTreeMap::new(), 0..next_order.saturating_add(1), rng);
    }

    /// Which messages there are before a position.
    pub(crate) fn read_places(
        &mut self,
        page: u64,
        conversation: ConversationId,
        before: u64,
        rng: &mut dyn CryptoRngCore,
    ) {
        let next_order = self.s.conversations.get(&conversation).map_or(0, |c| c.next_order);
        let range = 0..before.min(next_order.saturating_add(1));
        self.start_walk(NOBODY, conversation, Goal::Refile { page }, BTreeMap::new(), range, rng);
    }

    fn start_walk(
        &mut self,
        intent: IntentId,
        conversation: ConversationId,
        goal: Goal,
        places: BTreeMap<u64, Place>,
        range: Range<u64>,
        rng: &mut dyn CryptoRngCore,
    ) {
        self.next_walk += 1;
        let walk = Walk {
            intent,
            conversation,
            goal,
            from: range.start,
            before: range.end,
            oldest_page: range.end.div_ceil(PAGE),
            places,
            waiting: 0,
            asked: BTreeSet::new(),
            messages: Vec::new(),
        };
        self.walks.insert(self.next_walk, walk);
        self.walk_on(self.next_walk, rng);
    }

    /// Asks for more pages, then for the messages that were found, then answers.
    fn walk_on(&mut self, number: u64, rng: &mut dyn CryptoRngCore) {
        let Some(walk) = self.walks.get_mut(&number).filter(|walk| walk.waiting == 0) else { return };
        let conversation = walk.conversation;
        let pages = walk.next_pages();
        let prefixes = pages.map(|page| page_prefix(self.s.number, &conversation, page));
        let mut wanted: Vec<(Vec<u8>, Load)> = prefixes.map(|prefix| (prefix, Load::Page(number))).collect();
        if wanted.is_empty() {
            wanted = self.next_messages(number);
        }
        if wanted.is_empty() {
            return self.answer_walk(number, rng);
        }
        if let Some(walk) = self.walks.get_mut(&number) {
            walk.waiting = wanted.len();
        }
        for (prefix, load) in wanted {
            self.load_rows(prefix, load);
        }
    }

    /// The messages that are to be shown and were not asked for yet, as loads.
    fn next_messages(&mut self, number: u64) -> Vec<(Vec<u8>, Load)> {
        let Some(walk) = self.walks.get_mut(&number) else { return Vec::new() };
        let limit = match walk.goal {
            Goal::Show { limit } | Goal::Copy { limit, .. } => limit,
            Goal::Keep { .. } => BUCKET as usize,
            Goal::Newest => 1,
            Goal::Own { .. } => MOST_AGAIN,
            Goal::Read { .. } | Goal::Unread { .. } | Goal::Refile { .. } => return Vec::new(),
        };
        let conversation = walk.conversation;
        let shown = walk.places.iter().rev().take(limit).map(|(order, place)| (*order, place.message));
        let new: Vec<(u64, MessageId)> = shown.filter(|(order, _)| !walk.asked.contains(order)).collect();
        walk.asked.extend(new.iter().map(|(order, _)| order));
        let load = |(order, message)| {
            let listed = Load::Listed(Listed { walk: number, message, order });
            (self.message_prefix(conversation, message), listed)
        };
        new.into_iter().map(load).collect()
    }

    pub(crate) fn on_page_rows(&mut self, number: u64, rows: &[Pair], rng: &mut dyn CryptoRngCore) {
        let Some(walk) = self.walks.get_mut(&number) else { return };
        walk.waiting -= 1;
        for (key, value) in rows {
            if let (Some(order), Ok(place)) = (order_of(key), decode::<Place>(value))
                && (walk.from..walk.before).contains(&order)
            {
                walk.places.insert(order, place);
            }
        }
        self.walk_on(number, rng);
    }

    pub(crate) fn on_listed_rows(&mut self, listed: Listed, rows: &[Pair], rng: &mut dyn CryptoRngCore) {
        let shown = self.show_rows(listed.message, rows);
        let newest = self.walks.get(&listed.walk).filter(|walk| matches!(walk.goal, Goal::Newest));
        if let (Some(conversation), Some(message)) = (newest.map(|walk| walk.conversation), &shown) {
            self.newest_found(conversation, message, rows);
        }
        let Some(walk) = self.walks.get_mut(&listed.walk) else { return };
        walk.waiting -= 1;
        // What was queued a moment ago may have its position by now.
        match shown.filter(|message| message.order == listed.order || listed.order >= QUEUED) {
            Some(message) => walk.messages.push(message),
            // It has another position: the next older one takes its place.
            None => drop(walk.places.remove(&listed.order)),
        }
        self.walk_on(listed.walk, rng);
    }

    fn answer_walk(&mut self, number: u64, rng: &mut dyn CryptoRngCore) {
        let Some(mut walk) = self.walks.remove(&number) else { return };
        match walk.goal {
            Goal::Show { .. } => {
                walk.messages.sort_by_key(|message| message.order);
                self.done(walk.intent, Ok(Reply::Messages(walk.messages)));
            }
            Goal::Copy { device, .. } => {
                walk.messages.sort_by_key(|message| message.order);
                match device {
                    Some(device) => self.on_copied(device, walk.conversation, walk.messages, rng),
                    None => self.on_handed(walk.messages, rng),
                }
            }
            Goal::Own { since } => {
                walk.messages.sort_by_key(|message| message.order);
                self.on_own_read(walk.conversation, since, walk.messages, rng);
            }
            Goal::Keep { bucket } => {
                walk.messages.sort_by_key(|message| message.order);
                self.on_bucket_read(walk.conversation, bucket, walk.messages, rng);
            }
            Goal::Unread { up_to, arrived } => {
                let unread = walk.places.values().filter(|place| place.received).count() as u32 + arrived;
                if let Some(c) = self.s.conversations.get_mut(&walk.conversation).filter(|c| up_to > c.read_up_to) {
                    c.read_up_to = up_to;
                    c.unread = c.unread.min(unread);
                    c.mentioned &= c.unread > 0;
                    self.changed.insert(walk.conversation);
                }
            }
            // Listed as it was found ([`Engine::on_listed_rows`]).
            Goal::Newest => {}
            Goal::Refile { page } => {
                let newest = walk.places.iter().rev().take(REFILED);
                let places: Vec<_> = newest.map(|(order, place)| (*order, place.message)).collect();
                self.on_places(page, walk.conversation, &places);
            }
            Goal::Read { up_to, arrived } => {
                let read_already = self.s.conversations.get(&walk.conversation).map_or(u64::MAX, |c| c.read_up_to);
                let new = walk.places.iter().filter(|(order, place)| place.received && **order > read_already);
                let seen = new.map(|(_, place)| place.message).filter(|id| !self.is_unopened(walk.conversation, *id));
                let new: Vec<MessageId> = seen.collect();
                self.has_read(walk.intent, walk.conversation, up_to, arrived, &new, rng);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_key_says_its_position() {
        let conversation = ConversationId([7; 16]);
        for order in [0, 1, 31, 32, 33, 1_000_000] {
            let mut key = page_prefix(3, &conversation, order / PAGE);
            key.push(u8::try_from(order % PAGE).unwrap());
            assert_eq!(order_of(&key), Some(order));
        }
        assert_eq!(order_of(b"short"), None);
    }
}
