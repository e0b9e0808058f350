//! Joining a group by somebody's link ([`crate::links`] is the other side).
//!
//! | step | stored | then |
//! |---|---|---|
//! | the link is opened | a [`Joining`] and a first contact by the invite's token, in a conversation that nobody sees | the server tells who made it, or that there is nobody |
//! | the secret is said, with a door token | - | the maker's devices bring us in, now, or when their user agrees |
//! | a Welcome to a group comes, by that account | the group is open | the door token is taken back; the conversation is left: at once, or in a large group when all that was before is handed over ([`crate::handover`]), a day later at the latest |
//! | nothing comes | for [`PATIENCE_MS`] | the same, and [`Event::JoinEnded`] says so |
//!
//! A decline, a wrong secret and a link that is revoked all look like the last line. Own devices are told whom a Welcome may come
//! from; they are not brought into the conversation.

use crate::api::{self, ConversationId, ConversationState, Event, Failure, IntentId, Reply};
use crate::engine::Engine;
use crate::guests::PATIENCE_MS;
use crate::hearing::MOST_MEMBERS_WITH_REPORTS;
use crate::own::Note;
use crate::state::{Chore, Joining, Saying, Standing, Whom};
use parlour_proto::address::Invite;
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::UnixMillis;
use rand_core::CryptoRngCore;

/// Groups that one can want into at one time.
const MOST: usize = 64;
/// So long who added us has for handing over what was before.
const HANDED_MS: u64 = 24 * 3_600_000;

impl Engine {
    pub(crate) fn join_by_link(&mut self, intent: IntentId, text: &str, rng: &mut dyn CryptoRngCore) {
        let invite = match Invite::parse(text) {
            Ok(invite) => invite,
            Err(error) => return self.done(intent, Err(Failure::BadInput(error.to_string()))),
        };
        let Some(secret) = invite.group else {
            let why = "this invite leads to a person, not into a group: write to them";
            return self.done(intent, Err(Failure::BadInput(why.into())));
        };
        if self.s.joins.iter().any(|(_, join)| join.joined.is_none() && join.secret.as_ref() == Some(&secret)) {
            // Asked already, and not answered yet.
            return self.done(intent, Ok(Reply::Ok));
        }
        if self.s.joins.iter().filter(|(_, join)| join.joined.is_none()).count() >= MOST {
            let why = format!("you wait for {MOST} groups: stop waiting for one first");
            return self.done(intent, Err(Failure::BadInput(why)));
        }
        let via = self.new_conversation(false, Standing::Starting, Vec::new(), rng);
        let since = self.now;
        self.s.joins.insert(via, Joining { secret: Some(secret.clone()), account: None, since, joined: None });
        self.start(via, Whom::Invite { token: invite.token }, rng);
        self.say(via, Saying::Join { secret }, None, 0, rng);
        if self.signed_in {
            self.asking.push((intent, via));
        } else {
            self.done(intent, Ok(Reply::Ok));
        }
    }

    pub(crate) fn joining(&self) -> Vec<api::Joining> {
        let joins = self.s.joins.iter().filter(|(_, join)| join.secret.is_some() && join.joined.is_none());
        let mut joins: Vec<_> =
            joins.map(|(id, join)| api::Joining { id: *id, since: join.since, by: join.account.clone() }).collect();
        joins.sort_by_key(|join| join.since);
        joins
    }

    pub(crate) fn has_join(&self, id: &ConversationId) -> bool {
        self.s.joins.contains(id)
    }

    pub(crate) fn stop_joining(&mut self, intent: IntentId, join: ConversationId, rng: &mut dyn CryptoRngCore) {
        if !self.s.joins.contains(&join) {
            return self.done(intent, Err(Failure::NotFound("group that you wait for")));
        }
        self.end_join(join, None, rng);
        self.done(intent, Ok(Reply::Ok));
    }

    /// Whether this account may bring us into a group: we opened a link of theirs.
    pub(crate) fn is_awaited(&self, by: &AccountRef) -> bool {
        self.s.joins.iter().any(|(_, join)| join.joined.is_none() && join.account.as_ref() == Some(by))
    }

    /// Whether the conversation that a link's token leads to may be another one that is there: with a friend. Any other one
    /// (asked, a request, closed) would hold the secret back, or make contacts of the two.
    pub(crate) fn may_join_by(&self, via: ConversationId, existing: ConversationId) -> bool {
        !self.s.joins.contains(&via) || self.standing(existing) == Some(ConversationState::Open)
    }

    /// The server has told whose the link is.
    pub(crate) fn join_known(&mut self, via: ConversationId, account: &AccountRef, rng: &mut dyn CryptoRngCore) {
        let Some(join) = self.s.joins.get_mut(&via) else { return };
        join.account = Some(account.clone());
        let since = join.since;
        self.say_own(&Note::Joining { account: account.clone(), since, over: false }, rng);
    }

    /// The link leads to nobody.
    pub(crate) fn join_failed(&mut self, via: ConversationId) {
        if self.s.joins.remove(&via).is_some() {
            self.tell(Event::JoinEnded { join: via, joined: None });
        }
    }

    pub(crate) fn settle_joins(&mut self, rng: &mut dyn CryptoRngCore) {
        for id in self.s.joins.keys() {
            let Some(join) = self.s.joins.get(&id) else { continue };
            let until = join.since.plus_ms(if join.joined.is_some() { HANDED_MS } else { PATIENCE_MS });
            if join.joined.is_some_and(|group| self.now >= until || !self.is_being_handed(group)) {
                self.end_handed(id, rng);
            } else if self.now >= until {
                self.end_join(id, None, rng);
            } else {
                self.wake_at(until);
            }
        }
    }

