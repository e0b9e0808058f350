//! The room of own devices: what one of them learns or does, the others know.
//!
//! It is a room like any other, with one account in it ([`parlour_e2ee::Policy::direct`] with oneself): the same order, outbox
//! and repair, the same suite; the server cannot tell it from a conversation. It is made when there is a second device, by the
//! one that linked it or else the oldest, and made anew when it is lost. What goes through it is one [`Note`] for each
//! message; the last one in the room's order counts.
//!
//! Not in it: messages and what is noted on them. Each device is a member of each room and reads them there. (Messages from
//! before it came are brought by [`crate::history`].)

use crate::api::{ConversationId, ConversationState, Event, KeptHistory, Showing};
use crate::engine::{Engine, Load};
use crate::rows::codec::{choice, record};
use crate::rows::{decode, encode};
use crate::state::{Draft, Newest, Saying, Standing, StoredPicture};
use bytes::Bytes;
use parlour_e2ee::Policy;
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::{DeviceId, Digest, MessageId, RoomId, Secret, UnixMillis};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

/// So much is put into one note, bytes: less than [`parlour_proto::content::MAX_OWN_BYTES`].
pub(crate) const NOTE_BYTES: usize = 48 * 1024;
/// So many former rooms of a conversation are remembered.
const MOST_FORMER: usize = 32;

record! {
    /// A conversation as every own device finds it: each gives it an id of its own.
    struct Place {
        rooms: Vec<RoomId>,
        /// For two: the other.
        with: Option<AccountRef>,
    }
}

record! {
    /// What is known of somebody.
    struct Shared {
        account: AccountRef,
        root: [u8; 32],
        links: Vec<Bytes>,
        addresses: Vec<String>,
        name: Option<String>,
        door: Option<Secret>,
        given: Option<Secret>,
        befriended: bool,
        blocked: bool,
        verified: bool,
    }
}

record! {
    /// A conversation that the other devices are to have, too.
    struct SharedConversation {
        place: Place,
        is_group: bool,
        members: Vec<AccountRef>,
        title: String,
        closed: bool,
        /// The room that they are brought into, and whether the other side has opened it.
        room: Option<RoomId>,
        open_there: bool,
        next_order: u64,
        unread: u32,
        read_up_to: u64,
        newest: Option<Newest>,
        last_activity: UnixMillis,
        kept: bool,
    }
}

choice! {
    /// What one device tells the others.
    enum Note {
        /// How the account wants to be seen, and what it reports.
        0 Settings { name: String, picture: Option<StoredPicture>, profile: u64, delivered: bool, read: bool, typing: bool, },
        1 Contacts { contacts: Vec<Shared>, },
        /// About the device that says it.
        2 Device { name: String, seen: UnixMillis, },
        /// This device has been told all that there is.
        3 Told { device: DeviceId, },
        4 Conversations { conversations: Vec<SharedConversation>, },
        /// All is read up to this message.
        5 Read { place: Place, message: MessageId, },
        6 Draft { place: Place, text: Option<String>, },
        /// A request that was declined, a conversation that was left.
        7 Dropped { place: Place, declined: bool, },
        /// Messages for a device that is new ([`crate::history`]).
        8 History { to: DeviceId, place: Place, messages: Vec<crate::history::Told>, done: u64, of: u64, },
        /// Messages that the one who says it could not read: written before it was in the room.
        10 Ask { place: Place, messages: Vec<MessageId>, },
        /// Where messages are shown.
        11 Showing { device: DeviceId, showing: Showing, },
        /// The backup's keys.
        12 Backup { public: Bytes, key: Option<Zeroizing<Vec<u8>>>, },
        /// What was said in a conversation lately: the one who says it was let in late.
        13 Fill { place: Place, },
        /// Somebody is to come into a group when they accept; or (`back`) not any more.
        20 Guest { group: Place, account: AccountRef, since: UnixMillis, back: bool, },
        /// Somebody may bring us into a group: we opened a link of theirs; or (`over`) not any more.
        21 Joining { account: AccountRef, since: UnixMillis, over: bool, },
        /// A link to a group; or (`gone`) one that is revoked.
        22 Link { group: Place, link: crate::links::SharedLink, gone: bool, },
        /// Clocks of messages that were read, and when those are over.
        30 Started { place: Place, messages: Vec<(MessageId, UnixMillis)>, },
        /// A message that can be seen once was.
        31 Opened { place: Place, message: MessageId, },
        /// A message is kept, or no longer.
        32 Kept { place: Place, message: MessageId, keep: bool, },
        /// All of a conversation is kept, or no longer.
        33 KeptAll { place: Place, keep: bool, },
        /// Which messages are in the backup, and how many there are.
        24 Keeping { history: KeptHistory, messages: u64, },
        /// The one who says it keeps the backup from now on.
        25 Keeper,
        /// Somebody's picture.
        9 Face { account: AccountRef, picture: StoredPicture, },
        /// Rooms that the one who says it is not in, though told of them: the others may think that it is.
        34 Outside { rooms: Vec<RoomId>, },
        /// A group's picture.
        23 GroupFace { place: Place, picture: StoredPicture, },
    }
}

