//! A day's notice: who came to a list later may not throw out at once whoever was there before.
//!
//! Whoever links a device behind its owner's back could else remove all others in the same minute. For [`NOTICE_MS`] only
//! the others can remove it; they are told of it. A device that the root key added owes no notice, nor does one that leaves, or
//! that removes what came after it. A list as such does not depend on this: it is judged when a link is taken, by the server, by
//! the clock of the server; and by the account's own devices, by theirs.

use super::{DeviceList, Draft, Link};
use crate::device_list::{Action, Signer};
use crate::ids::UnixMillis;

/// So long after it was added a device may not remove those that were there before.
pub const NOTICE_MS: u64 = 24 * 3_600_000;
/// A link may be so far ahead of the clock of whoever takes it.
pub const AHEAD_MS: u64 = 10 * 60_000;

/// How a device came to a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    /// Of the link.
    pub(super) seq: u64,
    /// The latest time of any link so far: nobody came before who was there already.
    pub(super) time: UnixMillis,
    pub(super) by_root: bool,
}

impl DeviceList {
    /// When the change may be made; `None`: at once.
    pub fn notice(&self, draft: &Draft, now: UnixMillis) -> Option<UnixMillis> {
        let (Action::Remove { device }, Signer::Device(signer)) = (draft.action, draft.signer) else { return None };
        let (by, of) = (self.arrivals.get(&signer)?, self.arrivals.get(&device)?);
        let until = by.time.plus_ms(NOTICE_MS);
        (!by.by_root && of.seq < by.seq && now < until).then_some(until)
    }

    /// Whether all links beyond the first `known` were made when they might be, as far as the clock of whoever asks tells.
    pub fn gave_notice(&self, known: usize, now: UnixMillis) -> bool {
        let account = self.account();
        let Ok(mut list) = Self::verify(account, &self.root_key(), &self.links()[..known.min(self.links().len())])
        else {
            return false;
        };
        self.links()[list.links().len()..].iter().all(|link| {
            let in_time = Link::read(link).is_ok_and(|read| list.is_in_time(&read.draft, now));
            in_time && list.append(link.clone()).is_ok()
        })
    }

    fn is_in_time(&self, draft: &Draft, now: UnixMillis) -> bool {
        draft.signer == Signer::Root
            || draft.time <= now.plus_ms(AHEAD_MS) && self.notice(draft, draft.time.min(now)).is_none()
    }
}
