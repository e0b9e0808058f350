//! The mailbox's protocol holds in every interleaving within the bounds, and each planted fault is found.

#![allow(clippy::print_stdout, reason = "the figures are part of the result")]

mod common;

use parlour_model::{
    mailbox::{Faults, Mailbox, Plant},
    reach::from_everywhere,
};
use stateright::{Checker as _, HasDiscoveries, Model as _};

const NONE: Faults = Faults { breaks: 0, deaths: 0, crashes: 0, again: 0 };

/// All properties in all states, and the end within reach of each.
fn holds(name: &str, rows: u64, faults: Faults) {
    let model = Mailbox { rows, faults, plant: None };
    common::holds(name, &model, |state| state.is_done(&model), &[]);
}

#[test]
fn three_rows_while_the_connection_breaks_and_the_device_dies() {
    holds("3 rows, 1 break, 1 death", 3, Faults { breaks: 1, deaths: 1, ..NONE });
}

#[test]
fn three_rows_while_the_server_dies_and_delivers_again() {
    holds("3 rows, 1 crash, 1 row again", 3, Faults { crashes: 1, again: 1, ..NONE });
}

#[test]
fn two_rows_while_everything_fails() {
    holds("2 rows, 1 break, 1 death, 1 crash, 1 row again", 2, Faults { breaks: 1, deaths: 1, crashes: 1, again: 1 });
}

/// The shortest way to what the fault breaks.
fn found(plant: Plant, faults: Faults, broken: &[&str]) {
    let model = Mailbox { rows: 3, faults, plant: Some(plant) };
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let failures: Vec<_> = checker
        .discoveries()
        .into_iter()
        .filter(|(name, _)| model.property(name).expectation.discovery_is_failure())
        .collect();
    let (name, way) = match failures.into_iter().next() {
        Some((name, path)) => (name, path.into_actions()),
        None => match from_everywhere(&model, |state| state.is_done(&model)).stuck {
            Some(way) => (END, way),
            None => panic!("{plant:?} is not found"),
        },
    };
    println!("{plant:?}: {name}: {way:?}");
    assert!(broken.contains(&name), "{plant:?} breaks {name}");
}

const CURSOR: &str = "no cursor passes a row that was not worked on";
const DELETED: &str = "nothing is deleted before it is worked on";
const END: &str = "from everywhere, the end can be reached";

#[test]
fn what_is_acknowledged_on_arrival_is_found() {
    found(Plant::AckedOnArrival, NONE, &[CURSOR, DELETED]);
}

#[test]
fn a_cursor_that_moves_when_it_pushes_is_found() {
    found(Plant::PushedIsAcked, NONE, &[CURSOR, DELETED]);
}

#[test]
fn a_row_that_is_appended_during_the_last_read_and_not_told_is_found() {
    found(Plant::OfferForgotten, NONE, &["rows are shown in order, and none is left out", END]);
}

#[test]
fn a_row_that_is_read_and_handed_over_is_found() {
    found(Plant::CursorUnchecked, NONE, &["a socket pushes a row once"]);
}

#[test]
fn an_acknowledgement_that_is_lost_while_others_are_written_is_found() {
    found(Plant::AckForgotten, NONE, &[END]);
}

#[test]
fn a_row_that_is_shown_when_it_comes_again_is_found() {
    found(Plant::WatermarkUnchecked, Faults { again: 1, ..NONE }, &["a row is shown once"]);
}
