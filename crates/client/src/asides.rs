//! What was sent lately and is no text: an edit, a deletion, a reaction, a report, how one wants to be seen, a note to own devices
//! ([`retold`]). Who could not read it asks for it like for a text, and gets it once more.
//!
//! Texts are sent again from where they lie ([`Engine::on_again_rows`]). Of the rest an *aside* says what it was about, without its
//! words: they are looked up among the messages, as they are by then. The newest [`MOST`] of an identity are kept.

use crate::api::ConversationId;
use crate::engine::{Engine, Load};
use crate::messages::parts;
use crate::retold;
use crate::rows::codec::record;
use crate::rows::{decode, encode};
use crate::state::Saying;
use bytes::Bytes;
use parlour_proto::content::mention;
use parlour_proto::ids::MessageId;
use rand_core::CryptoRngCore;

/// So many are kept; the oldest goes.
const MOST: usize = 256;

record! {
    /// Something that was sent and is no text.
    struct Aside {
        conversation: ConversationId,
        message: MessageId,
        /// Without what somebody wrote.
        saying: Saying,
    }
}

/// What is kept of it; `None`: it is found elsewhere, or nobody needs it again.
fn kept(saying: &Saying) -> Option<Saying> {
    Some(match saying {
        Saying::Edit { message, .. } => Saying::Edit { message: *message, text: String::new() },
        Saying::Reaction { message, .. } => Saying::Reaction { message: *message, emoji: String::new() },
        Saying::Title { .. } => Saying::Title { title: String::new() },
        Saying::Anew { of, .. } => Saying::Anew { of: *of, saying: Bytes::new() },
        Saying::Delete { .. } | Saying::Delivered { .. } | Saying::Read { .. } | Saying::Missing { .. } => {
            saying.clone()
        }
        Saying::Hello | Saying::Accept | Saying::Roster { .. } | Saying::Profile => saying.clone(),
        Saying::Own { note } => Saying::Own { note: retold::about(note)? },
        Saying::Text { .. } | Saying::Again { .. } | Saying::Leave | Saying::Handover { .. } => return None,
        Saying::Invitation { .. } | Saying::Join { .. } | Saying::Picture { .. } => return None,
    })
}

impl Saying {
    /// What it says, and what it is said anew for.
    pub(crate) fn meant(&self) -> Option<(Saying, Option<MessageId>)> {
        match self {
            Saying::Anew { of, saying } => Some((decode(saying).ok()?, Some(*of))),
            saying => Some((saying.clone(), None)),
        }
    }
}

impl Engine {
    /// Something goes out under this id.
    pub(crate) fn keep_aside(&mut self, conversation: ConversationId, message: MessageId, saying: &Saying) {
        let Some(saying) = kept(saying) else { return };
        if self.aside(conversation, message).is_some() {
            return;
        }
        let next = self.s.asides.keys().last().map_or(0, |last| last + 1);
        self.s.asides.insert(next, Aside { conversation, message, saying });
        if let Some(oldest) = next.checked_sub(MOST as u64) {
            self.s.asides.remove(&oldest);
        }
    }

    fn aside(&self, conversation: ConversationId, message: MessageId) -> Option<&Saying> {
        let mut asides = self.s.asides.iter().map(|(_, aside)| aside);
        let found = asides.find(|aside| aside.message == message && aside.conversation == conversation);
        found.map(|aside| &aside.saying)
    }

    pub(crate) fn forget_asides(&mut self, conversation: ConversationId) {
        let of_it = |aside: &Aside| aside.conversation == conversation;
        let gone: Vec<u64> = self.s.asides.iter().filter(|(_, aside)| of_it(aside)).map(|(at, _)| *at).collect();
        gone.iter().for_each(|at| drop(self.s.asides.remove(at)));
    }

    /// Somebody could not read this, and it is no text of ours.
    pub(crate) fn say_aside(&mut self, conversation: ConversationId, message: MessageId, rng: &mut dyn CryptoRngCore) {
        let Some(saying) = self.aside(conversation, message).cloned() else { return };
        self.renew_early(conversation);
        match saying {
            Saying::Edit { message: about, .. }
            | Saying::Delete { message: about }
            | Saying::Reaction { message: about, .. } => {
                let prefix = self.message_prefix(conversation, about);
                self.load_rows(prefix, Load::Aside(conversation, message, about));
            }
            Saying::Title { .. } => {
                let title = self.s.conversations.get(&conversation).map(|c| c.title.clone()).unwrap_or_default();
                self.say_anew(conversation, message, &Saying::Title { title }, rng);
            }
            // What could not be read was itself something said once more.
            Saying::Anew { of, .. } => {
                self.say_nothing_anew(conversation, message, rng);
                let prefix = self.message_prefix(conversation, of);
                self.load_rows(prefix, Load::Again(conversation, of));
            }
            Saying::Own { note } => {
                let notes = self.retold(&note);
                if notes.is_empty() {
                    self.say_nothing_anew(conversation, message, rng);
                }
                for note in notes {
                    self.say_anew(conversation, message, &Saying::Own { note: encode(&note).into() }, rng);
                }
            }
            saying => self.say_anew(conversation, message, &saying, rng),
        }
    }

    /// What it was about, as it is now.
    pub(crate) fn on_aside_rows(
        &mut self,
        conversation: ConversationId,
        message: MessageId,
        about: MessageId,
        rows: &[(Vec<u8>, Vec<u8>)],
        rng: &mut dyn CryptoRngCore,
    ) {
        let reacts = matches!(self.aside(conversation, message), Some(Saying::Reaction { .. }));
        let me = self.me().map(|me| me.account.clone());
        let shown = parts(rows.iter()).filter(|(stored, ..)| !self.is_over(stored.expires, stored.kept));
        let Some(shown) = shown.map(|(stored, notes, _)| self.assemble(about, &stored, &notes)) else {
            return self.say_nothing_anew(conversation, message, rng);
        };
        let saying = if reacts {
            let mine = shown.reactions.into_iter().find(|(by, _)| Some(by) == me.as_ref());
            Saying::Reaction { message: about, emoji: mine.map(|(_, emoji)| emoji).unwrap_or_default() }
        } else if shown.deleted {
            Saying::Delete { message: about }
        } else {
            Saying::Edit { message: about, text: mention::said(&shown.text, &shown.mentions) }
        };
        self.say_anew(conversation, message, &saying, rng);
    }

    fn say_anew(&mut self, conversation: ConversationId, of: MessageId, saying: &Saying, rng: &mut dyn CryptoRngCore) {
        if self.s.conversations.contains(&conversation) {
            self.say(conversation, Saying::Anew { of, saying: encode(saying).into() }, None, 0, rng);
        }
    }

    /// There is nothing left to say of it.
    pub(crate) fn say_nothing_anew(
        &mut self,
        conversation: ConversationId,
        of: MessageId,
        rng: &mut dyn CryptoRngCore,
    ) {
        self.say_anew(conversation, of, &Saying::Delivered { messages: Vec::new() }, rng);
    }
}
