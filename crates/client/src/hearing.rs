//! What a decrypted message does: the sender is believed or not, then what was said takes effect.

use crate::api::{ConversationId, ConversationState, Event, Failure, Interference};
use crate::contacts::{Trust, address_key, proto_account};
use crate::early::{Early, PATIENCE_MS};
use crate::engine::{Engine, Load};
use crate::expiry::{Ends, StoredTimer};
use crate::messages::{Note, Said};
use crate::saying::{self, Heard, Hello, Known};
use crate::state::{Asking, Saying, Want};
use bytes::Bytes;
use parlour_proto::address::Address;
use parlour_proto::content::{Report, Status};
use parlour_proto::frames::{AccountRef, Row};
use parlour_proto::ids::{MessageId, RoomId, UnixMillis};
use rand_core::CryptoRngCore;

/// In rooms of more members nobody reports what arrived, or is introduced to each newcomer.
pub(crate) const MOST_MEMBERS_WITH_REPORTS: usize = 32;
/// A request shows so much of its text, bytes.
const MOST_ASKING_TEXT: usize = 16 * 1024;

impl Engine {
    pub(crate) fn hear(
        &mut self,
        row: &Row,
        conversation: ConversationId,
        message: MessageId,
        stamp: [u8; 32],
        heard: parlour_e2ee::Message,
        rng: &mut dyn CryptoRngCore,
    ) {
        self.hear_now(row, conversation, message, stamp, heard, false, rng);
    }

    /// The same; `was_early`: it waited for an introduction, and waits no more.
    #[allow(clippy::too_many_arguments, reason = "the fields of one message")]
    pub(crate) fn hear_now(
        &mut self,
        row: &Row,
        conversation: ConversationId,
        message: MessageId,
        stamp: [u8; 32],
        heard: parlour_e2ee::Message,
        was_early: bool,
        rng: &mut dyn CryptoRngCore,
    ) {
        let evidence = Bytes::from(heard.evidence.to_bytes());
        let said = saying::read(&heard.content);
        let Some((from, saying::Said { hello, heard: said, of, after })) =
            proto_account(heard.sender.account()).zip(said)
        else {
            self.count_unreadable("no content that can be understood");
            return self.interfered_in(&row.room, Interference::Forged);
        };
        if self.s.contacts.contains(&from) && self.was_signed(&from, &heard.sender) {
            // Said before it was taken off the list, or after: another device of theirs says it again if it holds.
            // A report that is gone with its device is missed by nobody.
            if said.is_shown() {
                self.unreadable(row.room, message, "of a device that was removed");
            }
            return;
        }
        if let Some(hello) = &hello
            && !self.hear_hello(conversation, row.room, &from, &heard.sender, hello, &said, rng)
        {
            self.count_unreadable("a hello that does not fit the keys");
            return;
        }
        let known = self.s.contacts.contains(&from);
        let is_request = self.standing(conversation) == Some(ConversationState::Request);
        let is_me = self.me().is_some_and(|me| me.account == from);
        match self.trust(&heard.sender) {
            Trust::Verified => {}
            // In a group somebody may be heard before the roster that introduces them.
            Trust::Unknown if !known && !is_me && !is_request => {
                if matches!(said, Heard::Profile { .. }) {
                    let early = Early { row: row.clone(), conversation, message, stamp, heard, until: None };
                    return self.keep_early(early, true);
                }
            }
            // Or a device that somebody we know has linked since, or another device of ours. Before the list says so, none speaks in our name.
            Trust::Unknown if (is_me || known && self.is_group_room(&row.room)) && !was_early => {
                let again = matches!(said, Heard::Again { .. });
                let until = Some(self.now.plus_ms(PATIENCE_MS));
                let early = Early { row: row.clone(), conversation, message, stamp, heard, until };
                return self.keep_early(early, again);
            }
            // Another own device brought us in, and what it knows of them is still to come.
            Trust::Unknown if !known && !is_me && self.is_brought_in(&row.room) => {
                return self.unreadable(row.room, message, "of somebody who is still to be introduced");
            }
            _ => {
                tracing::warn!("a message of a device that its account does not list");
                let device = parlour_proto::ids::DeviceId(heard.sender.device());
                let was_removed = self.was_removed(&from, &device);
                // A device that is not listed may be too new, or have been removed a moment ago. One that is listed did not sign this.
                let is_false = self.device_signing_key(&from, &device).is_some();
                if is_false || is_me && !was_removed {
                    self.interfered_in(&row.room, Interference::Keys);
                }
                // What a device said before it was removed is refused if it comes later; where nothing of it would be shown, nothing is missing.
                if said.is_shown() || !was_removed {
                    self.count_unreadable("of a device that its account does not list");
                }
                if known {
                    self.tell_keys_changed(conversation, from);
                }
                return;
            }
        }
        let device = parlour_proto::ids::DeviceId(heard.sender.device());
        self.follow(row.room, conversation, device, (message, &said), after);
        if let Some(of) = of {
            self.found_again(conversation, of);
        }
        if is_me {
            if hello.is_some_and(|hello| hello.accepts) {
                self.opened_by_own(conversation, device);
            }
            self.hear_own(row, conversation, message, device, said, evidence, stamp, rng);
        } else if let Heard::Join(secret) = &said {
            self.hear_join(row, conversation, &from, hello.as_ref(), secret, rng);
        } else if is_request {
            let said = match said {
                // It is said once: what is let in later has its title.
                Heard::Roster { known, title } => {
                    self.hear_roster(known, rng);
                    self.set_title(conversation, title);
                    Heard::Nothing
                }
                said => said,
            };
            self.hear_request(row, conversation, message, &from, hello.as_ref(), said, evidence, stamp);
        } else {
            self.hear_said(row, conversation, message, &from, said, evidence, stamp, rng);
        }
    }

