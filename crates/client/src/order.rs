//! What a device does about the order of a room and of its mailbox, as pure steps: rows once and in order, commits one after
//! the other, void rows named.
//!
//! The engine calls these, and so does the model that is checked exhaustively with the server's side
//! (`testing/model`, `docs/decisions/0026-model.md`).

use parlour_proto::frames::MAX_VOIDS;

/// Whether a pushed mailbox row is new to the rows in hand, of which `newest` is the last: a socket that was opened again
/// begins with what was not acknowledged.
pub fn is_new_in_hand(newest: Option<u64>, seq: u64) -> bool {
    seq > newest.unwrap_or(0)
}

/// Whether a row of a room is seen for the first time: the room's watermark moves in the same transaction as all that the
/// row changes, so what the mailbox says again, after a crash on either side, is recognised.
pub fn is_first_sight(watermark: u64, room_seq: u64) -> bool {
    room_seq > watermark
}

/// Whether a handshake row is still to be dealt with: it may have come by the log before it comes by the mailbox.
pub fn is_open_handshake(head: u64, room_seq: u64) -> bool {
    room_seq > head
}

/// What the server said about a pending commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is in the room, at this sequence.
    Accepted(u64),
    /// Another one moved the head.
    Behind,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It is merged: it is in the room at this sequence.
    Merge(u64),
    /// The server takes what does not follow on what we know: it has gone back, and is not followed.
    ServerWentBack,
    /// What moved the head is processed here and left our epoch as it is (a void row): the commit is made anew.
    MakeAnew,
    /// What moved the head is not here yet: wait for it, then ask for the log.
    FallBehind,
}

/// What to do about the answer to a commit that was made on `made_on`, when the newest handshake row dealt with is `head`.
pub fn after_commit(said: Said, head: u64, made_on: u64) -> After {
    match said {
        Said::Accepted(room_seq) if room_seq <= head => After::ServerWentBack,
        Said::Accepted(room_seq) => After::Merge(room_seq),
        Said::Behind if head > made_on => After::MakeAnew,
        Said::Behind => After::FallBehind,
    }
}

/// What the next commit names of the void rows: a frame takes so many.
pub fn newest_voids(voids: &[u64]) -> &[u64] {
    &voids[voids.len().saturating_sub(MAX_VOIDS)..]
}

/// Whether a commit undid the void rows that we found, no more and no less.
pub fn undoes_ours(ours: &[u64], named: &[u64]) -> bool {
    named == newest_voids(ours)
}

/// Whether a row calls something void that we follow: then it is the others who are wrong, or we.
pub fn undoes_what_we_follow(ours: &[u64], named: &[u64]) -> bool {
    named.iter().any(|seq| !ours.contains(seq))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_for_what_it_says_about_what_is_known_here() {
        assert_eq!(after_commit(Said::Accepted(5), 4, 4), After::Merge(5));
        assert_eq!(after_commit(Said::Accepted(4), 4, 3), After::ServerWentBack);
        assert_eq!(after_commit(Said::Behind, 4, 4), After::FallBehind);
        assert_eq!(after_commit(Said::Behind, 5, 4), After::MakeAnew);
    }

    #[test]
    fn of_too_many_void_rows_the_newest_are_named() {
        let many: Vec<u64> = (1..=MAX_VOIDS as u64 + 2).collect();
        assert_eq!(newest_voids(&many), &many[2..]);
        assert!(undoes_ours(&many, &many[2..]) && !undoes_ours(&many, &many));
    }
}
