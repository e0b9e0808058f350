//! Before going offline: what others are still to have goes first, within seconds.
//!
//! Commands connect for moments. What they do is answered when it is stored here, and what follows from it goes through the
//! room of own devices and into the backup afterwards: without this wait it would stay here until the next command.

use crate::api::IntentId;
use crate::engine::Engine;
use parlour_proto::ids::UnixMillis;

/// How long going offline waits at most.
const PARTING_MS: u64 = 5_000;

/// Those who want to go offline, and until when it is waited.
pub(crate) struct Parting {
    intents: Vec<IntentId>,
    until: UnixMillis,
}

impl Engine {
    /// Whether something is to be sent before the sockets are closed; `intent` is answered then.
    pub(crate) fn waits_to_part(&mut self, intent: IntentId) -> bool {
        if !self.is_online() || self.has_parted() {
            return false;
        }
        self.back_up_at_once();
        let until = self.now.plus_ms(PARTING_MS);
        self.parting.get_or_insert(Parting { intents: Vec::new(), until }).intents.push(intent);
        self.again = true;
        true
    }

    /// Those who wait, once nothing is left to be sent, or it takes too long.
    pub(crate) fn settle_parting(&mut self) {
        let Some(until) = self.parting.as_ref().map(|parting| parting.until) else { return };
        if self.is_online() && !self.has_parted() && self.now < until {
            return self.wake_at(until);
        }
        let intents = self.parting.take().map(|parting| parting.intents).unwrap_or_default();
        intents.into_iter().for_each(|intent| self.go_offline_now(intent));
    }

    /// The backup and the other devices have all that they can have now.
    fn has_parted(&self) -> bool {
        let keeps = self.s.keeping.get(&()).is_some_and(|keeping| keeping.keeps);
        (!keeps || self.is_backed_up()) && self.own_devices_know()
    }

    /// What is for the other devices is with the server, or cannot go there now.
    fn own_devices_know(&self) -> bool {
        let told = self.me().is_none_or(|me| me.seen_told > UnixMillis(0));
        self.own_room().is_none() || (told && self.own_is_said())
    }
}
