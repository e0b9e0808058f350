//! The book: what people did, as nobody in the simulation but it knows; the oracles hold the screens against it.

use std::collections::{BTreeMap, BTreeSet};

use parlour_client::api::{Conversation, IdentityId, Timer};
use parlour_proto::{
    frames::{AccountRef, AppId},
    ids::{AccountId, MessageId},
};

/// A person, with one account.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub app: AppId,
    pub handle: String,
    pub address: String,
    pub account: AccountRef,
    pub recovery: String,
    /// The account is deleted, or may be.
    pub gone: bool,
}

/// A device of a person: a home, and which of its identities.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub person: usize,
    pub home: usize,
    pub identity: IdentityId,
    /// Since when it must know all.
    pub since: u64,
    /// It is used, and judged.
    pub live: bool,
    /// It was put back to an old copy: what it counted then does not count.
    pub restored: bool,
    /// That happened since all was looked at last.
    pub put_back: bool,
    /// What it could not read, when that was looked at last.
    pub unreadable: u64,
}

/// A conversation, as all of its people know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Pair(usize, usize),
    Group(u32),
}

/// Something that was said.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub text: String,
    pub edits: Vec<String>,
    pub seat: usize,
    pub key: Key,
    pub at: u64,
    pub timer: Option<Timer>,
    /// Known when the engine has stored it.
    pub message: Option<MessageId>,
    /// The persons who were there, as its author saw it.
    pub readers: Vec<usize>,
    /// Deleted, or perhaps.
    pub deleted: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub people: Vec<Person>,
    pub seats: Vec<Seat>,
    pub said: Vec<Said>,
    /// What was said before the last time that all was looked at.
    pub judged: usize,
    by_account: BTreeMap<AccountId, usize>,
    /// When somebody's place in a conversation was last sure to be settled; `u64::MAX`: not yet.
    changed: BTreeMap<(Key, usize), u64>,
    /// Pairs of which one does not want the other.
    pub apart: BTreeSet<Key>,
    /// Where messages stay so shortly that a clock set forward may take them away.
    pub short: BTreeSet<Key>,
    /// Accounts of one human: they never meet.
    pub same: BTreeSet<(usize, usize)>,
    pub groups: u32,
}

impl Book {
    pub(crate) fn add_person(&mut self, person: Person) -> usize {
        self.by_account.insert(person.account.account, self.people.len());
        self.people.push(person);
        self.people.len() - 1
    }

    pub(crate) fn person(&self, account: &AccountRef) -> Option<usize> {
        self.by_account.get(&account.account).copied()
    }

    pub(crate) fn pair(one: usize, other: usize) -> Key {
        Key::Pair(one.min(other), one.max(other))
    }

    /// Which conversation this is, seen by this person.
    pub(crate) fn key(&self, me: usize, view: &Conversation) -> Option<Key> {
        if view.is_group {
            let number = view.title.strip_prefix('G')?.split(' ').next()?;
            return number.parse().ok().map(Key::Group);
        }
        let other = self.person(&view.members.first()?.account)?;
        Some(Self::pair(me, other))
    }

    /// Somebody's place in a conversation changes, or may.
    pub(crate) fn touch(&mut self, key: Key, person: usize) {
        self.changed.insert((key, person), u64::MAX);
    }

    /// All places of somebody change.
    pub(crate) fn touch_all(&mut self, person: usize) {
        let keys: BTreeSet<Key> = self.said.iter().map(|said| said.key).collect();
        keys.into_iter().for_each(|key| self.touch(key, person));
    }

    /// All that changed is settled.
    pub(crate) fn settle(&mut self, now: u64) {
        self.changed.values_mut().filter(|at| **at == u64::MAX).for_each(|at| *at = now);
    }

    /// Whether somebody's place has been the same since.
    pub(crate) fn is_steady(&self, key: Key, person: usize, since: u64) -> bool {
        self.changed.get(&(key, person)).is_none_or(|at| *at < since)
    }

    /// Whether two have been in one conversation, or may have.
    pub(crate) fn may_share(&self, one: usize, other: usize) -> bool {
        let of = |person| self.changed.keys().filter(move |(_, who)| *who == person).map(|(key, _)| *key);
        let ones: BTreeSet<Key> = of(one).collect();
        of(other).any(|key| ones.contains(&key))
    }

    /// Who has been in a conversation, or may have been.
    pub(crate) fn touched(&self, key: Key) -> Vec<usize> {
        self.changed.keys().filter(|(of, _)| *of == key).map(|(_, person)| *person).collect()
    }

    pub(crate) fn are_same(&self, one: usize, other: usize) -> bool {
        self.same.contains(&(one.min(other), one.max(other)))
    }

    pub(crate) fn find(&self, message: &MessageId) -> Option<usize> {
        self.said.iter().position(|said| said.message == Some(*message))
    }
}
