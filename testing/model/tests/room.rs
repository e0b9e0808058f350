//! The room's epoch protocol holds in every interleaving within the bounds, and each planted fault is found.

#![allow(clippy::print_stdout, reason = "the figures are part of the result")]

mod common;

use parlour_model::{
    reach::from_everywhere,
    room::{Faults, Plant, Room, State},
};
use stateright::{Checker as _, HasDiscoveries, Model as _};

const NONE: Faults = Faults { breaks: 0, reconnects: 0, restarts: 0, crashes: 0, cheats: 0 };

/// All properties in all states, and agreement within reach of each.
fn holds(name: &str, wants: [u8; 3], faults: Faults) {
    let model = Room { wants, faults, plant: None };
    let is_alone = wants.iter().filter(|want| **want > 0).count() < 2;
    let excused: &[&str] = if is_alone { &["a commit is behind"] } else { &[] };
    common::holds(name, &model, State::agrees, excused);
}

#[test]
fn three_devices_with_two_commits_each() {
    holds("3 x 2, nothing lost", [2, 2, 2], NONE);
}

#[test]
fn two_commits_while_answers_are_lost_and_devices_die() {
    let faults = Faults { breaks: 2, restarts: 1, reconnects: 1, ..NONE };
    holds("3 x (1, 1, 0), 2 breaks, 1 restart, 1 reconnect", [1, 1, 0], faults);
}

#[test]
fn a_commit_of_each_while_the_server_dies_between_two_batches() {
    let faults = Faults { breaks: 1, crashes: 1, ..NONE };
    holds("3 x 1, 1 break, 1 crash", [1, 1, 1], faults);
}

#[test]
fn void_rows_of_an_insider_are_undone_whatever_is_lost() {
    holds("3 x (1, 1, 0), 1 void row, 1 crash", [1, 1, 0], Faults { crashes: 1, cheats: 1, ..NONE });
    holds("3 x (1, 1, 0), 1 void row, 1 break", [1, 1, 0], Faults { breaks: 1, cheats: 1, ..NONE });
    holds("3 x (1, 0, 0), 2 void rows", [1, 0, 0], Faults { cheats: 2, ..NONE });
}

/// The shortest way to what the fault breaks.
fn found(plant: Plant, faults: Faults, broken: &[&str]) {
    let model = Room { wants: [1, 1, 0], faults, plant: Some(plant) };
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let failures: Vec<_> = checker
        .discoveries()
        .into_iter()
        .filter(|(name, _)| model.property(name).expectation.discovery_is_failure())
        .collect();
    let (name, way) = match failures.into_iter().next() {
        Some((name, path)) => (name, path.into_actions()),
        None => match from_everywhere(&model, State::agrees).stuck {
            Some(way) => ("from everywhere, agreement can be reached", way),
            None => panic!("{plant:?} is not found"),
        },
    };
    println!("{plant:?}: {name}: {way:?}");
    assert!(broken.contains(&name), "{plant:?} breaks {name}");
}

const HISTORIES: &str = "never two histories";
const IN_ROOM: &str = "an acknowledged commit is in the room once";
const ONCE: &str = "what is wanted is done once";
const ANSWER: &str = "the same commit gets the same answer";
const ENTRIES: &str = "the entries are what the valid commits made them";
const THREAD: &str = "nobody loses the thread";
const AGREE: &str = "from everywhere, agreement can be reached";

#[test]
fn a_head_that_is_not_looked_at_is_found() {
    found(Plant::HeadUnchecked, NONE, &[HISTORIES, ONCE, THREAD]);
}

#[test]
fn a_head_that_is_looked_at_before_the_answer_is_found() {
    found(Plant::HeadBeforeAnswer, Faults { breaks: 1, ..NONE }, &[ANSWER]);
}

#[test]
fn an_answer_before_the_room_is_durable_is_found() {
    found(Plant::AnswerBeforeDurable, Faults { crashes: 1, ..NONE }, &[HISTORIES, IN_ROOM]);
}

#[test]
fn sequences_that_are_given_out_again_are_found() {
    found(Plant::SequencesRepeated, Faults { crashes: 1, ..NONE }, &["a sequence is used once, and they rise", THREAD]);
}

#[test]
fn a_delivery_that_is_not_resumed_is_found() {
    found(Plant::JobForgotten, Faults { crashes: 1, ..NONE }, &[AGREE, THREAD]);
}

#[test]
fn void_rows_whose_changes_stay_are_found() {
    found(Plant::VoidsKept, Faults { cheats: 1, ..NONE }, &[ENTRIES]);
}

#[test]
fn a_commit_that_is_made_anew_for_a_lost_answer_is_found() {
    found(Plant::NewIdOnRetry, Faults { breaks: 1, ..NONE }, &[HISTORIES, ONCE, THREAD]);
}

#[test]
fn a_commit_that_is_merged_when_it_is_sent_is_found() {
    found(Plant::MergedWhenSent, NONE, &[HISTORIES, IN_ROOM, THREAD]);
}

#[test]
fn rows_that_are_dealt_with_twice_are_found() {
    found(Plant::RowsTwice, Faults { reconnects: 1, ..NONE }, &[HISTORIES, ENTRIES, THREAD]);
}

#[test]
fn void_rows_that_are_not_named_are_found() {
    found(Plant::VoidsUnnamed, Faults { cheats: 1, ..NONE }, &[HISTORIES, ENTRIES, THREAD]);
}