    /// What another own device says: to us, or to others.
    #[allow(clippy::too_many_arguments, reason = "the fields of one message")]
    fn hear_own(
        &mut self,
        row: &Row,
        conversation: ConversationId,
        message: MessageId,
        device: parlour_proto::ids::DeviceId,
        said: Heard,
        evidence: Bytes,
        stamp: [u8; 32],
        rng: &mut dyn CryptoRngCore,
    ) {
        let Some(me) = self.me().map(|me| me.account.clone()) else { return };
        let is_own = self.s.conversations.get(&conversation).is_some_and(|c| c.is_own);
        match said {
            Heard::Own(note) if is_own => self.hear_note(device, &note, rng),
            // What was delivered to another device is of no interest; what it could not read is.
            Heard::Reports(reports) => {
                let missing = reports.into_iter().filter(|report| report.status == Status::Error).collect::<Vec<_>>();
                self.hear_reports(conversation, &me, &missing);
            }
            _ if is_own => {}
            Heard::Text { text, in_reply_to, ends } => {
                let empty = Heard::Text { text: String::new(), in_reply_to: None, ends: None };
                if self.is_allowed(row.room, conversation, &me, &empty) {
                    let (timer, policy) = self.ending(&row.room, row.time, ends);
                    let timed = timer.as_ref().and_then(|timer| timer.end_of_own(row.time));
                    let expires = [policy, timed].into_iter().flatten().min();
                    let said = Said { text, in_reply_to, time: row.time, evidence, stamp, timer, expires };
                    self.put_said(conversation, message, None, said);
                }
            }
            Heard::Again { message: original, text, in_reply_to, ends, over } => {
                let (timer, mut expires) = self.ending_again(&row.room, row.time, ends, over);
                let own = timer.as_ref().and_then(|timer| timer.end_of_own(row.time));
                expires = [expires, own].into_iter().flatten().min();
                let said = Said { text, in_reply_to, time: row.time, evidence, stamp, timer, expires };
                self.hear_again(conversation, row.room, original, None, said);
            }
            // How we want to be seen.
            Heard::Profile { .. } | Heard::Own(_) | Heard::Invitation(_) | Heard::Join(_) => {}
            said => self.hear_said(row, conversation, message, &me, said, evidence, stamp, rng),
        }
    }

