//! Which operation was done while which fault was there.

use std::{collections::BTreeMap, fmt};

use crate::plan::{Fault, Op};

/// What cannot be.
const IMPOSSIBLE: [(Op, Fault, &str); 1] =
    [(Op::SignUp, Fault::OldCopy, "a home on which nobody has signed up has no older state")];

/// The table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    met: BTreeMap<(Op, Fault), u64>,
    done: BTreeMap<Op, u64>,
}

impl Coverage {
    pub(crate) fn count(&mut self, op: Op, fault: Fault) {
        *self.met.entry((op, fault)).or_default() += 1;
    }

    pub(crate) fn count_op(&mut self, op: Op) {
        *self.done.entry(op).or_default() += 1;
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        for (at, count) in &other.met {
            *self.met.entry(*at).or_default() += count;
        }
        for (op, count) in &other.done {
            *self.done.entry(*op).or_default() += count;
        }
    }

    /// Which cells are empty that need not be.
    #[must_use]
    pub fn empty(&self) -> Vec<(Op, Fault)> {
        let all = Op::ALL.iter().flat_map(|op| Fault::ALL.iter().map(|fault| (*op, *fault)));
        let can_be = |(op, fault): &(Op, Fault)| !IMPOSSIBLE.iter().any(|no| (no.0, no.1) == (*op, *fault));
        all.filter(|cell| !self.met.contains_key(cell)).filter(can_be).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<14}{:>7}", "", "all")?;
        for fault in Fault::ALL {
            write!(f, "{:>13}", format!("{fault:?}"))?;
        }
        writeln!(f)?;
        for op in Op::ALL {
            write!(f, "{:<14}{:>7}", format!("{op:?}"), self.done.get(op).copied().unwrap_or(0))?;
            for fault in Fault::ALL {
                match self.met.get(&(*op, *fault)) {
                    Some(count) => write!(f, "{count:>13}")?,
                    None => write!(f, "{:>13}", "-")?,
                }
            }
            writeln!(f)?;
        }
        for (op, fault, why) in IMPOSSIBLE {
            writeln!(f, "{op:?} x {fault:?} cannot be: {why}")?;
        }
        let (empty, all) = (self.empty(), Op::ALL.len() * Fault::ALL.len());
        write!(f, "{} of {all} cells are empty: {empty:?}", empty.len())
    }
}
