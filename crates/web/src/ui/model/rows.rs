//! A conversation as rows: days, the unread line, notes, and bubbles that know whether they begin or end a group.

use super::lasting::line;
use super::state::preview;
use super::thread::Thread;
use super::when::Local;
use crate::ui::strings::t;
use parlour_client::api::Message;
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::{MessageId, UnixMillis};
use std::collections::HashMap;
use std::sync::Arc;

/// Messages of one person closer than this belong together.
const GROUP_MS: u64 = 5 * 60_000;

/// What stays the same when a row changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowKey {
    /// What stands above the very first message.
    Start,
    /// More is being read.
    Loading,
    /// A day, since 1970.
    Day(i64),
    /// The unread line.
    Unread,
    /// Keys changed.
    Keys,
    /// A message.
    Message(MessageId),
    /// A message that tells of something.
    Notice(MessageId),
}

/// What a message answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Which.
    pub id: MessageId,
    /// Whether it is one's own.
    pub own: bool,
    /// Who wrote it.
    pub by: Option<String>,
    /// One line; `None` when it is not there (any more).
    pub text: Option<String>,
}

/// A message and its place in the group around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bubble {
    /// The message.
    pub message: Arc<Message>,
    /// First of its group.
    pub first: bool,
    /// Last of its group.
    pub last: bool,
    /// Its local time.
    pub at: Local,
    /// What it answers.
    pub quote: Option<Quote>,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// See [`RowKey::Start`].
    Start,
    /// See [`RowKey::Loading`].
    Loading,
    /// A day, since 1970.
    Day(i64),
    /// How many are unread.
    Unread(u32),
    /// When.
    Keys(Local),
    /// A message.
    Bubble(Bubble),
    /// What a message tells of ([`Message::notice`]), and when.
    Notice(Arc<Message>, Local),
}

impl Row {
    /// What stays the same when it changes.
    pub fn key(&self) -> RowKey {
        match self {
            Row::Start => RowKey::Start,
            Row::Loading => RowKey::Loading,
            Row::Day(day) => RowKey::Day(*day),
            Row::Unread(_) => RowKey::Unread,
            Row::Keys(_) => RowKey::Keys,
            Row::Bubble(bubble) => RowKey::Message(bubble.message.id),
            Row::Notice(message, _) => RowKey::Notice(message.id),
        }
    }

    /// About how high it will be, in CSS pixels, until it has been measured.
    pub fn guess(&self) -> f64 {
        match self {
            Row::Start => 180.0,
            Row::Loading => 56.0,
            Row::Day(_) | Row::Unread(_) | Row::Notice(..) => 48.0,
            Row::Keys(_) => 84.0,
            Row::Bubble(bubble) => {
                let lines = bubble.message.text.len() as f64 / 44.0 + bubble.message.text.matches('\n').count() as f64;
                let quote = if bubble.quote.is_some() { 48.0 } else { 0.0 };
                let reactions = if bubble.message.reactions.is_empty() { 0.0 } else { 22.0 };
                38.0 + lines.floor() * 21.0 + quote + reactions + if bubble.first { 10.0 } else { 0.0 }
            }
        }
    }
}

/// All rows of what has been read, and where each key is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// Oldest first.
    pub rows: Vec<Row>,
    index: HashMap<RowKey, usize>,
}

impl Rows {
    /// Lays a conversation out; `offset_min` gives the minutes east of Greenwich at an instant.
    pub fn of(thread: &Thread, offset_min: impl Fn(UnixMillis) -> i32) -> Self {
        let mut rows = Vec::with_capacity(thread.len() + 8);
        if thread.ready {
            rows.push(if thread.whole { Row::Start } else { Row::Loading });
        }
        let mut keys = thread.keys_changed;
        let mut before: Option<(Local, Arc<Message>)> = None;
        for message in thread.messages() {
            let at = Local::of(message.time, offset_min(message.time));
            if let Some(when) = keys.filter(|when| *when <= message.time) {
                rows.push(Row::Keys(Local::of(when, offset_min(when))));
                keys = None;
                before = None;
            }
            if before.as_ref().is_none_or(|(b, _)| b.day < at.day)
                && !rows.iter().rev().any(|row| *row == Row::Day(at.day))
            {
                rows.push(Row::Day(at.day));
                before = None;
            }
            if thread.first_unread == Some(message.id) {
                rows.push(Row::Unread(thread.unread));
                before = None;
            }
            if message.notice.is_some() {
                rows.push(Row::Notice(message.clone(), at));
                before = None;
                continue;
            }
            let first = before.as_ref().is_none_or(|(_, before)| !belongs(before, message));
            if !first && let Some(Row::Bubble(bubble)) = rows.last_mut() {
                bubble.last = false;
            }
            let quote = message.in_reply_to.map(|id| quote(thread, id));
            rows.push(Row::Bubble(Bubble { message: message.clone(), first, last: true, at, quote }));
            before = Some((at, message.clone()));
        }
        rows.extend(keys.map(|when| Row::Keys(Local::of(when, offset_min(when)))));
        let index = rows.iter().enumerate().map(|(index, row)| (row.key(), index)).collect();
        Self { rows, index }
    }

    /// Where a row is.
    pub fn index(&self, key: RowKey) -> Option<usize> {
        self.index.get(&key).copied()
    }