impl Engine {
    /// Tells the other devices something, if there are any.
    pub(crate) fn say_own(&mut self, note: &Note, rng: &mut dyn CryptoRngCore) {
        if let Some(own) = self.me().and_then(|me| me.own) {
            self.say(own, Saying::Own { note: encode(note).into() }, None, 0, rng);
        }
    }

    pub(crate) fn own_room(&self) -> Option<RoomId> {
        self.best_room(self.me()?.own?)
    }

    pub(crate) fn is_own_room(&self, room: &RoomId) -> bool {
        let conversation = self.s.rooms.get(room).map(|r| r.conversation);
        conversation.is_some() && conversation == self.me().and_then(|me| me.own)
    }

    /// Everything that was said to the other devices is with the server.
    pub(crate) fn own_is_said(&self) -> bool {
        let Some(own) = self.me().and_then(|me| me.own) else { return false };
        self.s.outgoing_of(own).all(|(_, item)| item.accepted)
    }

    /// The conversation of own devices, made when it is missing.
    pub(crate) fn own_conversation(&mut self, rng: &mut dyn CryptoRngCore) -> Option<ConversationId> {
        if let Some(own) = self.me()?.own {
            return Some(own);
        }
        let own = self.new_conversation(false, Standing::Open, Vec::new(), rng);
        if let Some(c) = self.s.conversations.get_mut(&own) {
            c.is_own = true;
        }
        self.s.identity.get_mut(&())?.own = Some(own);
        Some(own)
    }

    /// Makes the room of own devices when there is none and it is ours to make.
    pub(crate) fn settle_own_room(&mut self, rng: &mut dyn CryptoRngCore) {
        if self.other_devices().is_empty() {
            return;
        }
        let Some(me) = self.me() else { return };
        let (this, account, own) = (me.device, crate::contacts::e2ee_account(&me.account), me.own);
        let had_one = own.is_some();
        let has_a_future = own.and_then(|own| self.s.conversations.get(&own)).is_some_and(|c| {
            let rooms = c.rooms.iter();
            rooms.clone().any(|room| self.has_a_future(room))
        });
        let linked = self.s.devices.iter().any(|(_, device)| device.mine);
        let oldest = self.listed().first().is_some_and(|device| device.id == this);
        if has_a_future || !(had_one || linked || oldest) {
            return;
        }
        let Some(own) = self.own_conversation(rng) else { return };
        let room = RoomId::random(rng);
        let policy = Policy::direct(account.clone(), account, rng);
        if self.create_room(own, room, &policy, true, rng).is_err() {
            return;
        }
        if let Some(r) = self.s.rooms.get_mut(&room) {
            r.hello_sent = true;
        }
        if let Some(c) = self.s.conversations.get_mut(&own) {
            c.standing = Standing::Open;
        }
        self.look_at_rooms();
        self.again = true;
    }

    // ---- places

