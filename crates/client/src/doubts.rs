//! Whether it is the others who are wrong, or we.
//!
//! In a group one member with a changed client can put rows into the room that claim anything: an epoch that no commit
//! leads to, or that commits of others are void. Whoever follows every commit calls such a row void and goes on. But a
//! member whose own state has silently gone astray sees the same of everybody else. What tells the two apart is time:
//! an insider's row is followed by a valid commit of somebody, who undoes it; ours never are, when it is we who are wrong.
//! So each such row is a *doubt*, somebody's valid commit or message ends them all, and three of them over a minute mean repair.
//! Meanwhile our commits wait, the longer the more we doubt: whoever doubts less undoes the row, and so tells the others that
//! they are right.
//!
//! An insider can use that up only while nobody else is there: a minute of rows that no one undoes. Everybody who reads
//! them later knocks, and an admin makes the group anew ([`crate::rebuild`]).

use crate::engine::Engine;
use parlour_proto::ids::{RoomId, UnixMillis};

/// So many doubts mean repair, …
const MOST_DOUBTS: usize = 3;
/// … if the first is so old.
const DOUBTED_MS: u64 = 60_000;
/// How long a commit of ours waits, for each doubt.
const HESITATION_MS: u64 = 20_000;

impl Engine {
    /// A void row at `time` (by the server's clock) of which we may be the reason.
    pub(crate) fn doubt(&mut self, room: RoomId, time: UnixMillis) {
        let Some(r) = self.s.rooms.get_mut(&room) else { return };
        if r.doubts.len() >= MOST_DOUBTS {
            // The first stays: it tells how long this goes on.
            r.doubts.remove(1);
        }
        r.doubts.push(time);
        if is_astray(&r.doubts) {
            r.doubts.clear();
            self.break_room(room);
        }
    }

    /// Whether a commit of ours has to wait because of a doubt; wakes when it need not any more.
    pub(crate) fn hesitates(&mut self, room: RoomId) -> bool {
        let Some(doubts) = self.s.rooms.get(&room).map(|r| &r.doubts) else { return false };
        let Some(last) = doubts.last().copied() else { return false };
        let patience = HESITATION_MS * doubts.len() as u64;
        let waited = self.server_time().since(last);
        if waited < patience {
            self.wake_at(self.now.plus_ms(patience - waited));
        }
        waited < patience
    }
}

fn is_astray(doubts: &[UnixMillis]) -> bool {
    let (Some(first), Some(last)) = (doubts.first(), doubts.last()) else { return false };
    doubts.len() >= MOST_DOUBTS && last.since(*first) >= DOUBTED_MS
}
