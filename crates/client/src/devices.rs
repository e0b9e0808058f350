//! The account's own devices: the list, what is known of each, adding and revoking.
//!
//! The list at the server is the truth; this device holds the newest one it has believed. When the server counts other links
//! than we do, nothing of the mailbox is worked on before the list is here: whoever brings us into a room is on it. A list that
//! lost or replaced changes is not believed, unless the root key signed what differs.

use crate::api::{self, Event, Failure, IntentId, Interference, Reply, Role, Showing};
use crate::engine::{Engine, Purpose};
use crate::linking::device_name;
use crate::own::Note;
use crate::signing;
use crate::state::OwnDevice;
use bytes::Bytes;
use parlour_proto::device_list::{Action, Device, DeviceList, Relation, Signer};
use parlour_proto::frames::{AccountView, Answer, Request};
use parlour_proto::ids::{DeviceId, UnixMillis};
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;

/// How often the others hear that this device was here.
const SEEN_MS: u64 = 6 * 3_600_000;
/// How often a change of the list is signed anew because another one came first.
const MOST_TRIES: u32 = 3;
/// A device that has published nothing so long after it was agreed to never will.
const ABSENT_MS: u64 = 24 * 3_600_000;

/// A change that this device makes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) action: Action,
    /// It is part of linking a device.
    pub(crate) links: bool,
}

/// A change on its way to the server.
pub(crate) struct Appending {
    /// `None`: nobody asked for it.
    intent: Option<IntentId>,
    change: Change,
    link: Option<Bytes>,
    tries: u32,
}

impl OwnDevice {
    /// One of which nothing is known yet.
    pub(crate) fn unknown() -> Self {
        OwnDevice { name: String::new(), seen: None, mine: false, told: false, showing: Showing::default() }
    }
}

impl Engine {
    /// All listed devices, oldest first.
    pub(crate) fn listed(&mut self) -> &[Device] {
        if self.listed.is_none() {
            self.listed = Some(self.read_list().map(|list| by_age(&list)).unwrap_or_default());
        }
        self.listed.as_deref().unwrap_or_default()
    }

    fn read_list(&self) -> Option<DeviceList> {
        let me = self.me()?;
        DeviceList::verify(me.account.account, &me.root, &me.links).ok()
    }

    /// The other ones.
    pub(crate) fn other_devices(&mut self) -> Vec<DeviceId> {
        let Some(this) = self.me().map(|me| me.device) else { return Vec::new() };
        self.listed().iter().map(|device| device.id).filter(|id| *id != this).collect()
    }

    pub(crate) fn show_devices(&mut self) -> Vec<api::Device> {
        let Some(me) = self.me() else { return Vec::new() };
        let (this, own_name, own_showing) = (me.device, me.device_name.clone(), me.showing);
        let (listed, now) = (self.listed().to_vec(), self.now);
        let show = |device: &Device| {
            let known = self.s.devices.get(&device.id);
            let is_this = device.id == this;
            let name = if is_this { own_name.clone() } else { known.map(|d| d.name.clone()).unwrap_or_default() };
            let seen = if is_this { Some(now) } else { known.and_then(|d| d.seen) };
            let showing = if is_this { own_showing } else { known.map(|d| d.showing).unwrap_or_default() };
            api::Device { id: device.id, name, this: is_this, added: device.added, seen, showing }
        };
        listed.iter().map(show).collect()
    }

    pub(crate) fn tell_devices(&mut self, new: Option<DeviceId>) {
        let devices = self.show_devices();
        let identity = self.identity_id();
        self.tell(Event::Devices { identity, devices, new });
    }

    pub(crate) fn name_device(&mut self, intent: IntentId, name: &str) {
        if let Some(me) = self.s.identity.get_mut(&()) {
            me.device_name = device_name(name);
            me.seen_told = UnixMillis(0);
        }
        let devices = self.show_devices();
        self.done(intent, Ok(Reply::Devices(devices)));
        self.again = true;
    }

    pub(crate) fn set_showing(
        &mut self,
        intent: IntentId,
        device: DeviceId,
        showing: Showing,
        rng: &mut dyn CryptoRngCore,
    ) {
        const DAY: u16 = 24 * 60;
        if showing.quiet.is_some_and(|(from, until)| from >= DAY || until >= DAY) {
            return self.done(intent, Err(Failure::BadInput("a day has 1440 minutes, counted from 0".into())));
        }
        if !self.keep_showing(device, showing) {
            return self.done(intent, Err(Failure::NotFound("device")));
        }
        if let Some(me) = self.s.identity.get_mut(&())
            && !me.showing_untold.contains(&device)
        {
            me.showing_untold.push(device);
        }
        self.settle_showing(rng);
        let devices = self.show_devices();
        self.done(intent, Ok(Reply::Devices(devices)));
    }

