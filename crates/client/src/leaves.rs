//! Own devices in every room: those on the account's list that have no leaf yet are added, those that were taken off it
//! are removed.
//!
//! Several own devices may be there to do it. Whoever linked (or revoked) the device does it at once; of the others the
//! oldest in the room first, each after another while. Two who do it at once do no harm: the room takes one commit, and the
//! other finds nothing left to do.
//!
//! A device is brought into a room when it knows what is in it: it is in the room of own devices, was told everything
//! ([`crate::history`]), and of this conversation.

use crate::api::{Failure, Role};
use crate::engine::{Engine, Purpose, is_temporary};
use crate::own::Note;
use crate::state::{Joiner, Phase, Saying, Want};
use bytes::Bytes;
use parlour_proto::device_list::{Action, DeviceList, Link};
use parlour_proto::frames::{AccountRef, Answer, Claimed, Request};
use parlour_proto::ids::{DeviceId, RoomId, UnixMillis};
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;

/// How long each own device waits for the one before it.
const TURN_MS: u64 = 30_000;
/// Rooms that are worked on at one time.
const MOST_AT_ONCE: usize = 16;
/// A device that has no key packages: asked again after an eighth of the time that it is on the list, no sooner and no later than this.
const SOON_MS: u64 = 400;
const LATER_MS: u64 = 600_000;

impl Engine {
    /// Something about devices or rooms changed.
    pub(crate) fn look_at_rooms(&mut self) {
        self.look = true;
        self.again = true;
    }

    pub(crate) fn settle_leaves(&mut self, rng: &mut dyn CryptoRngCore) {
        if self.turn.is_some_and(|turn| self.now >= turn) {
            self.turn = None;
            self.look = true;
        }
        if let Some(turn) = self.turn {
            self.wake_at(turn);
        }
        // (A device that the others have linked meanwhile may not be known here yet.)
        if !self.look || self.list_wanted {
            return;
        }
        let others = self.other_devices();
        if others.is_empty() && self.me().is_none_or(|me| me.own.is_none()) {
            self.look = false;
            return;
        }
        self.look = false;
        self.settle_own_room(rng);
        for room in self.s.rooms.keys() {
            self.tell_list(room, rng);
            self.remove_strays(room, &others);
        }
        self.settle_newcomers(&others, rng);
    }

    /// The others in a room hear which devices are ours.
    fn tell_list(&mut self, room: RoomId, rng: &mut dyn CryptoRngCore) {
        let Some(r) = self.s.rooms.get(&room).filter(|r| r.tell_list) else { return };
        let (conversation, usable) = (r.conversation, r.usable());
        let clear = self.s.work.get(&room).is_none_or(|work| work.wants.is_empty() && work.pending.is_none());
        if usable && !clear {
            return;
        }
        if let Some(r) = self.s.rooms.get_mut(&room) {
            r.tell_list = false;
        }
        if usable {
            self.say(conversation, Saying::Hello, Some(room), 0, rng);
        }
    }

    fn can_change(&self, room: &RoomId) -> bool {
        let building = |r: &crate::state::Room| {
            matches!(r.phase, Phase::Building)
                && self.is_own_room(room)
                && self.s.work.get(room).is_none_or(|work| work.create.is_none())
        };
        self.s.rooms.get(room).is_some_and(|r| (r.usable() || building(r)) && !r.asked_here && !self.is_for_joining(r))
            && self.s.work.get(room).is_none_or(|work| work.repair.is_none())
    }

    /// Own devices have nothing to do where this one only asks to join a group.
    fn is_for_joining(&self, room: &crate::state::Room) -> bool {
        self.s.joins.contains(&room.conversation)
    }