    /// Somebody has brought us into a group: if by a link of theirs, nothing is left of that. One link, one group.
    pub(crate) fn joined_by(&mut self, by: &AccountRef, group: ConversationId, rng: &mut dyn CryptoRngCore) {
        let awaits = |join: &Joining| join.joined.is_none() && join.account.as_ref() == Some(by);
        let awaited = self.s.joins.iter().find(|(_, join)| awaits(join)).map(|(id, _)| *id);
        if let Some(id) = awaited {
            self.end_join(id, Some(group), rng);
            self.opened.push(group);
        }
    }

    /// Whether who added us into a group has not handed over everything yet.
    fn is_being_handed(&self, group: ConversationId) -> bool {
        let rooms = self.s.conversations.get(&group).map_or(&[][..], |c| &c.rooms);
        rooms.iter().any(|room| self.s.rooms.get(room).is_some_and(|r| r.added_by.is_some()))
    }

    /// Whether we keep the conversation by which we asked: in a group that is too large for handing something over in itself,
    /// by who has no other conversation with us.
    fn keeps_join(&self, id: ConversationId, join: &Joining, group: ConversationId) -> bool {
        let large = self.s.conversations.get(&group).is_some_and(|c| c.members.len() >= MOST_MEMBERS_WITH_REPORTS);
        let with_them = join.account.as_ref().and_then(|account| self.conversation_with(account));
        let open = with_them.is_some_and(|with| self.standing(with) == Some(ConversationState::Open));
        large && !open && self.s.conversations.contains(&id)
    }

    fn end_handed(&mut self, id: ConversationId, rng: &mut dyn CryptoRngCore) {
        if let Some(join) = self.s.joins.remove(&id) {
            self.close_join(id, join.account, rng);
        }
    }

    fn end_join(&mut self, id: ConversationId, joined: Option<ConversationId>, rng: &mut dyn CryptoRngCore) {
        let Some(join) = self.s.joins.remove(&id) else { return };
        if let Some(account) = &join.account {
            self.take_door_back(account);
            if joined.is_none() && join.secret.is_some() {
                let (account, since) = (account.clone(), join.since);
                self.say_own(&Note::Joining { account, since, over: true }, rng);
            }
        }
        if let Some(group) = joined.filter(|group| self.keeps_join(id, &join, *group)) {
            let kept = Joining { since: self.now, joined: Some(group), ..join.clone() };
            self.s.joins.insert(id, kept);
            self.again = true;
        } else {
            self.close_join(id, join.account, rng);
        }
        if join.secret.is_some() {
            self.tell(Event::JoinEnded { join: id, joined });
        }
    }

    /// The conversation that carried the secret goes, unless there is more in it.
    fn close_join(&mut self, via: ConversationId, account: Option<AccountRef>, rng: &mut dyn CryptoRngCore) {
        let Some(c) = self.s.conversations.get(&via) else { return };
        let written = c.newest.is_some();
        let let_in = c.rooms.iter().any(|room| self.s.rooms.get(room).is_some_and(|r| r.open_there));
        match account.filter(|_| written || let_in) {
            None => self.drop_carrier(via),
            Some(account) if let_in => {
                if let Some(contact) = self.s.contacts.get_mut(&account).filter(|it| it.conversation.is_none()) {
                    contact.conversation = Some(via);
                }
                self.tell_conversation(via);
            }
            // They were written to, where nothing is read: asked like anybody.
            Some(account) => {
                self.restart_by_itself(via);
                self.start(via, Whom::Account { account }, rng);
            }
        }
    }

    fn restart_by_itself(&mut self, via: ConversationId) {
        for room in self.s.conversations.get(&via).map(|c| c.rooms.clone()).unwrap_or_default() {
            if let Some(member) = self.s.rooms.get(&room).map(|r| r.member.clone()) {
                self.s.add_chore(Chore::LeaveEntry { room, member });
            }
            self.forget_sealed(via, room);
            self.forget_room(&room);
        }
        if let Some(c) = self.s.conversations.get_mut(&via) {
            c.rooms.clear();
        }
    }

    /// Who is no contact of ours does not keep our door token.
    fn take_door_back(&mut self, account: &AccountRef) {
        if self.is_awaited(account) {
            return;
        }
        let alone = |c: &crate::state::Contact| !c.befriended && c.conversation.is_none();
        let Some(contact) = self.s.contacts.get_mut(account).filter(|contact| alone(contact)) else { return };
        let mut tokens = std::mem::take(&mut contact.given_too);
        tokens.extend(contact.given.take());
        for token in tokens {
            self.s.add_chore(Chore::DropDoor { digest: token.digest() });
        }
    }

    // ---- own devices

    pub(crate) fn hear_join_note(
        &mut self,
        account: AccountRef,
        since: UnixMillis,
        over: bool,
        rng: &mut dyn CryptoRngCore,
    ) {
        let known =
            |join: &Joining| join.joined.is_none() && join.account.as_ref() == Some(&account) && join.since == since;
        let here: Vec<_> = self.s.joins.iter().filter(|(_, join)| known(join)).map(|(id, _)| *id).collect();
        if over {
            here.into_iter().for_each(|id| self.end_join(id, None, rng));
        } else if here.is_empty() && self.s.joins.len() < MOST {
            let mut id = [0; 16];
            rng.fill_bytes(&mut id);
            self.s
                .joins
                .insert(ConversationId(id), Joining { secret: None, account: Some(account), since, joined: None });
        }
    }

    pub(crate) fn joining_notes(&self) -> Vec<Note> {
        let joins = self.s.joins.iter();
        let note = |join: &Joining| {
            let account = join.account.clone().filter(|_| join.joined.is_none())?;
            Some(Note::Joining { account, since: join.since, over: false })
        };
        joins.filter_map(|(_, join)| note(join)).collect()
    }
}