    /// Tells what was chosen, once there is a room to tell it in.
    pub(crate) fn settle_showing(&mut self, rng: &mut dyn CryptoRngCore) {
        if self.me().is_none_or(|me| me.own.is_none() || me.showing_untold.is_empty()) {
            return;
        }
        let chosen = self.s.identity.get_mut(&()).map(|me| std::mem::take(&mut me.showing_untold)).unwrap_or_default();
        for shown in self.show_devices().into_iter().filter(|shown| chosen.contains(&shown.id)) {
            self.say_own(&Note::Showing { device: shown.id, showing: shown.showing }, rng);
        }
    }

    pub(crate) fn hear_showing(&mut self, device: DeviceId, showing: Showing) {
        let chosen_here = self.me().is_some_and(|me| me.showing_untold.contains(&device));
        // What this device says comes after this in the room, and is what holds: for the others, too.
        let says = |note: &Note| matches!(note, Note::Showing { device: about, .. } if *about == device);
        if !chosen_here && !self.is_telling(says) {
            self.keep_showing(device, showing);
        }
    }

    /// What is shown where; `false` if there is no such device.
    pub(crate) fn keep_showing(&mut self, device: DeviceId, showing: Showing) -> bool {
        if self.me().is_some_and(|me| me.device == device) {
            if let Some(me) = self.s.identity.get_mut(&()) {
                me.showing = showing;
            }
            let own = self.who_am_i();
            self.tell(Event::Identities(own));
        } else if let Some(known) = self.s.devices.get_mut(&device) {
            known.showing = showing;
        } else {
            return false;
        }
        self.tell_devices(None);
        true
    }

    pub(crate) fn revoke_device(&mut self, intent: IntentId, device: DeviceId) {
        if !self.signed_in {
            return self.done(intent, Err(Failure::Offline));
        }
        let listed = self.listed();
        if !listed.iter().any(|known| known.id == device) {
            return self.done(intent, Err(Failure::NotFound("device")));
        }
        if listed.len() == 1 {
            let why = "this is the account's only device: link another one first, or delete the account";
            return self.done(intent, Err(Failure::BadInput(why.into())));
        }
        let action = Action::Remove { device };
        if let Some(until) = self.notice_for(action) {
            let hours = until.since(self.server_time()).div_ceil(3_600_000);
            let why = format!(
                "this device is new here: it can remove those that were there before in {hours} hours; they can remove it at once, \
                 and so can a device that signs in with the recovery key"
            );
            return self.done(intent, Err(Failure::BadInput(why)));
        }
        self.change_list(Some(intent), Change { action, links: false });
    }

    /// When this device may make a change; `None`: at once.
    fn notice_for(&self, action: Action) -> Option<UnixMillis> {
        let (list, now) = (self.read_list()?, self.server_time());
        list.notice(&list.draft(now, action, Signer::Device(self.me()?.device)), now)
    }

    // ---- changes by this device

    pub(crate) fn change_list(&mut self, intent: Option<IntentId>, change: Change) {
        if self.appending.is_some() {
            let why = "another change of the devices is under way";
            return self.list_done(intent, Err(Failure::BadInput(why.into())));
        }
        self.appending = Some(Appending { intent, change, link: None, tries: 0 });
        self.again = true;
    }

    fn list_done(&mut self, intent: Option<IntentId>, result: Result<Reply, Failure>) {
        if let Some(intent) = intent {
            self.done(intent, result);
        }
    }

    /// Takes a device off the list that was agreed to, and has not been there since: its keys were lost before they were stored.
    /// (Decision 0030.)
    pub(crate) fn drop_absent(&mut self, device: DeviceId) {
        let never_came = self.s.devices.get(&device).is_some_and(|known| !known.told && known.seen.is_none());
        let added = self.listed().iter().find(|listed| listed.id == device).map(|listed| listed.added);
        let long_ago = added.is_some_and(|added| self.server_time().since(added) >= ABSENT_MS);
        let action = Action::Remove { device };
        if never_came && long_ago && self.appending.is_none() && self.notice_for(action).is_none() {
            tracing::info!("a device that never came is taken off the list");
            self.change_list(None, Change { action, links: false });
        }
    }