    pub(crate) fn place_of(&self, conversation: ConversationId) -> Option<Place> {
        let c = self.s.conversations.get(&conversation).filter(|c| !c.is_own)?;
        let with = c.members.first().filter(|_| !c.is_group).cloned();
        let former = self.s.former.get(&conversation).into_iter().flatten();
        Some(Place { rooms: former.chain(&c.rooms).copied().collect(), with })
    }

    pub(crate) fn find_place(&self, place: &Place) -> Option<ConversationId> {
        let known = place.rooms.iter().find_map(|room| {
            let joined = self.s.rooms.get(room).map(|r| r.conversation);
            joined.or_else(|| self.s.expected.get(room).map(|expected| expected.conversation))
        });
        let known = known.filter(|id| self.s.conversations.contains(id));
        let known = known.or_else(|| self.had_room(&place.rooms));
        known.or_else(|| self.conversation_with(place.with.as_ref()?))
    }

    /// The conversation that had one of these rooms before this device came.
    pub(crate) fn had_room(&self, rooms: &[RoomId]) -> Option<ConversationId> {
        let had = |former: &[RoomId]| former.iter().any(|room| rooms.contains(room));
        self.s.former.iter().find(|(_, former)| had(former)).map(|(id, _)| *id)
    }

    /// What is told later may name a room that is known to others only.
    fn remember_rooms(&mut self, conversation: ConversationId, place: &Place) {
        let mut former = self.s.former.get(&conversation).cloned().unwrap_or_default();
        let own = self.s.conversations.get(&conversation).map(|c| c.rooms.clone()).unwrap_or_default();
        let new: Vec<RoomId> =
            place.rooms.iter().filter(|room| !former.contains(room) && !own.contains(room)).copied().collect();
        if !new.is_empty() {
            former.extend(new);
            former.drain(..former.len().saturating_sub(MOST_FORMER));
            self.s.former.insert(conversation, former);
        }
    }

    // ---- what the others are told, as it happens

    /// Contacts that changed since the others were told of them.
    pub(crate) fn settle_sharing(&mut self, rng: &mut dyn CryptoRngCore) {
        if self.me().is_none_or(|me| me.own.is_none()) {
            return;
        }
        self.settle_showing(rng);
        self.settle_opened(rng);
        for account in self.s.contacts.changed() {
            let Some(shared) = self.shared(&account) else { continue };
            let digest = digest_of(&shared);
            if self.s.contacts.get(&account).is_some_and(|contact| contact.shared != Some(digest)) {
                self.mark_shared(&account, digest);
                self.say_own(&Note::Contacts { contacts: vec![shared] }, rng);
            }
        }
    }

    pub(crate) fn shared(&self, account: &AccountRef) -> Option<Shared> {
        let contact = self.s.contacts.get(account)?;
        Some(Shared {
            account: account.clone(),
            root: contact.root,
            links: contact.links.clone(),
            addresses: contact.addresses.clone(),
            name: contact.name.clone(),
            door: contact.door.clone(),
            given: contact.given.clone(),
            befriended: contact.befriended,
            blocked: contact.blocked,
            verified: contact.verified,
        })
    }

    pub(crate) fn mark_shared(&mut self, account: &AccountRef, digest: Digest) {
        if let Some(contact) = self.s.contacts.get_mut(account) {
            contact.shared = Some(digest);
        }
    }

    /// Conversations that the other side has opened.
    fn settle_opened(&mut self, rng: &mut dyn CryptoRngCore) {
        let opened = std::mem::take(&mut self.opened);
        let conversations: Vec<_> = opened.into_iter().filter_map(|id| self.shared_conversation(id)).collect();
        if !conversations.is_empty() {
            self.say_own(&Note::Conversations { conversations }, rng);
        }
    }

    pub(crate) fn settings_note(&self) -> Option<Note> {
        let me = self.me()?;
        Some(Note::Settings {
            name: me.name.clone(),
            picture: me.picture.clone(),
            profile: me.profile,
            delivered: me.delivered_reports,
            read: me.read_reports,
            typing: me.typing_reports,
        })
    }

