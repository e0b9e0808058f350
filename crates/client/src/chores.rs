//! Chores: small idempotent requests that must reach the server once, in order, over crashes and offline time.

use crate::api::{Failure, Role};
use crate::engine::{Engine, Purpose, is_temporary};
use crate::signing;
use crate::state::Chore;
use parlour_proto::frames::{AccountRef, Answer, Request};
use parlour_proto::ids::RoomId;
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;

impl Engine {
    /// Asks for the oldest chore.
    pub(crate) fn settle_chores(&mut self) {
        let first = self.s.chores.iter().next().map(|(number, chore)| (*number, chore.clone()));
        let Some((number, chore)) = first else { return };
        let time = self.server_time();
        let request = match chore {
            Chore::PutDoor { digest } => Some((Role::Inbox, Request::PutDoor { digest })),
            Chore::DropDoor { digest } => Some((Role::Inbox, Request::DropDoor { digest })),
            Chore::DropInvite { digest } => Some((Role::Inbox, Request::RevokeInvite { digest: Some(digest) })),
            Chore::Block { account } => Some((Role::Inbox, Request::Block { account })),
            Chore::Unblock { account } => Some((Role::Inbox, Request::Unblock { account })),
            Chore::OpenEntry { room, member } => signing::proof(&member, "open", &room, time, &[])
                .map(|proof| (Role::Outbox, Request::OpenEntry { room, proof })),
            Chore::LeaveEntry { room, member } => signing::proof(&member, "leave", &room, time, &[])
                .map(|proof| (Role::Outbox, Request::LeaveEntry { room, proof })),
            Chore::CheckPeer { account, room } => self
                .s
                .contacts
                .get(&account)
                .and_then(|contact| contact.door.clone())
                .map(|door| (Role::Outbox, Request::DoorClaim { account, door, room })),
        };
        match request {
            Some((role, request)) => {
                self.ask(role, Purpose::Chore(number), || request);
            }
            None => self.chore_done(number),
        }
    }

    pub(crate) fn on_chore(&mut self, number: u64, result: Result<Answer, Problem>, rng: &mut dyn CryptoRngCore) {
        let Some(chore) = self.s.chores.get(&number).cloned() else { return };
        match (chore, result) {
            (_, Err(problem)) if is_temporary(&problem) => return self.later(Purpose::Chore(number), 2_000),
            (Chore::CheckPeer { account, room }, result) => self.peer_checked(&account, room, result),
            // Signed at a time that is not the server's: the clock was set since its hello. Another hello tells it.
            (Chore::OpenEntry { .. } | Chore::LeaveEntry { .. }, Err(problem))
                if problem.code == Code::BadSignature =>
            {
                self.give_up(Role::Outbox, rng);
                return self.later(Purpose::Chore(number), 2_000);
            }
            (Chore::OpenEntry { room, .. }, Err(problem)) if problem.code == Code::NoSuchRoom => self.leave_room(&room),
            (Chore::OpenEntry { room, .. }, Ok(_)) => self.catch_up(room),
            (_, Err(problem)) => tracing::warn!(code = ?problem.code, "a chore was refused"),
            (_, Ok(_)) => {}
        }
        self.chore_done(number);
    }

    /// While the entry was `asked` the room's commits did not come.
    fn catch_up(&mut self, room: RoomId) {
        if self.s.waiting_by_room().contains_key(&room) {
            self.fall_behind(room);
        }
    }

    fn chore_done(&mut self, number: u64) {
        self.s.chores.remove(&number);
        self.again = true;
    }

    /// What the server shows for an account that wrote to us, against what it said itself.
    fn peer_checked(&mut self, account: &AccountRef, room: RoomId, result: Result<Answer, Problem>) {
        let fits = match &result {
            Ok(Answer::Claimed(claimed)) => {
                let view = &claimed.view;
                view.account == *account && self.pin_or_keep(account, &view.root_key, &view.links).is_ok()
            }
            _ => false,
        };
        if fits {
            return;
        }
        // Whoever wrote is not who they say, or is gone again: nothing is answered.
        tracing::warn!("an account that wrote to us could not be verified");
        let Some(conversation) = self.s.rooms.get(&room).map(|r| r.conversation) else { return };
        let member = self.s.rooms.get(&room).map(|r| r.member.clone());
        self.tell_keys_changed(conversation, account.clone());
        if let Some(contact) = self.s.contacts.get_mut(account) {
            contact.befriended = false;
            contact.door = None;
        }
        if let Some(member) = member {
            self.s.add_chore(Chore::LeaveEntry { room, member });
        }
        self.forget_room(&room);
        if let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.rooms.retain(|id| *id != room);
        }
        if self.best_room(conversation).is_none() {
            let why = Failure::Suspicious("an account that wrote to us could not be verified".into());
            self.close_conversation(conversation, &why);
        }
        self.weigh(conversation);
    }
}
