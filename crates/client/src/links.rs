//! Links to groups, on the side of who made them.
//!
//! A link is an invite (an opaque token that the server knows by its digest: it reaches this account, whatever the reach rules
//! between the apps are) and a secret that only its holders and this account's devices know. Whoever opens it makes a first
//! contact by the token and says the secret ([`crate::joins`]). It counts while it is not revoked, used up or too old, and
//! while we may add people; then who said it becomes a guest ([`crate::guests`]), with our user's approval if the link wants
//! it. Anything else is a decline, which the other side cannot tell from nobody looking.
//!
//! Nothing of it makes two people contacts: their door token serves one claim and is kept nowhere else, the entry in their
//! room stays `asked`, and the conversation goes when they are in.

use crate::api::{self, ConversationId, ConversationState, Event, Failure, IntentId, Reply};
use crate::engine::Engine;
use crate::guests::GuestKey;
use crate::own::{Note, Place};
use crate::rows::codec::record;
use crate::saying::Hello;
use crate::state::{Asking, Chore, GroupLink, Guest, Standing};
use parlour_proto::address::{Invite, InviteAt};
use parlour_proto::frames::{AccountRef, Request, Row};
use parlour_proto::ids::{Digest, RoomId, Secret, UnixMillis};
use rand_core::CryptoRngCore;

/// So many links of ours lead to one group.
const MOST_LINKS: usize = 32;
/// So many can wait for our user's approval, in one group.
const MOST_WAITING: usize = 64;
/// The most that a link can be used.
const MOST_USES: u32 = 1_000;
/// The longest life of a link, seconds.
const LONGEST_S: u64 = 365 * 86_400;

record! {
    /// A link, as own devices tell each other of it.
    struct SharedLink {
        token: Secret,
        secret: Secret,
        approve: bool,
        uses: u32,
        until: UnixMillis,
    }
}

impl Engine {
    pub(crate) fn create_group_link(
        &mut self,
        intent: IntentId,
        link: (ConversationId, bool, u32, u64),
        rng: &mut dyn CryptoRngCore,
    ) {
        let (group, approve, uses, ttl_s) = link;
        let may = self.group_room(group).and_then(|room| match self.may_add(&room) {
            true => Ok(()),
            false => Err(Failure::BadInput("only admins add people to this group".into())),
        });
        let here = self.s.links.iter().filter(|(_, link)| link.group == group).count();
        let fits = (1..=MOST_USES).contains(&uses) && (1..=LONGEST_S).contains(&ttl_s);
        match may {
            Err(failure) => return self.done(intent, Err(failure)),
            Ok(()) if !fits => {
                let why = format!("a link is for 1 to {MOST_USES} uses, and a year at most");
                return self.done(intent, Err(Failure::BadInput(why)));
            }
            Ok(()) if here >= MOST_LINKS => {
                let why = format!("there are {MOST_LINKS} links to this group: revoke one first");
                return self.done(intent, Err(Failure::BadInput(why)));
            }
            Ok(()) => {}
        }
        let (token, secret) = (Secret::random(rng), Secret::random(rng));
        let until = self.server_time().plus_ms(ttl_s.saturating_mul(1000));
        // Uses are counted here. The server counts claims, some of which may be lost on the way.
        let (digest, uses_there) = (token.digest(), uses + uses / 2 + 4);
        let request = Request::CreateInvite { digest, uses: uses_there, ttl_s, everywhere: true };
        self.ask_for_link(intent, request, GroupLink { group, token, secret, approve, uses, until });
    }

    /// The server has the invite of a link.
    pub(crate) fn link_made(&mut self, link: GroupLink, rng: &mut dyn CryptoRngCore) -> Result<Reply, Failure> {
        let shown = self.show_link(&link).ok_or(Failure::NotSignedIn)?;
        self.share_link(&link, false, rng);
        self.s.links.insert(link.token.digest().0, link);
        Ok(Reply::GroupLink(shown))
    }

    fn show_link(&self, link: &GroupLink) -> Option<api::GroupLink> {
        let at = InviteAt::App(self.me()?.account.app.clone());
        let text = Invite { at, token: link.token.clone(), group: Some(link.secret.clone()) }.to_text();
        let (approve, uses, until) = (link.approve, link.uses, link.until);
        Some(api::GroupLink { id: link.token.digest(), text, approve, uses, until })
    }

    pub(crate) fn group_links(&self, group: ConversationId) -> Vec<api::GroupLink> {
        let now = self.server_time();
        let good = self.s.links.iter().filter(|(_, link)| link.group == group && now < link.until);
        let mut links: Vec<_> = good.filter_map(|(_, link)| self.show_link(link)).collect();
        links.sort_by_key(|link| link.until);
        links
    }

