//! The messages of the open conversation, as far as they have been read: pages from the past, changes from now.

use parlour_client::api::{ConversationId, Message, MessageState, Timer};
use parlour_proto::ids::{MessageId, UnixMillis};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How many messages a page has.
pub const PAGE: u32 = 80;

/// The open conversation.
#[derive(Debug, Clone, Default)]
pub struct Thread {
    id: Option<ConversationId>,
    by_order: BTreeMap<u64, Arc<Message>>,
    orders: HashMap<MessageId, u64>,
    /// Whether its first message has been read.
    pub whole: bool,
    /// There is more at the beginning since the page under way was asked for.
    grown: bool,
    /// Whether a page is on its way.
    pub loading: bool,
    /// Whether the newest page has been read.
    pub ready: bool,
    /// The first message that was unread when the conversation was opened.
    pub first_unread: Option<MessageId>,
    /// How many were.
    pub unread: u32,
    /// When keys of somebody in it changed.
    pub keys_changed: Option<UnixMillis>,
}

impl Thread {
    /// Nothing of this conversation has been read yet; `unread` as the list said it when it was opened.
    pub fn open(id: ConversationId, unread: u32) -> Self {
        Self { id: Some(id), unread, ..Self::default() }
    }

    /// Which conversation.
    pub fn id(&self) -> Option<ConversationId> {
        self.id
    }

    /// A page came that was read as what is before `before`, or as the newest one. It counts only where it leaves no hole:
    /// the conversation may have been left and opened again meanwhile.
    /// Gives whether there is more by now than there was when it was asked for.
    pub fn page_came(&mut self, before: Option<u64>, page: Vec<Message>) -> bool {
        self.loading = false;
        let oldest = self.by_order.first_key_value().map(|(order, _)| *order);
        let fits = match before {
            Some(before) => self.ready && oldest.is_some_and(|oldest| oldest <= before),
            None => !self.ready || oldest.is_none(),
        };
        if fits {
            self.add_page(page);
        }
        std::mem::take(&mut self.grown)
    }

    /// There is more at the beginning than there was. Gives what is to be read now: the page before what is here (`None`: the
    /// newest), if no page is under way that may have it.
    pub fn grows(&mut self) -> Option<Option<u64>> {
        if self.loading {
            self.grown = true;
            return None;
        }
        if !std::mem::take(&mut self.whole) {
            return None;
        }
        self.loading = true;
        Some(self.by_order.first_key_value().map(|(order, _)| *order))
    }

    /// A page could not be read; it may be asked for again.
    pub fn page_failed(&mut self) {
        self.loading = false;
    }

    /// Takes in the messages before those that are here.
    pub fn add_page(&mut self, page: Vec<Message>) {
        self.whole |= page.len() < PAGE as usize;
        self.loading = false;
        self.ready = true;
        for message in page {
            self.put(message);
        }
        self.find_first_unread();
    }

    /// The engine tells of a message. One that is older than all that has been read waits for its page, or the pages
    /// between would be taken for read.
    pub fn hear(&mut self, message: Message) {
        let oldest = self.by_order.first_key_value().map_or(0, |(order, _)| *order);
        if self.whole || !self.ready || message.order > oldest || self.orders.contains_key(&message.id) {
            self.put(message);
        }
    }

    /// A message is new or changed.
    pub fn put(&mut self, message: Message) {
        if let Some(order) = self.orders.insert(message.id, message.order) {
            self.by_order.remove(&order);
        }
        self.by_order.insert(message.order, Arc::new(message));
    }

    /// These are not to be seen any more.
    pub fn forget(&mut self, gone: &[MessageId]) {
        let line =
            self.first_unread.filter(|first| gone.contains(first)).and_then(|first| self.orders.get(&first).copied());
        for id in gone {
            if let Some(order) = self.orders.remove(id) {
                self.by_order.remove(&order);
            }
        }
        if let Some(order) = line {
            let after = self.by_order.range(order..).map(|(_, message)| message);
            self.first_unread = after.filter(|message| message.from.is_some()).map(|message| message.id).next();
        }
    }

    /// From where to read the page before; `None` when there is nothing to read.
    pub fn page_before(&self) -> Option<u64> {
        let oldest = self.by_order.first_key_value().map(|(order, _)| *order);
        oldest.filter(|_| !self.whole && !self.loading && self.ready)
    }

    /// One message.
    pub fn message(&self, id: MessageId) -> Option<&Arc<Message>> {
        self.by_order.get(self.orders.get(&id)?)
    }

    /// All that have been read, oldest first.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &Arc<Message>> {
        self.by_order.values()
    }

    /// How many have been read.
    pub fn len(&self) -> usize {
        self.by_order.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.by_order.is_empty()
    }

    /// One's own newest message that can be edited.
    pub fn last_own(&self) -> Option<&Arc<Message>> {
        self.messages().rev().find(|message| can_edit(message))
    }

    /// The reader wrote something: the line above the unread ones has done its work.
    pub fn forget_unread(&mut self) {
        self.first_unread = None;
        self.unread = 0;
    }

    fn find_first_unread(&mut self) {
        if self.unread > 0 && self.first_unread.is_none() {
            let others = self.messages().rev().filter(|message| message.from.is_some());
            let first = others.take(self.unread as usize).last().map(|message| message.id);
            let known = self.messages().filter(|message| message.from.is_some()).count();
            if self.whole || known >= self.unread as usize {
                self.first_unread = first;
            }
        }
    }
}

/// Whether a message can be given another text: what can be seen once cannot.
pub fn can_edit(message: &Message) -> bool {
    can_delete(message) && message.timer != Some(Timer::Once)
}

