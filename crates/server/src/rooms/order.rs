//! The room's order, as pure steps: which commit's turn it is, which sequence comes next, which rows may be called void.
//!
//! No store, no lock, no clock: [`Rooms`](super::Rooms) calls these, and so does the model that is checked exhaustively
//! (`testing/model`, `docs/decisions/0026-model.md`).

/// Sequences reserved at once.
const RESERVE: u64 = 1_024;
const FIRST_RESERVE: u64 = 16;

/// Whose turn it is: what the room does about a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn<A> {
    /// It is in the room already: the same answer again.
    Answered(A),
    /// Another one has moved the head, to here.
    Behind(u64),
    /// It is the next.
    Next,
}

/// What to do about a commit that names the head `named`, when the room's is `head`; `answered` is the answer that its id got.
///
/// The answer comes first: whoever lost it names a head that its own commit has moved.
pub fn turn<A>(answered: Option<A>, named: u64, head: u64) -> Turn<A> {
    match answered {
        Some(answer) => Turn::Answered(answer),
        None if named != head => Turn::Behind(head),
        None => Turn::Next,
    }
}

/// Whether the rows that a commit calls void are exactly the newest of the log: `newest` are as many as it names and one
/// more, oldest first, from the oldest that it names up to the head.
pub fn are_newest(named: &[u64], newest: &[u64]) -> bool {
    let mut named = named.to_vec();
    named.sort_unstable();
    named.dedup();
    named == newest
}

/// The sequences of a room: each is given out once, whatever is lost in a crash.
///
/// They are reserved in blocks; the row that says so goes with the first batch that uses the block, and with all that follow
/// until one of them is durable. What is loaded goes on behind the block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sequences {
    next: u64,
    /// Up to here sequences may be used, once the row that says so is durable.
    bound: u64,
    /// What is known to be durable of it.
    durable: u64,
}

impl Sequences {
    /// The sequences of a room whose stored bound this is; none below `first` is given out.
    pub fn loaded(bound: u64, first: u64) -> Self {
        Self { next: (bound + 1).max(first), bound, durable: bound }
    }

    /// Takes the next one, and the bound that has to be written with it, unless that is durable already.
    pub fn take(&mut self) -> (u64, Option<u64>) {
        let seq = self.next;
        self.next += 1;
        if seq > self.bound {
            self.bound = seq + if self.bound == 0 { FIRST_RESERVE } else { RESERVE } - 1;
        }
        (seq, (self.bound > self.durable).then_some(self.bound))
    }

    /// The reservation that was current when a now durable batch was made.
    pub fn bound(&self) -> u64 {
        self.bound
    }

    /// A batch that wrote this bound is durable.
    pub fn is_durable(&mut self, bound: u64) {
        self.durable = self.durable.max(bound);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_commit_gets_its_answer_though_it_moved_the_head_itself() {
        assert_eq!(turn(Some(5), 4, 5), Turn::Answered(5));
        assert_eq!(turn(None::<u64>, 4, 5), Turn::Behind(5));
        assert_eq!(turn(None::<u64>, 5, 5), Turn::Next);
    }

    #[test]
    fn a_sequence_is_never_given_out_twice_across_a_crash() {
        let mut sequences = Sequences::loaded(0, 1);
        let (first, written) = sequences.take();
        let written = written.expect("the first reservation is written");
        assert!(first <= written);
        let mut again = Sequences::loaded(written, 1);
        assert!(again.take().0 > written);
    }

    #[test]
    fn void_rows_are_the_newest_ones_without_a_gap() {
        assert!(are_newest(&[8, 7], &[7, 8]));
        assert!(!are_newest(&[7], &[7, 8]));
        assert!(!are_newest(&[7, 9], &[7, 8, 9]));
        assert!(are_newest(&[], &[]));
    }
}
