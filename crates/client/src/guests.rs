//! Guests: people who are to come into a group, and whose door token we wait for.
//!
//! | a guest | is made when | comes in when |
//! |---|---|---|
//! | invited | somebody is added who never let us in: they get a request that says so | they accept: the acceptance brings the token |
//! | joining | somebody wrote the secret of a link of ours ([`crate::links`]): the token came along | at once, or when our user agrees |
//!
//! A stored row says who is wanted where; nothing else has to be remembered. It ends when they are in, when we may not add any
//! more or are out ourselves, when it is taken back, and after [`PATIENCE_MS`]. A decline is not told, so it looks like waiting.
//!
//! All own devices know the guests. The one whose user asked or agreed acts at once, the others after a turn each, oldest
//! first. Two that act at once do no harm: a device that has a leaf by then is not added again ([`crate::commits`]).

use crate::api::{ConversationId, ConversationState, Failure, IntentId, Member, Reply, Target};
use crate::engine::{Engine, Purpose};
use crate::own::{Note, Place};
use crate::state::{Chore, Guest, Saying, Want, Work};
use parlour_proto::address::{Address, Invite};
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::{RoomId, Secret, UnixMillis};
use rand_core::CryptoRngCore;

/// So long somebody may take to accept.
pub(crate) const PATIENCE_MS: u64 = 30 * 24 * 3_600_000;
/// How long each own device waits for the one before it.
const TURN_MS: u64 = 30_000;
/// A claim that found nobody is made again.
const AGAIN_MS: u64 = 600_000;
/// So many can be asked into one group at one time.
const MOST_INVITED: usize = 256;

/// A guest's row: the group, and a number.
pub(crate) type GuestKey = (ConversationId, u64);

/// Who is to be added: some at once, others have to be asked.
pub(crate) struct Newcomers {
    pub(crate) friends: Vec<AccountRef>,
    pub(crate) strangers: Vec<Target>,
}

impl Engine {
    pub(crate) fn newcomers(&self, targets: &[Target]) -> Result<Newcomers, Failure> {
        let mut newcomers = Newcomers { friends: Vec::new(), strangers: Vec::new() };
        for target in targets {
            let account = self.named(target)?;
            let door = |account: &AccountRef| self.s.contacts.get(account).is_some_and(|c| c.door.is_some());
            match account.filter(door) {
                Some(friend) => newcomers.friends.push(friend),
                None => newcomers.strangers.push(target.clone()),
            }
        }
        if newcomers.strangers.len() > MOST_INVITED {
            return Err(Failure::BadInput(format!("at most {MOST_INVITED} people can be asked at one time")));
        }
        Ok(newcomers)
    }

    /// Whom a target names, as far as this device knows.
    fn named(&self, target: &Target) -> Result<Option<AccountRef>, Failure> {
        let account = match target {
            Target::Address(text) => {
                let address = Address::parse(text).map_err(|error| Failure::BadInput(error.to_string()))?;
                self.account_of_address(&address)
            }
            Target::Conversation(id) => {
                let c = self.s.conversations.get(id).filter(|c| !c.is_group && !c.is_own);
                Some(c.and_then(|c| c.members.first().cloned()).ok_or(Failure::NotFound("person"))?)
            }
            Target::Account(account) => Some(account.clone()),
            Target::Invite(text) => {
                let invite = Invite::parse(text).map_err(|error| Failure::BadInput(error.to_string()))?;
                if invite.group.is_some() {
                    return Err(Failure::BadInput("a link to a group names nobody".into()));
                }
                None
            }
        };
        let Some(account) = account else { return Ok(None) };
        if self.me().is_some_and(|me| me.account == account) {
            return Err(Failure::BadInput("that is your own account".into()));
        }
        let contact = self.s.contacts.get(&account);
        if contact.is_some_and(|contact| contact.blocked) {
            return Err(Failure::BadInput("you blocked them: unblock first".into()));
        }
        let asks =
            self.conversation_with(&account).and_then(|id| self.standing(id)) == Some(ConversationState::Request);
        // Their request may have brought a door token: it is for who accepts it, not for bringing them among others.
        if asks {
            return Err(Failure::BadInput("they asked to write to you: accept the request first".into()));
        }
        Ok(Some(account))
    }

