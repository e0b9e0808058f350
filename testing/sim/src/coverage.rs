//! Which operation was done while which fault was there.

use std::{collections::BTreeMap, fmt};

use crate::plan::{Fault, Op};

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

    /// How many cells are empty, of how many.
    #[must_use]
    pub fn empty(&self) -> (usize, usize) {
        let all = Op::ALL.len() * Fault::ALL.len();
        (all - self.met.len(), all)
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
        let (empty, all) = self.empty();
        write!(f, "{empty} of {all} cells are empty")
    }
}