    /// Who is to come into our groups, by which links, and into which groups we are to come.
    pub(crate) fn coming_notes(&self) -> Vec<Note> {
        self.guest_notes().into_iter().chain(self.link_notes()).chain(self.joining_notes()).collect()
    }

    pub(crate) fn share_settings(&mut self, rng: &mut dyn CryptoRngCore) {
        if let Some(note) = self.settings_note() {
            self.say_own(&note, rng);
        }
    }

    pub(crate) fn share_read(&mut self, conversation: ConversationId, rng: &mut dyn CryptoRngCore) {
        let newest = self.s.conversations.get(&conversation).and_then(|c| c.newest.as_ref()).map(|n| n.message);
        if let (Some(place), Some(message)) = (self.place_of(conversation), newest) {
            self.say_own(&Note::Read { place, message }, rng);
        }
    }

    pub(crate) fn share_dropped(&mut self, conversation: ConversationId, declined: bool, rng: &mut dyn CryptoRngCore) {
        if let Some(place) = self.place_of(conversation) {
            self.say_own(&Note::Dropped { place, declined }, rng);
        }
    }

    // ---- what the others tell

    pub(crate) fn hear_note(&mut self, from: DeviceId, note: &[u8], rng: &mut dyn CryptoRngCore) {
        // What a newer version says, an older one does not understand.
        if let Ok(note) = decode::<Note>(note) {
            self.hear_read_note(from, note, rng);
        }
    }

    pub(crate) fn hear_read_note(&mut self, from: DeviceId, note: Note, rng: &mut dyn CryptoRngCore) {
        match note {
            Note::Settings { name, picture, profile, delivered, read, typing } => {
                self.set_reports(delivered, read, typing);
                self.hear_settings(name, picture, profile);
            }
            Note::Contacts { contacts } => contacts.into_iter().for_each(|shared| self.hear_contact(shared, rng)),
            Note::Device { name, seen } => self.hear_device(from, &name, seen),
            Note::Told { device } => {
                if let Some(known) = self.s.devices.get_mut(&device) {
                    known.told = true;
                }
            }
            Note::Conversations { conversations } => {
                conversations.into_iter().for_each(|shared| self.hear_conversation(shared, rng));
            }
            Note::Read { place, message } => {
                if let Some(conversation) = self.find_place(&place) {
                    let prefix = self.message_prefix(conversation, message);
                    self.load_rows(prefix, Load::ReadUpTo(conversation, message));
                }
            }
            Note::Draft { place, text } => {
                if let Some(conversation) = self.find_place(&place) {
                    self.hear_draft(conversation, text);
                }
            }
            Note::Dropped { place, declined } => {
                if let Some(conversation) = self.find_place(&place) {
                    self.hear_dropped(conversation, declined);
                }
            }
            Note::History { to, place, messages, done, of } => self.hear_history(to, &place, messages, done, of),
            Note::Fill { place } => self.hear_fill(from, &place),
            Note::Backup { public, key } => self.hear_backup(public, key),
            Note::Started { place, messages } => self.hear_started(&place, &messages),
            Note::Opened { place, message } => self.hear_opened(&place, message),
            Note::Kept { place, message, keep } => self.hear_kept(&place, message, keep),
            Note::KeptAll { place, keep } => {
                if let Some(conversation) = self.find_place(&place) {
                    self.set_kept(conversation, keep);
                }
            }
            Note::Keeper => self.hear_keeper(from),
            Note::Keeping { history, .. } => self.keep_history(history),
            Note::Showing { device, showing } => self.hear_showing(device, showing),
            Note::Ask { place, messages } => self.hear_ask(from, &place, messages),
            Note::Outside { rooms } => rooms.into_iter().for_each(|room| self.hear_outside(from, room)),
            Note::Face { account, picture } => self.hear_face(&account, &picture),
            Note::GroupFace { place, picture } => self.hear_group_picture(&place, &picture),
            Note::Guest { group, account, since, back } => self.hear_guest(&group, account, since, back),
            Note::Joining { account, since, over } => self.hear_join_note(account, since, over, rng),
            Note::Link { group, link, gone } => self.hear_link_note(&group, link, gone),
        }
    }