    /// Asks somebody into a group; the intent waits for the server to tell whether there is anybody.
    pub(crate) fn ask_in(
        &mut self,
        intent: IntentId,
        group: ConversationId,
        target: &Target,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), Failure> {
        let account = self.named(target)?;
        let is_in = |c: &crate::state::Conversation| account.as_ref().is_some_and(|who| c.members.contains(who));
        if self.s.conversations.get(&group).is_some_and(is_in)
            || account.as_ref().is_some_and(|who| self.guest(group, who).is_some())
        {
            return Ok(());
        }
        if self.guests_of(group).len() >= MOST_INVITED {
            return Err(Failure::BadInput(format!("{MOST_INVITED} people are invited already")));
        }
        let saying = Saying::Invitation { group };
        let via = self.conversation_to(target, &saying, rng)?;
        let since = self.now;
        let guest = Guest { account: account.clone(), via: Some(via), since, door: None, waits: false, mine: true };
        self.put_guest(group, guest);
        self.say(via, saying, None, 0, rng);
        if self.s.starts.get(&via).is_some_and(|start| start.predecessor.is_none()) && self.signed_in {
            self.asking.push((intent, via));
        }
        if let Some(account) = account {
            self.share_guest(group, account, since, false, rng);
        }
        Ok(())
    }

    pub(crate) fn put_guest(&mut self, group: ConversationId, guest: Guest) {
        let last = self.s.guests.range((group, 0)..=(group, u64::MAX)).map(|((_, number), _)| *number).next_back();
        self.s.guests.insert((group, last.map_or(0, |last| last + 1)), guest);
        self.tell_conversation(group);
        self.again = true;
    }

    pub(crate) fn guests_of(&self, group: ConversationId) -> Vec<(GuestKey, Guest)> {
        let of = self.s.guests.range((group, 0)..=(group, u64::MAX));
        of.map(|(key, guest)| (*key, guest.clone())).collect()
    }

    pub(crate) fn guest(&self, group: ConversationId, account: &AccountRef) -> Option<(GuestKey, Guest)> {
        self.guests_of(group).into_iter().find(|(_, guest)| guest.account.as_ref() == Some(account))
    }

    /// Whether an invitation that is still to be sent is still meant.
    pub(crate) fn is_invited(&self, group: ConversationId, via: ConversationId) -> bool {
        self.guests_of(group).iter().any(|(_, guest)| guest.via == Some(via) && guest.door.is_none())
    }

    /// The server has told who somebody is that was asked by an address or invite.
    pub(crate) fn guest_known(&mut self, via: ConversationId, account: &AccountRef, rng: &mut dyn CryptoRngCore) {
        for key in self.s.guests.keys() {
            let waits = |guest: &Guest| guest.via == Some(via) && guest.account.is_none();
            let Some(since) = self.s.guests.get(&key).filter(|guest| waits(guest)).map(|guest| guest.since) else {
                continue;
            };
            if self.guest(key.0, account).is_some() {
                self.s.guests.remove(&key);
            } else if let Some(guest) = self.s.guests.get_mut(&key) {
                guest.account = Some(account.clone());
                self.share_guest(key.0, account.clone(), since, false, rng);
            }
            self.tell_conversation(key.0);
        }
    }

    /// What somebody was told by one conversation, they are told by another one.
    pub(crate) fn guests_move(&mut self, from: ConversationId, into: ConversationId) {
        for key in self.s.guests.keys() {
            if self.s.guests.get(&key).is_some_and(|guest| guest.via == Some(from))
                && let Some(guest) = self.s.guests.get_mut(&key)
            {
                guest.via = Some(into);
            }
        }
    }

    /// A conversation goes: so do the guests that come only by it, and those of a group.
    pub(crate) fn guests_forget(&mut self, conversation: ConversationId) {
        for key in self.s.guests.keys() {
            let Some(guest) = self.s.guests.get(&key) else { continue };
            let comes_by_it = guest.via == Some(conversation);
            if key.0 == conversation || (comes_by_it && (guest.account.is_none() || guest.door.is_some())) {
                self.s.guests.remove(&key);
                self.tell_conversation(key.0);
            } else if comes_by_it && let Some(guest) = self.s.guests.get_mut(&key) {
                guest.via = None;
            }
        }
    }

    pub(crate) fn settle_guests(&mut self) {
        let mut groups: Vec<ConversationId> = self.s.guests.iter().map(|((group, _), _)| *group).collect();
        groups.dedup();
        for group in groups {
            self.settle_guests_of(group);
        }
    }

