//! The user writes: into a conversation, to an address, by an invite; marks as read; compares safety numbers.

use crate::api::{Body, Conversation, ConversationId, ConversationState, Failure, IntentId, Reply, Target};
use crate::contacts::e2ee_account;
use crate::engine::Engine;
use crate::expiry::StoredTimer;
use crate::messages::Note;
use crate::state::{Saying, Standing, Whom};
use parlour_proto::address::{Address, Invite};
use parlour_proto::content::{MAX_EMOJI_BYTES, MAX_TEXT_BYTES};
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::MessageId;
use rand_core::CryptoRngCore;
use std::collections::BTreeMap;

fn saying(body: Body) -> Result<Saying, Failure> {
    let fits = |text: &str| {
        if text.is_empty() {
            Err(Failure::BadInput("a message needs a text".into()))
        } else if text.len() > MAX_TEXT_BYTES {
            Err(Failure::BadInput(format!("a text has at most {MAX_TEXT_BYTES} bytes")))
        } else {
            Ok(())
        }
    };
    match body {
        Body::Text { text, in_reply_to, timer } => fits(&text).and_then(|()| {
            let timer = timer.map(StoredTimer::new).transpose()?;
            Ok(Saying::Text { text, in_reply_to, timer })
        }),
        Body::Edit { message, text } => fits(&text).map(|()| Saying::Edit { message, text }),
        Body::Delete { message } => Ok(Saying::Delete { message }),
        Body::Reaction { emoji, .. } if emoji.len() > MAX_EMOJI_BYTES => {
            Err(Failure::BadInput("a reaction is one emoji, or a few".into()))
        }
        Body::Reaction { message, emoji } => Ok(Saying::Reaction { message, emoji }),
    }
}

impl Engine {
    pub(crate) fn send(&mut self, intent: IntentId, to: Target, body: Body, rng: &mut dyn CryptoRngCore) {
        let outcome = saying(body).and_then(|saying| Ok((self.conversation_to(&to, &saying, rng)?, saying)));
        let outcome = outcome.and_then(|(conversation, saying)| {
            self.may_say(conversation, &saying)?;
            Ok((conversation, saying))
        });
        let (conversation, saying) = match outcome {
            Ok(outcome) => outcome,
            Err(failure) => return self.done(intent, Err(failure)),
        };
        self.note_own(conversation, &saying);
        if matches!(saying, Saying::Text { .. } | Saying::Edit { .. }) {
            self.has_written(conversation);
        }
        let message = self.say(conversation, saying, None, 0, rng);
        let claiming = self.s.starts.get(&conversation).is_some_and(|start| start.predecessor.is_none());
        if claiming && self.signed_in {
            // The server will tell in a moment whether there is anybody.
            self.send_intents.push((intent, conversation, message));
        } else {
            self.done(intent, Ok(Reply::Queued { conversation, message }));
        }
    }

    /// Own edits, deletions and reactions show at once.
    fn note_own(&mut self, conversation: ConversationId, saying: &Saying) {
        let Some(by) = self.me().map(|me| me.account.clone()) else { return };
        match saying {
            Saying::Edit { message, text } => self.note(conversation, *message, &Note::Edit { by, text: text.clone() }),
            Saying::Delete { message } => self.note(conversation, *message, &Note::Delete { by }),
            Saying::Reaction { message, emoji } => {
                self.note(conversation, *message, &Note::Reaction { by, emoji: emoji.clone() });
            }
            _ => {}
        }
    }