    /// Asks for the newest list when the server has another one, and for what this device changes.
    pub(crate) fn settle_list(&mut self, rng: &mut dyn CryptoRngCore) {
        if !self.signed_in {
            return;
        }
        if self.list_wanted {
            self.ask(Role::Inbox, Purpose::OwnAccount, || Request::OwnAccount);
            return;
        }
        if let Some(at) = self.giving_back {
            return self.give_back(at);
        }
        let Some(change) = self.appending.as_ref().map(|appending| appending.change) else { return };
        if !self.may(&Purpose::AppendList) {
            return;
        }
        if self.is_so_already(&change.action) {
            // The answer was lost.
            return self.on_list_appended(Ok(Answer::Done), rng);
        }
        let time = self.server_time();
        let Some(link) = self.me().and_then(|me| {
            let list = DeviceList::verify(me.account.account, &me.root, &me.links).ok()?;
            Some(list.draft(time, change.action, Signer::Device(me.device)).sign(&signing::device_key(&me.keys)?))
        }) else {
            return;
        };
        if let Some(appending) = &mut self.appending {
            appending.link = Some(link.clone());
            appending.tries += 1;
        }
        self.ask(Role::Inbox, Purpose::AppendList, || Request::AppendDeviceList { link });
    }

    /// Appends a link once more that the server had, and forgot.
    fn give_back(&mut self, at: usize) {
        let Some(link) = self.me().and_then(|me| me.links.get(at).cloned()) else {
            self.giving_back = None;
            return;
        };
        self.ask(Role::Inbox, Purpose::GiveBack, || Request::AppendDeviceList { link });
    }

    pub(crate) fn on_given_back(&mut self, result: Result<Answer, Problem>) {
        self.again = true;
        self.giving_back = match result {
            Ok(_) => self.giving_back.map(|at| at + 1),
            Err(problem) => {
                // Another device was quicker, perhaps: the next sign-in tells.
                tracing::warn!(code = ?problem.code, "a link of our device list was not taken again");
                None
            }
        };
    }

    fn is_so_already(&mut self, action: &Action) -> bool {
        let listed = self.listed();
        match action {
            Action::Add { device, .. } => listed.iter().any(|known| known.id == *device),
            Action::Remove { device } => !listed.iter().any(|known| known.id == *device),
        }
    }

    pub(crate) fn on_list_appended(&mut self, result: Result<Answer, Problem>, rng: &mut dyn CryptoRngCore) {
        self.again = true;
        let Some(appending) = self.appending.take() else { return };
        match result {
            Ok(_) => self.list_changed_here(appending, rng),
            Err(problem) if problem.code == Code::BadDeviceList && appending.tries < MOST_TRIES => {
                // Another device's change came first: fetched, then signed again.
                self.list_wanted = true;
                self.appending = Some(Appending { link: None, ..appending });
            }
            Err(problem) => {
                self.list_done(appending.intent, Err(Failure::Refused(problem)));
                if appending.change.links {
                    self.drop_offer();
                }
            }
        }
    }

    fn list_changed_here(&mut self, appending: Appending, rng: &mut dyn CryptoRngCore) {
        let Some((root, mut links)) = self.me().map(|me| (me.root, me.links.clone())) else { return };
        links.extend(appending.link.filter(|link| !links.contains(link)));
        if let Action::Add { device, .. } = appending.change.action {
            // Known before the list has it: not new to anybody here.
            self.s.devices.insert(device, OwnDevice { mine: true, ..OwnDevice::unknown() });
        }
        self.adopt_list(&root, &links);
        match appending.change.action {
            Action::Add { device, .. } => {
                if !self.admitted(&device, rng) {
                    // It can never learn that it was admitted.
                    let change = Change { action: Action::Remove { device }, links: true };
                    return self.change_list(appending.intent, change);
                }
                self.tell_devices(None);
                self.list_done(appending.intent, Ok(Reply::Ok));
            }
            Action::Remove { .. } if appending.change.links => {
                let why = "the connection to the new device broke: try again with a new code";
                self.list_done(appending.intent, Err(Failure::BadInput(why.into())));
            }
            Action::Remove { .. } => {
                if appending.intent.is_some() {
                    self.renew_doors(rng);
                }
                let devices = self.show_devices();
                self.list_done(appending.intent, Ok(Reply::Devices(devices)));
            }
        }
    }

    // ---- changes by others

    /// The server counts so many links.
    pub(crate) fn list_is_at(&mut self, length: u32) {
        if self.s.identity.get(&()).is_some_and(|me| me.links.len() != length as usize) {
            self.list_wanted = true;
            self.again = true;
        }
    }