    pub(crate) fn set_reports(&mut self, delivered: bool, read: bool, typing: bool) {
        let Some(me) = self.s.identity.get_mut(&()) else { return };
        me.delivered_reports = delivered;
        me.read_reports = read;
        me.typing_reports = typing;
    }

    fn hear_settings(&mut self, name: String, picture: Option<StoredPicture>, profile: u64) {
        let Some(me) = self.s.identity.get_mut(&()) else { return };
        if profile < me.profile {
            return;
        }
        me.name = name;
        me.picture = picture;
        me.profile = profile;
        // The device that changed it tells everybody.
        for id in self.s.conversations.keys() {
            if self.s.conversations.get(&id).is_some_and(|c| c.profile_sent < profile)
                && let Some(c) = self.s.conversations.get_mut(&id)
            {
                c.profile_sent = profile;
            }
        }
        let own = self.who_am_i();
        self.tell(Event::Identities(own));
    }

    fn hear_device(&mut self, from: DeviceId, name: &str, seen: UnixMillis) {
        let Some(known) = self.s.devices.get_mut(&from) else { return };
        known.name = crate::linking::device_name(name);
        known.seen = Some(seen);
        self.tell_devices(None);
    }

    /// Whether something that we say of somebody is on its way to the other devices.
    fn is_telling_of(&self, account: &AccountRef) -> bool {
        let is_of = |shared: &Shared| shared.account == *account;
        self.is_telling(|note| matches!(note, Note::Contacts { contacts } if contacts.iter().any(is_of)))
    }

    /// Whether such a note is on its way to the other devices.
    pub(crate) fn is_telling(&self, such: impl Fn(&Note) -> bool) -> bool {
        let Some(own) = self.me().and_then(|me| me.own) else { return false };
        let tells = |saying: &Saying| match saying {
            Saying::Own { note } => decode::<Note>(note).is_ok_and(|note| such(&note)),
            _ => false,
        };
        self.s.outgoing_of(own).any(|(_, item)| tells(&item.saying))
    }

    fn hear_contact(&mut self, shared: Shared, rng: &mut dyn CryptoRngCore) {
        let account = shared.account.clone();
        if self.me().is_none_or(|me| me.account == account)
            || self.pin_or_keep(&account, &shared.root, &shared.links).is_err()
        {
            return;
        }
        // What we say of them comes after this in the room, and is what holds: for the others, too. But who was let in elsewhere is
        // not turned away by what is said of a request that was just read.
        let telling = self.is_telling_of(&account);
        let waits = |id| self.standing(id) == Some(ConversationState::Request);
        if telling && !(shared.befriended && self.conversation_with(&account).is_some_and(waits)) {
            return;
        }
        let Some(contact) = self.s.contacts.get(&account) else { return };
        let (was_befriended, was_blocked) = (contact.befriended, contact.blocked);
        // First: it ends what there was between us, and what follows may be new.
        if shared.blocked && !was_blocked {
            self.shut(&account);
        } else if !shared.blocked && was_blocked {
            self.mark_blocked(&account, false);
        }
        let Some(contact) = self.s.contacts.get_mut(&account) else { return };
        for address in shared.addresses {
            if !contact.addresses.contains(&address) {
                contact.addresses.push(address);
            }
        }
        contact.name = contact.name.take().or(shared.name);
        contact.verified = shared.verified;
        contact.befriended = shared.befriended;
        contact.door = shared.door.or(contact.door.take());
        if contact.given.is_some() && contact.given != shared.given {
            // They hold one or the other.
            contact.given_too.extend(contact.given.take());
        }
        contact.given = shared.given;
        if telling {
            // Said again, behind what was said without knowing this.
            contact.shared = None;
        } else if let Some(now) = self.shared(&account) {
            self.mark_shared(&account, digest_of(&now));
        }
        let conversation = self.conversation_with(&account);
        if let Some(id) = conversation.filter(|_| shared.befriended) {
            if !was_befriended && self.standing(id) == Some(ConversationState::Request) {
                self.let_in_here(id, rng);
                self.ask_to_fill(id, rng);
            }
            // Brought into another room of theirs meanwhile.
            self.open_asked(id, rng);
        }
        if let Some(id) = conversation {
            self.changed.insert(id);
        }
    }