    /// Works at once, also without the server: it is this account's devices that judge a secret.
    pub(crate) fn revoke_group_link(&mut self, intent: IntentId, link: Digest, rng: &mut dyn CryptoRngCore) {
        match self.drop_link(link) {
            Some(gone) => {
                self.share_link(&gone, true, rng);
                self.done(intent, Ok(Reply::Ok));
            }
            None => self.done(intent, Err(Failure::NotFound("link"))),
        }
    }

    fn drop_link(&mut self, id: Digest) -> Option<GroupLink> {
        let gone = self.s.links.remove(&id.0)?;
        self.s.add_chore(Chore::DropInvite { digest: id });
        self.again = true;
        Some(gone)
    }

    /// All invites of the account are revoked, and with them the links.
    pub(crate) fn forget_links(&mut self, rng: &mut dyn CryptoRngCore) {
        for id in self.s.links.keys() {
            if let Some(gone) = self.s.links.remove(&id) {
                self.share_link(&gone, true, rng);
            }
        }
    }

    pub(crate) fn has_link(&self, id: &Digest) -> bool {
        self.s.links.contains(&id.0)
    }

    /// Links into groups that we left, or that are too old.
    pub(crate) fn settle_links(&mut self) {
        let now = self.server_time();
        for id in self.s.links.keys() {
            let Some(link) = self.s.links.get(&id) else { continue };
            let out = self.standing(link.group).is_none_or(|standing| standing == ConversationState::Closed);
            if out || now >= link.until {
                self.drop_link(Digest(id));
            }
        }
    }

    // ---- somebody used one

    /// Somebody says a secret.
    pub(crate) fn hear_join(
        &mut self,
        row: &Row,
        conversation: ConversationId,
        from: &AccountRef,
        hello: Option<&Hello>,
        secret: &Secret,
        rng: &mut dyn CryptoRngCore,
    ) {
        if self.s.conversations.get(&conversation).is_none_or(|c| c.is_group) {
            return;
        }
        let via = self.set_apart(conversation, row.room, from, rng);
        let door = hello.and_then(|hello| hello.door.clone());
        let door = door.or_else(|| self.s.contacts.get(from)?.door.clone());
        let Some((guest, link)) = door.and_then(|door| self.admit(secret, from, via, door)) else {
            return self.forget_join(via);
        };
        if guest.waits {
            let asking = Asking {
                time: row.time,
                text: None,
                name: hello.and_then(|hello| hello.name.clone()),
                address: hello.and_then(|hello| hello.address.clone()),
            };
            if let Some(c) = self.s.conversations.get_mut(&via).filter(|c| matches!(c.standing, Standing::Request)) {
                c.asking = Some(asking);
            }
        }
        let waits = guest.waits;
        self.put_guest(link, guest);
        if let Some(request) = self.show_request(via).filter(|_| waits) {
            self.tell(Event::Request(request));
        }
    }