    pub(crate) fn conversation_to(
        &mut self,
        to: &Target,
        saying: &Saying,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<ConversationId, Failure> {
        let (existing, whom) = match to {
            Target::Conversation(id) => {
                let c = self.s.conversations.get(id).ok_or(Failure::NotFound("conversation"))?;
                let whom = c.members.first().filter(|_| !c.is_group).cloned().map(|account| Whom::Account { account });
                (Some(*id), whom)
            }
            Target::Address(text) => {
                let address = Address::parse(text).map_err(|error| Failure::BadInput(error.to_string()))?;
                self.to_address(address)
            }
            Target::Account(account) => {
                (self.conversation_with(account), Some(Whom::Account { account: account.clone() }))
            }
            Target::Invite(text) => {
                let invite = Invite::parse(text).map_err(|error| Failure::BadInput(error.to_string()))?;
                if invite.group.is_some() {
                    return Err(Failure::BadInput("this is a link to a group: join by it".into()));
                }
                (None, Some(Whom::Invite { token: invite.token }))
            }
        };
        match existing.and_then(|id| Some((id, self.standing(id)?))) {
            Some((_, ConversationState::Request)) => {
                Err(Failure::BadInput("they asked to write to you: accept the request first".into()))
            }
            Some((id, ConversationState::Closed)) => {
                let whom = whom.ok_or(Failure::NotFound("open conversation"))?;
                self.may_write(&whom)?;
                self.start(id, whom, rng);
                Ok(id)
            }
            Some((id, _)) => Ok(id),
            None => {
                let whom = whom.ok_or(Failure::NotFound("conversation"))?;
                self.may_write(&whom)?;
                if !saying.begins() {
                    return Err(Failure::NotFound("message"));
                }
                let members: Vec<AccountRef> = match &whom {
                    Whom::Account { account } => vec![account.clone()],
                    _ => Vec::new(),
                };
                let id = self.new_conversation(false, Standing::Starting, members, rng);
                self.start(id, whom, rng);
                self.tell_conversation(id);
                Ok(id)
            }
        }
    }

    fn may_write(&self, whom: &Whom) -> Result<(), Failure> {
        match whom {
            Whom::Account { account } if self.s.contacts.get(account).is_some_and(|contact| contact.blocked) => {
                Err(Failure::BadInput("you blocked them: unblock first".into()))
            }
            _ => Ok(()),
        }
    }

    fn to_address(&self, address: Address) -> (Option<ConversationId>, Option<Whom>) {
        let account = self.account_of_address(&address);
        let conversation = account.as_ref().and_then(|account| self.conversation_with(account));
        // Asked for before, but not answered yet.
        let starting = self.s.starts.iter().find(|(_, start)| match &start.whom {
            Whom::Address { app, handle } => {
                let other = Address { handle: handle.clone(), app: app.clone() };
                crate::contacts::address_key(&other) == crate::contacts::address_key(&address)
            }
            _ => false,
        });
        let conversation = conversation.or(starting.map(|(id, _)| *id));
        let whom = match account {
            Some(account) => Whom::Account { account },
            None => Whom::Address { app: address.app, handle: address.handle },
        };
        (conversation, Some(whom))
    }

    pub(crate) fn mark_read(&mut self, intent: IntentId, conversation: ConversationId, rng: &mut dyn CryptoRngCore) {
        let Some(c) = self.s.conversations.get(&conversation) else {
            return self.done(intent, Err(Failure::NotFound("conversation")));
        };
        let (unread, after, up_to) = (c.unread, c.read_up_to, c.next_order);
        let reported = unread > 0
            && self.me().is_some_and(|me| me.read_reports)
            && self.best_room(conversation).is_some_and(|room| self.reports_wanted(conversation, room));
        if reported {
            self.collect_read(intent, conversation, after, up_to, rng);
        } else {
            self.has_read(intent, conversation, up_to, 0, &[], rng);
        }
    }

    /// All up to this position is read; `messages` are reported, `unread` of others came since.
    pub(crate) fn has_read(
        &mut self,
        intent: IntentId,
        conversation: ConversationId,
        up_to: u64,
        unread: u32,
        messages: &[MessageId],
        rng: &mut dyn CryptoRngCore,
    ) {
        let room = self.best_room(conversation).filter(|room| self.reports_wanted(conversation, *room));
        for messages in messages.chunks(parlour_proto::content::MAX_REPORTS).filter(|_| room.is_some()) {
            self.say(conversation, Saying::Read { messages: messages.to_vec() }, room, 0, rng);
        }
        self.start_timers(conversation, up_to, rng);
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            let news = c.unread > unread;
            c.unread = c.unread.min(unread);
            c.mentioned &= c.unread > 0;
            c.read_up_to = c.read_up_to.max(up_to);
            if news {
                self.changed.insert(conversation);
                self.share_read(conversation, rng);
            }
        }
        self.done(intent, Ok(Reply::Ok));
    }

    pub(crate) fn conversations(&self) -> Vec<Conversation> {
        let mut by_age: BTreeMap<_, Vec<Conversation>> = BTreeMap::new();
        for (id, c) in self.s.conversations.iter() {
            // A request is shown once something verified came with it.
            let unseen = matches!(c.standing, Standing::Request) && c.asking.is_none();
            let hidden = c.is_own || unseen || self.is_carrier(*id);
            if !hidden && let Some(shown) = self.show_conversation(*id) {
                by_age.entry(c.last_activity).or_default().push(shown);
            }
        }
        by_age.into_values().rev().flatten().collect()
    }

    fn account_of(&self, target: &Target) -> Option<(AccountRef, ConversationId)> {
        let account = match target {
            Target::Conversation(id) => {
                self.s.conversations.get(id).filter(|c| !c.is_group).and_then(|c| c.members.first().cloned())
            }
            Target::Address(text) => self.account_of_address(&Address::parse(text).ok()?),
            Target::Account(account) => Some(account.clone()),
            Target::Invite(_) => None,
        }?;
        let conversation = self.conversation_with(&account)?;
        Some((account, conversation))
    }

    pub(crate) fn safety_number(&mut self, intent: IntentId, with: &Target) {
        let reply = self.account_of(with).and_then(|(account, _)| {
            let me = self.me()?;
            let contact = self.s.contacts.get(&account)?;
            let (mine, theirs) = (e2ee_account(&me.account), e2ee_account(&account));
            Some(Reply::SafetyNumber {
                digits: parlour_e2ee::safety_number((&mine, &me.root), (&theirs, &contact.root)),
                verified: contact.verified,
                address: contact.addresses.first().cloned().unwrap_or_default(),
            })
        });
        self.done(intent, reply.ok_or(Failure::NotFound("contact")));
    }

    pub(crate) fn set_verified(&mut self, intent: IntentId, conversation: ConversationId, verified: bool) {
        let found = self.account_of(&Target::Conversation(conversation));
        let Some(contact) = found.and_then(|(account, _)| self.s.contacts.get_mut(&account)) else {
            return self.done(intent, Err(Failure::NotFound("contact")));
        };
        contact.verified = verified;
        self.tell_conversation(conversation);
        self.done(intent, Ok(Reply::Ok));
    }
}
