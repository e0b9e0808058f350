//! Messages whose clock starts when they are read, and those that can be seen once. The device that reads tells the account's others the
//! instant, so that all agree.

use super::StoredTimer;
use crate::api::{ConversationId, Event, Failure, IntentId, Reply};
use crate::engine::{Engine, Load};
use crate::messages::Pair;
use crate::own::{Note, Place};
use crate::rows::codec::record;
use crate::state::Saying;
use parlour_proto::ids::{MessageId, UnixMillis};
use rand_core::CryptoRngCore;

record! {
    /// A message whose clock waits for its reader; with no seconds, one that can be seen once: it is read when it is opened.
    struct Unread {
        order: u64,
        seconds: u32,
    }
}

impl Engine {
    /// Everything up to a position is read: clocks start.
    pub(crate) fn start_timers(&mut self, conversation: ConversationId, up_to: u64, rng: &mut dyn CryptoRngCore) {
        let now = self.server_time();
        let first = (conversation, MessageId([0; 16]));
        let waiting = self.s.unread.range(first..).take_while(|((of, _), _)| *of == conversation);
        let started: Vec<(MessageId, UnixMillis)> = waiting
            .filter(|(_, unread)| unread.seconds > 0 && unread.order <= up_to)
            .map(|((_, message), unread)| (*message, now.plus_ms(u64::from(unread.seconds) * 1_000)))
            .collect();
        if started.is_empty() {
            return;
        }
        for (message, end) in &started {
            self.end_message(conversation, *message, *end);
        }
        if let Some(place) = self.place_of(conversation) {
            self.say_own(&Note::Started { place, messages: started }, rng);
        }
    }

    pub(crate) fn hear_started(&mut self, place: &Place, messages: &[(MessageId, UnixMillis)]) {
        let Some(conversation) = self.find_place(place) else { return };
        for (message, end) in messages {
            self.end_message(conversation, *message, *end);
        }
    }

    /// A message is over at this instant.
    fn end_message(&mut self, conversation: ConversationId, message: MessageId, end: UnixMillis) {
        self.s.unread.remove(&(conversation, message));
        let prefix = self.message_prefix(conversation, message);
        self.load_rows(prefix, Load::End(conversation, message, end));
    }

    pub(crate) fn on_end_rows(&mut self, conversation: ConversationId, id: MessageId, end: UnixMillis, rows: &[Pair]) {
        let Some((mut stored, ..)) = crate::messages::parts(rows.iter()) else { return };
        if !matches!(stored.timer, Some(StoredTimer::Reading { .. })) {
            return;
        }
        stored.expires = Some(stored.expires.map_or(end, |before| before.min(end)));
        self.put_again(conversation, id, stored, rows);
    }

    // ---- what can be seen once

    /// Whether it waits to be opened.
    pub(crate) fn is_unopened(&self, conversation: ConversationId, message: MessageId) -> bool {
        self.s.unread.get(&(conversation, message)).is_some_and(|unread| unread.seconds == 0)
    }

    pub(crate) fn open_once(&mut self, intent: IntentId, conversation: ConversationId, message: MessageId) {
        let prefix = self.message_prefix(conversation, message);
        self.load_rows(prefix, Load::Open(intent, conversation, message));
    }

    pub(crate) fn on_open_rows(
        &mut self,
        intent: IntentId,
        conversation: ConversationId,
        id: MessageId,
        rows: &[Pair],
        rng: &mut dyn CryptoRngCore,
    ) {
        let is_there = self.show_rows(id, rows).is_some_and(|message| message.from.is_some() && !message.deleted);
        let stored = crate::messages::parts(rows.iter()).map(|(stored, ..)| stored).filter(|_| is_there);
        let Some(stored) = stored.filter(|stored| matches!(stored.timer, Some(StoredTimer::Once))) else {
            return self.done(intent, Err(Failure::NotFound("message that can be seen once")));
        };
        let message = self.show_whole(id, &stored);
        self.gone_once(conversation, id, rows, rng);
        let reports = self.me().is_some_and(|me| me.read_reports);
        if let Some(room) =
            self.best_room(conversation).filter(|room| reports && self.reports_wanted(conversation, *room))
        {
            self.say(conversation, Saying::Read { messages: vec![id] }, Some(room), 0, rng);
        }
        if let Some(place) = self.place_of(conversation) {
            self.say_own(&Note::Opened { place, message: id }, rng);
        }
        self.done(intent, Ok(Reply::Messages(vec![message])));
    }

    pub(crate) fn hear_opened(&mut self, place: &Place, message: MessageId) {
        if let Some(conversation) = self.find_place(place) {
            let prefix = self.message_prefix(conversation, message);
            self.load_rows(prefix, Load::Opened(conversation, message));
        }
    }

    /// Seen, here or on another own device.
    pub(crate) fn gone_once(
        &mut self,
        conversation: ConversationId,
        id: MessageId,
        rows: &[Pair],
        rng: &mut dyn CryptoRngCore,
    ) {
        let once = |timer: &Option<StoredTimer>| matches!(timer, Some(StoredTimer::Once));
        if !crate::messages::parts(rows.iter()).is_some_and(|(stored, ..)| once(&stored.timer)) {
            return;
        }
        self.destroy_message(conversation, id, rows, Some((0, true)));
        self.find_newest(conversation, rng);
        self.tell(Event::Gone { conversation, messages: vec![id] });
    }
}
