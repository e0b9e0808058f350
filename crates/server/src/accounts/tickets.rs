//! Tickets: a proven handle, good for ten minutes and one use, in memory only.

use std::{collections::HashMap, sync::Mutex};

use parlour_proto::{
    frames::AppId,
    handle::Handle,
    ids::{AccountId, Digest, Secret, UnixMillis},
    opaque::PasswordFile,
    problem::{Code, Problem},
};

use crate::{Rng, directory::Names, sync::MutexExt as _};

/// Tickets held at once; beyond it the oldest sign-ups have to start over.
const MOST: usize = 100_000;

/// What a ticket proves.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// On which app.
    pub app: AppId,
    /// The handle.
    pub handle: Handle,
    /// Its names in the directory.
    pub names: Names,
    /// The password that will be kept, for a new account with one.
    pub password: Option<PasswordFile>,
    /// The account that has the handle.
    pub account: Option<AccountId>,
}

/// All tickets.
pub struct Tickets {
    all: Mutex<HashMap<Digest, (UnixMillis, Ticket)>>,
    life_ms: u64,
}

impl Tickets {
    /// No ticket yet; each lives so long.
    pub fn new(life_ms: u64) -> Self {
        Self { all: Mutex::default(), life_ms }
    }

    /// Gives a ticket out.
    ///
    /// # Errors
    /// `Unavailable` when there are too many.
    pub fn issue(&self, ticket: Ticket, now: UnixMillis, rng: &mut Rng) -> Result<Secret, Problem> {
        let secret = Secret::random(rng);
        let mut tickets = self.all.locked();
        if tickets.len() >= MOST {
            tickets.retain(|_, (until, _)| now < *until);
        }
        if tickets.len() >= MOST {
            return Err(Problem::new(Code::Unavailable, "too many people are signing in").retry_after_ms(60_000));
        }
        tickets.insert(secret.digest(), (now.plus_ms(self.life_ms), ticket));
        Ok(secret)
    }

    /// What a ticket proves; it stays usable.
    ///
    /// # Errors
    /// `Expired`.
    pub fn look(&self, secret: &Secret, now: UnixMillis) -> Result<Ticket, Problem> {
        let tickets = self.all.locked();
        let found = tickets.get(&secret.digest()).filter(|(until, _)| now < *until);
        found.map(|(_, ticket)| ticket.clone()).ok_or_else(expired)
    }

    /// Uses a ticket up.
    ///
    /// # Errors
    /// `Expired`.
    pub fn take(&self, secret: &Secret, now: UnixMillis) -> Result<Ticket, Problem> {
        let found = self.all.locked().remove(&secret.digest());
        found.filter(|(until, _)| now < *until).map(|(_, ticket)| ticket).ok_or_else(expired)
    }

    /// Gives a ticket back whose use failed.
    pub fn give_back(&self, secret: &Secret, ticket: Ticket, now: UnixMillis) {
        self.all.locked().insert(secret.digest(), (now.plus_ms(self.life_ms), ticket));
    }

    /// Forgets what has expired.
    pub fn forget(&self, now: UnixMillis) {
        self.all.locked().retain(|_, (until, _)| now < *until);
    }
}

fn expired() -> Problem {
    Problem::new(Code::Expired, "the ticket has expired or was used; prove the handle again")
}