    /// A row.
    pub fn get(&self, key: RowKey) -> Option<&Row> {
        self.rows.get(self.index(key)?)
    }
}

fn belongs(before: &Message, next: &Message) -> bool {
    before.from == next.from && next.time.since(before.time) < GROUP_MS
}

fn quote(thread: &Thread, id: MessageId) -> Quote {
    let quoted = thread.message(id);
    Quote {
        id,
        own: quoted.is_some_and(|message| message.from.is_none()),
        by: quoted.and_then(|message| message.from_name.clone()),
        text: quoted.filter(|message| !message.deleted).map(|message| line(&preview(message), t())),
    }
}

/// Reactions counted: each emoji, how many, whether one's own is among them; the most frequent first.
pub fn tally(reactions: &[(AccountRef, String)], me: Option<&AccountRef>) -> Vec<(String, usize, bool)> {
    let mut counted: Vec<(String, usize, bool)> = Vec::new();
    for (who, emoji) in reactions {
        let own = Some(who) == me;
        match counted.iter_mut().find(|(known, ..)| known == emoji) {
            Some((_, count, any_own)) => {
                *count += 1;
                *any_own |= own;
            }
            None => counted.push((emoji.clone(), 1, own)),
        }
    }
    counted.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
    counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::model::samples::{account, message, received};
    use parlour_client::api::ConversationId;

    fn laid_out(messages: Vec<Message>, unread: u32) -> Vec<Row> {
        let mut thread = Thread::open(ConversationId([1; 16]), unread);
        thread.add_page(messages);
        Rows::of(&thread, |_| 0).rows
    }

    fn groups(rows: &[Row]) -> Vec<(bool, bool)> {
        let of = |row: &Row| match row {
            Row::Bubble(bubble) => Some((bubble.first, bubble.last)),
            _ => None,
        };
        rows.iter().filter_map(of).collect()
    }

    #[test]
    fn bubbles_of_one_person_close_in_time_are_one_group() {
        let rows = laid_out(vec![received(1, "a"), received(2, "b"), message(3, "c"), message(20, "d")], 0);
        assert_eq!(groups(&rows), [(true, false), (false, true), (true, true), (true, true)]);
    }

    #[test]
    fn a_day_and_the_unread_line_end_a_group() {
        let rows = laid_out(vec![received(1438, "a"), received(1439, "b"), received(1440, "c")], 2);
        let keys: Vec<RowKey> = rows.iter().map(Row::key).collect();
        let of = |n| RowKey::Message(received(n, "").id);
        let expected = [RowKey::Start, RowKey::Day(0), of(1438), RowKey::Unread, of(1439), RowKey::Day(1), of(1440)];
        assert_eq!(keys, expected);
        assert_eq!(groups(&rows), [(true, true); 3]);
    }

    #[test]
    fn a_message_with_a_clock_behind_does_not_open_its_day_again() {
        let rows = laid_out(vec![received(1440, "a"), Message { order: 1441, ..received(3, "late") }], 0);
        let days = rows.iter().filter(|row| matches!(row, Row::Day(_))).count();
        assert_eq!(days, 1);
    }

    #[test]
    fn a_quote_of_something_deleted_or_unread_has_no_text() {
        let answer = |n, to: &Message| Message { in_reply_to: Some(to.id), ..message(n, "answer") };
        let (there, gone) = (received(1, "one\nline"), Message { deleted: true, ..received(2, "") });
        let rows = laid_out(
            vec![there.clone(), gone.clone(), answer(3, &there), answer(4, &gone), answer(5, &received(9, ""))],
            0,
        );
        let quotes: Vec<Option<String>> = rows
            .iter()
            .filter_map(|row| match row {
                Row::Bubble(bubble) => bubble.quote.clone(),
                _ => None,
            })
            .map(|quote| quote.text)
            .collect();
        assert_eq!(quotes, [Some("one line".to_owned()), None, None]);
    }

    #[test]
    fn what_a_message_tells_is_no_bubble_and_ends_a_group() {
        use parlour_client::api::{Expiry, Notice};
        let notice = Notice::Expiry { expiry: Expiry { after_s: Some(60), archive: false }, existing: false };
        let rows =
            laid_out(vec![received(1, "a"), Message { notice: Some(notice), ..received(2, "") }, received(3, "b")], 0);
        assert_eq!(groups(&rows), [(true, true); 2]);
        assert_eq!(rows[3].key(), RowKey::Notice(received(2, "").id));
    }

    #[test]
    fn changed_keys_stand_where_they_changed() {
        let mut thread = Thread::open(ConversationId([1; 16]), 0);
        thread.keys_changed = Some(UnixMillis(90_000));
        thread.add_page(vec![received(1, "before"), received(2, "after")]);
        let rows = Rows::of(&thread, |_| 0);
        let keys = rows.index(RowKey::Keys).unwrap();
        assert!(rows.index(RowKey::Message(received(1, "").id)).unwrap() < keys);
        assert!(keys < rows.index(RowKey::Message(received(2, "").id)).unwrap());
    }

    #[test]
    fn reactions_are_counted() {
        let heart = |n| (account(n), "❤️".to_owned());
        let counted = tally(&[(account(1), "👍".to_owned()), heart(2), heart(3)], Some(&account(3)));
        assert_eq!(counted, [("❤️".to_owned(), 2, true), ("👍".to_owned(), 1, false)]);
    }
}
