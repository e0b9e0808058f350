//! The linkage adversary.