    fn settle_guests_of(&mut self, group: ConversationId) {
        let room = self.best_room(group);
        let closed = self.standing(group).is_none_or(|standing| standing == ConversationState::Closed);
        let barred = room.is_some_and(|room| !self.may_add(&room));
        let idle = room.filter(|room| self.s.work.get(room).is_none_or(Work::is_done));
        for (key, guest) in self.guests_of(group) {
            if closed || barred || self.guest_is_over(group, &guest) {
                self.drop_guest(key);
                continue;
            }
            self.wake_at(guest.since.plus_ms(PATIENCE_MS));
            if let Some((room, account)) = idle.zip(guest.account.clone())
                && self.is_ready(key, &guest, room)
            {
                // What is wanted together becomes one commit.
                self.want(room, Want::Claim { account });
            }
        }
    }

    /// They are in, or took too long.
    fn guest_is_over(&self, group: ConversationId, guest: &Guest) -> bool {
        let members = self.s.conversations.get(&group).map_or(&[][..], |c| &c.members);
        guest.account.as_ref().is_some_and(|account| members.contains(account))
            || self.now.since(guest.since) >= PATIENCE_MS
    }

    /// Whether we may bring people into a group, as its members judge.
    pub(crate) fn may_add(&self, room: &RoomId) -> bool {
        let (Some((policy, _)), Some(me)) = (self.policy_of(room), self.me()) else { return false };
        policy.who_may_add.covers(self.role_in(room, &me.account))
    }

    /// Their token is here, our user agrees, and it is our turn.
    fn is_ready(&mut self, key: GuestKey, guest: &Guest, room: RoomId) -> bool {
        let Some(account) = guest.account.clone().filter(|_| !guest.waits) else { return false };
        let known = self.s.contacts.get(&account).filter(|contact| !contact.blocked);
        let has_token = known.is_some_and(|contact| contact.door.is_some() || guest.door.is_some());
        has_token && self.is_guests_turn(key, guest, room) && self.may(&Purpose::MemberClaim(room, account))
    }

    fn is_guests_turn(&mut self, key: GuestKey, guest: &Guest, room: RoomId) -> bool {
        let Some(this) = self.me().map(|me| me.device).filter(|_| !guest.mine) else { return true };
        let there = self.s.rooms.get(&room).map(|r| r.own_devices.clone()).unwrap_or_default();
        let older = self.listed().iter().take_while(|listed| listed.id != this);
        let older = older.filter(|listed| there.contains(&listed.id)).count() as u64;
        // Another one asked them, and is not told apart here.
        let before = older + u64::from(guest.door.is_none());
        let now = self.now;
        if self.guests_ready.get(&key).is_none() {
            self.guests_ready.insert(key, now);
        }
        let due = self.guests_ready.get(&key).map_or(now, |since| since.plus_ms(before * TURN_MS));
        if now < due {
            self.wake_at(due);
        }
        now >= due
    }

    /// The token by which somebody is claimed for a group's room.
    pub(crate) fn door_for(&self, room: &RoomId, account: &AccountRef) -> Option<Secret> {
        let group = self.s.rooms.get(room)?.conversation;
        let theirs = self.s.contacts.get(account).filter(|contact| !contact.blocked)?.door.clone();
        theirs.or_else(|| self.guest(group, account).filter(|(_, guest)| !guest.waits)?.1.door)
    }

    /// Their key packages could not be claimed, or not be added: later again.
    pub(crate) fn guest_failed(&mut self, room: RoomId, account: &AccountRef) {
        let group = self.s.rooms.get(&room).map(|r| r.conversation);
        if group.is_some_and(|group| self.guest(group, account).is_some()) {
            self.later(Purpose::MemberClaim(room, account.clone()), AGAIN_MS);
        }
    }

    /// Ends a guest's row; what a link brought here is forgotten like a declined request.
    pub(crate) fn drop_guest(&mut self, key: GuestKey) {
        let Some(guest) = self.s.guests.remove(&key) else { return };
        self.guests_ready.remove(&key);
        if let Some(via) = guest.via.filter(|_| guest.door.is_some())
            && !guest.account.is_some_and(|account| self.hand_in_join(key.0, &account, via))
        {
            self.forget_join(via);
        }
        self.tell_conversation(key.0);
        self.again = true;
    }

