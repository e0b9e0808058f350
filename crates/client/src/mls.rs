//! Loaded groups: which are in memory, and their rows on the way to the store.
//!
//! A group is loaded when something needs it; until its rows are there, what needs it waits (mailbox rows stay in the
//! queue, wants stay wanted). A few are kept, least recently used ones go. Nothing is dropped that is not stored: a group's
//! changes go into the transaction of the very input that caused them.

use crate::contacts::e2ee_account;
use crate::engine::{Engine, Load, Loaded};
use crate::rows::{LAZY, prefix};
use crate::state::Phase;
use parlour_e2ee::{DeviceKeys, Group};
use parlour_proto::ids::RoomId;

/// Groups kept in memory.
const MOST_LOADED: usize = 64;

/// Whether a room's group can be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    Yes,
    /// Its rows are being loaded.
    NotYet,
    /// It has no usable state: repair is under way.
    Never,
}

/// Key prefix of a room's MLS rows.
pub(crate) fn rows_prefix(identity: u16, room: &RoomId) -> Vec<u8> {
    let mut key = prefix(LAZY, b'g', identity);
    key.extend(room.0);
    key
}

impl Engine {
    /// Asks for a group's rows unless they are here.
    pub(crate) fn need_group(&mut self, room: &RoomId) -> Ready {
        if let Some(loaded) = self.groups.get_mut(room) {
            self.uses += 1;
            loaded.used = self.uses;
            return Ready::Yes;
        }
        let usable = self.s.rooms.get(room).is_some_and(|r| !matches!(r.phase, Phase::Broken | Phase::Left));
        if !usable {
            return Ready::Never;
        }
        if !self.is_loading_group(room) {
            self.load_rows(rows_prefix(self.s.number, room), Load::Group(*room));
        }
        Ready::NotYet
    }

    /// A loaded group ([`need_group`](Self::need_group) said `Yes`).
    pub(crate) fn group(&mut self, room: &RoomId) -> Option<&mut Group> {
        self.groups.get_mut(room).map(|loaded| &mut loaded.group)
    }

    pub(crate) fn on_group_rows(&mut self, room: RoomId, rows: Vec<(Vec<u8>, Vec<u8>)>) {
        let start = rows_prefix(self.s.number, &room);
        let rows = rows.into_iter().filter_map(|(key, value)| Some((key.strip_prefix(&start[..])?.to_vec(), value)));
        match Group::load(rows.collect()) {
            Ok(Some(group)) => {
                self.uses += 1;
                let used = self.uses;
                self.groups.insert(room, Loaded { group, used });
            }
            // Wiped, or damaged.
            Ok(None) | Err(_) => self.break_room(room),
        }
        self.again = true;
    }

    /// Takes a group into memory and its changes into the transaction.
    pub(crate) fn keep_group(&mut self, room: RoomId, group: Group) {
        self.uses += 1;
        let used = self.uses;
        self.groups.insert(room, Loaded { group, used });
        self.keep_changes(&room);
    }

    /// What a group's last operations changed goes into the transaction.
    pub(crate) fn keep_changes(&mut self, room: &RoomId) {
        let Some(group) = self.group(room) else { return };
        let changes = group.take_changes();
        let start = rows_prefix(self.s.number, room);
        for (key, value) in changes.puts {
            self.put_row([&start[..], &key].concat(), Some(value));
        }
        for key in changes.deletes {
            self.put_row([&start[..], &key].concat(), None);
        }
    }

    /// Forgets a room's MLS state, in memory and stored.
    pub(crate) fn drop_group(&mut self, room: &RoomId) {
        self.groups.remove(room);
        let prefix = rows_prefix(self.s.number, room);
        self.wipe(prefix);
    }

    pub(crate) fn shrink_groups(&mut self) {
        while self.groups.len() > MOST_LOADED {
            let oldest = self.groups.iter().min_by_key(|(_, loaded)| loaded.used).map(|(room, _)| *room);
            if let Some(room) = oldest {
                self.groups.remove(&room);
            }
        }
    }

    /// Does something with a loaded group.
    pub(crate) fn with_group<T>(&mut self, room: &RoomId, operation: impl FnOnce(&mut Group) -> T) -> Option<T> {
        let result = operation(self.group(room)?);
        self.keep_changes(room);
        Some(result)
    }

    /// Does something with a loaded group and our own keys. (Not for each message: to read the keys costs as much as to
    /// sign.)
    pub(crate) fn with_identity<T>(
        &mut self,
        room: &RoomId,
        operation: impl FnOnce(&mut Group, &parlour_e2ee::Identity<'_>) -> T,
    ) -> Option<T> {
        let me = self.me()?;
        let keys = DeviceKeys::from_bytes(&me.keys).ok()?;
        let account = e2ee_account(&me.account);
        let identity = parlour_e2ee::Identity { account: &account, device: me.device.0, keys: &keys };
        self.with_group(room, |group| operation(group, &identity))
    }
}