    /// Leaves of own devices that are not listed any more.
    fn remove_strays(&mut self, room: RoomId, others: &[DeviceId]) {
        let Some(r) = self.s.rooms.get(&room) else { return };
        let strays: Vec<DeviceId> = r.own_devices.iter().filter(|id| !others.contains(id)).copied().collect();
        if strays.is_empty() || !self.can_change(&room) {
            return;
        }
        let wanted = |want: &Want| matches!(want, Want::Gone { .. });
        if self.s.work.get(&room).is_some_and(|work| work.wants.iter().any(wanted)) {
            return;
        }
        if let Some(account) = self.me().map(|me| me.account.clone()) {
            self.want(room, Want::Gone { account, devices: strays });
        }
    }

    fn settle_newcomers(&mut self, others: &[DeviceId], rng: &mut dyn CryptoRngCore) {
        let Some(own) = self.own_room().or_else(|| self.building_own_room()) else { return };
        for device in others {
            if self.is_missing(&own, device) && self.is_our_turn(own, device) {
                self.want_own(own, *device);
            }
            let there = self.s.rooms.get(&own).is_some_and(|r| r.own_devices.contains(device));
            let untold = self.s.devices.get(device).is_some_and(|known| !known.told);
            if there && untold && self.is_our_turn(own, device) {
                self.tell_all(*device, rng);
            }
        }
        if !self.own_is_said() {
            // Looked at again when the server has it.
            return;
        }
        let busy = self.s.work.iter().filter(|(_, work)| work.wants.iter().any(is_own_want)).count();
        let mut announced = Vec::new();
        let missing = self.missing(&own, others);
        let missing = missing.into_iter().filter(|(room, _)| !self.waits_for_first_word(room)).collect::<Vec<_>>();
        for (room, device) in missing.into_iter().take(MOST_AT_ONCE.saturating_sub(busy)) {
            if self.told_rooms.get(&(room, device)).is_some() {
                self.want_own(room, device);
            } else if let Some(shared) = self.s.rooms.get(&room).map(|r| r.conversation) {
                announced.extend(self.shared_conversation(shared));
                self.transfer_too(device, shared);
                self.told_rooms.insert((room, device), self.now);
            }
        }
        if !announced.is_empty() {
            self.say_own(&Note::Conversations { conversations: announced }, rng);
        }
    }

    /// Whether somebody who has not let us in waits for the first word in a room: they get no commit and no log before they do, and could
    /// not read it after one.
    fn waits_for_first_word(&self, room: &RoomId) -> bool {
        let Some(r) = self.s.rooms.get(room).filter(|r| !r.open_there && !r.hello_sent) else { return false };
        self.s.conversations.get(&r.conversation).is_some_and(|c| !c.is_group && !c.is_own)
    }

    /// Whether an own device was told of a room, to be brought into it, since this one was started.
    pub(crate) fn is_told_of(&self, room: &RoomId) -> bool {
        self.told_rooms.keys().any(|(told, _)| told == room)
    }

    fn building_own_room(&self) -> Option<RoomId> {
        let own = self.s.conversations.get(&self.me()?.own?)?;
        let building = |room: &&RoomId| self.s.rooms.get(room).is_some_and(|r| matches!(r.phase, Phase::Building));
        own.rooms.iter().find(building).copied()
    }

    fn is_missing(&self, room: &RoomId, device: &DeviceId) -> bool {
        let waits = |want: &Want| is_own_want(want);
        self.can_change(room)
            && self.s.rooms.get(room).is_some_and(|r| !r.own_devices.contains(device))
            && !self.s.work.get(room).is_some_and(|work| work.wants.iter().any(waits) || work.pending.is_some())
    }

