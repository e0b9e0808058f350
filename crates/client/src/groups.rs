//! Groups: made, people added and removed, left.
//!
//! Nobody becomes a leaf without consent: only somebody who gave us a door token can be added; others are asked ([`crate::guests`]).
//! Whoever is added learns who is there (and how to verify them) from a roster that follows the commit.

use crate::api::{ConversationId, Failure, IntentId, Reply, Role, Target};
use crate::contacts::e2ee_account;
use crate::engine::{Engine, Purpose, is_temporary};
use crate::guests::Newcomers;
use crate::state::{Saying, Standing, Want};
use parlour_e2ee::Policy;
use parlour_proto::content::clean_name;
use parlour_proto::frames::{AccountRef, Answer, Request, Who};
use parlour_proto::ids::{DeviceId, RoomId};
use parlour_proto::problem::Problem;
use rand_core::CryptoRngCore;

impl Engine {
    pub(crate) fn create_group(
        &mut self,
        intent: IntentId,
        title: &str,
        members: &[Target],
        rng: &mut dyn CryptoRngCore,
    ) {
        let made = self.newcomers(members).and_then(|newcomers| {
            let title = clean_name(title).ok_or_else(|| Failure::BadInput("a group needs a title".into()))?;
            let me = self.me().ok_or(Failure::NotSignedIn)?.account.clone();
            let mut policy = Policy::group(e2ee_account(&me), rng);
            let accounts: Vec<AccountRef> = newcomers.friends.iter().cloned().chain([me]).collect();
            policy.expiry_s = self.expiry_at_first(&accounts);
            let conversation = self.new_conversation(true, Standing::Starting, Vec::new(), rng);
            let room = RoomId::random(rng);
            self.create_room(conversation, room, &policy, true, rng)?;
            if let Some(r) = self.s.rooms.get_mut(&room) {
                r.hello_sent = true;
            }
            if let Some(c) = self.s.conversations.get_mut(&conversation) {
                c.title = title;
            }
            Ok((conversation, room, newcomers))
        });
        match made {
            Err(failure) => self.done(intent, Err(failure)),
            Ok((conversation, room, newcomers)) => {
                if newcomers.friends.is_empty() {
                    self.want(room, Want::Update { for_voids: false });
                }
                self.bring_in(intent, conversation, room, newcomers, rng);
            }
        }
    }

    pub(crate) fn add_members(
        &mut self,
        intent: IntentId,
        conversation: ConversationId,
        members: &[Target],
        rng: &mut dyn CryptoRngCore,
    ) {
        let room = self.group_room(conversation).and_then(|room| match self.may_add(&room) {
            true => Ok(room),
            false => Err(Failure::BadInput("only admins add people to this group".into())),
        });
        match room.and_then(|room| Ok((room, self.newcomers(members)?))) {
            Err(failure) => self.done(intent, Err(failure)),
            Ok((room, newcomers)) => self.bring_in(intent, conversation, room, newcomers, rng),
        }
    }

    /// Friends are claimed, others asked; the intent waits for the commit and for who can be asked.
    fn bring_in(
        &mut self,
        intent: IntentId,
        conversation: ConversationId,
        room: RoomId,
        newcomers: Newcomers,
        rng: &mut dyn CryptoRngCore,
    ) {
        for account in newcomers.friends {
            self.want(room, Want::Claim { account });
        }
        self.group_intents.push((intent, room, None));
        for stranger in newcomers.strangers {
            if let Err(why) = self.ask_in(intent, conversation, &stranger, rng)
                && let Some((.., failure)) = self.group_intents.iter_mut().find(|(id, ..)| *id == intent)
            {
                *failure = Some(why);
            }
        }
        self.finish_group_intents(room);
    }

    pub(crate) fn remove_member(&mut self, intent: IntentId, conversation: ConversationId, member: AccountRef) {
        let known = self.s.conversations.get(&conversation).is_some_and(|c| c.members.contains(&member));
        match self.group_room(conversation) {
            Err(failure) => self.done(intent, Err(failure)),
            Ok(_) if !known => self.done(intent, Err(Failure::NotFound("member"))),
            Ok(room) => {
                self.want(room, Want::Remove { account: member });
                self.group_intents.push((intent, room, None));
            }
        }
    }

    pub(crate) fn group_room(&self, conversation: ConversationId) -> Result<RoomId, Failure> {
        let c = self.s.conversations.get(&conversation).ok_or(Failure::NotFound("conversation"))?;
        if !c.is_group {
            return Err(Failure::BadInput("this is a conversation of two: make a group".into()));
        }
        self.best_room(conversation).ok_or(Failure::NotFound("group that can be changed now"))
    }