    pub(crate) fn drop_guests_of(&mut self, account: &AccountRef) {
        for key in self.s.guests.keys() {
            if self.s.guests.get(&key).is_some_and(|guest| guest.account.as_ref() == Some(account)) {
                self.drop_guest(key);
            }
        }
    }

    pub(crate) fn uninvite(
        &mut self,
        intent: IntentId,
        group: ConversationId,
        account: AccountRef,
        rng: &mut dyn CryptoRngCore,
    ) {
        let Some((key, guest)) = self.guest(group, &account) else {
            return self.done(intent, Err(Failure::NotFound("invitation")));
        };
        self.drop_guest(key);
        self.share_guest(group, account, guest.since, true, rng);
        match self.show_conversation(group) {
            Some(shown) => self.done(intent, Ok(Reply::Conversation(shown))),
            None => self.done(intent, Ok(Reply::Ok)),
        }
    }

    pub(crate) fn show_invited(&self, group: ConversationId) -> Vec<Member> {
        let guests = self.guests_of(group).into_iter().filter(|(_, guest)| !guest.waits);
        guests.filter_map(|(_, guest)| guest.account).map(|account| self.show_member(&account)).collect()
    }

    // ---- first contacts that an intent waits for

    /// Tells the intents that wait for a first contact other than a text.
    pub(crate) fn answer_asking(&mut self, via: ConversationId, outcome: &Result<(), Failure>) {
        let (mine, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.asking).into_iter().partition(|(_, v)| *v == via);
        self.asking = others;
        for (intent, _) in mine {
            let Some((_, room, failure)) = self.group_intents.iter_mut().find(|(id, ..)| *id == intent) else {
                self.done(intent, outcome.clone().map(|()| Reply::Ok));
                continue;
            };
            if let Err(why) = outcome {
                *failure = Some(why.clone());
            }
            let room = *room;
            self.finish_group_intents(room);
        }
    }

    /// A conversation that holds nothing but an invitation or a join, and is with nobody that we talk with: not to be shown.
    pub(crate) fn is_carrier(&self, conversation: ConversationId) -> bool {
        let Some(c) = self.s.conversations.get(&conversation) else { return false };
        let befriended = |account| self.s.contacts.get(account).is_some_and(|contact| contact.befriended);
        let ours = matches!(
            c.standing.shown(),
            ConversationState::Starting | ConversationState::Asked | ConversationState::Repairing
        );
        let empty = c.newest.is_none() && !c.is_group && !c.is_own;
        let joins = self.s.joins.contains(&conversation);
        empty && (joins || (ours && !c.members.iter().any(befriended)))
    }

    /// Leaves a conversation of two, so that nothing of it stays here or at the server.
    pub(crate) fn drop_carrier(&mut self, conversation: ConversationId) {
        for room in self.s.conversations.get(&conversation).map(|c| c.rooms.clone()).unwrap_or_default() {
            if let Some(member) = self.s.rooms.get(&room).map(|r| r.member.clone()) {
                self.s.add_chore(Chore::LeaveEntry { room, member });
            }
        }
        self.forget_conversation(conversation);
    }

    // ---- own devices

    fn share_guest(
        &mut self,
        group: ConversationId,
        account: AccountRef,
        since: UnixMillis,
        back: bool,
        rng: &mut dyn CryptoRngCore,
    ) {
        if let Some(group) = self.place_of(group) {
            self.say_own(&Note::Guest { group, account, since, back }, rng);
        }
    }

    pub(crate) fn hear_guest(&mut self, group: &Place, account: AccountRef, since: UnixMillis, back: bool) {
        let Some(group) = self.find_place(group) else { return };
        match self.guest(group, &account) {
            Some((key, _)) if back => self.drop_guest(key),
            None if !back && self.s.conversations.get(&group).is_some_and(|c| c.is_group) => {
                let guest = Guest { account: Some(account), via: None, since, door: None, waits: false, mine: false };
                self.put_guest(group, guest);
            }
            _ => {}
        }
    }

    /// What a device that is new is told of them.
    pub(crate) fn guest_notes(&self) -> Vec<Note> {
        let invited = self.s.guests.iter().filter(|(_, guest)| guest.door.is_none());
        let note = |(key, guest): (&GuestKey, &Guest)| {
            let (group, account) = (self.place_of(key.0)?, guest.account.clone()?);
            Some(Note::Guest { group, account, since: guest.since, back: false })
        };
        invited.filter_map(note).collect()
    }
}