    /// Verifies who the sender says to be; `false`: nothing of the message is believed. By a join nobody becomes a contact.
    #[allow(clippy::too_many_arguments, reason = "what is known about who says it, and where")]
    fn hear_hello(
        &mut self,
        conversation: ConversationId,
        room: RoomId,
        from: &AccountRef,
        sender: &parlour_e2ee::Member,
        hello: &Hello,
        said: &Heard,
        rng: &mut dyn CryptoRngCore,
    ) -> bool {
        if self.me().is_some_and(|me| me.account == *from) {
            return true;
        }
        if self.pin_or_keep(from, &hello.root, &hello.links).is_err() || self.trust(sender) != Trust::Verified {
            tracing::warn!("a hello that does not fit the keys");
            self.interfered_in(&room, Interference::Keys);
            return false;
        }
        let in_group = self.s.conversations.get(&conversation).is_some_and(|c| c.is_group);
        let mut open_here = self.s.rooms.get(&room).is_some_and(|r| !r.asked_here);
        let asked_them = self.standing(conversation).is_some_and(|s| s != ConversationState::Request);
        let Some(contact) = self.s.contacts.get_mut(from) else { return true };
        contact.name = hello.name.clone().or(contact.name.take());
        if let Some(address) = hello.address.as_deref().and_then(|text| Address::parse(text).ok()) {
            // What they say is shown, never used to find them: an address is proven only by a claim of ours.
            let key = address_key(&address);
            if contact.addresses.is_empty() && address.app == from.app {
                contact.addresses.push(key);
            }
        }
        if in_group {
            return true;
        }
        if matches!(said, Heard::Join(_)) || self.s.joins.contains(&conversation) {
            if hello.accepts
                && let Some(r) = self.s.rooms.get_mut(&room)
            {
                r.open_there = true;
            }
            return true;
        }
        if let Some(door) = &hello.door {
            contact.door = Some(door.clone());
        }
        if contact.conversation.is_none() {
            contact.conversation = Some(conversation);
        }
        let member = self.s.rooms.get(&room).map(|r| r.member.clone());
        if let Some(member) = member.filter(|_| asked_them && !open_here) {
            // Both wrote at the same time: both want it.
            self.check_peer(conversation, room);
            self.open_entry(conversation, room, member, rng);
            self.weigh(conversation);
            open_here = true;
        }
        let Some(contact) = self.s.contacts.get_mut(from) else { return true };
        if hello.accepts && asked_them {
            self.opened_there(conversation, room, from);
        } else if asked_them && open_here {
            contact.befriended = true;
        }
        self.tell_conversation(conversation);
        true
    }

    /// They let us in.
    fn opened_there(&mut self, conversation: ConversationId, room: RoomId, by: &AccountRef) {
        if let Some(contact) = self.s.contacts.get_mut(by) {
            contact.befriended = true;
        }
        if let Some(r) = self.s.rooms.get_mut(&room) {
            r.open_there = true;
        }
        if self.has_removed(by) || self.me().is_some_and(|me| self.has_removed(&me.account)) {
            // A device that is gone, theirs or ours, may know the door token that came with the request.
            self.doors_to_renew.push(by.clone());
        }
        self.opened.push(conversation);
        self.weigh(conversation);
    }