    /// Rooms, those used last first, and the devices to be brought in.
    fn missing(&mut self, own: &RoomId, others: &[DeviceId]) -> Vec<(RoomId, DeviceId)> {
        let known: Vec<DeviceId> = others
            .iter()
            .filter(|id| {
                let in_own = self.s.rooms.get(own).is_some_and(|r| r.own_devices.contains(id));
                in_own && self.s.devices.get(id).is_some_and(|device| device.told)
            })
            .copied()
            .collect();
        let mut rooms: Vec<(UnixMillis, RoomId)> = Vec::new();
        for (id, r) in self.s.rooms.iter() {
            if r.usable() && r.own_devices.len() < others.len() && !self.is_own_room(id) {
                let used = self.s.conversations.get(&r.conversation).map_or(UnixMillis(0), |c| c.last_activity);
                rooms.push((used, *id));
            }
        }
        rooms.sort_by_key(|(used, id)| (std::cmp::Reverse(*used), *id));
        let mut missing = Vec::new();
        for (_, room) in rooms {
            for device in &known {
                let purpose = Purpose::ClaimOwn(room, *device);
                if self.is_missing(&room, device) && self.is_our_turn(room, device) && self.may(&purpose) {
                    missing.push((room, *device));
                }
            }
        }
        missing
    }

    /// Whether a device that is new has still to be brought into rooms.
    pub(crate) fn is_being_brought_in(&self, device: &DeviceId) -> bool {
        let rooms = self.s.rooms.iter();
        let mut rooms =
            rooms.filter(|(id, r)| r.usable() && !r.asked_here && !self.is_own_room(id) && !self.is_for_joining(r));
        // Where the server has nothing of it, nobody waits.
        let stuck = |room: &RoomId| self.later.contains_key(&Purpose::ClaimOwn(*room, *device));
        rooms.any(|(id, r)| !r.own_devices.contains(device) && !stuck(id))
    }

    fn is_our_turn(&mut self, room: RoomId, device: &DeviceId) -> bool {
        if self.s.devices.get(device).is_some_and(|known| known.mine) {
            return true;
        }
        let (Some(this), there) =
            (self.me().map(|me| me.device), self.s.rooms.get(&room).map(|r| r.own_devices.clone()).unwrap_or_default())
        else {
            return false;
        };
        let older = self.listed().iter().take_while(|listed| listed.id != this);
        let before = older.filter(|listed| there.contains(&listed.id) && listed.id != *device).count() as u64;
        let now = self.now;
        let since = match self.noticed.get(&(room, *device)) {
            Some(since) => *since,
            None => {
                self.noticed.insert((room, *device), now);
                now
            }
        };
        let due = since.plus_ms(before * TURN_MS);
        if now < due {
            self.turn = Some(self.turn.map_or(due, |turn| turn.min(due)));
            self.wake_at(due);
        }
        now >= due
    }

    fn want_own(&mut self, room: RoomId, device: DeviceId) {
        if self.may(&Purpose::ClaimOwn(room, device)) {
            self.want(room, Want::ClaimOwn { device });
        }
    }

    pub(crate) fn claim_own(&mut self, room: RoomId, device: DeviceId) {
        self.ask(Role::Inbox, Purpose::ClaimOwn(room, device), || Request::ClaimOwn { device, room });
    }

    pub(crate) fn on_own_claimed(&mut self, room: RoomId, device: DeviceId, result: Result<Answer, Problem>) {
        self.look_at_rooms();
        let wants = |want: &Want| matches!(want, Want::ClaimOwn { device: wanted } if *wanted == device);
        let Some(at) = self.s.work.get(&room).and_then(|work| work.wants.iter().position(wants)) else { return };
        let joiner = match result {
            Ok(Answer::Claimed(claimed)) => self.verify_own(&claimed, device),
            Ok(_) => Err(Failure::Suspicious("an answer that does not belong to the question".into())),
            Err(problem) if is_temporary(&problem) => return,
            Err(problem) => Err(Failure::Refused(problem)),
        };
        match (joiner, self.me().map(|me| me.account.clone())) {
            (Ok(joiner), Some(account)) => {
                let work = self.s.work(room);
                work.wants[at] = Want::Add { account, devices: vec![joiner] };
                self.again = true;
            }
            (failure, _) => {
                self.s.work(room).wants.remove(at);
                if !matches!(failure, Err(Failure::Refused(Problem { code: Code::NotReachable, .. }))) {
                    tracing::warn!("an own device cannot be added");
                } else if self.is_own_room(&room) {
                    self.drop_absent(device);
                }
                let age = self.added(&device).map_or(u64::MAX, |added| self.server_time().since(added));
                let pause = (age / 8).clamp(SOON_MS, LATER_MS);
                self.later(Purpose::ClaimOwn(room, device), pause);
                self.turn = Some(self.now.plus_ms(pause));
                self.finish_group_intents(room);
            }
        }
    }

