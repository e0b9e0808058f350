//! Bugs that are planted are found by the fixed seeds: an oracle that finds nothing proves nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

use parlour_sim::{Director, Plant, Size, steps};

/// The first fault that this bug leads to with this seed, which has none without it (`seeds.rs`).
fn finds(plant: Plant, seed: u64) -> Option<String> {
    let outcome = Director::new(seed, Some(plant)).run(&steps(seed, Size::small()));
    outcome.faults.into_iter().next()
}

macro_rules! found {
    ($($name:ident: $plant:ident, $seed:literal, $words:literal;)*) => {
        $(#[test]
        fn $name() {
            let fault = finds(Plant::$plant, $seed).unwrap_or_else(|| panic!("{:?} is not found", Plant::$plant));
            assert!(fault.contains($words), "{fault}");
        })*
    };
}

found! {
    rows_of_mailboxes_that_a_crash_undoes: NotDurable, 8, "not show";
    a_message_sent_again_that_is_taken_for_another_one: DedupeOff, 1, "could not read";
    rows_that_stay_at_the_server_after_their_time: SweepOff, 1, "after their time";
    pushed_rows_in_the_wrong_order: OrderReversed, 1, "not show";
    pushed_rows_that_never_come: RowLost, 1, "not show";
    what_is_shown_before_it_is_written: ShownBeforeWritten, 5, "gone after a crash";
    what_is_acknowledged_before_it_is_written: AckedBeforeWritten, 1, "gone after a crash";
    a_disk_that_lies: DiskLies, 5, "gone after a crash";
    a_text_that_stays_after_its_time: ExpiryOff, 1, "after its time";
    what_somebody_wrote_in_a_frame: PlainText, 1, "in a frame";
    an_account_that_tells_of_another: LinkTold, 1, "what another one is";
}
