//! Messages that are there get another end, or are kept: each is sealed anew under another key, page by page, newest first, and when all
//! are, the keys from before are destroyed. How far it is, is stored.

use crate::api::ConversationId;
use crate::engine::{Engine, Load};
use crate::messages::Pair;
use crate::rows::codec::{choice, record};
use parlour_proto::ids::MessageId;
use rand_core::CryptoRngCore;

/// Messages read at one time.
pub(crate) const PAGE: usize = 100;

choice! {
    /// What becomes of a conversation's messages.
    enum Refiling {
        /// They are over so many seconds after they were sent.
        0 Expiry { after_s: Option<u32>, },
        1 Keep { keep: bool, },
    }
}

record! {
    /// How far it is.
    struct Refile {
        what: Vec<Refiling>,
        /// Messages before this position are still to be done; 0: none.
        before: u64,
        /// To be destroyed in the end.
        keys: Vec<u64>,
    }
}

/// The page that is under way.
pub(crate) struct Page {
    /// What was read for a page before means nothing to this one.
    number: u64,
    conversation: ConversationId,
    left: usize,
    oldest: u64,
    is_last: bool,
}

impl Engine {
    pub(crate) fn refile(&mut self, conversation: ConversationId, what: Refiling) {
        let mut keys = self.s.ring.retire(conversation);
        let mut all = vec![what];
        // What is under way begins anew, and does both.
        if let Some(before) = self.s.refiling.get(&conversation) {
            keys.extend(&before.keys);
            keys.sort_unstable();
            keys.dedup();
            let is_another = |other: &&Refiling| std::mem::discriminant(*other) != std::mem::discriminant(&all[0]);
            let others: Vec<Refiling> = before.what.iter().filter(is_another).cloned().collect();
            all.extend(others);
        }
        self.s.refiling.insert(conversation, Refile { what: all, before: u64::MAX, keys });
        if self.refiling.as_ref().is_some_and(|page| page.conversation == conversation) {
            self.refiling = None;
        }
        self.again = true;
    }

    pub(crate) fn settle_refiling(&mut self, rng: &mut dyn CryptoRngCore) {
        if self.refiling.is_some() {
            return;
        }
        let Some((conversation, before)) = self.s.refiling.iter().next().map(|(id, refile)| (*id, refile.before))
        else {
            return;
        };
        self.next_page += 1;
        let number = self.next_page;
        self.refiling = Some(Page { number, conversation, left: 0, oldest: before, is_last: false });
        self.read_places(number, conversation, before, rng);
    }

    /// Which messages are next.
    pub(crate) fn on_places(&mut self, number: u64, conversation: ConversationId, places: &[(u64, MessageId)]) {
        let Some(page) = self.refiling.as_mut().filter(|page| page.number == number) else { return };
        page.left = places.len();
        page.is_last = places.len() < PAGE;
        page.oldest = places.iter().map(|(order, _)| *order).min().unwrap_or(0);
        if places.is_empty() {
            return self.page_refiled();
        }
        for (_, message) in places {
            let prefix = self.message_prefix(conversation, *message);
            self.load_rows(prefix, Load::Refile(number, conversation, *message));
        }
    }

    pub(crate) fn on_refile_rows(&mut self, number: u64, conversation: ConversationId, id: MessageId, rows: &[Pair]) {
        if self.refiling.as_ref().is_none_or(|page| page.number != number) {
            // It comes again, in the page that has taken this one's place.
            return;
        }
        let Some(what) = self.s.refiling.get(&conversation).map(|refile| refile.what.clone()) else { return };
        if let Some((mut stored, ..)) = crate::messages::parts(rows.iter()) {
            for what in what.iter().filter(|_| stored.timer.is_none()) {
                match what {
                    Refiling::Expiry { after_s } => {
                        stored.expires = after_s.map(|seconds| stored.time.plus_ms(u64::from(seconds) * 1_000));
                    }
                    Refiling::Keep { keep } => stored.kept = *keep,
                }
            }
            self.put_again(conversation, id, stored, rows);
        }
        let Some(page) = &mut self.refiling else { return };
        page.left = page.left.saturating_sub(1);
        if page.left == 0 {
            self.page_refiled();
        }
    }

    fn page_refiled(&mut self) {
        self.again = true;
        let Some(page) = self.refiling.take() else { return };
        if page.is_last {
            if let Some(done) = self.s.refiling.remove(&page.conversation) {
                self.shred(&done.keys);
            }
        } else if let Some(refile) = self.s.refiling.get_mut(&page.conversation) {
            refile.before = page.oldest;
        }
    }
}