    fn added(&mut self, device: &DeviceId) -> Option<UnixMillis> {
        self.listed().iter().find(|known| known.id == *device).map(|known| known.added)
    }

    /// A key package of an own device, checked against our own list.
    fn verify_own(&mut self, claimed: &Claimed, device: DeviceId) -> Result<Joiner, Failure> {
        let wrong = || Failure::Suspicious("another device than the one asked for".into());
        let account = self.me().map(|me| me.account.clone()).ok_or(Failure::NotSignedIn)?;
        let ([claimed_device], true) = (&claimed.devices[..], claimed.view.account == account) else {
            return Err(wrong());
        };
        let joiner = Joiner {
            key_package: claimed_device.key_package.clone(),
            member_key: claimed_device.member_key,
            grant: claimed_device.grant.clone(),
        };
        let key = self.device_signing_key(&account, &device).ok_or_else(wrong)?;
        let package = self.open_joiner(&account, &joiner)?;
        let fits =
            claimed_device.device == device && package.credential().device == device.0 && package.verify(&key).is_ok();
        if fits { Ok(joiner) } else { Err(wrong()) }
    }

    // ---- contacts whose devices are gone

    /// Devices of somebody that are not on their list any more: out of the conversation with them, and their door token
    /// is worth nothing from now on.
    pub(crate) fn devices_gone(&mut self, account: &AccountRef, devices: Vec<DeviceId>) {
        let rooms =
            self.conversation_with(account).and_then(|id| self.s.conversations.get(&id)).map(|c| c.rooms.clone());
        for room in rooms.unwrap_or_default() {
            if self.can_change(&room) {
                self.want(room, Want::Gone { account: account.clone(), devices: devices.clone() });
            }
        }
        self.note_return(account);
        self.doors_to_renew.retain(|known| known != account);
        self.doors_to_renew.push(account.clone());
        self.again = true;
    }

    pub(crate) fn settle_doors(&mut self, rng: &mut dyn CryptoRngCore) {
        for account in std::mem::take(&mut self.doors_to_renew) {
            if self.renew_door(&account, rng)
                && let Some(id) = self.conversation_with(&account)
                && let Some(room) =
                    self.best_room(id).filter(|room| self.s.rooms.get(room).is_some_and(|r| r.open_there))
            {
                self.say(id, Saying::Hello, Some(room), 0, rng);
            }
        }
    }
}

fn is_own_want(want: &Want) -> bool {
    matches!(want, Want::ClaimOwn { .. })
}

/// Devices that `list` takes off and `before` did not, also such as came and went in between.
pub(crate) fn gone(before: &DeviceList, list: &DeviceList) -> Vec<DeviceId> {
    removed(list.links()).filter(|id| !before.was_removed(id)).collect()
}

/// Whether a list takes this device off at some point.
pub(crate) fn was_removed(links: &[Bytes], device: &DeviceId) -> bool {
    removed(links).any(|id| id == *device)
}

/// The key by which a device signed that a list took on, whether it was taken off since or not.
pub(crate) fn key_of(links: &[Bytes], device: &DeviceId) -> Option<[u8; 32]> {
    links.iter().find_map(|link| match Link::read(link).ok()?.draft.action {
        Action::Add { device: added, signing_key, .. } if added == *device => Some(signing_key),
        _ => None,
    })
}

pub(crate) fn removed(links: &[Bytes]) -> impl Iterator<Item = DeviceId> {
    links.iter().filter_map(|link| match Link::read(link).ok()?.draft.action {
        Action::Remove { device } => Some(device),
        Action::Add { .. } => None,
    })
}
