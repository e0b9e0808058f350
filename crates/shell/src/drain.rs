//! The order of effects, as a pure function: what one drain of an engine asks for, sorted into what must come first.

use parlour_client::api::{Changes, Effect, Event, Socket};
use parlour_proto::frames::ClientFrame;
use parlour_proto::ids::UnixMillis;

/// The effects of one drain, in the order in which they are carried out: [`Drain::changes`] in one transaction, then
/// [`Drain::actions`] one after another, then [`Drain::events`].
#[derive(Debug, Default)]
pub struct Drain {
    /// All rows to write.
    pub changes: Changes,
    /// What to do with sockets, loads and the timer, in the engine's order.
    pub actions: Vec<Action>,
    /// What to tell the user.
    pub events: Vec<Event>,
}

/// What happens between the transaction and the events.
#[derive(Debug)]
pub enum Action {
    /// Open a socket.
    Open(Socket),
    /// Close it.
    Close(Socket),
    /// Send a frame on it.
    Send(Socket, ClientFrame),
    /// Read rows (after the transaction: the engine may ask for what it has just written).
    Load {
        /// Repeated in the answer.
        token: u64,
        /// Key prefix.
        prefix: Vec<u8>,
    },
    /// Set the timer.
    WakeAt(UnixMillis),
}

impl Drain {
    /// Sorts effects.
    pub fn of(effects: impl IntoIterator<Item = Effect>) -> Self {
        let mut drain = Self::default();
        for effect in effects {
            match effect {
                Effect::Commit(changes) => drain.changes.0.extend(changes.0),
                Effect::Notify(event) => drain.events.push(event),
                Effect::Open(socket) => drain.actions.push(Action::Open(socket)),
                Effect::Close(socket) => drain.actions.push(Action::Close(socket)),
                Effect::Send(socket, frame) => drain.actions.push(Action::Send(socket, frame)),
                Effect::Load { token, prefix } => drain.actions.push(Action::Load { token, prefix }),
                Effect::WakeAt(instant) => drain.actions.push(Action::WakeAt(instant)),
            }
        }
        drain
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.changes.0.is_empty() && self.actions.is_empty() && self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlour_client::api::{IdentityId, IntentId, Reply, Role};

    const INBOX: Socket = Socket { identity: IdentityId(0), role: Role::Inbox };

    fn write(key: &[u8]) -> Effect {
        Effect::Commit(Changes(vec![(key.to_vec(), Some(Vec::new()))]))
    }

    #[test]
    fn all_changes_of_a_drain_are_one_batch_in_order() {
        let done = Effect::Notify(Event::Done(IntentId(1), Ok(Reply::Ok)));
        let drain = Drain::of([done, write(b"a"), Effect::Open(INBOX), write(b"b"), Effect::Close(INBOX)]);
        let keys: Vec<_> = drain.changes.0.iter().map(|(key, _)| key.as_slice()).collect();
        assert_eq!(keys, [b"a", b"b"]);
        assert!(matches!(drain.actions[..], [Action::Open(_), Action::Close(_)]));
        assert_eq!(drain.events.len(), 1);
        assert!(!drain.is_empty());
        assert!(Drain::of([]).is_empty());
    }
}