/// Whether a message can be deleted for all.
pub fn can_delete(message: &Message) -> bool {
    let is_own = message.from.is_none() && message.notice.is_none();
    is_own && !message.deleted && message.state != MessageState::Failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::model::samples::{message, received};
    use parlour_client::api::{Expiry, Notice};

    fn opened(unread: u32) -> Thread {
        Thread::open(ConversationId([1; 16]), unread)
    }

    #[test]
    fn pages_and_changes_meet_in_order() {
        let mut thread = opened(0);
        thread.put(received(12, "came while the page was read"));
        thread.add_page((5..12).map(|n| received(n, "x")).collect());
        thread.put(Message { text: "edited".to_owned(), ..received(7, "") });
        let orders: Vec<u64> = thread.messages().map(|m| m.order).collect();
        assert_eq!(orders, (5..=12).collect::<Vec<_>>());
        assert_eq!(thread.message(received(7, "").id).unwrap().text, "edited");
        assert!(thread.whole);
    }

    #[test]
    fn what_is_handed_over_while_one_looks_is_read() {
        let mut thread = opened(0);
        thread.loading = true;
        assert_eq!(thread.grows(), None, "the page under way may have it");
        assert!(thread.page_came(None, Vec::new()), "or not");
        assert_eq!(thread.grows(), Some(None));
        assert!(!thread.page_came(None, vec![received(30, "handed over")]));
        assert_eq!(thread.len(), 1);
        assert_eq!(thread.grows(), Some(Some(30)));
        assert!(!thread.page_came(Some(30), vec![received(29, "before that")]));
        assert_eq!((thread.len(), thread.whole), (2, true));
        let mut long = opened(0);
        long.add_page((100..180).map(|n| received(n, "x")).collect());
        assert_eq!(long.grows(), None, "it comes when it is scrolled to");
    }

    #[test]
    fn a_change_far_in_the_past_leaves_no_hole() {
        let mut thread = opened(0);
        thread.add_page((100..180).map(|n| received(n, "x")).collect());
        thread.hear(received(3, "was read"));
        assert_eq!(thread.page_before(), Some(100));
        thread.hear(received(180, "new"));
        assert_eq!(thread.len(), 81);
    }

    #[test]
    fn a_page_that_was_read_for_an_earlier_visit_leaves_no_hole() {
        let mut thread = opened(0);
        thread.page_came(Some(180), (100..180).map(|n| received(n, "x")).collect());
        assert!(thread.is_empty());
        thread.page_came(None, (900..980).map(|n| received(n, "x")).collect());
        thread.page_came(Some(180), (100..180).map(|n| received(n, "x")).collect());
        assert_eq!((thread.len(), thread.page_before()), (80, Some(900)));
    }

    #[test]
    fn a_page_that_could_not_be_read_is_asked_for_again() {
        let mut thread = opened(0);
        thread.page_came(None, (100..180).map(|n| received(n, "x")).collect());
        thread.loading = true;
        thread.page_failed();
        assert_eq!(thread.page_before(), Some(100));
    }

    #[test]
    fn an_own_message_that_got_its_place_is_there_once() {
        let mut thread = opened(0);
        let queued = Message { order: 1 << 40, state: MessageState::Queued, ..message(3, "hi") };
        thread.put(queued.clone());
        thread.put(Message { order: 3, state: MessageState::Sent, ..queued });
        assert_eq!(thread.len(), 1);
        assert_eq!(thread.messages().next().unwrap().order, 3);
    }

    #[test]
    fn the_unread_line_stands_above_the_first_unread_of_others() {
        let mut thread = opened(2);
        thread.add_page(vec![received(1, "read"), received(2, "a"), message(3, "own"), received(4, "b")]);
        assert_eq!(thread.first_unread, Some(received(2, "").id));
        thread.put(received(5, "while open"));
        assert_eq!(thread.first_unread, Some(received(2, "").id));
    }

    #[test]
    fn the_unread_line_waits_for_the_page_it_is_on() {
        let mut thread = opened(100);
        thread.add_page((100..180).map(|n| received(n, "x")).collect());
        assert_eq!(thread.first_unread, None);
        assert_eq!(thread.page_before(), Some(100));
        thread.add_page((20..100).map(|n| received(n, "x")).collect());
        assert_eq!(thread.first_unread, Some(received(80, "").id));
    }

    #[test]
    fn what_is_gone_leaves_and_the_unread_line_moves_down() {
        let mut thread = opened(2);
        thread.add_page(vec![received(1, "read"), received(2, "a"), message(3, "own"), received(4, "b")]);
        thread.forget(&[received(2, "").id, received(9, "").id]);
        assert_eq!(thread.messages().map(|m| m.order).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(thread.first_unread, Some(received(4, "").id));
        thread.forget(&[received(4, "").id]);
        assert_eq!(thread.first_unread, None);
        assert!(thread.message(received(4, "").id).is_none());
    }

    #[test]
    fn only_what_one_wrote_and_still_stands_can_be_edited() {
        let mut thread = opened(0);
        let gone = Message { deleted: true, ..message(3, "") };
        let once = Message { timer: Some(Timer::Once), ..message(4, "") };
        let notice = Notice::Expiry { expiry: Expiry { after_s: None, archive: false }, existing: false };
        let told = Message { notice: Some(notice), ..message(5, "") };
        assert!(can_delete(&once) && !can_delete(&told));
        thread.add_page(vec![message(1, "mine"), received(2, "theirs"), gone, once, told]);
        assert_eq!(thread.last_own().unwrap().order, 1);
    }
}
