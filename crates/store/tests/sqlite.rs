//! The embedded store against the conformance suite and, step by step, against the model.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use common::Embedded;
use parlour_store::conformance::{
    block_on,
    history::{self, Change, Step},
};
use proptest::{collection::vec, prelude::*};

parlour_store::conformance!(Embedded::new);

fn change() -> impl Strategy<Value = Change> {
    let triple = || (any::<u8>(), any::<u8>(), any::<u8>());
    prop_oneof![
        3 => (any::<u8>(), vec(triple(), 0..2), vec(triple(), 0..4))
            .prop_map(|(place, asserts, writes)| Change::Rows { place, asserts, writes }),
        4 => (any::<u8>(), any::<u8>(), 0..40u8)
            .prop_map(|(place, payload, days)| Change::Append { place, payload: payload % 8, days }),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(place, row)| Change::Ack { place, row }),
        1 => any::<u8>().prop_map(|place| Change::Drop { place }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => vec(vec(change(), 0..5), 1..4).prop_map(Step::Commits),
        2 => (0..60u8).prop_map(Step::Hours),
        2 => Just(Step::Sweep),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_leaves_what_the_model_has(steps in vec(step(), 1..40)) {
        block_on(history::run(&Embedded::new(), &steps));
    }
}
