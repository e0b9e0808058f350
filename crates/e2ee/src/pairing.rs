//! Two screens that share a short code agree on keys: how a new device is linked to an account.
//!
//! SPAKE2 over Ed25519 (the `spake2` crate; the same construction as RFC 9382, with its own encoding). Who listens on the way,
//! or is the way, learns nothing that would let them try codes: they have one guess, while it happens, by taking part. The
//! side that joins speaks first; the side that offers answers and proves, by something sealed, that it knows the code; then
//! the joining side does. Whatever does not open is a wrong guess: give up, and never use the code again.
//!
//! SPAKE2 does not withstand a quantum computer. So nothing secret goes through here: only public keys, which each side signs
//! into or checks against the account's device list. What is secret follows in a room, under the post-quantum suite.

use hkdf::Hkdf;
use rand_core::CryptoRngCore;
use sha2::Sha256;
use spake2::{Ed25519Group, Identity, Password, Spake2};

use crate::seal::{ValueKey, open, seal};

const OFFERS: &[u8] = b"parlour-pairing-1 offers";
const JOINS: &[u8] = b"parlour-pairing-1 joins";

/// Which of the two one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Shows the code.
    Offers,
    /// Was told it.
    Joins,
}

/// The codes differ, or somebody is in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the codes are not the same")]
pub struct PairingError;

/// One side before the other's message came.
pub struct Pairing {
    side: Side,
    state: Spake2<Ed25519Group>,
}

impl Pairing {
    /// Begins; gives what the other side is to be sent (33 bytes).
    pub fn start(side: Side, code: &str, rng: &mut dyn CryptoRngCore) -> (Self, Vec<u8>) {
        let (password, offers, joins) = (Password::new(code), Identity::new(OFFERS), Identity::new(JOINS));
        let (state, message) = match side {
            Side::Offers => Spake2::start_b_with_rng(&password, &joins, &offers, rng),
            Side::Joins => Spake2::start_a_with_rng(&password, &joins, &offers, rng),
        };
        (Self { side, state }, message)
    }

    /// Takes the other side's message. The keys are worth something once something of the other's opens under them.
    ///
    /// # Errors
    /// [`PairingError`] when it is not such a message.
    pub fn finish(self, theirs: &[u8]) -> Result<PairingKeys, PairingError> {
        let shared = self.state.finish(theirs).map_err(|_| PairingError)?;
        let derive = |label| {
            let mut key = [0; 32];
            Hkdf::<Sha256>::new(None, &shared).expand(label, &mut key).expect("32 bytes are not too many");
            ValueKey::from_bytes(key)
        };
        let (offers, joins) = (derive(OFFERS), derive(JOINS));
        Ok(match self.side {
            Side::Offers => PairingKeys { send: offers, receive: joins },
            Side::Joins => PairingKeys { send: joins, receive: offers },
        })
    }
}

impl std::fmt::Debug for Pairing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pairing({:?})", self.side)
    }
}

/// The keys of both directions.
#[derive(Debug)]
pub struct PairingKeys {
    send: ValueKey,
    receive: ValueKey,
}

impl PairingKeys {
    /// Seals something for the other side; `what` names it.
    pub fn seal(&self, what: &str, payload: &[u8], rng: &mut dyn CryptoRngCore) -> Vec<u8> {
        seal(&self.send, what.as_bytes(), payload, rng)
    }

    /// Opens what the other side sealed under this name.
    ///
    /// # Errors
    /// [`PairingError`] when the codes differ, or it is something else.
    pub fn open(&self, what: &str, sealed: &[u8]) -> Result<Vec<u8>, PairingError> {
        open(&self.receive, what.as_bytes(), sealed).map(|payload| payload.to_vec()).map_err(|_| PairingError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rng;

    fn pair(offered: &str, typed: &str) -> (PairingKeys, PairingKeys) {
        let (offers, from_offers) = Pairing::start(Side::Offers, offered, &mut test_rng(1));
        let (joins, from_joins) = Pairing::start(Side::Joins, typed, &mut test_rng(2));
        (offers.finish(&from_joins).unwrap(), joins.finish(&from_offers).unwrap())
    }

    #[test]
    fn the_same_code_opens_both_ways_and_another_neither() {
        let (offers, joins) = pair("356021", "356021");
        let sealed = offers.seal("hello", b"den", &mut test_rng(3));
        assert_eq!(joins.open("hello", &sealed), Ok(b"den".to_vec()));
        assert_eq!(joins.open("other", &sealed), Err(PairingError));
        assert_eq!(offers.open("hello", &sealed), Err(PairingError), "one's own, sent back");
        let sealed = joins.seal("me", b"keys", &mut test_rng(3));
        assert_eq!(offers.open("me", &sealed), Ok(b"keys".to_vec()));

        let (offers, joins) = pair("356021", "356022");
        let sealed = offers.seal("hello", b"den", &mut test_rng(3));
        assert_eq!(joins.open("hello", &sealed), Err(PairingError));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [&b""[..], &[0; 33], &[0xff; 33], &[1; 40]] {
            let (offers, _) = Pairing::start(Side::Offers, "1", &mut test_rng(1));
            assert!(offers.finish(bytes).is_err());
        }
        // A message of the same side, sent back.
        let (offers, own) = Pairing::start(Side::Offers, "1", &mut test_rng(1));
        assert!(offers.finish(&own).is_err());
    }
}