    /// Somebody whose devices in the room are all gone: their new ones are claimed, unless somebody else was first.
    pub(crate) fn claim_return(&mut self, room: RoomId, account: AccountRef) {
        let theirs = e2ee_account(&account);
        let members = self.group(&room).map(|group| group.members()).unwrap_or_default();
        let devices: Vec<DeviceId> =
            members.iter().filter(|m| *m.account() == theirs).map(|m| DeviceId(m.device())).collect();
        let links = self.s.contacts.get(&account).map(|contact| contact.links.clone()).unwrap_or_default();
        let all_gone = !devices.is_empty() && devices.iter().all(|id| crate::leaves::was_removed(&links, id));
        if !all_gone {
            return self.want_done(room);
        }
        if let Some(first) = self.s.work(room).wants.first_mut() {
            *first = Want::Claim { account };
            self.again = true;
        }
    }

    pub(crate) fn claim_member(&mut self, room: RoomId, account: AccountRef) {
        let Some(door) = self.door_for(&room, &account) else {
            if self.replaces_another(&room) {
                // They are in the group already: asked for like strangers, at the door.
                let who = Who::Account(account.clone());
                self.ask(Role::Inbox, Purpose::MemberClaim(room, account), || Request::Claim { who, room });
                return;
            }
            let wants = |want: &Want| matches!(want, Want::Claim { account: wanted } if *wanted == account);
            let at = self.s.work.get(&room).and_then(|work| work.wants.iter().position(wants));
            return self.want_failed_at(room, at.unwrap_or(0), &Failure::NotReachable);
        };
        self.ask(Role::Outbox, Purpose::MemberClaim(room, account.clone()), || Request::DoorClaim {
            account,
            door,
            room,
        });
    }

    pub(crate) fn on_member_claimed(&mut self, room: RoomId, account: &AccountRef, result: Result<Answer, Problem>) {
        self.again = true;
        let wants = |want: &Want| matches!(want, Want::Claim { account: wanted } if wanted == account);
        let Some(at) = self.s.work.get(&room).and_then(|work| work.wants.iter().position(wants)) else { return };
        let outcome = match result {
            Ok(Answer::Claimed(claimed)) if claimed.view.account == *account => self.verify_claimed(&claimed),
            Ok(_) => Err(Failure::Suspicious("another account than the one asked for".into())),
            Err(problem) if is_temporary(&problem) => return,
            Err(_) => Err(Failure::NotReachable),
        };
        match outcome {
            Ok(devices) => {
                let work = self.s.work(room);
                work.wants[at] = Want::Add { account: account.clone(), devices };
                join_adds(&mut work.wants);
            }
            Err(failure) => self.want_failed_at(room, at, &failure),
        }
    }

    pub(crate) fn leave(&mut self, intent: IntentId, conversation: ConversationId, rng: &mut dyn CryptoRngCore) {
        let Some(c) = self.s.conversations.get(&conversation) else {
            return self.done(intent, Err(Failure::NotFound("conversation")));
        };
        if matches!(c.standing, Standing::Request) {
            return self.decline(intent, conversation, rng);
        }
        let rooms = c.rooms.clone();
        self.share_dropped(conversation, false, rng);
        for room in rooms {
            // Somebody who did not open to us is not told: nothing would pass.
            let tells = match self.s.rooms.get(&room) {
                Some(r) => r.usable() && !r.asked_here && r.open_there,
                None => continue,
            };
            if tells {
                self.take_own_along(room);
                self.say(conversation, Saying::Leave, Some(room), 0, rng);
            } else {
                self.left(room);
            }
        }
        self.done(intent, Ok(Reply::Ok));
    }

    /// Who leaves a group leaves with all devices.
    fn take_own_along(&mut self, room: RoomId) {
        let devices = self.s.rooms.get(&room).map(|r| r.own_devices.clone()).unwrap_or_default();
        let account = self.me().map(|me| me.account.clone()).filter(|_| self.is_group_room(&room));
        if let Some(account) = account.filter(|_| !devices.is_empty()) {
            self.want(room, Want::Gone { account, devices });
        }
    }

    /// The leave is said: our entry goes, our state too. (The others commit the removal of our leaf.)
    pub(crate) fn left(&mut self, room: RoomId) {
        let member = self.s.rooms.get(&room).map(|r| r.member.clone());
        if let Some(member) = member {
            self.s.add_chore(crate::state::Chore::LeaveEntry { room, member });
            self.leave_room(&room);
        }
    }
}

/// So many devices come in by one commit: it carries their key packages and a Welcome with the whole tree, and must fit a frame.
pub(crate) const MOST_ADDED: usize = 128;

/// Neighbouring additions become one commit, of bounded size.
pub(crate) fn join_adds(wants: &mut Vec<Want>) {
    let mut joined: Vec<Want> = Vec::new();
    for want in std::mem::take(wants) {
        match (joined.last_mut(), want) {
            (Some(Want::Add { devices, .. }), Want::Add { devices: more, .. })
                if devices.len() + more.len() <= MOST_ADDED =>
            {
                devices.extend(more);
            }
            (_, want) => joined.push(want),
        }
    }
    *wants = joined;
}