    fn hear_conversation(&mut self, shared: SharedConversation, rng: &mut dyn CryptoRngCore) {
        let known = self.find_place(&shared.place);
        if shared.room.is_some_and(|room| self.s.tombstones.contains(&room)) {
            return;
        }
        let id = match known {
            Some(id) => id,
            None => self.take_over_conversation(&shared, rng),
        };
        self.remember_rooms(id, &shared.place);
        if let Some(room) = shared.room {
            if let Some(r) = self.s.rooms.get_mut(&room) {
                r.open_there |= shared.open_there;
            } else {
                let expected = crate::state::Expected { conversation: id, open_there: shared.open_there };
                self.s.expected.insert(room, expected);
            }
        }
        if self.s.conversations.get(&id).is_some_and(|c| c.title.is_empty()) {
            self.set_title(id, shared.title);
        }
        if shared.is_group && self.standing(id) == Some(ConversationState::Request) {
            // Open there: what made it so has not come here.
            self.let_in_here(id, rng);
        }
        if known.is_some() {
            self.weigh(id);
        }
        self.tell_conversation(id);
    }

    /// A conversation that another device has, and this one had not.
    fn take_over_conversation(&mut self, shared: &SharedConversation, rng: &mut dyn CryptoRngCore) -> ConversationId {
        let standing = if shared.closed { Standing::Closed } else { Standing::Starting };
        let id = self.new_conversation(shared.is_group, standing, shared.members.clone(), rng);
        let profile = self.me().map_or(0, |me| me.profile);
        if let Some(c) = self.s.conversations.get_mut(&id) {
            c.title.clone_from(&shared.title);
            c.unread = shared.unread;
            c.read_up_to = shared.read_up_to;
            c.last_activity = shared.last_activity;
            c.kept = shared.kept;
            // Room for what is said until this device is in.
            c.base = shared.next_order + crate::history::GAP;
            c.next_order = c.base;
            c.profile_sent = profile;
        }
        self.take_newest(id, shared.newest.as_ref());
        if let Some(contact) = shared.place.with.as_ref().and_then(|account| self.s.contacts.get_mut(account)) {
            contact.conversation = Some(id);
        }
        id
    }

    pub(crate) fn on_read_rows(
        &mut self,
        conversation: ConversationId,
        message: MessageId,
        rows: &[(Vec<u8>, Vec<u8>)],
        rng: &mut dyn CryptoRngCore,
    ) {
        let Some(order) = self.show_rows(message, rows).map(|message| message.order) else { return };
        let Some(c) = self.s.conversations.get(&conversation).filter(|c| order > c.read_up_to) else { return };
        let newest = c.newest.as_ref().is_some_and(|newest| newest.message == message);
        if newest {
            if let Some(c) = self.s.conversations.get_mut(&conversation) {
                c.read_up_to = order;
                c.unread = 0;
                c.mentioned = false;
            }
            self.changed.insert(conversation);
        } else {
            self.count_unread(conversation, order, rng);
        }
    }

    fn hear_draft(&mut self, conversation: ConversationId, text: Option<String>) {
        match &text {
            Some(text) => self.s.drafts.insert(conversation, Draft { text: text.clone(), told: true }),
            None => drop(self.s.drafts.remove(&conversation)),
        }
        self.tell(Event::Draft { conversation, text });
    }

    fn hear_dropped(&mut self, conversation: ConversationId, declined: bool) {
        if declined {
            if self.standing(conversation) == Some(ConversationState::Request) {
                self.forget_conversation(conversation);
            }
            return;
        }
        for room in self.s.conversations.get(&conversation).map(|c| c.rooms.clone()).unwrap_or_default() {
            self.left(room);
        }
    }
}

/// Of what is told of a contact; the name is told by themselves.
pub(crate) fn digest_of(shared: &Shared) -> Digest {
    Digest::of(&encode(&Shared { name: None, ..shared.clone() }))
}
