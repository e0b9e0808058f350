//! An account that was linked into a home which answers for it already.
//!
//! Which account it is, a home learns when the other device has put it on the list: so it takes itself off again, and is erased
//! only then. Until that is done nobody sees anything of it; after a crash, or without a connection, it goes on with the next one.

use super::Identities;
use crate::api::{Event, Failure, IdentityId, Input, Intent, IntentId, Reply};
use crate::engine::Engine;
use parlour_proto::ids::UnixMillis;
use rand_core::CryptoRngCore;

const LEAVES: IntentId = IntentId(u64::MAX - 1);

/// An identity too many.
pub(super) struct Double {
    identity: IdentityId,
    /// Who linked it waits for an answer.
    asked_by: Option<IntentId>,
    /// It is being taken off the list.
    leaves: bool,
}

impl Identities {
    pub(super) fn is_double(&self, identity: IdentityId) -> bool {
        self.doubles.iter().any(|double| double.identity == identity)
    }

    /// What answers for an account, once for each.
    pub(super) fn singles(&self) -> impl Iterator<Item = &(IdentityId, Engine)> {
        self.engines.iter().filter(|(id, _)| !self.is_double(*id))
    }

    /// Those whose process ended before they were gone: of two of an account, the one that came later.
    pub(super) fn find_doubles(&mut self) {
        let accounts = self.engines.iter().filter_map(|(id, engine)| Some((*id, engine.account()?)));
        let accounts: Vec<_> = accounts.collect();
        let had_before = |at: usize| accounts[..at].iter().any(|(_, account)| *account == accounts[at].1);
        let twice = (0..accounts.len()).filter(|at| had_before(*at)).map(|at| accounts[at].0);
        self.doubles = twice.map(|identity| Double { identity, asked_by: None, leaves: false }).collect();
    }

    /// What was linked is an account that is here already.
    pub(super) fn linked_twice(
        &mut self,
        identity: IdentityId,
        asked_by: IntentId,
        now: UnixMillis,
        rng: &mut dyn CryptoRngCore,
    ) {
        self.doubles.push(Double { identity, asked_by: Some(asked_by), leaves: false });
        self.feed(identity, Input::Intent(IntentId(u64::MAX), Intent::Sync), now, rng);
    }

    pub(super) fn tell_doubles(&mut self, intent: &Intent, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        let all: Vec<IdentityId> = self.doubles.iter().map(|double| double.identity).collect();
        for identity in all {
            self.feed(identity, Input::Intent(IntentId(u64::MAX), intent.clone()), now, rng);
        }
    }

    /// Takes those off the list that can say it.
    pub(super) fn settle_doubles(&mut self, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        let mut leave = Vec::new();
        for double in &mut self.doubles {
            let engine = self.engines.iter().find(|(id, _)| *id == double.identity).map(|(_, engine)| engine);
            if let Some(device) =
                engine.filter(|engine| !double.leaves && engine.is_online()).and_then(Engine::this_device)
            {
                double.leaves = true;
                leave.push((double.identity, device));
            }
        }
        for (identity, device) in leave {
            self.feed(identity, Input::Intent(LEAVES, Intent::RevokeDevice { device }), now, rng);
        }
    }

    /// Its connection is gone: who waits, waits no more; it is taken off later.
    pub(super) fn double_lost(&mut self, identity: IdentityId) {
        let double = self.doubles.iter_mut().find(|double| double.identity == identity);
        if let Some(asked_by) = double.and_then(|double| double.asked_by.take()) {
            self.done(asked_by, Err(is_here()));
        }
    }

    pub(super) fn on_double_event(&mut self, identity: IdentityId, event: &Event) {
        let Some(at) = self.doubles.iter().position(|double| double.identity == identity) else { return };
        match event {
            Event::Done(LEAVES, Err(_)) => self.doubles[at].leaves = false,
            Event::Done(LEAVES, Ok(_)) | Event::SignedOut { .. } => {
                let double = self.doubles.swap_remove(at);
                self.erase(identity);
                if let Some(asked_by) = double.asked_by {
                    self.done(asked_by, Err::<Reply, _>(is_here()));
                }
            }
            _ => {}
        }
    }
}

fn is_here() -> Failure {
    Failure::BadInput("this account is here already".to_owned())
}