    pub(crate) fn on_own_account(&mut self, result: Result<Answer, Problem>) {
        self.again = true;
        let view: Option<AccountView> = match result {
            Ok(Answer::Account(view)) => Some(view),
            _ => None,
        };
        self.list_wanted = false;
        if let Some(view) = view.filter(|view| self.me().is_some_and(|me| me.account == view.account)) {
            self.adopt_list(&view.root_key, &view.links);
        }
    }

    /// Believes a list of our own account if it follows on the one that we have.
    pub(crate) fn adopt_list(&mut self, root: &[u8; 32], links: &[Bytes]) {
        let Some(me) = self.me().filter(|me| me.root == *root) else { return };
        let (account, this) = (me.account.account, me.device);
        let (Ok(list), Some(before)) = (DeviceList::verify(account, root, links), self.read_list()) else {
            tracing::warn!("a device list of our own account that does not verify");
            return self.interfered(Interference::Keys, None);
        };
        match list.relation(&before.pin()) {
            Relation::Same => return,
            Relation::Extends if !list.gave_notice(before.links().len(), self.server_time()) => {
                tracing::warn!("the server took a change of our device list before its time");
                return;
            }
            Relation::Extends | Relation::ForkByRoot => {}
            Relation::Rollback => {
                tracing::warn!("the server shows an older device list of our own account than the one we know");
                self.giving_back = Some(links.len());
                self.again = true;
                if !self.is_recently_restored() {
                    self.interfered(Interference::Keys, None);
                }
                return;
            }
            Relation::Fork => {
                tracing::warn!("the server shows another device list of our own account than the one we know");
                return self.interfered(Interference::Keys, None);
            }
        }
        if list.device(&this).is_none() {
            return self.sign_out("this device was removed from the account");
        }
        if let Some(me) = self.s.identity.get_mut(&()) {
            me.links = links.to_vec();
        }
        self.list_adopted();
    }

    /// This device is new on the list: it has nothing to tell the others.
    pub(crate) fn new_on_the_list(&mut self) {
        self.listed = None;
        for id in self.other_devices() {
            self.s.devices.insert(id, OwnDevice { told: true, ..OwnDevice::unknown() });
        }
        self.look_at_rooms();
    }

    /// The stored list is another one: what is known of devices follows.
    pub(crate) fn list_adopted(&mut self) {
        self.listed = None;
        self.believed.clear();
        self.look_at_rooms();
        let others = self.other_devices();
        let new: Vec<DeviceId> = others.iter().filter(|id| !self.s.devices.contains(id)).copied().collect();
        for id in &new {
            self.s.devices.insert(*id, OwnDevice::unknown());
        }
        let gone: Vec<DeviceId> = self.s.devices.keys().into_iter().filter(|id| !others.contains(id)).collect();
        for id in &gone {
            self.s.devices.remove(id);
            self.s.transfers.remove(id);
        }
        if !gone.is_empty() {
            self.renew_backup();
            self.tell_list_everywhere();
        }
        self.tell_devices(new.first().copied());
        self.again = true;
    }

    /// Everybody we talk to is to know that a device is gone.
    fn tell_list_everywhere(&mut self) {
        for room in self.s.rooms.keys() {
            let talks = self.s.rooms.get(&room).is_some_and(|r| r.usable() && r.open_there && !r.asked_here);
            if talks
                && !self.is_own_room(&room)
                && let Some(r) = self.s.rooms.get_mut(&room)
            {
                r.tell_list = true;
            }
        }
    }

    /// A device that is gone knew the tokens by which contacts reach us: they get others.
    fn renew_doors(&mut self, rng: &mut dyn CryptoRngCore) {
        for account in self.s.contacts.keys() {
            self.renew_door(&account, rng);
        }
    }

    /// The others hear that this device was here, and its name.
    pub(crate) fn settle_seen(&mut self, rng: &mut dyn CryptoRngCore) {
        let now = self.now;
        let Some(me) = self.me().filter(|me| now.since(me.seen_told) >= SEEN_MS) else { return };
        let (Some(own), name) = (me.own, me.device_name.clone()) else { return };
        if self.best_room(own).is_none() {
            return;
        }
        self.say_own(&Note::Device { name, seen: now }, rng);
        if let Some(me) = self.s.identity.get_mut(&()) {
            me.seen_told = now;
        }
    }
}

fn by_age(list: &DeviceList) -> Vec<Device> {
    let mut devices: Vec<Device> = list.devices().copied().collect();
    devices.sort_by_key(|device| (device.added, device.id));
    devices
}