    /// Who answers has let us in, though an old copy of this device's state does not know it.
    fn has_answered(&mut self, conversation: ConversationId, room: RoomId, by: &AccountRef) {
        let asked_them = self.s.rooms.get(&room).is_some_and(|r| !r.asked_here && !r.open_there);
        let waits = self.standing(conversation) == Some(ConversationState::Asked) && !self.is_group_room(&room);
        if asked_them && waits && !self.s.joins.contains(&conversation) {
            self.opened_there(conversation, room, by);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one message")]
    fn hear_request(
        &mut self,
        row: &Row,
        conversation: ConversationId,
        message: MessageId,
        from: &AccountRef,
        hello: Option<&Hello>,
        said: Heard,
        evidence: Bytes,
        stamp: [u8; 32],
    ) {
        if self.is_handing_in(conversation) {
            return;
        }
        let text = match said {
            Heard::Text { text, in_reply_to, .. } if text.len() <= MOST_ASKING_TEXT => {
                let (timer, expires) = (None, self.over_at(&row.room, row.time));
                let said = Said { text: text.clone(), in_reply_to, time: row.time, evidence, stamp, timer, expires };
                self.put_said(conversation, message, Some(from), said);
                Some(text)
            }
            Heard::Invitation(title) => {
                self.s.invitations.insert(conversation, title);
                None
            }
            _ => None,
        };
        let Some(c) = self.s.conversations.get_mut(&conversation) else { return };
        let asking = c.asking.get_or_insert(Asking { time: row.time, text: None, name: None, address: None });
        asking.text = asking.text.take().or(text);
        if let Some(hello) = hello {
            asking.name.clone_from(&hello.name);
            asking.address.clone_from(&hello.address);
        }
        if let Some(request) = self.show_request(conversation) {
            self.tell(Event::Request(request));
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one message")]
    fn hear_said(
        &mut self,
        row: &Row,
        conversation: ConversationId,
        message: MessageId,
        from: &AccountRef,
        said: Heard,
        evidence: Bytes,
        stamp: [u8; 32],
        rng: &mut dyn CryptoRngCore,
    ) {
        let by = from.clone();
        if !self.is_allowed(row.room, conversation, from, &said) {
            tracing::warn!("something that the group's rules do not let its sender say");
            self.interfered_in(&row.room, Interference::Forged);
            return;
        }
        if matches!(said, Heard::Text { .. } | Heard::Edit { .. }) {
            self.has_said(conversation, row.room, from);
            if self.me().is_some_and(|me| me.account != *from) {
                self.has_answered(conversation, row.room, from);
            }
        }
        match said {
            Heard::Text { text, in_reply_to, ends } => {
                let (timer, expires) = self.ending(&row.room, row.time, ends);
                let said = Said { text, in_reply_to, time: row.time, evidence, stamp, timer, expires };
                self.put_said(conversation, message, Some(from), said);
                self.delivered.entry((conversation, row.room)).or_default().push(message);
            }
            Heard::Again { message: original, text, in_reply_to, ends, over } => {
                let (timer, expires) = self.ending_again(&row.room, row.time, ends, over);
                let said = Said { text, in_reply_to, time: row.time, evidence, stamp, timer, expires };
                self.hear_again(conversation, row.room, original, Some(from), said);
            }
            Heard::Edit { message, text } => self.note(conversation, message, &Note::Edit { by, text }),
            Heard::Delete { message } => self.note(conversation, message, &Note::Delete { by }),
            Heard::Reaction { message, emoji } => self.note(conversation, message, &Note::Reaction { by, emoji }),
            Heard::Reports(reports) => self.hear_reports(conversation, from, &reports),
            Heard::Roster { known, title } => {
                self.hear_roster(known, rng);
                // It is for who came just now; others are told by who may.
                if self.s.conversations.get(&conversation).is_some_and(|c| c.title.is_empty()) {
                    self.set_title(conversation, title);
                    if self.is_told_of(&row.room) {
                        // An own device that came in between was told of a group without one.
                        self.opened.push(conversation);
                    }
                }
            }
            Heard::Title(title) => self.set_title(conversation, title),
            Heard::Picture(picture) => self.set_group_picture(conversation, picture.as_ref()),
            Heard::Profile { name, picture } => self.hear_profile(conversation, from, name, picture),
            Heard::Leave(request) => self.hear_leave(conversation, row.room, request),
            Heard::Link(link) => self.hear_link(from, link, rng),
            Heard::Own(note) => self.hear_handover(conversation, from, &note, rng),
            // Whom we let in, adds us when they like.
            Heard::Invitation(_) | Heard::Join(_) | Heard::Nothing => {}
            Heard::Unsupported => self.count_unreadable("content of a newer version"),
        }
    }

    /// What was said before is over when it would have been.
    fn ending_again(
        &self,
        room: &RoomId,
        time: UnixMillis,
        ends: Option<Ends>,
        over: Option<u32>,
    ) -> (Option<StoredTimer>, Option<UnixMillis>) {
        let (timer, policy, end) = match ends {
            Some(Ends::At { unix_s }) => (None, self.over_at(room, time), Some(unix_s)),
            ends => {
                let (timer, policy) = self.ending(room, time, ends);
                (timer, policy, over)
            }
        };
        let end = end.map(|unix_s| UnixMillis(u64::from(unix_s) * 1_000));
        (timer, [policy, end].into_iter().flatten().min())
    }

    /// A message is said again: it is taken if it was missed, and if nothing is stored under its id. One with a timer has left nothing
    /// behind where it has been read: it is taken only where it was asked for.
    fn hear_again(
        &mut self,
        conversation: ConversationId,
        room: RoomId,
        original: MessageId,
        from: Option<&AccountRef>,
        said: Said,
    ) {
        if self.found_again(conversation, original) {
            self.put_said(conversation, original, from, said);
            if from.is_some() {
                self.delivered.entry((conversation, room)).or_default().push(original);
            }
        } else if said.timer.is_none() {
            self.said_unasked(conversation, room, original, from.cloned(), said);
        }
    }

    /// What was asked for is here, if it was.
    pub(crate) fn found_again(&mut self, conversation: ConversationId, message: MessageId) -> bool {
        let found = self.take_missing(conversation, message);
        // (One that own devices were asked for was not counted.)
        if found && self.asked_own.remove(&message).is_none() {
            let counters = self.s.counters();
            counters.unreadable = counters.unreadable.saturating_sub(1);
        }
        found
    }

    fn take_missing(&mut self, conversation: ConversationId, message: MessageId) -> bool {
        let rooms = self.s.conversations.get(&conversation).map(|c| c.rooms.clone()).unwrap_or_default();
        let mut found = false;
        for room in rooms {
            let is_it = |missing: &MessageId| *missing == message;
            let has = |r: &crate::state::Room| r.missing.iter().chain(&r.unreadable).any(is_it);
            if self.s.rooms.get(&room).is_some_and(has)
                && !self.is_early(&message)
                && let Some(r) = self.s.rooms.get_mut(&room)
            {
                r.missing.retain(|missing| *missing != message);
                r.unreadable.retain(|missing| *missing != message);
                found = true;
            }
        }
        found
    }

    fn hear_reports(&mut self, conversation: ConversationId, from: &AccountRef, reports: &[Report]) {
        for report in reports {
            let by = from.clone();
            match report.status {
                Status::Delivered => self.note(conversation, report.message, &Note::Delivered { by }),
                Status::Read => self.note(conversation, report.message, &Note::Read { by }),
                Status::Error => {
                    let mut prefix = crate::conversation::messages_prefix(self.s.number, &conversation);
                    prefix.extend(report.message.0);
                    self.load_rows(prefix, Load::Again(conversation, report.message));
                }
                _ => {}
            }
        }
    }

    /// A member introduces others: believed as far as nothing else is known of them.
    fn hear_roster(&mut self, known: Vec<Known>, rng: &mut dyn CryptoRngCore) {
        let me = self.me().map(|me| me.account.clone());
        for known in known {
            if Some(&known.account) != me.as_ref() {
                // What contradicts the pin is refused and told there.
                let _ = self.pin_or_keep(&known.account, &known.root, &known.links);
            }
        }
        self.hear_early(rng);
    }

    pub(crate) fn set_title(&mut self, conversation: ConversationId, title: String) {
        if let Some(c) = self.s.conversations.get_mut(&conversation)
            && c.is_group
        {
            c.title = title;
            self.tell_conversation(conversation);
        }
    }

    fn hear_leave(&mut self, conversation: ConversationId, room: RoomId, request: Bytes) {
        let is_group = self.s.conversations.get(&conversation).is_some_and(|c| c.is_group);
        if is_group {
            self.want(room, Want::Leave { request });
        } else {
            let member = self.s.rooms.get(&room).map(|r| r.member.clone());
            if let Some(member) = member {
                self.s.add_chore(crate::state::Chore::LeaveEntry { room, member });
            }
            self.leave_room(&room);
            self.close_conversation(conversation, &Failure::NotReachable);
        }
    }

    fn hear_link(&mut self, from: &AccountRef, link: Bytes, rng: &mut dyn CryptoRngCore) {
        let Some(contact) = self.s.contacts.get(from) else { return };
        let (root, mut links) = (contact.root, contact.links.clone());
        links.push(link);
        let _ = self.pin(from, &root, &links);
        self.hear_early(rng);
    }

    /// Tells authors what arrived, if that is switched on; never for requests.
    pub(crate) fn send_reports(&mut self, rng: &mut dyn CryptoRngCore) {
        let reports = std::mem::take(&mut self.delivered);
        if !self.me().is_some_and(|me| me.delivered_reports) {
            return;
        }
        for ((conversation, room), messages) in reports {
            if self.reports_wanted(conversation, room) {
                self.say(conversation, Saying::Delivered { messages }, Some(room), 0, rng);
            }
        }
    }

    pub(crate) fn reports_wanted(&self, conversation: ConversationId, room: RoomId) -> bool {
        self.s.conversations.get(&conversation).is_some_and(|c| c.members.len() < MOST_MEMBERS_WITH_REPORTS)
            && self.s.rooms.get(&room).is_some_and(|r| r.usable() && !r.asked_here)
            && !self.is_attributed(&room)
            && self.standing(conversation) == Some(ConversationState::Open)
    }

    /// Whether it may be heard without its author being asked for it.
    fn waits(&self, message: &MessageId) -> bool {
        self.is_early(message) || self.waits_for_own(message)
    }

    /// Asks for messages that could not be read, in a room that works.
    pub(crate) fn ask_for_missing(&mut self, rng: &mut dyn CryptoRngCore) {
        let rooms: Vec<_> = self
            .s
            .rooms
            .iter()
            .filter(|(_, r)| r.unreadable.iter().any(|message| !self.waits(message)))
            .map(|(room, r)| (*room, r.conversation))
            .collect();
        for (room, conversation) in rooms {
            let open = self.standing(conversation) == Some(ConversationState::Open);
            if !open || self.best_room(conversation).is_none() {
                continue;
            }
            let unreadable = self.s.rooms.get_mut(&room).map(|r| std::mem::take(&mut r.unreadable)).unwrap_or_default();
            let (waiting, messages): (Vec<_>, Vec<_>) = unreadable.into_iter().partition(|message| self.waits(message));
            let Some(r) = self.s.rooms.get_mut(&room) else { continue };
            r.unreadable = waiting;
            r.missing.extend(&messages);
            let surplus = r.missing.len().saturating_sub(512);
            r.missing.drain(..surplus);
            self.say(conversation, Saying::Missing { messages }, None, 0, rng);
        }
    }

    /// Root and device list of somebody, ourselves included, to introduce them.
    pub(crate) fn known(&self, account: &AccountRef) -> Option<Known> {
        let me = self.me().filter(|me| me.account == *account);
        let (root, links) = match me {
            Some(me) => (me.root, me.links.clone()),
            None => self.s.contacts.get(account).map(|contact| (contact.root, contact.links.clone()))?,
        };
        Some(Known { account: account.clone(), root, links })
    }
}
