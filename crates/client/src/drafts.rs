//! Drafts: what is being written, on all own devices. The others hear of it once nothing was typed for a moment.

use crate::api::{ConversationId, Failure, IntentId, Reply};
use crate::engine::Engine;
use crate::own::Note;
use crate::state::Draft;
use parlour_proto::content::MAX_TEXT_BYTES;
use rand_core::CryptoRngCore;

/// So long after the last key the others are told, ms.
const TELL_AFTER_MS: u64 = 3_000;
/// A longer draft is kept, but not told. (A note to own devices holds so much.)
const MOST_TOLD_BYTES: usize = crate::own::NOTE_BYTES - 1024;

impl Engine {
    pub(crate) fn put_draft(
        &mut self,
        intent: IntentId,
        conversation: ConversationId,
        text: Option<String>,
        rng: &mut dyn CryptoRngCore,
    ) {
        if self.s.conversations.get(&conversation).is_none_or(|c| c.is_own) {
            return self.done(intent, Err(Failure::NotFound("conversation")));
        }
        if text.as_ref().is_some_and(|text| text.len() > MAX_TEXT_BYTES) {
            return self.done(intent, Err(Failure::BadInput(format!("a text has at most {MAX_TEXT_BYTES} bytes"))));
        }
        let before = self.s.drafts.get(&conversation);
        match text.filter(|text| !text.is_empty()) {
            Some(text) if before.is_some_and(|draft| draft.text == text) => {}
            Some(text) => {
                self.s.drafts.insert(conversation, Draft { text, told: false });
                if self.me().is_some_and(|me| me.own.is_some()) {
                    self.drafts_due.retain(|(id, _)| *id != conversation);
                    self.drafts_due.push((conversation, self.now.plus_ms(TELL_AFTER_MS)));
                }
            }
            None => {
                let told = before.is_some_and(|draft| draft.told);
                self.drafts_due.retain(|(id, _)| *id != conversation);
                if self.s.drafts.remove(&conversation).is_some()
                    && told
                    && let Some(place) = self.place_of(conversation)
                {
                    self.say_own(&Note::Draft { place, text: None }, rng);
                }
            }
        }
        self.done(intent, Ok(Reply::Ok));
    }

    pub(crate) fn drafts(&self) -> Vec<(ConversationId, String)> {
        self.s.drafts.iter().map(|(id, draft)| (*id, draft.text.clone())).collect()
    }

    pub(crate) fn settle_drafts(&mut self, rng: &mut dyn CryptoRngCore) {
        let due: Vec<_> = self.drafts_due.iter().filter(|(_, due)| self.now >= *due).map(|(id, _)| *id).collect();
        for conversation in due {
            self.drafts_due.retain(|(id, _)| *id != conversation);
            let Some(place) = self.place_of(conversation) else { continue };
            let Some(draft) = self.s.drafts.get_mut(&conversation) else { continue };
            if draft.text.len() <= MOST_TOLD_BYTES {
                draft.told = true;
                let text = Some(draft.text.clone());
                self.say_own(&Note::Draft { place, text }, rng);
            }
        }
        if let Some(next) = self.drafts_due.iter().map(|(_, due)| *due).min() {
            self.wake_at(next);
        }
    }
}
