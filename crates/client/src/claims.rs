//! First contact: from "write to this address" to a room with the other side's devices in it.
//!
//! A [`Start`](crate::state::Start) is stored with the queued message; each step is asked again after a crash:
//! 1. (only for a rebuild) the successor is named in the old room, by compare-and-set: one winner;
//! 2. key packages are claimed: with the door token if there is one (anonymous, entries open), else as a stranger;
//! 3. what the server showed is verified: root and device list against the pin, each package's credential against its
//!    device; then the group is made here, its room at the server, and a commit adds the devices ([`crate::commits`]).

use crate::api::{ConversationId, Event, Failure, Reply, Role};
use crate::contacts::{address_key, e2ee_account, proto_account};
use crate::engine::{Engine, Purpose};
use crate::signing;
use crate::state::{Joiner, Phase, Room, Standing, Start, Want, Whom, Work};
use parlour_e2ee::{ClaimedKeyPackage, DeviceKeys, Group, Policy};
use parlour_proto::address::Address;
use parlour_proto::frames::{AccountRef, Answer, Claimed, Request, Who};
use parlour_proto::ids::{Digest, RoomId};
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;

impl Engine {
    /// Begins a room for a conversation of two.
    pub(crate) fn start(&mut self, conversation: ConversationId, whom: Whom, rng: &mut dyn CryptoRngCore) {
        let room = RoomId::random(rng);
        self.s.starts.insert(conversation, Start { whom, room, predecessor: None, without_door: false });
        self.set_standing(conversation, Standing::Starting);
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.profile_sent = 0;
        }
    }

    pub(crate) fn settle_starts(&mut self, rng: &mut dyn CryptoRngCore) {
        for (conversation, account) in std::mem::take(&mut self.restarts) {
            if !self.s.starts.contains(&conversation) {
                self.start(conversation, Whom::Account { account }, rng);
            }
        }
        for conversation in self.s.starts.keys() {
            let Some(start) = self.s.starts.get(&conversation).cloned() else { continue };
            if let Some((old, false)) = start.predecessor {
                self.name_successor(conversation, old, start.room, rng);
            } else {
                self.claim(conversation, &start);
            }
        }
    }

    fn claim(&mut self, conversation: ConversationId, start: &Start) {
        let room = start.room;
        let account = match &start.whom {
            Whom::Account { account } => Some(account.clone()),
            Whom::Address { app, handle } => {
                self.account_of_address(&Address { handle: handle.clone(), app: app.clone() })
            }
            Whom::Invite { .. } => None,
        };
        let door = account
            .filter(|_| !start.without_door)
            .and_then(|account| Some((self.s.contacts.get(&account)?.door.clone()?, account)));
        if let Some((door, account)) = door {
            self.ask(Role::Outbox, Purpose::Claim(conversation), || Request::DoorClaim { account, door, room });
            return;
        }
        let who = match start.whom.clone() {
            Whom::Address { app, handle } => Who::Address { app, handle },
            Whom::Account { account } => Who::Account(account),
            Whom::Invite { token } => Who::Invite(token),
        };
        self.ask(Role::Inbox, Purpose::Claim(conversation), || Request::Claim { who, room });
    }

    pub(crate) fn on_claimed(
        &mut self,
        conversation: ConversationId,
        result: Result<Answer, Problem>,
        rng: &mut dyn CryptoRngCore,
    ) {
        let Some(start) = self.s.starts.get(&conversation).cloned() else { return };
        let claimed = match result {
            Ok(Answer::Claimed(claimed)) => Ok(claimed),
            Ok(_) => Err(Failure::Suspicious("an answer that does not belong to the question".into())),
            Err(problem) if problem.code == Code::NotReachable || problem.code == Code::Expired => {
                if self.retry_without_door(conversation, &start) {
                    return;
                }
                Err(Failure::NotReachable)
            }
            Err(problem) if crate::engine::is_temporary(&problem) => {
                // Kept and tried later, unless somebody waits for the answer and may decide.
                if !self.is_waited_for(conversation) {
                    return;
                }
                Err(Failure::Refused(problem))
            }
            Err(problem) => Err(Failure::Refused(problem)),
        };
        let outcome = claimed.and_then(|claimed| {
            let devices = self.believe(&claimed, &start)?;
            self.found(conversation, &start, &claimed, devices, rng)
        });
        if let Err(failure) = outcome {
            if self.waits_for_others(conversation) {
                return;
            }
            self.start_failed(conversation, failure);
        }
    }

    fn retry_without_door(&mut self, conversation: ConversationId, start: &Start) -> bool {
        let account = match &start.whom {
            Whom::Account { account } => Some(account.clone()),
            Whom::Address { app, handle } => {
                self.account_of_address(&Address { handle: handle.clone(), app: app.clone() })
            }
            Whom::Invite { .. } => None,
        };
        let had_door =
            account.and_then(|account| self.s.contacts.get(&account)).is_some_and(|contact| contact.door.is_some());
        if start.without_door || !had_door {
            return false;
        }
        if let Some(start) = self.s.starts.get_mut(&conversation) {
            start.without_door = true;
        }
        self.again = true;
        true
    }

    fn believe(&mut self, claimed: &Claimed, start: &Start) -> Result<Vec<Joiner>, Failure> {
        let account = &claimed.view.account;
        match &start.whom {
            Whom::Account { account: wanted } if wanted != account => {
                return Err(Failure::Suspicious("another account than the one asked for".into()));
            }
            Whom::Address { app, .. } if *app != account.app => {
                return Err(Failure::Suspicious("an account of another app".into()));
            }
            _ => {}
        }
        if self.me().is_some_and(|me| me.account == *account) {
            return Err(Failure::BadInput("that is your own account".into()));
        }
        self.verify_claimed(claimed)
    }

    /// Checks what a claim gave against pin, device list and credentials.
    pub(crate) fn verify_claimed(&mut self, claimed: &Claimed) -> Result<Vec<Joiner>, Failure> {
        let verified = self.believe_claimed(claimed);
        self.note_suspicious(&verified);
        verified
    }

    fn believe_claimed(&mut self, claimed: &Claimed) -> Result<Vec<Joiner>, Failure> {
        let view = &claimed.view;
        self.pin(&view.account, &view.root_key, &view.links)?;
        if claimed.devices.is_empty() {
            return Err(Failure::NotReachable);
        }
        let mut joiners: Vec<Joiner> = Vec::new();
        for device in &claimed.devices {
            let key = self
                .device_signing_key(&view.account, &device.device)
                .ok_or_else(|| Failure::Suspicious("a device that is not on the list".into()))?;
            let joiner = Joiner {
                key_package: device.key_package.clone(),
                member_key: device.member_key,
                grant: device.grant.clone(),
            };
            let package = self.open_joiner(&view.account, &joiner)?;
            if package.credential().device != device.device.0 || package.verify(&key).is_err() {
                return Err(Failure::Suspicious("a key package that its device did not sign".into()));
            }
            if joiners.iter().any(|other| other.member_key == joiner.member_key) {
                return Err(Failure::Suspicious("the same key package twice".into()));
            }
            joiners.push(joiner);
        }
        Ok(joiners)
    }

    /// Parses a key package and checks that it is of this account and has this member key.
    pub(crate) fn open_joiner(&self, account: &AccountRef, joiner: &Joiner) -> Result<ClaimedKeyPackage, Failure> {
        let package = ClaimedKeyPackage::parse(&joiner.key_package, self.server_time().0)
            .map_err(|error| Failure::Suspicious(format!("key package: {error}")))?;
        let credential = package.credential();
        if proto_account(&credential.account).as_ref() != Some(account) || credential.member_key != joiner.member_key.0
        {
            return Err(Failure::Suspicious("a key package of somebody else".into()));
        }
        Ok(package)
    }

    /// The other side is known and believed: makes the room.
    fn found(
        &mut self,
        conversation: ConversationId,
        start: &Start,
        claimed: &Claimed,
        devices: Vec<Joiner>,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), Failure> {
        let account = claimed.view.account.clone();
        if let Whom::Address { app, handle } = &start.whom {
            let key = address_key(&Address { handle: handle.clone(), app: app.clone() });
            self.remember_address(&account, key);
        }
        if self.s.contacts.get(&account).is_some_and(|contact| contact.blocked) {
            let whom = if self.s.joins.contains(&conversation) { "who made this link" } else { "them" };
            return Err(Failure::BadInput(format!("you blocked {whom}: unblock them first")));
        }
        self.join_known(conversation, &account, rng);
        // Somebody known by another address or by an invite: one conversation.
        let existing = self.conversation_with(&account).filter(|existing| *existing != conversation);
        if let Some(existing) = existing.filter(|existing| self.may_join_by(conversation, *existing)) {
            // Writing to whose request waits lets them in, as accepting it does.
            self.accept_here(existing, rng);
            self.merge_conversations(conversation, existing);
            self.guest_known(existing, &account, rng);
            self.s.starts.remove(&conversation);
            self.again = true;
            let closed = self.s.conversations.get(&existing).is_some_and(|c| matches!(c.standing, Standing::Closed));
            if !closed {
                self.answer_send_intents(existing, &Ok(()));
                return Ok(());
            }
            self.set_standing(existing, Standing::Starting);
            return self.make_room(existing, start, account, devices, rng);
        }
        self.make_room(conversation, start, account, devices, rng)
    }

    fn remember_address(&mut self, account: &AccountRef, key: String) {
        if let Some(contact) = self.s.contacts.get_mut(account)
            && !contact.addresses.contains(&key)
        {
            contact.addresses.insert(0, key);
        }
    }

    fn make_room(
        &mut self,
        conversation: ConversationId,
        start: &Start,
        account: AccountRef,
        devices: Vec<Joiner>,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), Failure> {
        let me = self.me().ok_or(Failure::NotSignedIn)?;
        let mut policy = Policy::direct(e2ee_account(&me.account), e2ee_account(&account), rng);
        policy.expiry_s = self.expiry_at_first(&[me.account.clone(), account.clone()]);
        policy.predecessor = start.predecessor.map(|(old, _)| old.0);
        let by_invite = matches!(start.whom, Whom::Invite { .. });
        let with_door =
            !start.without_door && !by_invite && self.s.contacts.get(&account).is_some_and(|c| c.door.is_some());
        self.create_room(conversation, start.room, &policy, with_door, rng)?;
        self.s.work(start.room).wants.push(Want::Add { account: account.clone(), devices });
        if !self.s.joins.contains(&conversation)
            && let Some(contact) = self.s.contacts.get_mut(&account)
        {
            contact.conversation = Some(conversation);
        }
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.members = vec![account.clone()];
        }
        self.s.starts.remove(&conversation);
        if let Some((old, _)) = start.predecessor {
            self.superseded_by(old, start.room);
        }
        self.give_door(&account, rng);
        self.guest_known(conversation, &account, rng);
        self.answer_send_intents(conversation, &Ok(()));
        self.tell_conversation(conversation);
        self.again = true;
        Ok(())
    }

    /// Makes the group here and notes that the server must make the room.
    pub(crate) fn create_room(
        &mut self,
        conversation: ConversationId,
        room: RoomId,
        policy: &Policy,
        open_there: bool,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), Failure> {
        let me = self.me().ok_or(Failure::NotSignedIn)?;
        let broken = |_| Failure::BadInput("the stored keys of this device cannot be read".into());
        let keys = DeviceKeys::from_bytes(&me.keys).map_err(broken)?;
        let account = e2ee_account(&me.account);
        let identity = parlour_e2ee::Identity { account: &account, device: me.device.0, keys: &keys };
        let unusable = |error| Failure::BadInput(format!("the group could not be made: {error}"));
        let group = Group::create(&identity, room.0, policy, rng).map_err(unusable)?;
        let digest = Digest(group.send_key_digest().map_err(unusable)?);
        let member = group.member_key_pair().to_bytes().to_vec().into();
        self.s.rooms.insert(
            room,
            Room {
                conversation,
                phase: Phase::Building,
                member,
                policy: policy.to_bytes().into(),
                watermark: 0,
                head: 0,
                voids: Vec::new(),
                doubts: Vec::new(),
                asked_here: false,
                open_there,
                hello_sent: false,
                update_first: false,
                unreadable: Vec::new(),
                missing: Vec::new(),
                since: 0,
                own_devices: Vec::new(),
                tell_list: false,
                renewed: self.server_time(),
                day: 0,
                day_bytes: 0,
                history_from: None,
                added_by: None,
                said: None,
            },
        );
        self.keep_group(room, group);
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.rooms.push(room);
        }
        let mut work = Work::nothing();
        work.create = Some(digest);
        self.s.work.insert(room, work);
        Ok(())
    }

    /// Names the new room in the old one; only the winner goes on making it.
    fn name_successor(
        &mut self,
        conversation: ConversationId,
        old: RoomId,
        successor: RoomId,
        _rng: &mut dyn CryptoRngCore,
    ) {
        let Some(member) = self.s.rooms.get(&old).map(|room| room.member.clone()) else {
            return self.on_successor_set(conversation, Ok(Answer::Done));
        };
        let time = self.server_time();
        let Some(proof) = signing::proof(&member, "successor", &old, time, &successor.0) else { return };
        self.ask(Role::Outbox, Purpose::Successor(conversation), || Request::SetSuccessor {
            room: old,
            successor,
            proof,
        });
    }

    pub(crate) fn on_successor_set(&mut self, conversation: ConversationId, result: Result<Answer, Problem>) {
        let Some(start) = self.s.starts.get_mut(&conversation) else { return };
        match result {
            Err(problem) if problem.code == Code::Succeeded && problem.successor != Some(start.room) => {
                // The other side was first: its Welcome comes.
                self.s.starts.remove(&conversation);
            }
            // Also when the old room does not know us any more: then nobody can be asked.
            _ => {
                if let Some((_, named)) = &mut start.predecessor {
                    *named = true;
                }
            }
        }
        self.again = true;
    }

    fn start_failed(&mut self, conversation: ConversationId, failure: Failure) {
        tracing::warn!("a first contact could not be made");
        // Whom it was for is all that is known of who was never reached.
        let title = self.queued_title(conversation);
        if let Some(c) = self.s.conversations.get_mut(&conversation)
            && c.members.is_empty()
            && c.title.is_empty()
        {
            c.title = title;
        }
        self.s.starts.remove(&conversation);
        let waited = self.is_waited_for(conversation);
        let carried = self.is_carrier(conversation);
        self.join_failed(conversation);
        let has_rooms = self.s.conversations.get(&conversation).is_some_and(|c| !c.rooms.is_empty());
        if carried {
            self.drop_carrier(conversation);
        } else if waited && !has_rooms {
            self.forget_conversation(conversation);
        } else {
            self.fail_outgoing(conversation, &failure);
            self.set_standing(conversation, Standing::Closed);
        }
        self.answer_send_intents(conversation, &Err(failure));
    }

    /// An intent waits for this first contact.
    fn is_waited_for(&self, conversation: ConversationId) -> bool {
        self.send_intents.iter().any(|(_, id, _)| *id == conversation)
            || self.asking.iter().any(|(_, id)| *id == conversation)
    }

    /// No answer comes for now: what was written is stored, and goes out when there is a connection.
    pub(crate) fn release_send_intents(&mut self) {
        for (intent, conversation, message) in std::mem::take(&mut self.send_intents) {
            self.done(intent, Ok(Reply::Queued { conversation, message }));
        }
        while let Some((_, via)) = self.asking.first().copied() {
            self.answer_asking(via, &Ok(()));
        }
    }

    /// Tells those who waited for this first contact.
    pub(crate) fn answer_send_intents(&mut self, conversation: ConversationId, outcome: &Result<(), Failure>) {
        let (mine, others) =
            std::mem::take(&mut self.send_intents).into_iter().partition(|(_, id, _)| *id == conversation);
        self.send_intents = others;
        let mine: Vec<(_, _, _)> = mine;
        for (intent, conversation, message) in mine {
            let reply = outcome.clone().map(|()| Reply::Queued { conversation, message });
            self.done(intent, reply);
        }
        self.answer_asking(conversation, outcome);
    }

    /// Tells what the inputs since the last time changed in conversations' summaries.
    pub(crate) fn tell_changed(&mut self) {
        for conversation in std::mem::take(&mut self.changed) {
            let asks = self.s.conversations.get(&conversation).is_none_or(|c| matches!(c.standing, Standing::Request));
            if !asks {
                self.tell_conversation(conversation);
            }
        }
    }

    /// Tells the shell that a conversation is new or changed.
    pub(crate) fn tell_conversation(&mut self, conversation: ConversationId) {
        if self.is_carrier(conversation) {
            return;
        }
        if let Some(shown) = self.show_conversation(conversation) {
            self.tell(Event::Conversation(shown));
        }
    }
}