    /// A join is nobody's conversation: it takes its room with it, out of one in which there is more.
    fn set_apart(
        &mut self,
        conversation: ConversationId,
        room: RoomId,
        from: &AccountRef,
        rng: &mut dyn CryptoRngCore,
    ) -> ConversationId {
        let Some(c) = self.s.conversations.get(&conversation) else { return conversation };
        let asked_here = self.s.rooms.get(&room).is_some_and(|r| r.asked_here);
        let answers = asked_here && self.waits_for(conversation);
        if !answers && !matches!(c.standing, Standing::Request) {
            return conversation;
        }
        if c.rooms == [room] && c.newest.is_none() && c.asking.is_none() {
            if let Some(contact) = self.s.contacts.get_mut(from).filter(|it| it.conversation == Some(conversation)) {
                contact.conversation = None;
            }
            return conversation;
        }
        let via = self.new_conversation(false, Standing::Request, vec![from.clone()], rng);
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.rooms.retain(|id| *id != room);
        }
        if let Some(c) = self.s.conversations.get_mut(&via) {
            c.rooms.push(room);
        }
        if let Some(r) = self.s.rooms.get_mut(&room) {
            r.conversation = via;
        }
        via
    }

    /// Whom a secret makes a guest of which group; counts one use. `None`: it is worth nothing.
    fn admit(
        &mut self,
        secret: &Secret,
        from: &AccountRef,
        via: ConversationId,
        door: Secret,
    ) -> Option<(Guest, ConversationId)> {
        let now = self.server_time();
        // Secrets compare in constant time; which of the links it was, is no secret of theirs.
        let good = |link: &GroupLink| link.secret == *secret && link.uses > 0 && now < link.until;
        let (id, link) = self.s.links.iter().find(|(_, link)| good(link)).map(|(id, link)| (*id, link.clone()))?;
        let room = self.best_room(link.group)?;
        let is_in = self.s.conversations.get(&link.group).is_some_and(|c| c.members.contains(from));
        if is_in || !self.may_add(&room) {
            return None;
        }
        let known = self.guest(link.group, from);
        let guests = self.guests_of(link.group);
        let waiting = guests.iter().filter(|(_, guest)| guest.waits).count();
        if known.is_none() && link.approve && waiting >= MOST_WAITING {
            return None;
        }
        // Whom we invited, or agreed to, needs no more approval.
        let agreed = known.as_ref().is_some_and(|(_, guest)| !guest.waits);
        match known {
            Some((key, guest)) => self.come_anew(key, &guest, via),
            None => self.count_use(id),
        }
        let waits = link.approve && !agreed;
        let (account, since) = (Some(from.clone()), self.now);
        Some((Guest { account, via: Some(via), since, door: Some(door), waits, mine: false }, link.group))
    }

    /// The same person once more: what came first is forgotten.
    fn come_anew(&mut self, key: GuestKey, guest: &Guest, via: ConversationId) {
        self.s.guests.remove(&key);
        if let Some(old) = guest.via.filter(|old| *old != via && guest.door.is_some()) {
            self.forget_join(old);
        }
    }

    fn count_use(&mut self, id: [u8; 32]) {
        let Some(link) = self.s.links.get_mut(&id) else { return };
        link.uses = link.uses.saturating_sub(1);
        if link.uses == 0 {
            self.drop_link(Digest(id));
        }
    }

    /// Forgets what somebody's first contact was, if it was no more than a join.
    pub(crate) fn forget_join(&mut self, via: ConversationId) {
        if self.standing(via) == Some(ConversationState::Request) {
            self.forget_conversation(via);
        }
    }

    // ---- the user's choice

    /// The group that somebody asks to join by this conversation.
    pub(crate) fn asks_to_join(&self, via: ConversationId) -> Option<(GuestKey, &Guest)> {
        let mut waiting = self.s.guests.iter().filter(|(_, guest)| guest.waits && guest.via == Some(via));
        waiting.next().map(|(key, guest)| (*key, guest))
    }

    /// They may come in; `None` if they did not ask.
    pub(crate) fn agree(&mut self, via: ConversationId) -> Option<ConversationId> {
        let (key, _) = self.asks_to_join(via)?;
        let guest = self.s.guests.get_mut(&key)?;
        guest.waits = false;
        guest.mine = true;
        if let Some(c) = self.s.conversations.get_mut(&via) {
            c.asking = None;
        }
        self.again = true;
        self.tell_conversation(key.0);
        Some(key.0)
    }

    /// They may not; silently. `false` if they did not ask.
    pub(crate) fn refuse_join(&mut self, via: ConversationId, rng: &mut dyn CryptoRngCore) -> bool {
        let Some((key, guest)) = self.asks_to_join(via) else { return false };
        let (account, since) = (guest.account.clone(), guest.since);
        if let (Some(account), Some(group)) = (account, self.place_of(key.0)) {
            self.say_own(&Note::Guest { group, account, since, back: true }, rng);
        }
        self.drop_guest(key);
        true
    }

    // ---- own devices

    fn share_link(&mut self, link: &GroupLink, gone: bool, rng: &mut dyn CryptoRngCore) {
        if let Some(note) = self.link_note(link, gone) {
            self.say_own(&note, rng);
        }
    }

    fn link_note(&self, link: &GroupLink, gone: bool) -> Option<Note> {
        let link = link.clone();
        let group = self.place_of(link.group)?;
        let GroupLink { token, secret, approve, uses, until, .. } = link;
        Some(Note::Link { group, link: SharedLink { token, secret, approve, uses, until }, gone })
    }

    pub(crate) fn hear_link_note(&mut self, group: &Place, link: SharedLink, gone: bool) {
        let id = link.token.digest();
        if gone {
            self.s.links.remove(&id.0);
            return;
        }
        let Some(group) = self.find_place(group).filter(|_| !self.has_link(&id)) else { return };
        let SharedLink { token, secret, approve, uses, until } = link;
        self.s.links.insert(id.0, GroupLink { group, token, secret, approve, uses, until });
    }

    pub(crate) fn link_notes(&self) -> Vec<Note> {
        self.s.links.iter().filter_map(|(_, link)| self.link_note(link, false)).collect()
    }
}
