//! One engine, many tabs: what a page knows of the engine's owner, as a pure state machine.
//!
//! A Web Lock decides who owns the engine; its holder starts the worker. This machine only decides which calls go out
//! when, and what becomes of calls under way when the owner changes: repeatable ones are asked again, the others are
//! given back as interrupted (nobody knows whether they were done).
//!
//! | state | event | next |
//! |---|---|---|
//! | no owner | call | the call waits |
//! | no owner | here(a) | owner a; waiting calls go out |
//! | owner a | here(a) | owner a; nothing |
//! | owner a | here(b) | owner b; repeatable calls go out again, others are interrupted |
//! | any | answer | the call is done |

use std::collections::BTreeMap;

/// The calls of one page.
#[derive(Debug)]
pub struct Calls<C, A> {
    owner: Option<u64>,
    next: u64,
    open: BTreeMap<u64, Open<C, A>>,
}

#[derive(Debug)]
struct Open<C, A> {
    call: C,
    answer: A,
    sent: bool,
}

/// What a new owner leads to.
#[derive(Debug, PartialEq, Eq)]
pub struct Handover<C, A> {
    /// To be sent, in the order in which they were made.
    pub send: Vec<(u64, C)>,
    /// To be told that they were interrupted.
    pub interrupted: Vec<A>,
}

impl<C: Clone, A> Calls<C, A> {
    /// No owner, no calls.
    pub fn new() -> Self {
        Self { owner: None, next: 1, open: BTreeMap::new() }
    }

    /// Takes a call in; if there is an owner, gives its number: send it now.
    pub fn start(&mut self, call: C, answer: A) -> Option<u64> {
        let id = self.next;
        self.next += 1;
        let sent = self.owner.is_some();
        self.open.insert(id, Open { call, answer, sent });
        sent.then_some(id)
    }

    /// Whom to give an answer to; `None` when nobody waits (any more).
    pub fn finish(&mut self, id: u64) -> Option<A> {
        self.open.remove(&id).map(|open| open.answer)
    }

    /// The engine runs in the tab that drew this number.
    pub fn owner_is(&mut self, owner: u64, is_repeatable: impl Fn(&C) -> bool) -> Handover<C, A> {
        let mut handover = Handover { send: Vec::new(), interrupted: Vec::new() };
        if self.owner.replace(owner) == Some(owner) {
            return handover;
        }
        let lost: Vec<u64> =
            self.open.iter().filter(|(_, open)| open.sent && !is_repeatable(&open.call)).map(|(id, _)| *id).collect();
        handover.interrupted = lost.into_iter().filter_map(|id| self.finish(id)).collect();
        for (id, open) in &mut self.open {
            open.sent = true;
            handover.send.push((*id, open.call.clone()));
        }
        handover
    }

    /// The engine is known to be gone, and nobody runs it yet.
    pub fn owner_is_gone(&mut self) {
        // Calls that were sent stay so: the next owner's start decides about them.
        self.owner = None;
    }

    /// Whether an owner is known.
    pub fn has_owner(&self) -> bool {
        self.owner.is_some()
    }
}

impl<C: Clone, A> Default for Calls<C, A> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPEATABLE: fn(&&str) -> bool = |call| call.starts_with("read");

    #[test]
    fn calls_wait_until_somebody_owns_the_engine() {
        let mut calls = Calls::new();
        assert_eq!(calls.start("send", 'a'), None);
        let handover = calls.owner_is(7, REPEATABLE);
        assert_eq!(handover, Handover { send: vec![(1, "send")], interrupted: vec![] });
        assert_eq!(calls.start("read", 'b'), Some(2));
        assert_eq!(calls.finish(1), Some('a'));
        assert_eq!(calls.finish(1), None);
    }

    #[test]
    fn the_same_owner_again_changes_nothing() {
        let mut calls = Calls::new();
        calls.owner_is(7, REPEATABLE);
        calls.start("read", 'a');
        assert_eq!(calls.owner_is(7, REPEATABLE), Handover { send: vec![], interrupted: vec![] });
    }

    #[test]
    fn a_new_owner_is_asked_again_only_what_may_be_done_twice() {
        let mut calls = Calls::new();
        calls.owner_is(7, REPEATABLE);
        calls.start("send", 'a');
        calls.start("read", 'b');
        calls.owner_is_gone();
        calls.start("send later", 'c');
        let handover = calls.owner_is(8, REPEATABLE);
        assert_eq!(handover.interrupted, ['a']);
        assert_eq!(handover.send, [(2, "read"), (3, "send later")]);
    }
}
